//! `roomcast backup` and `roomcast restore`, beside a running server and without one.

mod files;
mod killed;
mod restore;

use crate::support::{Person, Place, Server, binary, finished};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// Sends that follow each other at once.
const SETTINGS: [&str; 2] = ["chat.cooldown_ms=0", "limits.per_ip=off"];

/// Runs a command on the folder `data` in a folder of the test.
async fn roomcast(root: &Path, arguments: &[&str]) -> Output {
    roomcast_failing_at(root, arguments, None).await
}

/// The same with a step at which the command kills itself.
async fn roomcast_failing_at(root: &Path, arguments: &[&str], step: Option<&str>) -> Output {
    let mut command = binary();
    command.current_dir(root).arg("--data-dir").arg(root.join("data")).args(arguments);
    command.args(["--addr", "127.0.0.1:0"]);
    command.envs(step.map(|step| ("ROOMCAST_FAIL_AT", step)));
    finished(command).await
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

async fn open(database: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(database).create_if_missing(true);
    SqliteConnection::connect_with(&options).await.unwrap()
}

pub async fn execute(database: &Path, statement: &'static str) {
    let mut connection = open(database).await;
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The messages of room 1 by seq, read from a database file.
async fn messages_in(database: &Path) -> BTreeMap<u64, String> {
    let mut connection = open(database).await;
    let rows: Vec<(i64, String)> =
        sqlx::query_as("SELECT seq, text FROM messages WHERE room = '1' ORDER BY seq").fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows.into_iter().map(|(seq, text)| (seq.unsigned_abs(), text)).collect()
}

/// The texts of room 1, asked from the server.
async fn texts(person: &Person) -> Vec<String> {
    let answer = person.post("/gateway/history", &[("room", "1"), ("before", "1000000")]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["messages"].as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap().to_owned()).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

/// The databases that restores kept aside, oldest first.
fn kept_aside(root: &Path) -> Vec<PathBuf> {
    let folder = root.join("data");
    let is_database = |name: &String| name.starts_with("roomcast.before-restore-") && name.ends_with(".db");
    names(&folder).into_iter().filter(is_database).map(|name| folder.join(name)).collect()
}

/// People who send without a pause, and the sends that were accepted.
struct Senders {
    accepted: Arc<Mutex<Vec<(u64, String)>>>,
    slowest: Arc<Mutex<Duration>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Senders {
    /// Each request has a connection of its own. A send that is refused as busy, or whose connection ends, is repeated.
    async fn start(server: &Server, count: usize) -> Self {
        let mut senders = Self { accepted: Arc::default(), slowest: Arc::default(), stop: Arc::default(), tasks: vec![] };
        for number in 0..count {
            let (person, stop) = (server.guest(&format!("p{number}")).await, senders.stop.clone());
            let (accepted, slowest) = (senders.accepted.clone(), senders.slowest.clone());
            senders.tasks.push(tokio::spawn(async move {
                for sent in 0_u32.. {
                    let (text, begun) = (format!("p{number} {sent}"), Instant::now());
                    loop {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        match person.try_send(&text, &text).await {
                            Some(answer) if answer.status == 200 => {
                                accepted.lock().unwrap().push((answer.body["seq"].as_u64().unwrap(), text.clone()));
                                break;
                            }
                            Some(answer) => {
                                assert_eq!((answer.status.as_u16(), &answer.body["code"]), (503, &Value::from("busy")))
                            }
                            None => {}
                        }
                    }
                    let mut slowest = slowest.lock().unwrap();
                    *slowest = begun.elapsed().max(*slowest);
                }
            }));
        }
        senders
    }

    fn accepted(&self) -> Vec<(u64, String)> {
        self.accepted.lock().unwrap().clone()
    }

    async fn wait_for(&self, more: usize) {
        let count = self.accepted().len() + more;
        crate::support::eventually("more sends are accepted", async || self.accepted().len() >= count).await;
    }

    /// Waits for the last answers and returns all accepted sends.
    async fn stop(self) -> Vec<(u64, String)> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.accepted.lock().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_amid_sends_holds_every_message_that_was_accepted_before_it() {
    let server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path();
    // Enough that the copy takes longer than a send.
    execute(
        &root.join("data/roomcast.db"),
        "WITH n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < 100000)
        INSERT INTO messages (room, seq, id, uid, nickname, role, text, at)
        SELECT '1', seq, '0193a5d0-5f3c-7c4e-8a51-2f6f0c1d9e77', 'u', 'n', 'viewer', hex(randomblob(200)), 0 FROM n",
    )
    .await;
    execute(&root.join("data/roomcast.db"), "UPDATE rooms SET newest_seq = 100000").await;
    let senders = Senders::start(&server, 4).await;
    senders.wait_for(20).await;
    let before = senders.accepted();
    let line = printed(&roomcast(root, &["backup", "copy.db"]).await);
    let after = senders.accepted().len();
    senders.wait_for(20).await;
    let slowest = *senders.slowest.lock().unwrap();
    let accepted = senders.stop().await;

    assert!(after > before.len() + 20, "sends go on: {} before, {after} after", before.len());
    assert!(slowest < Duration::from_millis(1500), "a send took {slowest:?}");
    let copy = root.join("copy.db");
    let found = messages_in(&copy).await;
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), (1..=found.len() as u64).collect::<Vec<_>>(), "no holes");
    for (seq, text) in &before {
        assert_eq!(found.get(seq), Some(text), "accepted before the backup");
    }
    let accepted: BTreeMap<_, _> = accepted.into_iter().collect();
    assert!(found.iter().skip(100_000).all(|(seq, text)| accepted.get(seq) == Some(text)), "and nothing else");
    let metadata = std::fs::metadata(&copy).unwrap();
    assert_eq!(line, format!("copy.db: {} bytes, 1 rooms, {} messages\n", metadata.len(), found.len()));
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert!(!names(root).iter().any(|name| name.starts_with("copy.db-") || name.ends_with(".part")), "{:?}", names(root));
    let log = std::fs::read_to_string(root.join("data/security.log")).unwrap();
    assert!(log.contains(r#""act":"backed_up","by":"command""#), "{log}");
}

#[tokio::test]
async fn a_backup_replaces_a_file_only_if_told_to() {
    let mut server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path().to_owned();
    let person = server.guest("a").await;
    person.send("one").await;
    let copy = root.join("copy.db");
    std::fs::write(&copy, "mine").unwrap();
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(refused(&roomcast(&root, &["backup", "copy.db"]).await).contains("copy.db exists: "));
    assert_eq!(std::fs::read(&copy).unwrap(), b"mine");
    printed(&roomcast(&root, &["backup", "copy.db", "--force"]).await);
    assert_eq!(messages_in(&copy).await.len(), 1);
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);

    // The remains of a killed backup do no harm.
    std::fs::write(root.join("copy.db.part"), "SQLite format 3\0 half").unwrap();
    printed(&roomcast(&root, &["backup", "copy.db", "--force"]).await);
    let other = std::fs::File::create(root.join("copy.db.part")).unwrap();
    other.lock().unwrap();
    assert!(refused(&roomcast(&root, &["backup", "copy.db", "--force"]).await).contains("another backup writes"));
    drop(other);

    std::os::unix::fs::symlink(root.join("data/roomcast.db"), root.join("link.db")).unwrap();
    for name in ["data/roomcast.db", "data/roomcast.db-wal", "data/high-water", "data/security.log", "link.db"] {
        let words = refused(&roomcast(&root, &["backup", name, "--force"]).await);
        assert!(words.contains("that the server itself uses"), "{name}: {words}");
    }
    assert!(refused(&roomcast(&root, &["backup", "data", "--force"]).await).contains("data exists"));
    assert!(refused(&roomcast(&root, &["backup", "nowhere/copy.db"]).await).contains("nowhere/copy.db was not written"));
    server.kill();
    printed(&roomcast(&root, &["backup", "stopped.db"]).await);
    assert_eq!(messages_in(&root.join("stopped.db")).await.len(), 1, "also from the write-ahead log of a killed server");
    let empty = TempDir::new().unwrap();
    assert!(refused(&roomcast(empty.path(), &["backup", "copy.db"]).await).contains("no database"));
    assert_eq!(names(empty.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_backup_that_finds_the_disk_full_leaves_nothing() {
    let server = Server::on(Place::sqlite(), &SETTINGS);
    let root = server.data.path().to_owned();
    let person = server.guest("a").await;
    for _ in 0..50 {
        assert_eq!(person.send(&"x".repeat(140)).await.status, 200);
    }
    std::fs::write(root.join("copy.db"), "mine").unwrap();
    // A file of the command may have 32 KiB; a longer one fails as on a full disk.
    let command = format!("trap '' XFSZ; ulimit -f 32; exec {} \"$@\"", env!("CARGO_BIN_EXE_roomcast"));
    let output = std::process::Command::new("bash")
        .args(["-c", &command, "roomcast", "--data-dir", "data", "backup", "copy.db", "--force"])
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(refused(&output).contains("copy.db was not written"), "{output:?}");
    assert_eq!(std::fs::read(root.join("copy.db")).unwrap(), b"mine");
    assert!(!root.join("copy.db.part").exists());
    assert_eq!(person.send("still here").await.status, 200);
}

/// Makes a database that says that it has 4 TiB. The rest of the file occupies no space.
fn inflate(database: &Path) {
    let mut file = std::fs::File::options().write(true).open(database).unwrap();
    file.seek(SeekFrom::Start(28)).unwrap();
    file.write_all(&(1_u32 << 30).to_be_bytes()).unwrap();
    file.set_len(4 << 40).unwrap();
}

#[tokio::test]
async fn copies_are_refused_with_a_clear_line_when_space_is_short() {
    let data = TempDir::new().unwrap();
    let database = data.path().join("data/roomcast.db");
    std::fs::create_dir(data.path().join("data")).unwrap();
    let pool =
        sqlx::SqlitePool::connect_with(SqliteConnectOptions::new().filename(&database).create_if_missing(true)).await.unwrap();
    sqlx::migrate!("src/server/storage/sqlite/migrations").run_to(2, &pool).await.unwrap();
    pool.close().await;
    std::fs::copy(&database, data.path().join("small.db")).unwrap();
    inflate(&database);
    let bytes = |words: &str| words.contains("needs 4398063288320 bytes, and ") && words.contains(" bytes are free");
    let words = refused(&roomcast(data.path(), &["backup", "copy.db"]).await);
    assert!(words.contains("copy.db was not written") && bytes(&words), "{words}");
    // Before its schema changes, the database is copied as well.
    let words = refused(&roomcast(data.path(), &["serve"]).await);
    assert!(bytes(&words) && words.contains("Make space, then start again; nothing was changed"), "{words}");
    let mut connection = open(&database).await;
    let version: i64 = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&mut connection).await.unwrap();
    assert_eq!(version, 2);
    connection.close().await.unwrap();
    // And a backup is copied before it is restored.
    std::fs::rename(&database, data.path().join("large.db")).unwrap();
    std::fs::rename(data.path().join("small.db"), &database).unwrap();
    let words = refused(&roomcast(data.path(), &["restore", "large.db", "--yes"]).await);
    assert!(bytes(&words) && words.contains("Nothing was changed"), "{words}");
    let left = names(&data.path().join("data"));
    assert!(!left.iter().any(|name| name.contains("restore") || name.contains("schema")), "{left:?}");
}

#[tokio::test]
async fn backup_and_restore_are_for_sqlite_alone() {
    let data = TempDir::new().unwrap();
    for arguments in [["backup", "copy.db"].as_slice(), &["restore", "copy.db", "--yes"]] {
        let url = ["--set", "storage.url=postgres://ming:secret@127.0.0.1:1/chat"];
        let words = refused(&roomcast(data.path(), &[arguments, &url].concat()).await);
        assert!(words.contains("pg_dump") && words.contains("docs/postgres.md") && !words.contains("secret"), "{words}");
    }
    assert_eq!(names(data.path()), Vec::<String>::new());
}
