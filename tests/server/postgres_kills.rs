//! Kills amid sends: of the node, of PostgreSQL, of its backends, and of the links between them. Senders repeat under their nonce
//! what stays unanswered. At the end every accepted message is stored once, under the seq and the id of its answer; a message that
//! was busy and not repeated is not stored; the numbering has no holes.

use crate::support::postgres::{Database, Postgres, Stop};
use crate::support::proxy::{Link, Proxy};
use crate::support::{DEADLINE, Person, Place, Server, eventually};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const SETTINGS: [&str; 3] = ["chat.cooldown_ms=0", "limits.per_ip=off", "storage.busy_within_ms=800"];
const SENDERS: usize = 12;
/// Room 1 is the server's own.
const ROOMS: [&str; 3] = ["1", "2", "3"];
/// Messages that are accepted between two faults.
const BETWEEN: usize = 40;

/// The answers to the messages of all senders.
#[derive(Default)]
struct Told {
    /// Room, seq, id and text of each accepted message.
    accepted: Vec<(String, u64, String, String)>,
    /// Messages that were busy, and never anything else.
    busy: BTreeSet<String>,
    /// Messages whose outcome no answer told.
    unknown: BTreeSet<String>,
}

/// The common state of the senders.
#[derive(Default)]
struct Course {
    accepted: AtomicUsize,
    busy: AtomicUsize,
    /// Answers `uncertain`, and connections without an answer.
    lost: AtomicUsize,
    is_over: AtomicBool,
}

impl Course {
    fn count(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::Relaxed)
    }

    /// Answers that told no seq.
    fn unstored(&self) -> usize {
        Self::count(&self.busy) + Self::count(&self.lost)
    }

    /// Waits until more messages are accepted: the service is back.
    async fn goes_on(&self, after: &str) {
        let before = Self::count(&self.accepted);
        eventually(after, async || Self::count(&self.accepted) >= before + BETWEEN).await;
    }
}

