//! What `append` decides: against a model on both stores, in memory on SQLite, and while answers are lost on PostgreSQL.

mod killed;
mod lost;
mod model;

use crate::storage::set_slow_mode;
use roomcast::server::config::StorageSettings as Settings;
use roomcast::server::storage::{Appended, NewMessage, StorageError, Store};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;

const NOW: u64 = 1_800_000_000_000;
const COOLDOWN_MS: u64 = 3000;

fn message(room: &str, user: &str, nonce: Option<&str>, at: u64) -> NewMessage {
    NewMessage {
        room: room.parse().unwrap(),
        id: Uuid::now_v7(),
        user: user.parse().unwrap(),
        nickname: user.into(),
        text: user.into(),
        at,
        nonce: nonce.map(|nonce| nonce.parse().unwrap()),
        has_account: false,
        re: None,
        mentions: vec![],
        networks: vec![],
        is_bot: false,
    }
}

/// The answer in a word or two; a wait in the milliseconds that remain.
fn word(appended: &Appended) -> String {
    match appended {
        Appended::Stored(message) => message.seq.0.to_string(),
        Appended::Repeated { seq, .. } => format!("as {}", seq.0),
        Appended::NoSuchRoom => "no room".into(),
        Appended::RoomClosed => "closed".into(),
        Appended::Restrained(_) => "restrained".into(),
        Appended::AccountsOnly => "accounts".into(),
        Appended::TooFast { retry_after_ms } => format!("wait {retry_after_ms}"),
    }
}

/// Opens the store of a folder. A process that another test is starting may hold the closed store's lock until it has begun.
async fn open(folder: &TempDir) -> Store {
    let settings = Settings { data_dir: folder.path().into(), ..Settings::default() };
    let mut store = None;
    crate::support::eventually("the data folder is free", async || {
        store = Store::open(&settings).await.ok();
        store.is_some()
    })
    .await;
    store.unwrap()
}

async fn append(store: &Store, batch: Vec<NewMessage>) -> Vec<String> {
    store.append(batch, COOLDOWN_MS).await.unwrap().iter().map(word).collect()
}

async fn one(store: &Store, user: &str, at: u64) -> String {
    append(store, vec![message("1", user, None, at)]).await.remove(0)
}

#[tokio::test]
async fn sqlite_knows_the_last_messages_of_a_room_again_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    store.add_room(&"1".parse().unwrap(), "1", None, 0).await.unwrap();
    assert_eq!(one(&store, "u", NOW).await, "1");
    // From before the clock was set back: it silences nobody.
    assert_eq!(one(&store, "v", NOW + 9_000_000).await, "2");
    assert_eq!(one(&store, "w", NOW + 9_000_000).await, "3");
    assert_eq!(one(&store, "w", NOW).await, "4");
    store.close().await;
    drop(store);
    let store = open(&folder).await;
    assert_eq!(one(&store, "u", NOW + 2999).await, "wait 1");
    assert_eq!(one(&store, "v", NOW + 2999).await, "5");
    assert_eq!(one(&store, "w", NOW + 2999).await, "wait 1", "of the newest message");
    // The room was read for the cooldown; a slow mode looks back further.
    set_slow_mode(&store, &"1".parse().unwrap(), 60_000).await;
    assert_eq!(one(&store, "u", NOW + 3000).await, "wait 57000");
}

