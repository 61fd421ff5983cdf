//! What `append` decides by itself: role, closed state, nonce and cooldown.

use roomcast::domain::{id::Seq, message::Role};
use roomcast::server::config::StorageSettings as Settings;
use roomcast::server::storage::{Appended, NewMessage, StorageError, Store};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;

const NOW: u64 = 1_800_000_000_000;
const COOLDOWN: u64 = 3000;

async fn open(folder: &TempDir) -> Store {
    Store::open(&Settings { data_dir: folder.path().into(), ..Settings::default() }).await.unwrap()
}

fn message(room: &str, user: &str, nonce: Option<&str>, at: u64) -> NewMessage {
    NewMessage {
        room: room.parse().unwrap(),
        id: Uuid::now_v7(),
        user: user.parse().unwrap(),
        nickname: user.into(),
        text: user.into(),
        at,
        nonce: nonce.map(|nonce| nonce.parse().unwrap()),
    }
}

/// The answer in words: a seq, or why there is none.
fn word(appended: &Appended) -> String {
    match appended {
        Appended::Stored(message) if message.role == Role::Host => format!("{} host", message.seq.0),
        Appended::Stored(message) => message.seq.0.to_string(),
        Appended::Repeated { seq, .. } => format!("as {}", seq.0),
        Appended::NoSuchRoom => "no room".into(),
        Appended::RoomClosed => "closed".into(),
        Appended::Restrained => "restrained".into(),
        Appended::TooFast { retry_after_ms } => format!("wait {retry_after_ms}"),
    }
}

async fn append(store: &Store, batch: Vec<NewMessage>) -> Vec<String> {
    store.append(batch, COOLDOWN).await.unwrap().iter().map(word).collect()
}

async fn one(store: &Store, user: &str, nonce: Option<&str>, at: u64) -> String {
    append(store, vec![message("1", user, nonce, at)]).await.remove(0)
}

#[tokio::test]
async fn a_person_speaks_once_per_cooldown_and_a_repeated_nonce_comes_first() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    for room in ["1", "2"] {
        store.add_room(&room.parse().unwrap(), room, None, 0).await.unwrap();
    }
    let batch =
        [("1", "u", "a"), ("1", "u", "b"), ("1", "v", "a"), ("1", "u", "a"), ("2", "u", "a"), ("1", "u", "b"), ("3", "u", "a")];
    let batch = batch.map(|(room, user, nonce)| message(room, user, Some(nonce), NOW)).to_vec();
    assert_eq!(append(&store, batch).await, ["1", "wait 3000", "2", "as 1", "1", "wait 3000", "no room"]);
    assert_eq!(one(&store, "u", Some("c"), NOW + 2999).await, "wait 1");
    assert_eq!(one(&store, "u", Some("a"), NOW + 2999).await, "as 1");
    assert_eq!(one(&store, "u", Some("c"), NOW + 3000).await, "3");
    assert_eq!(one(&store, "u", Some("d"), NOW + 3001).await, "wait 2999");
    store.close_room(&"1".parse().unwrap(), NOW).await.unwrap();
    assert_eq!(one(&store, "v", Some("d"), NOW + 9000).await, "closed");
    assert_eq!(one(&store, "u", Some("c"), NOW + 9000).await, "as 3");
    store.delete_room(&"1".parse().unwrap(), NOW).await.unwrap();
    assert_eq!(one(&store, "u", Some("e"), NOW + 9000).await, "no room");
}

#[tokio::test]
async fn a_host_has_its_role_and_no_slow_mode() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    let (room, host) = ("1".parse().unwrap(), "host".parse().unwrap());
    store.put_nickname(&host, "host", 0).await.unwrap();
    store.add_room(&room, "a room", Some(&host), 0).await.unwrap();
    let sent = async |user: &str, at| one(&store, user, None, at).await;
    assert_eq!((sent("u", NOW).await.as_str(), sent("host", NOW).await.as_str()), ("1", "2 host"));
    store.set_room_slow_mode(&room, 60_000).await.unwrap();
    assert_eq!(sent("u", NOW + 3000).await, "wait 57000", "the message from before counts");
    assert_eq!(sent("host", NOW + 2999).await, "wait 1");
    assert_eq!(sent("host", NOW + 3000).await, "3 host");
    assert_eq!(sent("u", NOW + 60_000).await, "4");
    store.set_room_host(&room, &"u".parse().unwrap()).await.unwrap_err();
    store.put_nickname(&"u".parse().unwrap(), "u", 0).await.unwrap();
    assert!(store.set_room_host(&room, &"u".parse().unwrap()).await.unwrap());
    assert_eq!(sent("u", NOW + 63_000).await, "5 host");
    assert_eq!(sent("host", NOW + 63_000).await, "6");
    store.set_room_slow_mode(&room, 0).await.unwrap();
    assert_eq!(sent("host", NOW + 66_000).await, "7");
}

#[tokio::test]
async fn a_reopened_store_knows_the_last_messages_of_a_room() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    store.add_room(&"1".parse().unwrap(), "1", None, 0).await.unwrap();
    assert_eq!(one(&store, "u", None, NOW).await, "1");
    // From before the clock was set back: it silences nobody.
    assert_eq!(one(&store, "v", None, NOW + 9_000_000).await, "2");
    assert_eq!(one(&store, "w", None, NOW + 9_000_000).await, "3");
    assert_eq!(one(&store, "w", None, NOW).await, "4");
    store.close().await;
    drop(store);
    let store = open(&folder).await;
    assert_eq!(one(&store, "u", None, NOW + 2999).await, "wait 1");
    assert_eq!(one(&store, "v", None, NOW + 2999).await, "5");
    assert_eq!(one(&store, "w", None, NOW + 2999).await, "wait 1", "of the newest message");
    // The room was read for the cooldown; a slow mode looks back further.
    store.set_room_slow_mode(&"1".parse().unwrap(), 60_000).await.unwrap();
    assert_eq!(one(&store, "u", None, NOW + 3000).await, "wait 57000");
}

#[tokio::test]
async fn a_batch_that_is_rolled_back_starts_no_cooldown() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    for room in ["1", "2"] {
        store.add_room(&room.parse().unwrap(), room, None, 0).await.unwrap();
    }
    let mut database =
        SqliteConnection::connect(&format!("sqlite://{}", folder.path().join("roomcast.db").display())).await.unwrap();
    let trigger = "CREATE TRIGGER fail BEFORE INSERT ON messages WHEN NEW.room = '2' BEGIN SELECT RAISE(ABORT, 'fails'); END";
    sqlx::query(trigger).execute(&mut database).await.unwrap();
    let both = || vec![message("1", "u", None, NOW), message("2", "v", None, NOW)];
    assert!(matches!(store.append(both(), COOLDOWN).await, Err(StorageError::Failed(_))));
    // In one transaction with a batch that is stored: each is a savepoint.
    let (failed, stored, after) = tokio::join!(
        store.append(both(), COOLDOWN),
        append(&store, vec![message("1", "w", None, NOW)]),
        one(&store, "w", None, NOW)
    );
    assert!(matches!(failed, Err(StorageError::Failed(_))));
    assert_eq!((stored, after.as_str()), (vec!["1".to_owned()], "wait 3000"));
    sqlx::query("DROP TRIGGER fail").execute(&mut database).await.unwrap();
    assert_eq!(append(&store, both()).await, ["2", "1"]);
    assert_eq!(store.seq_range(&"1".parse().unwrap()).await.unwrap().newest, Seq(2));
}
