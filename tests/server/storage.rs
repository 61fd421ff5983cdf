//! The contract of the store, tested with SQLite on disk.

use futures_util::future::join_all;
use roomcast::domain::id::Seq;
use roomcast::server::config::StorageSettings as Settings;
use roomcast::server::storage::{Appended, NewMessage, NewPerson, NewSessionRow, SeqRange, StorageError, Store};
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use uuid::Uuid;

async fn open() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&Settings { data_dir: folder.path().into(), ..Settings::default() }).await.unwrap();
    (folder, store)
}

fn message(room: &str, user: &str, text: &str, nonce: Option<&str>) -> NewMessage {
    NewMessage {
        room: room.parse().unwrap(),
        id: Uuid::now_v7(),
        user: user.parse().unwrap(),
        nickname: user.into(),
        text: text.into(),
        at: 5,
        nonce: nonce.map(|nonce| nonce.parse().unwrap()),
    }
}

fn seqs(appended: &[Appended]) -> Vec<(bool, u64)> {
    appended
        .iter()
        .map(|one| match one {
            Appended::Stored(message) => (true, message.seq.0),
            Appended::Repeated { seq, .. } => (false, seq.0),
            refused => panic!("{refused:?}"),
        })
        .collect()
}

#[tokio::test]
async fn a_batch_is_numbered_per_room_without_gaps() {
    let (_folder, store) = open().await;
    for room in ["1", "2"] {
        store.add_room(&room.parse().unwrap(), room, None, 0).await.unwrap();
    }
    let batch = vec![message("1", "u", "a", None), message("2", "u", "b", None), message("1", "v", "c\u{0}\"quoted\"", None)];
    assert_eq!(seqs(&store.append(batch, 0).await.unwrap()), [(true, 1), (true, 1), (true, 2)]);
    assert_eq!(seqs(&store.append(vec![message("1", "u", "d", None)], 0).await.unwrap()), [(true, 3)]);
    let stored = store.messages_between(&"1".parse().unwrap(), Seq(1), None, 10).await.unwrap();
    assert_eq!(
        stored.iter().map(|message| (message.seq.0, message.text.as_str())).collect::<Vec<_>>(),
        [(2, "c\u{0}\"quoted\""), (3, "d")]
    );
    assert_eq!(store.seq_range(&"1".parse().unwrap()).await.unwrap(), SeqRange { oldest: Seq(1), newest: Seq(3) });
}

#[tokio::test]
async fn a_repeated_nonce_returns_the_first_message() {
    let (_folder, store) = open().await;
    for room in ["1", "2"] {
        store.add_room(&room.parse().unwrap(), room, None, 0).await.unwrap();
    }
    let batch = vec![
        message("1", "u", "a", Some("n")),
        message("1", "u", "a", Some("n")),
        message("1", "v", "b", Some("n")),
        message("2", "u", "c", Some("n")),
    ];
    assert_eq!(seqs(&store.append(batch, 0).await.unwrap()), [(true, 1), (false, 1), (true, 2), (true, 1)]);
    assert_eq!(seqs(&store.append(vec![message("1", "u", "a", Some("n"))], 0).await.unwrap()), [(false, 1)]);
    let before = store.sent_before(&"u".parse().unwrap(), &"n".parse().unwrap(), &"1".parse().unwrap()).await.unwrap();
    assert_eq!(before.map(|(_, seq)| seq), Some(Seq(1)));
}

#[tokio::test]
async fn a_message_to_no_room_leaves_the_others_of_its_batch() {
    let (_folder, store) = open().await;
    store.add_room(&"1".parse().unwrap(), "1", None, 0).await.unwrap();
    let batch = vec![message("nowhere", "u", "b", None), message("1", "u", "a", None)];
    let appended = store.append(batch, 0).await.unwrap();
    assert!(matches!(appended[..], [Appended::NoSuchRoom, Appended::Stored(_)]), "{appended:?}");
    assert_eq!(store.seq_range(&"1".parse().unwrap()).await.unwrap(), SeqRange { oldest: Seq(1), newest: Seq(1) });
}

