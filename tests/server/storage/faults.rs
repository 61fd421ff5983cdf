//! Faults: a write that fails leaves the others, and one that cannot be made now is busy and not stored.

use super::{Opened, add_rooms, contract, guest, message, put_session, seqs, set_closed, token_of};
use crate::support::eventually;
use roomcast::domain::id::Seq;
use roomcast::server::storage::{Appended, SeqRange, StorageError};

contract!(
    f14_a_write_that_fails_leaves_the_others_of_its_batch,
    a_write_behind_a_lock_is_busy_and_not_stored,
    f11_a_store_that_stopped_its_writes_writes_nothing_until_it_resumes,
    a_room_that_closes_amid_sends_takes_none_after_it,
);

async fn f14_a_write_that_fails_leaves_the_others_of_its_batch(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    guest(store, 1).await.unwrap();
    let (without_person, same_token, nowhere, appended, second) = tokio::join!(
        put_session(store, &[9; 32], "nobody", 10),
        guest(store, 1),
        store.append(vec![message("nowhere", "u", "a", None)], 0),
        store.append(vec![message("1", "u", "a", None)], 0),
        guest(store, 2),
    );
    second.unwrap();
    assert!(matches!(without_person, Err(StorageError::Failed(_))) && matches!(same_token, Err(StorageError::Failed(_))));
    assert_eq!(nowhere.unwrap(), [Appended::NoSuchRoom]);
    assert_eq!(seqs(&appended.unwrap()), [(true, 1)]);
    assert!(store.session(&[9; 32]).await.unwrap().is_none());
    store.put_nickname(&"guest-1".parse().unwrap(), "renamed", 0).await.unwrap();
    store.extend_session(&[9; 32], 5, 20).await.unwrap();
    store.extend_session(&token_of(1), 5, 20).await.unwrap();
    let session = store.session(&token_of(1)).await.unwrap().unwrap();
    assert_eq!((session.person.nickname.as_str(), session.used_at, session.expires_at), ("renamed", 5, 20));
}

async fn a_write_behind_a_lock_is_busy_and_not_stored(opened: &mut Opened) {
    add_rooms(&opened.store, &["1"]).await;
    let lock = opened.place.lock().await;
    let store = &opened.store;
    let (refused, second, guest_refused) = tokio::join!(
        store.append(vec![message("1", "u", "refused", Some("n"))], 60_000),
        store.append(vec![message("1", "v", "refused", None)], 0),
        guest(store, 1),
    );
    for refused in [refused.map(drop), second.map(drop), guest_refused] {
        assert!(matches!(refused, Err(StorageError::Busy(_))), "{refused:?}");
    }
    assert_eq!(store.seq_range(&"1".parse().unwrap()).await.unwrap(), SeqRange { oldest: Seq(1), newest: Seq(0) }, "reads go on");
    lock.release().await;
    let stored = store.append(vec![message("1", "u", "stored", Some("n"))], 60_000).await.unwrap();
    assert_eq!(seqs(&stored), [(true, 1)], "neither a seq nor the cooldown nor the nonce is used");
    assert!(store.session(&token_of(1)).await.unwrap().is_none());
    guest(store, 1).await.unwrap();
}

/// After a hand-over the old process writes nothing, whichever request still runs in it.
async fn f11_a_store_that_stopped_its_writes_writes_nothing_until_it_resumes(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    store.stop_writes().await.unwrap();
    let (late, room, late_guest) =
        tokio::join!(store.append(vec![message("1", "u", "late", None)], 0), store.open_room("late", None, 0), guest(store, 1));
    for late in [late.map(drop), room.map(drop), late_guest] {
        assert!(matches!(late, Err(StorageError::Busy(_))), "{late:?}");
    }
    assert_eq!(store.messages_between(&"1".parse().unwrap(), Seq(0), None, 10).await.unwrap(), [], "it can be read");
    store.resume_writes().await;
    assert_eq!(seqs(&store.append(vec![message("1", "u", "now", None)], 0).await.unwrap()), [(true, 1)]);
    store.stop_writes().await.unwrap();
    let closed = tokio::time::timeout(crate::support::DEADLINE, store.close());
    assert!(closed.await.is_ok(), "a store that has handed over can be closed");
}

async fn a_room_that_closes_amid_sends_takes_none_after_it(Opened { store, .. }: &mut Opened) {
    add_rooms(store, &["1"]).await;
    let room = "1".parse().unwrap();
    let sender = tokio::spawn({
        let store = store.clone();
        async move {
            loop {
                let batch = (0..5).map(|_| message("1", "u", "x", None)).collect();
                if store.append(batch, 0).await.unwrap().contains(&Appended::RoomClosed) {
                    return;
                }
            }
        }
    });
    eventually("some are stored", async || store.seq_range(&room).await.unwrap().newest.0 >= 20).await;
    set_closed(store, &room, true).await;
    let at_the_close = store.seq_range(&room).await.unwrap();
    tokio::time::timeout(crate::support::DEADLINE, sender).await.unwrap().unwrap();
    assert_eq!(store.seq_range(&room).await.unwrap(), at_the_close);
    assert!(store.delete_room(&room, 0).await.unwrap());
    assert_eq!(store.append(vec![message("1", "u", "x", None)], 0).await.unwrap(), [Appended::NoSuchRoom]);
}
