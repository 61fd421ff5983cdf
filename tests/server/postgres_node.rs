//! One server on PostgreSQL: faults of the database and of the way to it, the lock of the node that serves, hand-over, fail-over.
//!
//! During a fault a send is answered `busy` or `uncertain`, never with a false yes; after it each accepted message is stored once.

mod fail_over;
mod one_server;
mod unsettled;

use crate::operating::KEY;
use crate::support::postgres::{Database, Postgres, Stop};
use crate::support::proxy::{Link, Proxy};
use crate::support::{DEADLINE, Person, Server, Socket, binary, eventually};
use serde_json::json;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The lock of the node that serves.
const LOCK: i64 = 0x726f_6f6d_6361_7374;
/// People who send during a fault.
const TALKERS: u32 = 4;

/// Starts a server on the database at `url`.
fn start(url: &str) -> Server {
    let url = format!("storage.url={url}");
    Server::with(&[&url, KEY, "chat.cooldown_ms=0", "limits.per_ip=off", "web.drain_slowly_ms=2000"])
}

/// Runs a command, or a second server, on the database, with another data folder, and waits for its end.
async fn elsewhere(url: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = tokio::process::Command::from(binary());
    command.current_dir(folder.path()).env("ROOMCAST_STORAGE_URL", url).args(["--addr", "127.0.0.1:0"]);
    command.args(["--set", "gateway.php=off"]).args(arguments).kill_on_drop(true);
    timeout(DEADLINE, command.output()).await.unwrap_or_else(|_| panic!("{arguments:?} does not end")).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn store_up(server: &Server) -> Option<u32> {
    let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
    let gauge = metrics.lines().find_map(|line| line.strip_prefix("roomcast_store_up "));
    gauge.and_then(|value| value.parse().ok())
}

/// Waits until the gauge has this value, and checks that the server stays in the balancer all the time.
async fn until_store_is(server: &Server, up: u32) {
    eventually("roomcast_store_up changes", async || {
        assert_eq!(server.visitor().get("/readyz").await.status(), 200);
        store_up(server).await == Some(up)
    })
    .await;
}

/// People who send one message after the other, each until it is accepted.
struct Talk {
    stop: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
    accepted: Arc<AtomicU64>,
    talkers: Vec<JoinHandle<Vec<(u64, String)>>>,
}

impl Talk {
    async fn start(server: &Server) -> Self {
        let (stop, refused, accepted) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let mut talkers = Vec::new();
        for number in 0..TALKERS {
            let person = server.guest(&format!("p{number}")).await;
            let (stop, refused, accepted) = (stop.clone(), refused.clone(), accepted.clone());
            talkers.push(tokio::spawn(async move {
                let mut sent = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let text = format!("p{number}-{}", sent.len());
                    sent.push((send_until_accepted(&person, &text, &refused).await, text));
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
                sent
            }));
        }
        let this = Self { stop, refused, accepted, talkers };
        this.go_on().await;
        this
    }

    /// Waits until messages are accepted.
    async fn go_on(&self) {
        let before = self.accepted.load(Ordering::Relaxed);
        eventually("sends are accepted", async || self.accepted.load(Ordering::Relaxed) > before + 20).await;
    }

    /// Waits until sends are refused.
    async fn is_refused(&self) {
        let before = self.refused.load(Ordering::Relaxed);
        eventually("sends are refused", async || self.refused.load(Ordering::Relaxed) > before + 3).await;
    }

    /// Ends the sending, and compares what was accepted with the table.
    async fn end(self, database: &Database) {
        self.stop.store(true, Ordering::Relaxed);
        let mut accepted = Vec::new();
        for talker in self.talkers {
            accepted.extend(timeout(DEADLINE, talker).await.expect("a send is not answered").unwrap());
        }
        accepted.sort();
        let stored = stored(database);
        assert_eq!(stored.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (1..=stored.len() as u64).collect::<Vec<_>>());
        assert_eq!(accepted, stored, "each accepted message is stored once, and no other one");
    }
}

/// Repeats a send with its nonce until it is accepted, and returns its seq.
async fn send_until_accepted(person: &Person, text: &str, refused: &AtomicU64) -> u64 {
    loop {
        let answer = person.try_send(text, text).await.expect("the connection to the server broke");
        let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
        match (answer.status.as_u16(), code.as_str()) {
            (200, _) => return answer.body["seq"].as_u64().unwrap(),
            (503, "busy") | (504, "uncertain") => _ = refused.fetch_add(1, Ordering::Relaxed),
            _ => panic!("{} {}", answer.status, answer.body),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

fn stored(database: &Database) -> Vec<(u64, String)> {
    let rows = database.sql("SELECT seq, text FROM roomcast.messages WHERE room = '1' ORDER BY seq");
    let row = |line: &str| line.split_once('|').map(|(seq, text)| (seq.parse().unwrap(), text.to_owned())).unwrap();
    rows.lines().map(row).collect()
}

/// Nothing that the server wrote shows the password.
fn password_is_hidden(server: &Server, database: &Database) {
    assert!(!server.log().contains(database.password()), "{}", server.log());
}

/// Sockets stay and get what is pushed without a number; a page that comes back is told to wait.
async fn pushes_go_on(server: &Server, socket: &mut Socket) {
    let pushed = server.visitor().request("POST", "/gateway/api/sendToAll").bearer_auth("secret");
    assert_eq!(pushed.json(&json!({"message": "news"})).send().await.unwrap().status(), 200);
    while socket.push().await["data"] != "news" {}
    let late = server.visitor();
    let answer = late.bind(&late.open(Some("roomcast.v1")).await, &[]).await;
    assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (503, Some("busy")), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_survive_restarts_and_kills_of_postgresql() {
    let Some(postgres) = Postgres::own() else { return };
    let database = postgres.database();
    let server = start(&database.url());
    let mut socket = server.visitor().open_bound(Some("roomcast.v1")).await;
    let (talk, begun) = (Talk::start(&server).await, Instant::now());
    for fault in ["immediate", "kill -9", "fast"] {
        match fault {
            "immediate" => postgres.stop(Stop::Immediate),
            "kill -9" => postgres.kill(),
            _ => postgres.stop(Stop::Fast),
        }
        talk.is_refused().await;
        until_store_is(&server, 0).await;
        pushes_go_on(&server, &mut socket).await;
        postgres.start();
        talk.go_on().await;
        until_store_is(&server, 1).await;
    }
    talk.end(&database).await;
    assert_eq!(server.errors(), Vec::<String>::new());
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains("storage is busy") && line.contains("send")).count() as u64;
    assert!(lines <= 1 + begun.elapsed().as_secs() / 10, "a line for each refused send: {lines}");
    password_is_hidden(&server, &database);
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_survive_broken_links_to_postgresql() {
    let Some(database) = Postgres::shared() else { return };
    let proxy = Proxy::to(database.postgres.address());
    let server = start(&database.url_at(proxy.address));
    let mut socket = server.visitor().open_bound(Some("roomcast.v1")).await;
    let talk = Talk::start(&server).await;
    for link in [Link::BlackHole, Link::HalfOpen, Link::Cut] {
        proxy.set(link);
        talk.is_refused().await;
        until_store_is(&server, 0).await;
        pushes_go_on(&server, &mut socket).await;
        match link {
            Link::Cut => proxy.reset(),
            // PostgreSQL still has the session that holds the lock: it is told of no end.
            _ => proxy.set(Link::Forward),
        }
        talk.go_on().await;
        until_store_is(&server, 1).await;
    }
    talk.end(&database).await;
    assert_eq!(server.errors(), Vec::<String>::new(), "no other server took the lock");
    password_is_hidden(&server, &database);
}

/// A black hole is noticed by the node's own time limit: each answer comes within a few seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_send_into_a_black_hole_is_answered() {
    let Some(database) = Postgres::shared() else { return };
    let proxy = Proxy::to(database.postgres.address());
    let server = start(&database.url_at(proxy.address));
    let person = server.guest("a").await;
    assert_eq!(person.send("before").await.status, 200);
    proxy.set(Link::HalfOpen);
    let begun = Instant::now();
    let answer = person.try_send("lost", "lost").await.unwrap();
    assert!([503, 504].contains(&answer.status.as_u16()), "{} {}", answer.status, answer.body);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    proxy.reset();
    assert_eq!(send_until_accepted(&person, "lost", &AtomicU64::new(0)).await, 2);
    assert_eq!(stored(&database), [(1, "before".into()), (2, "lost".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_waits_for_postgresql_at_its_start() {
    let Some(postgres) = Postgres::own() else { return };
    let database = postgres.database();
    postgres.stop(Stop::Fast);
    let begun = Instant::now();
    let output = elsewhere(&database.url(), &["serve"]).await;
    let text = stderr(&output);
    assert!(!output.status.success() && begun.elapsed() > Duration::from_secs(5), "{text}");
    assert!(text.contains("cannot be reached") && text.contains(&postgres.address().port().to_string()), "{text}");
    assert!(!text.contains(database.password()), "{text}");
    let url = database.url();
    let started = tokio::task::spawn_blocking(move || start(&url));
    sleep(Duration::from_secs(1)).await;
    postgres.start();
    let server = timeout(DEADLINE, started).await.unwrap().unwrap();
    assert_eq!(server.guest("a").await.send("hello").await.status, 200);
}

/// Commands need the URL alone: the data folder, and with it the control socket, may be on another machine.
#[tokio::test(flavor = "multi_thread")]
async fn commands_work_from_another_machine() {
    let Some(database) = Postgres::shared() else { return };
    let server = start(&database.url());
    let person = server.guest("a").await;
    let run = async |arguments: &[&str]| {
        let output = elsewhere(&database.url(), arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains(database.password()));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&["room", "list"]).await.starts_with("1\t"));
    assert_eq!(run(&["room", "add", "second"]).await.trim(), "2");
    run(&["room", "close", "1"]).await;
    let answer = person.send("into a closed room").await;
    assert_eq!(answer.body["code"], "room_mode", "{}", answer.body);
    run(&["room", "open", "1"]).await;
    eventually("the room is open", async || person.send("hello").await.status == 200).await;
    let key = run(&["key", "add", "shop", "--scope", "query"]).await;
    let asked = server.visitor().request("POST", "/gateway/api/getAllClientCount").bearer_auth(key.trim());
    assert_eq!(asked.json(&json!({})).send().await.unwrap().status(), 200);
    assert!(run(&["key", "list"]).await.contains("shop"));
    assert_eq!(run(&["user", "list"]).await, "");
}
