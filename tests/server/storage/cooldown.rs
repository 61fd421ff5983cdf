//! The cooldown, judged inside `append`: per person and room, by the site's time and the room's slow mode.

use super::{Opened, add_rooms, contract, message, seqs, set_closed, set_slow_mode};
use crate::support::eventually;
use futures_util::future::join_all;
use roomcast::domain::id::Seq;
use roomcast::server::storage::{Appended, Store};

contract!(
    one_message_per_person_room_and_cooldown,
    the_second_message_of_a_batch_is_too_fast,
    a_cooldown_ends,
    slow_mode_is_longer_and_not_for_the_host,
    a_repeat_is_answered_while_the_cooldown_runs,
    a_refused_message_starts_no_cooldown,
    senders_at_once_get_one_message_through,
    a_cooldown_survives_a_restart,
);

const LONG_MS: u64 = 60_000;

/// Sends one message: its seq, or the milliseconds to wait.
async fn send(store: &Store, room: &str, user: &str, cooldown_ms: u64) -> Result<u64, u64> {
    let appended = store.append(vec![message(room, user, "x", None)], cooldown_ms).await.unwrap();
    match &appended[0] {
        Appended::Stored(message) => Ok(message.seq.0),
        Appended::TooFast { retry_after_ms } => Err(*retry_after_ms),
        other => panic!("{other:?}"),
    }
}

async fn one_message_per_person_room_and_cooldown(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "2"]).await;
    assert_eq!(send(store, "1", "u", LONG_MS).await, Ok(1));
    let wait_ms = send(store, "1", "u", LONG_MS).await.unwrap_err();
    assert!((1..=LONG_MS).contains(&wait_ms) && wait_ms > LONG_MS - 20_000, "{wait_ms}");
    assert_eq!((send(store, "2", "u", LONG_MS).await, send(store, "1", "v", LONG_MS).await), (Ok(1), Ok(2)));
    assert_eq!(send(store, "1", "u", 0).await, Ok(3), "without a cooldown");
    assert!(send(store, "1", "u", LONG_MS).await.is_err());
    assert_eq!(store.seq_range(&"1".parse().unwrap()).await.unwrap().newest, Seq(3), "a refused message takes no seq");
}

async fn the_second_message_of_a_batch_is_too_fast(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1", "2"]).await;
    let batch = [("1", "u"), ("1", "u"), ("1", "v"), ("2", "u"), ("1", "u")];
    let batch = batch.map(|(room, user)| message(room, user, "x", None)).to_vec();
    let appended = store.append(batch, LONG_MS).await.unwrap();
    assert!(
        matches!(
            &appended[..],
            [Appended::Stored(_), Appended::TooFast { .. }, Appended::Stored(_), Appended::Stored(_), Appended::TooFast { .. }]
        ),
        "{appended:?}"
    );
    assert_eq!(store.seq_range(&"1".parse().unwrap()).await.unwrap().newest, Seq(2));
}

async fn a_cooldown_ends(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    assert_eq!(send(store, "1", "u", 300).await, Ok(1));
    eventually("the cooldown ends", async || send(store, "1", "u", 300).await == Ok(2)).await;
    let stored = store.messages_between(&"1".parse().unwrap(), Seq(0), None, 10).await.unwrap();
    assert!(stored[1].at - stored[0].at >= 300, "{} ms apart", stored[1].at - stored[0].at);
}

async fn slow_mode_is_longer_and_not_for_the_host(Opened { store, .. }: &mut Opened) {
    let (host, room) = ("host".parse().unwrap(), "1".parse().unwrap());
    store.put_nickname(&host, "n", 0).await.unwrap();
    store.add_room(&room, "one", Some(&host), 0).await.unwrap();
    assert_eq!((send(store, "1", "u", 0).await, send(store, "1", "host", 0).await), (Ok(1), Ok(2)));
    set_slow_mode(store, &room, LONG_MS).await;
    // It concerns messages that were sent before it.
    assert!(send(store, "1", "u", 0).await.is_err_and(|wait_ms| wait_ms > LONG_MS - 20_000));
    assert_eq!(send(store, "1", "host", 0).await, Ok(3));
    assert!(send(store, "1", "host", LONG_MS).await.is_err(), "the site's cooldown is for the host too");
    set_slow_mode(store, &room, 0).await;
    assert_eq!(send(store, "1", "u", 0).await, Ok(4));
    set_slow_mode(store, &room, 1).await;
    assert!(send(store, "1", "u", LONG_MS).await.is_err_and(|wait_ms| wait_ms > 1), "the longer one counts");
}

async fn a_repeat_is_answered_while_the_cooldown_runs(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    let first = store.append(vec![message("1", "u", "x", Some("n"))], LONG_MS).await.unwrap();
    assert_eq!(seqs(&first), [(true, 1)]);
    let batch = ["n", "m", "n"].map(|nonce| message("1", "u", "x", Some(nonce))).to_vec();
    let appended = store.append(batch, LONG_MS).await.unwrap();
    assert!(
        matches!(&appended[..], [Appended::Repeated { .. }, Appended::TooFast { .. }, Appended::Repeated { .. }]),
        "{appended:?}"
    );
    // The nonce of a message that was refused is free.
    assert_eq!(seqs(&store.append(vec![message("1", "u", "x", Some("m"))], 0).await.unwrap()), [(true, 2)]);
}

async fn a_refused_message_starts_no_cooldown(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    set_closed(store, &"1".parse().unwrap(), true).await;
    let appended = store.append(vec![message("1", "u", "x", None)], LONG_MS).await.unwrap();
    assert_eq!(appended, [Appended::RoomClosed]);
    set_closed(store, &"1".parse().unwrap(), false).await;
    assert_eq!(send(store, "1", "u", LONG_MS).await, Ok(1));
    // One that is too fast does not make the cooldown longer.
    let first = send(store, "1", "u", LONG_MS).await.unwrap_err();
    assert!(send(store, "1", "u", LONG_MS).await.unwrap_err() <= first);
}

async fn senders_at_once_get_one_message_through(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    let sends = (0..30).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { send(&store, "1", "u", LONG_MS).await })
    });
    let answers: Vec<_> = join_all(sends).await.into_iter().map(|answer| answer.unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
}

async fn a_cooldown_survives_a_restart(opened: &mut Opened) {
    add_rooms(&opened.store, &["1"]).await;
    assert_eq!(send(&opened.store, "1", "u", LONG_MS).await, Ok(1));
    opened.reopen().await;
    assert!(send(&opened.store, "1", "u", LONG_MS).await.is_err());
    assert_eq!(send(&opened.store, "1", "v", LONG_MS).await, Ok(2));
}
