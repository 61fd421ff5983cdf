//! Messages and acts of moderation whose answer was lost and that are stored all the same: their room hears of them, of messages in their
//! order and once.

use super::{send_until_accepted, start, stored};
use crate::support::postgres::Postgres;
use crate::support::{DEADLINE, Person, Socket};
use std::sync::atomic::AtomicU64;
use tokio::time::timeout;

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

/// Sets the slow mode, under a nonce, and returns status and body.
async fn slow(host: &Person, slow_ms: &str) -> (u16, serde_json::Value) {
    let form = [("room", "1"), ("slow_ms", slow_ms), ("nonce", slow_ms)];
    let answer = timeout(DEADLINE, host.post("/gateway/mod/mode", &form)).await.expect("an act is not answered");
    (answer.status.as_u16(), answer.body)
}

/// Does acts until one has no answer; those before it were faster than the setting. Returns its slow mode.
async fn lost(postgres: &Postgres, host: &Person, first: u64) -> String {
    hold_commits(postgres, true);
    for slow_ms in first..first + 200 {
        let (status, body) = slow(host, &slow_ms.to_string()).await;
        if status != 200 {
            assert_eq!((status, body["code"].as_str()), (504, Some("uncertain")), "{body}");
            return slow_ms.to_string();
        }
    }
    panic!("no commit is held");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_is_stored_after_its_answer_is_told_as_a_gap_and_pages_bind_again() {
    let Some(postgres) = Postgres::own() else { return };
    let database = postgres.database();
    let server = start(&database.url());
    let host = server.owner().await;
    let viewer = server.visitor();
    let mut socket = viewer.open_bound(Some("roomcast.v1")).await;

    // Nobody repeats it.
    let slow_ms = lost(&postgres, &host, 1000).await;
    hold_commits(&postgres, false);
    let gap = socket.push_of("gap").await;
    let rev = gap["rev"].as_u64().unwrap();
    assert_eq!((&gap["room"], gap.get("from"), gap.get("to")), (&"1".into(), None, None), "{gap}");
    let bound = viewer.bind(&socket, &[("rev", &(rev - 1).to_string())]).await.body;
    assert_eq!(
        (&bound["rev"], &bound["changes"][0]["state"]["modes"]["slow_ms"]),
        (&rev.into(), &slow_ms.parse::<u64>().unwrap().into())
    );

    // Its moderator repeats it before the lane looks.
    let slow_ms = lost(&postgres, &host, 2000).await;
    hold_commits(&postgres, false);
    let again = loop {
        match slow(&host, &slow_ms).await {
            (200, body) => break body,
            (status, body) => assert!([503, 504].contains(&status), "the first call still runs: {body}"),
        }
    };
    let gap = socket.push_of("gap").await;
    assert_eq!(gap["rev"], again["rev"], "{gap}");
    // The next change follows it.
    let (_, next) = slow(&host, "3000").await;
    assert_eq!(socket.push_of("room").await["rev"], next["rev"]);
    assert_eq!(next["rev"].as_u64(), again["rev"].as_u64().map(|rev| rev + 1));
}