/// The number of write batches that the database contains.
async fn commits(store: &Store) -> u64 {
    String::from_utf8(store.fact("commits").await.unwrap().unwrap()).unwrap().parse().unwrap()
}

async fn put_session(store: &Store, token_hash: &[u8], uid: &str) -> Result<(), StorageError> {
    let uid = uid.parse().unwrap();
    store.put_session(NewSessionRow { token_hash, uid: &uid, label: "", created_at: 0, expires_at: 10 }).await
}

async fn guest(store: &Store, n: u16) -> Result<(), StorageError> {
    let mut token = [0; 32];
    token[..2].copy_from_slice(&n.to_be_bytes());
    let uid = format!("guest-{n}").parse().unwrap();
    store.put_guest("n", NewSessionRow { token_hash: &token, uid: &uid, label: "Firefox", created_at: 0, expires_at: 10 }).await
}

#[tokio::test]
async fn f14_guests_share_the_transactions_of_messages() {
    let (_folder, store) = open().await;
    store.add_room(&"1".parse().unwrap(), "1", None, 0).await.unwrap();
    guest(&store, 1000).await.unwrap();
    assert_eq!(commits(&store).await, 1, "a lone guest waits for nobody");
    let guests = join_all((0..600).map(|n| guest(&store, n)));
    let (guests, appended) = tokio::join!(guests, store.append(vec![message("1", "u", "a", None)], 0));
    assert!(guests.into_iter().all(|guest| guest.is_ok()));
    assert_eq!(seqs(&appended.unwrap()), [(true, 1)]);
    assert!(commits(&store).await < 60, "{} commits for 600 guests", commits(&store).await);
    let session = store.session(&[0; 32]).await.unwrap().unwrap();
    assert_eq!((session.person.uid.as_str(), session.label.as_str(), session.expires_at), ("guest-0", "Firefox", 10));
}

#[tokio::test]
async fn f14_messages_do_not_wait_for_a_crowd_of_guests() {
    let (_folder, store) = open().await;
    store.add_room(&"1".parse().unwrap(), "1", None, 0).await.unwrap();
    let arrived = AtomicUsize::new(0);
    let guests = join_all((0..4000).map(|n| {
        let (store, arrived) = (&store, &arrived);
        async move {
            guest(store, n).await.unwrap();
            arrived.fetch_add(1, Ordering::Relaxed);
        }
    }));
    // The message comes last, and is in the batch after the one under way.
    let message = async {
        store.append(vec![message("1", "u", "a", None)], 0).await.unwrap();
        arrived.load(Ordering::Relaxed)
    };
    let (_, before) = tokio::join!(guests, message);
    assert!(before < 2000, "{before} of 4,000 guests were stored before the message");
}

#[tokio::test]
async fn f14_a_write_that_fails_leaves_the_others_of_its_batch() {
    let (_folder, store) = open().await;
    store.add_room(&"1".parse().unwrap(), "1", None, 0).await.unwrap();
    let (first, without_person, same_token, nowhere, appended, second) = tokio::join!(
        guest(&store, 1),
        put_session(&store, &[9; 32], "nobody"),
        guest(&store, 1),
        store.append(vec![message("nowhere", "u", "a", None)], 0),
        store.append(vec![message("1", "u", "a", None)], 0),
        guest(&store, 2),
    );
    assert!(first.is_ok() && second.is_ok());
    assert!(matches!(without_person, Err(StorageError::Failed(_))) && matches!(same_token, Err(StorageError::Failed(_))));
    assert_eq!(nowhere.unwrap(), [Appended::NoSuchRoom]);
    assert_eq!(seqs(&appended.unwrap()), [(true, 1)]);
    assert!(store.session(&[9; 32]).await.unwrap().is_none());
    store.put_nickname(&"guest-1".parse().unwrap(), "renamed", 0).await.unwrap();
    store.extend_session(&[9; 32], 5, 20).await.unwrap();
    let mut token = [0; 32];
    token[1] = 1;
    store.extend_session(&token, 5, 20).await.unwrap();
    let session = store.session(&token).await.unwrap().unwrap();
    assert_eq!((session.person.nickname.as_str(), session.used_at, session.expires_at), ("renamed", 5, 20));
}