/// Sends one message until an answer is final. Every third one that is busy at first is given up.
async fn send_one(person: &Person, room: &str, text: &str, gives_up: bool, course: &Course, told: &mut Told) {
    let (mut is_open, deadline) = (false, Instant::now() + DEADLINE * 2);
    while Instant::now() < deadline {
        let form = [("room", room), ("message", text), ("nonce", text)];
        let request = person.request("POST", "/gateway/send").timeout(Duration::from_secs(5)).form(&form).send();
        let Ok(answer) = request.await else {
            is_open = true;
            course.lost.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let status = answer.status().as_u16();
        let Ok(body) = answer.json::<serde_json::Value>().await else {
            is_open = true;
            continue;
        };
        match (status, body["code"].as_str()) {
            (200, _) => {
                let (seq, id) = (body["seq"].as_u64().unwrap(), body["id"].as_str().unwrap().to_owned());
                told.accepted.push((room.to_owned(), seq, id, text.to_owned()));
                course.accepted.fetch_add(1, Ordering::Relaxed);
                return;
            }
            (503, Some("busy")) => {
                course.busy.fetch_add(1, Ordering::Relaxed);
                if gives_up && !is_open {
                    told.busy.insert(text.to_owned());
                    return;
                }
            }
            (504, Some("uncertain")) => {
                is_open = true;
                course.lost.fetch_add(1, Ordering::Relaxed);
            }
            _ => panic!("{text}: {status} {body}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(is_open, "{text} was busy for {:?}", DEADLINE * 2);
    told.unknown.insert(text.to_owned());
}

async fn start_senders(server: &Server) -> (Arc<Course>, Vec<JoinHandle<Told>>) {
    for title in ["second", "third"] {
        assert!(server.command().args(["room", "add", title]).output().unwrap().status.success());
    }
    let course = Arc::new(Course::default());
    let mut senders = Vec::new();
    for number in 0..SENDERS {
        let (person, course) = (server.guest(&format!("p{number}")).await, course.clone());
        senders.push(tokio::spawn(async move {
            let mut told = Told::default();
            for turn in 0_usize.. {
                if course.is_over.load(Ordering::Relaxed) {
                    break;
                }
                let (room, text) = (ROOMS[(number + turn) % ROOMS.len()], format!("{number}-{turn}"));
                send_one(&person, room, &text, turn % 3 == 0, &course, &mut told).await;
            }
            told
        }));
    }
    (course, senders)
}

/// The stored messages of a room by seq: id and text.
async fn stored(person: &Person, room: &str) -> BTreeMap<u64, (String, String)> {
    let mut all = BTreeMap::new();
    let mut before = u64::MAX >> 2;
    loop {
        let form = [("room", room), ("before", &*before.to_string()), ("limit", "100")];
        let answer = person.post("/gateway/history", &form).await;
        let Some(page) = answer.body["messages"].as_array().filter(|page| !page.is_empty()) else { return all };
        for message in page {
            let (id, text) = (message["id"].as_str().unwrap().to_owned(), message["text"].as_str().unwrap().to_owned());
            assert_eq!(all.insert(message["seq"].as_u64().unwrap(), (id, text)), None);
        }
        before = page[0]["seq"].as_u64().unwrap();
    }
}

/// Stops the senders, and compares what they were told with what is stored.
async fn check(server: &Server, course: &Course, senders: Vec<JoinHandle<Told>>) {
    course.is_over.store(true, Ordering::Relaxed);
    let mut told = Told::default();
    for sender in senders {
        let of_one = timeout(DEADLINE * 3, sender).await.expect("a sender ends").unwrap();
        told.accepted.extend(of_one.accepted);
        told.busy.extend(of_one.busy);
        told.unknown.extend(of_one.unknown);
    }
    let reader = server.guest("reader").await;
    let mut texts = BTreeMap::new();
    for room in ROOMS {
        let messages = stored(&reader, room).await;
        assert!(messages.keys().copied().eq(1..=messages.len() as u64), "room {room} has holes");
        for (seq, (id, text)) in messages {
            assert_eq!(texts.insert(text.clone(), (room.to_owned(), seq, id)), None, "{text} is stored twice");
        }
    }
    for (room, seq, id, text) in &told.accepted {
        assert_eq!(texts.get(text), Some(&(room.clone(), *seq, id.clone())), "{text} was accepted");
    }
    for text in &told.busy {
        assert!(!texts.contains_key(text), "{text} was busy, was not repeated, and is stored");
    }
    let known: BTreeSet<_> = told.accepted.iter().map(|(.., text)| text).chain(&told.unknown).collect();
    let foreign: Vec<_> = texts.keys().filter(|text| !known.contains(text)).collect();
    assert!(foreign.is_empty(), "stored and not sent: {foreign:?}");
    let (busy, lost) = (Course::count(&course.busy), Course::count(&course.lost));
    eprintln!("{} accepted, {busy} busy, {lost} lost answers, {} unknown", told.accepted.len(), told.unknown.len());
}

async fn kill_the_node(place: Place) {
    let mut server = Server::on(place, &SETTINGS);
    let (course, senders) = start_senders(&server).await;
    for turn in 0..5 {
        course.goes_on(&format!("messages are accepted after {turn} kills")).await;
        server.kill();
        server.restart();
    }
    course.goes_on("messages are accepted after the last kill").await;
    assert!(Course::count(&course.lost) > 0, "no kill met a send");
    check(&server, &course, senders).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_the_node_on_sqlite_lose_and_double_nothing() {
    kill_the_node(Place::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_the_node_on_postgresql_lose_and_double_nothing() {
    let Some(place) = Place::postgres() else { return };
    kill_the_node(place).await;
}

/// Backends of the node, whichever state they are in.
fn end_backends(postgres: &Postgres) {
    let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'roomcast'";
    postgres.sql("postgres", others);
}

/// A killed backend makes the server end all others and recover.
fn kill_a_backend(postgres: &Postgres) {
    let busiest = "SELECT pid FROM pg_stat_activity WHERE usename = 'roomcast' ORDER BY query_start DESC NULLS LAST LIMIT 1";
    let pid = postgres.sql("postgres", busiest).parse().unwrap();
    // SAFETY: the server waits for its backends, so the pid is not reused at once.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

async fn blocking(postgres: &Arc<Postgres>, act: fn(&Postgres)) {
    let postgres = postgres.clone();
    tokio::task::spawn_blocking(move || act(&postgres)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_postgresql_lose_and_double_nothing() {
    let Some(postgres) = Postgres::own() else { return };
    let server = Server::on(Place::on(postgres.database()), &SETTINGS);
    let (course, senders) = start_senders(&server).await;
    let kill: fn(&Postgres) = |postgres| {
        postgres.kill();
        postgres.start();
    };
    let stop_at_once: fn(&Postgres) = |postgres| {
        postgres.stop(Stop::Immediate);
        postgres.start();
    };
    let stop: fn(&Postgres) = |postgres| {
        postgres.stop(Stop::Fast);
        postgres.start();
    };
    let fail_over: fn(&Postgres) = |postgres| {
        postgres.restart_as_standby();
        postgres.promote();
    };
    let faults = [
        ("a kill", kill),
        ("the end of all backends", end_backends),
        ("an immediate stop", stop_at_once),
        ("a kill of a backend", kill_a_backend),
        ("a restart", stop),
        ("a fail-over", fail_over),
    ];
    for (name, fault) in faults {
        course.goes_on(&format!("messages are accepted before {name}")).await;
        blocking(&postgres, fault).await;
    }
    course.goes_on("messages are accepted before the last kill").await;
    // The faults above may be shorter than the time in which sends wait for the database. This one lasts until sends were refused.
    let refused = course.unstored();
    blocking(&postgres, Postgres::kill).await;
    eventually("sends are refused without PostgreSQL", async || course.unstored() >= refused + SENDERS).await;
    blocking(&postgres, Postgres::start).await;
    course.goes_on("messages are accepted after the last kill").await;
    check(&server, &course, senders).await;
    no_password_is_logged(&server, server.database.as_ref().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_links_to_postgresql_lose_and_double_nothing() {
    let Some(database) = Postgres::shared() else { return };
    let proxy = Proxy::to(database.postgres.address());
    let server = Server::on(Place::behind(database, proxy.address), &SETTINGS);
    let (course, senders) = start_senders(&server).await;
    let faults = [
        ("a cut", Link::Cut, 300),
        ("a black hole", Link::BlackHole, 3000),
        ("half of a link", Link::HalfOpen, 3000),
        ("a second cut", Link::Cut, 2500),
        ("a slow link", Link::Delay(Duration::from_millis(30)), 1000),
    ];
    for (name, link, ms) in faults {
        course.goes_on(&format!("messages are accepted before {name}")).await;
        proxy.set(link);
        // The fault lasts; nothing is waited for.
        sleep(Duration::from_millis(ms)).await;
        proxy.set(Link::Forward);
    }
    course.goes_on("messages are accepted after the last fault").await;
    assert!(Course::count(&course.busy) > 0 && Course::count(&course.lost) > 0, "no fault met a send");
    check(&server, &course, senders).await;
    no_password_is_logged(&server, server.database.as_ref().unwrap());
}

fn no_password_is_logged(server: &Server, database: &Database) {
    assert!(!server.log().contains(database.password()), "the log holds the password");
}
