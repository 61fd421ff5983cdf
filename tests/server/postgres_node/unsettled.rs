//! Messages whose answer was lost and that are stored all the same: their room hears of them, in their order, once.

use super::{send_until_accepted, start, stored};
use crate::support::postgres::Postgres;
use crate::support::{Person, Socket};
use std::sync::atomic::AtomicU64;

/// Lets commits wait for a standby that does not exist, or ends that.
fn hold_commits(postgres: &Postgres, is_on: bool) {
    let names = if is_on { "x" } else { "" };
    postgres.sql("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"));
    postgres.sql("postgres", "SELECT pg_reload_conf()");
}

/// Sends a message whose commit is held, and returns its text. Those before it were faster than the setting.
async fn held(postgres: &Postgres, person: &Person, name: &str) -> String {
    hold_commits(postgres, true);
    let (mut text, mut count) = (name.to_owned(), 0);
    let answer = loop {
        let answer = person.try_send(&text, &text).await.unwrap();
        if answer.status != 200 || count == 200 {
            break answer;
        }
        count += 1;
        text = format!("{name} {count}");
    };
    assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (504, Some("uncertain")), "{}", answer.body);
    let again = person.try_send(&text, &text).await.unwrap();
    assert!([503, 504].contains(&again.status.as_u16()), "the first call still runs: {}", again.body);
    text
}

/// Reads pushed messages until one has this text.
async fn pushed_until(socket: &mut Socket, last: &str, pushed: &mut Vec<(u64, String)>) {
    while pushed.last().is_none_or(|(_, text)| text != last) {
        let push = socket.push_of("message").await;
        pushed.push((push["seq"].as_u64().unwrap(), push["text"].as_str().unwrap().to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_stored_after_its_answer_is_pushed_in_its_order_once() {
    let Some(postgres) = Postgres::own() else { return };
    let database = postgres.database();
    let server = start(&database.url());
    let (person, other, refused) = (server.guest("a").await, server.guest("b").await, AtomicU64::new(0));
    let (mut socket, mut pushed) = (server.visitor().open_bound(Some("roomcast.v1")).await, Vec::new());
    send_until_accepted(&person, "before", &refused).await;

    // Nobody repeats it.
    let left_alone = held(&postgres, &person, "left alone").await;
    hold_commits(&postgres, false);
    pushed_until(&mut socket, &left_alone, &mut pushed).await;

    // Its sender and another person come before the lane looks.
    let repeated = held(&postgres, &person, "repeated").await;
    hold_commits(&postgres, false);
    let (behind_it, first) =
        tokio::join!(send_until_accepted(&other, "behind it", &refused), send_until_accepted(&person, &repeated, &refused));
    assert_eq!(first + 1, behind_it);
    send_until_accepted(&other, "after", &refused).await;
    pushed_until(&mut socket, "after", &mut pushed).await;
    assert_eq!(pushed, stored(&database), "each stored message, in order, once");

    // The tail of the room has them, too.
    for _ in 0..3 {
        let page = server.visitor().get("/rooms/1").await.text().await.unwrap();
        assert!(["before", &left_alone, &repeated, "behind it", "after"].iter().all(|text| page.contains(text)));
    }
}