#[tokio::test]
async fn f26_an_id_that_the_operator_chose_does_not_move_the_numbering() {
    let (_folder, store) = open().await;
    for room in ["999999999999999", "99999999999999999999", "2", "007"] {
        assert!(store.add_room(&room.parse().unwrap(), room, None, 0).await.unwrap());
    }
    for room in ["1", "3", "4"] {
        assert_eq!(store.open_room("next", None, 0).await.unwrap().as_str(), room);
    }
}

#[tokio::test]
async fn stored_data_survives_reopening() {
    let (folder, store) = open().await;
    let room = store.open_room("first", None, 0).await.unwrap();
    assert_eq!(room.as_str(), "1");
    store.append(vec![message("1", "u", "a", None)], 0).await.unwrap();
    let epoch = store.room(&room).await.unwrap().unwrap().epoch;
    let settings = Settings { data_dir: folder.path().into(), ..Settings::default() };
    assert!(Store::open(&settings).await.is_err(), "one server at a time");
    store.close().await;
    drop(store);
    let store = Store::open(&settings).await.unwrap();
    assert_eq!(store.messages_between(&room, Seq(0), None, 10).await.unwrap().len(), 1);
    assert_eq!(store.room(&room).await.unwrap().unwrap().epoch, epoch);
    assert_eq!(store.open_room("next", None, 1).await.unwrap().as_str(), "2");
    store.add_room(&"9x".parse().unwrap(), "a name", None, 2).await.unwrap();
    assert_eq!(store.open_room("next", None, 3).await.unwrap().as_str(), "3");
}

#[tokio::test]
async fn sessions_expire_and_names_ignore_case() {
    let (_folder, store) = open().await;
    let (uid, other) = ("u".parse().unwrap(), "v".parse().unwrap());
    store.put_nickname(&uid, "阿明", 0).await.unwrap();
    let account = |uid, account| NewPerson { uid, nickname: "n", account, password: "hash", created_at: 0 };
    store.put_account(account(&uid, "Ming")).await.unwrap();
    assert!(matches!(store.put_account(account(&other, "ｍＩＮＧ")).await, Err(StorageError::NameTaken)));
    assert_eq!(store.person_by_account("MING").await.unwrap().unwrap().person.uid, uid);

    let session = |token_hash, expires_at| NewSessionRow { token_hash, uid: &uid, label: "Firefox", created_at: 0, expires_at };
    for (token_hash, expires_at) in [(&[1; 32], 10), (&[2; 32], 20), (&[3; 32], 30)] {
        store.put_session(session(token_hash, expires_at)).await.unwrap();
    }
    assert_eq!(store.session(&[1; 32]).await.unwrap().unwrap().expires_at, 10);
    store.extend_session(&[1; 32], 5, 15).await.unwrap();
    assert_eq!(store.end_expired_sessions(15, 10).await.unwrap(), 1);
    assert!(store.session(&[1; 32]).await.unwrap().is_none());
    let listed = store.sessions_of(&uid, 9).await.unwrap();
    assert!(listed.iter().all(|row| (row.label.as_str(), row.created_at, row.used_at) == ("Firefox", 0, 0)) && listed.len() == 2);
    assert_eq!(store.end_sessions_of(&uid, Some(&[3; 32])).await.unwrap(), [[2; 32]]);
    assert_eq!(store.end_sessions_of(&uid, None).await.unwrap(), [[3; 32]]);
    for n in 1..=5_u8 {
        let new = NewSessionRow { token_hash: &[n; 32], uid: &uid, label: "", created_at: u64::from(n), expires_at: 99 };
        store.put_session(new).await.unwrap();
    }
    assert_eq!(store.end_oldest_sessions(&uid, 3).await.unwrap(), [[1; 32], [2; 32]]);
    assert!(store.end_oldest_sessions(&other, 3).await.unwrap().is_empty());
}