#[tokio::test]
async fn sqlite_starts_no_cooldown_in_a_batch_that_is_rolled_back() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    for room in ["1", "2"] {
        store.add_room(&room.parse().unwrap(), room, None, 0).await.unwrap();
    }
    let database = SqliteConnectOptions::new().filename(folder.path().join("roomcast.db"));
    let mut database = SqliteConnection::connect_with(&database).await.unwrap();
    let trigger = "CREATE TRIGGER fail BEFORE INSERT ON messages WHEN NEW.room = '2' BEGIN SELECT RAISE(ABORT, 'fails'); END";
    sqlx::query(trigger).execute(&mut database).await.unwrap();
    let both = || vec![message("1", "u", None, NOW), message("2", "v", None, NOW)];
    assert!(matches!(store.append(both(), COOLDOWN_MS).await, Err(StorageError::Failed(_))));
    // In one transaction with batches that are stored: each is a savepoint.
    let (failed, stored, after) = tokio::join!(
        store.append(both(), COOLDOWN_MS),
        append(&store, vec![message("1", "w", None, NOW)]),
        one(&store, "w", NOW)
    );
    assert!(matches!(failed, Err(StorageError::Failed(_))));
    assert_eq!((stored, after.as_str()), (vec!["1".to_owned()], "wait 3000"));
    sqlx::query("DROP TRIGGER fail").execute(&mut database).await.unwrap();
    assert_eq!(append(&store, both()).await, ["2", "1"]);
}

#[tokio::test]
async fn postgres_refuses_the_restrained_in_their_room_or_everywhere() {
    let Some(place) = crate::support::Place::postgres() else { return };
    let store = Store::open(&place.settings()).await.unwrap();
    for room in ["1", "2"] {
        store.add_room(&room.parse().unwrap(), room, None, 0).await.unwrap();
    }
    let restraint = "INSERT INTO roomcast.restraints (id, room, uid, kind, since, until, by_uid, lifted_at) VALUES";
    let of = |room: &str, uid: &str, kind: &str, rest: &str| {
        format!("{restraint} (gen_random_uuid(), '{room}', '{uid}', '{kind}', 0, {rest}, 'm', NULL)")
    };
    place.sql(&of("1", "muted", "timeout", "9000000000000")).await;
    place.sql(&of("1", "was-muted", "timeout", "5")).await;
    place.sql(&of("*", "banned", "ban", "NULL")).await;
    place.sql(&of("1", "forgiven", "ban", "NULL")).await;
    let sent = async |user: &str| {
        let batch = ["1", "2"].map(|room| message(room, user, Some("n"), NOW)).to_vec();
        store.append(batch, 0).await.unwrap().iter().map(word).collect::<Vec<_>>()
    };
    assert_eq!(sent("muted").await, ["restrained", "1"]);
    assert_eq!(sent("was-muted").await, ["1", "2"]);
    assert_eq!(sent("banned").await, ["restrained", "restrained"]);
    assert_eq!(sent("forgiven").await, ["restrained", "3"]);
    place.sql("UPDATE roomcast.restraints SET lifted_at = 1 WHERE uid = 'forgiven'").await;
    assert_eq!(sent("forgiven").await, ["2", "as 3"]);
}

/// The plan of a batch is made while the tables are small, and kept when a crowd comes.
#[tokio::test]
async fn postgres_reads_a_few_rows_for_each_message_of_a_crowd() {
    const BATCH: usize = 128;
    const BATCHES: usize = 40;
    let Some(place) = crate::support::Place::postgres() else { return };
    let store = Store::open(&place.settings()).await.unwrap();
    store.add_room(&"1".parse().unwrap(), "1", None, 0).await.unwrap();
    let append = async |name: &str, count: usize| {
        let batch = (0..count).map(|number| message("1", &format!("{name}-{number}"), None, NOW)).collect();
        let answers = store.append(batch, 0).await.unwrap();
        assert!(answers.iter().all(|answer| matches!(answer, Appended::Stored(_))));
    };
    append("early", 40).await;
    place.sql("ANALYZE").await;
    append("planned", BATCH).await;
    place.add_rooms(5000).await;
    for table in [
        "people (uid, nickname, created_at) SELECT 'p' || n, 'n', 1",
        "roles SELECT '1', 'p' || n, 'vip', 'host', 1",
        "restraints SELECT gen_random_uuid(), '1', 'p' || n, 'ban', 1, NULL, '', 'host'",
        "network_restraints SELECT '1', decode(md5(n::text), 'hex'), gen_random_uuid(), 9000000000000",
    ] {
        place.sql(&format!("INSERT INTO roomcast.{table} FROM generate_series(1, 5000) AS n")).await;
    }
    for number in 0..BATCHES {
        append(&number.to_string(), BATCH).await;
    }
    store.close().await;
    let messages = (40 + BATCH + BATCH * BATCHES) as i64;
    let written = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'paces'";
    crate::support::eventually("PostgreSQL counts", async || place.count(written).await == messages).await;
    for table in ["paces", "heads", "messages", "roles", "restraints", "people", "network_restraints", "purges"] {
        let read = format!("SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes WHERE relname = '{table}'");
        let read = place.count(&read).await;
        assert!(read <= 4 * messages, "{read} entries of the indexes of {table} were read for {messages} messages");
    }
    // An entry that is passed over is not counted: a whole index is read for each message.
    let whole = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'rooms_created_at'";
    assert_eq!(place.count(whole).await, 0);
}

