//! The database as a file: its mode, its schema, and copies of it that are put back.

use crate::support::{DEADLINE, Person, Server, binary, eventually};
use roomcast::domain::{
    change::{Rev, Why},
    id::Seq,
    message::Role,
};
use roomcast::server::config::StorageSettings;
use roomcast::server::storage::Store;
use roomcast::server::storage::moderation::{ActQueries, NewRemoval};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{Connection, SqliteConnection};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;

async fn connect(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("roomcast.db")).create_if_missing(true);
    SqliteConnection::connect_with(&options.busy_timeout(DEADLINE)).await.unwrap()
}

async fn execute(folder: &Path, statement: &'static str) {
    let mut connection = connect(folder).await;
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A data folder as the version before the third migration left it, with one message, readable by everybody.
async fn folder_of_schema_2() -> TempDir {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("data");
    std::fs::create_dir(&folder).unwrap();
    let options = SqliteConnectOptions::new().filename(folder.join("roomcast.db")).create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    sqlx::migrate!("src/server/storage/sqlite/migrations").run_to(2, &pool).await.unwrap();
    for statement in [
        "INSERT INTO rooms (room, title, epoch, created_at) VALUES ('1', 'one', 'e', 0)",
        "INSERT INTO messages (room, seq, id, uid, nickname, role, text, at)
        VALUES ('1', 7, '0193a5d0-5f3c-7c4e-8a51-2f6f0c1d9e77', 'u', 'n', 'viewer', 'of schema 2', 0)",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    pool.close().await;
    std::fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(folder.join("roomcast.db"), Permissions::from_mode(0o644)).unwrap();
    data
}

/// Runs a command, or a server that is expected to exit, on the folder `data`.
fn run(data: &TempDir, arguments: &[&str]) -> Output {
    let folder = data.path().join("data");
    let mut command = binary();
    command.current_dir(data.path()).arg("--addr").arg("127.0.0.1:0").arg("--data-dir").arg(folder).args(arguments);
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The names of the folder's files, and the modes of those that other users may read.
fn files(folder: &Path) -> (Vec<String>, Vec<(String, u32)>) {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries.map(|entry| (entry.file_name().into_string().unwrap(), mode(&entry.path()))).collect();
    files.sort();
    let wide = files.iter().filter(|(_, mode)| mode & 0o077 != 0).cloned().collect();
    (files.into_iter().map(|(name, _)| name).collect(), wide)
}

async fn schema_version(folder: &Path) -> i64 {
    let mut connection = connect(folder).await;
    sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn f12_the_data_folder_is_for_its_owner_alone() {
    let server = Server::start();
    let folder = server.data.path().join("data");
    assert_eq!(server.guest("a").await.send("hello").await.status, 200);
    eventually("the control socket is open", async || folder.join("roomcast.sock").exists()).await;
    let (names, wide) = files(&folder);
    for name in ["high-water", "roomcast.db", "roomcast.db-shm", "roomcast.db-wal", "roomcast.lock", "roomcast.sock"] {
        assert!(names.iter().any(|found| found == name), "{name} is missing in {names:?}");
    }
    assert_eq!((mode(&folder), wide), (0o700, vec![]));
}

#[tokio::test]
async fn f12_files_of_an_earlier_version_are_narrowed_and_a_wide_folder_is_named() {
    let server = Server::on(folder_of_schema_2().await, &[]);
    let folder = server.data.path().join("data");
    assert_eq!(files(&folder).1, vec![]);
    let log = server.log();
    assert!(log.contains("chmod 700") && log.contains("mode is 600 now"), "{log}");
}

#[tokio::test]
async fn f19_the_database_is_copied_before_its_schema_changes() {
    let server = Server::on(folder_of_schema_2().await, &[]);
    let folder = server.data.path().join("data");
    let options = SqliteConnectOptions::new().filename(folder.join("roomcast.schema-2.db"));
    let mut copy = SqliteConnection::connect_with(&options).await.unwrap();
    let texts: Vec<String> = sqlx::query_scalar("SELECT text FROM messages").fetch_all(&mut copy).await.unwrap();
    assert_eq!(texts, ["of schema 2"]);
    assert!(server.log().contains("roomcast.schema-2.db"), "{}", server.log());
    assert!(schema_version(&folder).await > 2);
    assert_eq!(server.guest("a").await.send("hello").await.body["seq"], 8, "the numbering goes on");
}

/// The version before moderation: its messages, hosts and closed rooms are as they were, and everything works on them.
#[tokio::test]
async fn a_database_from_before_moderation_is_copied_and_moderated() {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("data");
    std::fs::create_dir(&folder).unwrap();
    let options = SqliteConnectOptions::new().filename(folder.join("roomcast.db")).create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    sqlx::migrate!("src/server/storage/sqlite/migrations").run_to(6, &pool).await.unwrap();
    for statement in [
        "INSERT INTO people (uid, nickname, created_at) VALUES ('u', 'n', 0)",
        "INSERT INTO rooms (room, title, epoch, created_at, newest_seq, slow_ms) VALUES ('1', 'one', 'e', 0, 2, 0)",
        "INSERT INTO messages (room, seq, id, uid, nickname, role, text, at) VALUES
            ('1', 1, '0193a5d0-5f3c-7c4e-8a51-2f6f0c1d9e77', 'u', 'n', 'viewer', 'of schema 6', 0),
            ('1', 2, '0193a5d0-5f3c-7c4e-8a51-2f6f0c1d9e78', 'u', 'n', 'host', 'another', 0)",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let settings = StorageSettings { data_dir: folder.clone(), ..StorageSettings::default() };
    let store = Store::open(&settings).await.unwrap();
    assert!(folder.join("roomcast.schema-6.db").exists());
    let room = "1".parse().unwrap();
    let before = store.messages_between(&room, Seq(0), None, 9).await.unwrap();
    let shown: Vec<_> = before.iter().map(|message| (message.text.as_str(), message.role, message.removed)).collect();
    assert_eq!(shown, [("of schema 6", Role::Viewer, None), ("another", Role::Host, None)]);
    let mut act = store.begin_act(&room, 5).await.unwrap();
    let record = act.room().await.unwrap().unwrap();
    assert_eq!((record.rev, record.newest, record.accounts, record.pinned), (Rev(0), Seq(2), false, None));
    let action = uuid::Uuid::now_v7();
    let removal = NewRemoval { action, why: Why::Moderator, rev: Rev(1), until: u64::MAX };
    assert_eq!(act.remove(removal, &[Seq(1)]).await.unwrap(), [Seq(1)]);
    act.commit().await.unwrap();
    assert_eq!(store.messages_between(&room, Seq(0), None, 1).await.unwrap(), before[1..]);
    let mut act = store.begin_act(&room, 5).await.unwrap();
    assert_eq!(act.restore(action, 9).await.unwrap(), before[..1]);
    act.commit().await.unwrap();
    store.close().await;
}

/// An act counts as a write batch: a copy from before it would give its rev again.
#[tokio::test]
async fn a_copy_from_before_an_act_begins_a_new_epoch() {
    let data = TempDir::new().unwrap();
    let settings = StorageSettings { data_dir: data.path().join("data"), ..StorageSettings::default() };
    let room = "1".parse().unwrap();
    let change = async |store: &Store| {
        let mut act = store.begin_act(&room, 5).await.unwrap();
        act.add_change("{}").await.unwrap();
        act.commit().await.unwrap();
    };
    let store = Store::open(&settings).await.unwrap();
    store.add_room(&room, "one", None, 0).await.unwrap();
    change(&store).await;
    let epoch = store.room(&room).await.unwrap().unwrap().epoch;
    store.close().await;
    drop(store);
    let copy = data.path().join("copy.db");
    std::fs::copy(settings.data_dir.join("roomcast.db"), &copy).unwrap();
    let reopened = async || {
        let mut store = None;
        eventually("the data folder is free", async || {
            store = Store::open(&settings).await.ok();
            store.is_some()
        })
        .await;
        store.unwrap()
    };
    let store = reopened().await;
    assert_eq!(store.room(&room).await.unwrap().unwrap().epoch, epoch, "a restart is none");
    change(&store).await;
    store.close().await;
    drop(store);
    std::fs::copy(&copy, settings.data_dir.join("roomcast.db")).unwrap();
    let store = reopened().await;
    assert_ne!(store.room(&room).await.unwrap().unwrap().epoch, epoch);
    store.close().await;
}

#[tokio::test]
async fn f19_a_copy_that_fails_stops_the_migration() {
    let data = folder_of_schema_2().await;
    let folder = data.path().join("data");
    // A folder in the place of the copy cannot be replaced.
    std::fs::create_dir(folder.join("roomcast.schema-2.db.part")).unwrap();
    let words = stderr(&run(&data, &["serve"]));
    assert!(words.contains("could not be copied") && words.contains("nothing was changed"), "{words}");
    assert_eq!(schema_version(&folder).await, 2);
}

#[tokio::test]
async fn f19_only_the_server_migrates() {
    let data = folder_of_schema_2().await;
    let words = stderr(&run(&data, &["room", "list"]));
    assert!(words.contains("has schema 2") && words.contains("roomcast reload"), "{words}");
    let words = stderr(&run(&data, &["key", "list"]));
    assert!(words.contains("has schema 2"), "{words}");
    assert_eq!(schema_version(&data.path().join("data")).await, 2);
    let server = Server::on(data, &[]);
    let listed = run(&server.data, &["room", "list"]);
    assert!(listed.status.success() && String::from_utf8_lossy(&listed.stdout).contains("one"), "{listed:?}");
}

#[tokio::test]
async fn f19_an_older_server_starts_beside_a_newer_schema_that_is_compatible_with_it() {
    let mut server = Server::start();
    let folder = server.data.path().join("data");
    server.kill();
    execute(
        &folder,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', 1, x'00', 0)",
    )
    .await;
    server.restart();
    assert_eq!(server.guest("a").await.send("hello").await.status, 200);
    assert!(run(&server.data, &["room", "list"]).status.success());
    server.kill();
    execute(&folder, "UPDATE facts SET value = CAST('9999' AS BLOB) WHERE name = 'schema.compatible_from'").await;
    for arguments in [["serve"].as_slice(), &["room", "list"]] {
        let words = stderr(&run(&server.data, arguments));
        assert!(words.contains("has schema 9999, which needs a newer roomcast"), "{words}");
    }
}

async fn epoch(person: &Person) -> String {
    let socket = person.open(None).await;
    let answer = person.bind(&socket, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["epoch"].as_str().unwrap().to_owned()
}

async fn commits(folder: &Path) -> u64 {
    let mut connection = connect(folder).await;
    let commits: Vec<u8> =
        sqlx::query_scalar("SELECT value FROM facts WHERE name = 'commits'").fetch_one(&mut connection).await.unwrap();
    String::from_utf8(commits).unwrap().parse().unwrap()
}

fn high_water(folder: &Path) -> u64 {
    std::fs::read_to_string(folder.join("high-water")).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_database_copy_put_back_begins_a_new_epoch_in_each_room() {
    let mut server = Server::with(&["chat.cooldown_ms=0"]);
    let folder = server.data.path().join("data");
    let person = server.guest("a").await;
    assert_eq!(person.send("in the copy").await.body["seq"], 1);
    let first = epoch(&person).await;
    let kept = server.data.path().join("kept.db");
    let target = kept.to_str().unwrap();
    sqlx::query("VACUUM INTO ?").bind(target).execute(&mut connect(&folder).await).await.unwrap();
    let copied = commits(&folder).await;
    assert_eq!(person.send("after the copy").await.body["seq"], 2);
    eventually("the file counts the second message", async || high_water(&folder) > copied).await;
    server.kill();
    for file in ["roomcast.db-wal", "roomcast.db-shm"] {
        let _ = std::fs::remove_file(folder.join(file));
    }
    std::fs::copy(&kept, folder.join("roomcast.db")).unwrap();
    server.restart();
    let second = epoch(&person).await;
    assert_ne!(first, second);
    let told: Vec<_> = server.log().lines().filter(|line| line.contains("a copy was put back")).map(str::to_owned).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    // The same database is not taken for a copy again.
    server.kill();
    server.restart();
    assert_eq!(epoch(&person).await, second);
    // A backup does not hold the file: a database that was used and has none is a copy.
    server.kill();
    std::fs::remove_file(folder.join("high-water")).unwrap();
    server.restart();
    assert_ne!(epoch(&person).await, second);
}

#[tokio::test]
async fn a_kill_begins_no_new_epoch() {
    let mut server = Server::with(&["chat.cooldown_ms=0"]);
    let folder = server.data.path().join("data");
    let person = server.guest("a").await;
    let first = epoch(&person).await;
    for _ in 0..5 {
        for n in 0..5 {
            assert_eq!(person.send(&n.to_string()).await.status, 200);
        }
        server.kill();
        assert!(high_water(&folder) <= commits(&folder).await, "the file never leads");
        server.restart();
        assert_eq!(epoch(&person).await, first);
    }
}

/// A dashboard shows how the database is, also where nobody asks `/readyz`.
#[tokio::test]
async fn the_gauge_of_the_database_needs_no_probe() {
    let server = Server::start();
    eventually("roomcast_store_up is 1", async || {
        let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
        metrics.lines().any(|line| line == "roomcast_store_up 1")
    })
    .await;
}