#[tokio::test]
async fn ownership_is_claimed_once_and_includes_rooms_without_a_host() {
    let (_folder, store) = open().await;
    let (uid, other) = ("u".parse().unwrap(), "v".parse().unwrap());
    for uid in [&uid, &other] {
        store.put_nickname(uid, "n", 0).await.unwrap();
    }
    let (free, taken) =
        (store.open_room("free", None, 0).await.unwrap(), store.open_room("taken", Some(&other), 0).await.unwrap());
    store.set_fact("owner_link", &[7; 32]).await.unwrap();
    assert!(!store.claim_ownership(&uid, &[8; 32]).await.unwrap());
    assert!(store.claim_ownership(&uid, &[7; 32]).await.unwrap() && store.has_owner().await.unwrap());
    assert!(!store.claim_ownership(&other, &[7; 32]).await.unwrap(), "once");
    assert_eq!(store.room(&free).await.unwrap().unwrap().host, Some(uid));
    assert_eq!(store.room(&taken).await.unwrap().unwrap().host, Some(other));
}

#[tokio::test]
async fn an_account_keeps_the_devices_used_last() {
    let (_folder, store) = open().await;
    let (uid, other) = ("u".parse().unwrap(), "v".parse().unwrap());
    for (uid, account) in [(&uid, "u"), (&other, "v")] {
        let new = NewPerson { uid, nickname: "n", account, password: "hash", created_at: 0 };
        store.put_account(new).await.unwrap();
    }
    for n in 0..4_u8 {
        store.put_device(&uid, &[n; 32], "hash", u64::from(n), 3).await.unwrap();
    }
    store.put_device(&uid, &[1; 32], "hash", 9, 3).await.unwrap();
    store.put_device(&uid, &[7; 32], "hash", 10, 3).await.unwrap();
    for (n, known) in [(0, false), (1, true), (2, false), (3, true), (7, true)] {
        assert_eq!(store.is_device_of(&uid, &[n; 32]).await.unwrap(), known, "{n}");
        assert!(!store.is_device_of(&other, &[n; 32]).await.unwrap());
    }
    store.set_password(&uid, "another hash").await.unwrap();
    assert!(!store.is_device_of(&uid, &[7; 32]).await.unwrap(), "another password forgets the devices");
    assert!(!store.put_device(&uid, &[8; 32], "hash", 11, 3).await.unwrap(), "of the password before");
    assert!(!store.is_device_of(&uid, &[8; 32]).await.unwrap());
}

/// After a hand-over the old process writes nothing, whichever request still runs in it.
#[tokio::test]
async fn f11_a_store_whose_writes_are_stopped_writes_nothing_until_they_are_resumed() {
    let folder = TempDir::new().unwrap();
    let store =
        Store::open(&Settings { data_dir: folder.path().into(), busy_within_ms: 1, ..Settings::default() }).await.unwrap();
    store.add_room(&"1".parse().unwrap(), "1", None, 0).await.unwrap();
    store.stop_writes().await.unwrap();
    let late = store.append(vec![message("1", "u", "late", None)], 0).await;
    assert!(matches!(late, Err(StorageError::Busy(_))), "{late:?}");
    assert!(store.add_room(&"2".parse().unwrap(), "2", None, 0).await.is_err());
    assert_eq!(store.messages_between(&"1".parse().unwrap(), Seq(0), None, 10).await.unwrap(), [], "it can be read");
    store.resume_writes().await;
    assert_eq!(seqs(&store.append(vec![message("1", "u", "now", None)], 0).await.unwrap()), [(true, 1)]);
    store.stop_writes().await.unwrap();
    let closed = tokio::time::timeout(std::time::Duration::from_secs(20), store.close());
    assert!(closed.await.is_ok(), "a store that has handed over can be closed");
}