/// A sweep forgets the messages of short cooldowns. A slow mode that begins after it knows them again.
#[tokio::test]
async fn sqlite_reads_a_room_again_after_a_sweep() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    let room = "1".parse().unwrap();
    for room in ["1", "2"] {
        store.add_room(&room.parse().unwrap(), room, None, 0).await.unwrap();
    }
    set_slow_mode(&store, &room, 60_000).await;
    assert_eq!(one(&store, "u", NOW).await, "1");
    set_slow_mode(&store, &room, 0).await;
    assert_eq!(one(&store, "v", NOW).await, "2");
    for first in (0..11_000).step_by(500) {
        let crowd = (first..first + 500).map(|number| message("2", &format!("w{number}"), None, NOW + 4000)).collect();
        append(&store, crowd).await;
    }
    set_slow_mode(&store, &room, 60_000).await;
    assert_eq!(one(&store, "v", NOW + 10_000).await, "wait 50000");
}

/// The task that writes ends with its runtime while a batch waits for the file's lock: nobody knows whether it is stored.
#[test]
fn sqlite_does_not_call_a_write_busy_when_its_task_ended() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (of_store, of_test) = (runtime(), runtime());
    let place = crate::support::Place::sqlite();
    let store = of_store.block_on(async {
        let store = Store::open(&place.settings()).await.unwrap();
        store.add_room(&"1".parse().unwrap(), "1", None, 0).await.unwrap();
        store
    });
    let answer = of_test.block_on(async {
        let _lock = place.lock().await;
        let mut answer = std::pin::pin!(store.append(vec![message("1", "u", None, NOW)], COOLDOWN_MS));
        // The first poll queues the batch.
        assert!(futures_util::poll!(answer.as_mut()).is_pending());
        of_store.shutdown_background();
        tokio::time::timeout(crate::support::DEADLINE, answer).await.unwrap()
    });
    assert!(matches!(answer, Err(StorageError::Uncertain(_))), "{answer:?}");
}

/// Sends ask for the settings of their rooms on the connections of the lanes.
#[tokio::test]
async fn postgres_reads_settings_while_all_readers_wait() {
    let Some(place) = crate::support::Place::postgres() else { return };
    let settings = Settings { busy_within_ms: 10_000, ..place.settings() };
    let store = Store::open(&settings).await.unwrap();
    let room: roomcast::domain::id::RoomId = "1".parse().unwrap();
    store.add_room(&room, "1", None, 0).await.unwrap();
    let mut lock = sqlx::PgConnection::connect(&place.database.as_ref().unwrap().url()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE roomcast.messages IN ACCESS EXCLUSIVE MODE").execute(&mut lock).await.unwrap();
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (store, room) = (store.clone(), room.clone());
        reads.spawn(async move { store.messages_between(&room, Default::default(), None, 1).await.map(|_| ()) });
    }
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    crate::support::eventually("all readers wait", async || place.count(waiting).await == 8).await;
    let read = tokio::time::timeout(std::time::Duration::from_secs(8), store.room_settings([room].into())).await;
    assert_eq!(read.expect("it waits behind the readers").unwrap().len(), 1);
    assert_eq!(place.count(waiting).await, 8);
    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    while let Some(read) = reads.join_next().await {
        read.unwrap().unwrap();
    }
}
