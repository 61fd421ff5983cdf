//! Runs of three nodes under a schedule of faults that a seed draws. The history of each run keeps every promise, and each fault of
//! the schedule had an effect.

use super::check::{check, latest};
use super::clients::{Person, Run};
use super::{History, Outcome, Room, Row};
use crate::support::cluster::Cluster;
use crate::support::postgres::{Postgres, Stop};
use crate::support::proxy::Link;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

const NODES: usize = 3;
const SENDERS: usize = 20;
const READERS: usize = 60;
const ROOMS: [&str; 2] = ["1", "2"];
const COOLDOWN_MS: u64 = 300;
/// Time after the last fault in which everything heals.
const HEALS_WITHIN: Duration = Duration::from_secs(3);
/// Time in which the sockets of an ended session close, and a little more.
const ENDED_WITHIN: Duration = Duration::from_millis(2_600);
/// Pause before each fault, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 1_000..3_000;

/// The kinds of faults. Each lasts for 2 s where it has a length.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Fault {
    NatsStops,
    NatsIsKilled,
    LinkToNatsIsCut,
    LinkToNatsSwallows,
    LinkToNatsIsSlow,
    PostgresRestarts,
    LinkToPostgresSwallows,
    NodeSleeps,
    NodeIsKilled,
    NodeReloads,
    ClockLeaps,
}

impl Fault {
    /// Whether every node goes on and reaches the store.
    fn spares_the_store(self) -> bool {
        let of_links = matches!(self, Self::LinkToNatsIsCut | Self::LinkToNatsSwallows | Self::LinkToNatsIsSlow);
        of_links || matches!(self, Self::NatsStops | Self::NatsIsKilled | Self::ClockLeaps)
    }
}

const FAULTS: [Fault; 11] = [
    Fault::NatsStops,
    Fault::NatsIsKilled,
    Fault::LinkToNatsIsCut,
    Fault::LinkToNatsSwallows,
    Fault::LinkToNatsIsSlow,
    Fault::PostgresRestarts,
    Fault::LinkToPostgresSwallows,
    Fault::NodeSleeps,
    Fault::NodeIsKilled,
    Fault::NodeReloads,
    Fault::ClockLeaps,
];

/// Counters, and words of their labels, that a fault of NATS or of PostgreSQL raises on one node at least.
const EFFECTS: [(&str, &str); 6] = [
    ("roomcast_bus_dropped_total", ""),
    ("roomcast_order_asked_total", ""),
    ("roomcast_order_healed_total", ""),
    ("roomcast_order_polls_total", "failed"),
    ("roomcast_sends_total", "busy"),
    ("roomcast_sends_total", "uncertain"),
];
/// A counter that begins anew with a process.
const LIFE: (&str, &str) = ("roomcast_order_polls_total", "done");
/// The line in the log of a node that does not hear another one any more.
const GONE: &str = "a node is gone from the cluster";

/// Times of a run, in milliseconds: see [`History`].
#[derive(Default)]
struct Spans {
    healed: Vec<(u64, u64)>,
    served: Vec<(u64, u64)>,
    /// Since when each node goes on and reaches the store.
    since: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_keep_every_promise_under_faults_1() {
    run(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_keep_every_promise_under_faults_2() {
    run(2).await;
}

/// `make soak`: seeds from `SEED` on, until it is stopped or a promise is broken.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it runs until it is stopped"]
async fn soak() {
    let first: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in first.. {
        run(seed).await;
    }
}

async fn run(seed: u64) {
    let Some(postgres) = Postgres::own() else { return };
    let settings = [format!("chat.cooldown_ms={COOLDOWN_MS}"), "chat.first_message_ms=0".into()];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let Some(mut cluster) = Cluster::with_clocks(postgres.database(), NODES, &settings).await else { return };
    cluster.nodes[0].add_rooms(2).await;
    let mut rng = StdRng::seed_from_u64(seed);
    let names: Vec<&str> = cluster.nodes.iter().map(|node| node.base.as_str()).collect();
    eprintln!("seed {seed}: {names:?}");
    let run = Run::new(cluster.nodes.iter().map(|node| node.base.clone()).collect());
    let (clients, mut readers) = start(&run, &cluster, seed).await;
    let mut faults = FAULTS;
    faults.shuffle(&mut rng);
    let mut spans = Spans { since: run.now(), ..Spans::default() };
    for fault in faults {
        sleep(Duration::from_millis(rng.random_range(PAUSE_MS))).await;
        if let Some(reader) = readers.pop() {
            // While the store answers: a node that cannot reach it cannot know of the end.
            run.sign_out(&reader, &mut rng).await;
            if !fault.spares_the_store() {
                sleep(ENDED_WITHIN).await;
            }
        }
        let node = rng.random_range(0..NODES);
        let (before, life, gone) = (effects(&cluster).await, life(&cluster, node).await, gone(&cluster));
        let at = run.now();
        if !fault.spares_the_store() {
            spans.served.push((spans.since, at));
        }
        let hours = inflict(&mut cluster, &postgres, fault, node).await;
        let over = run.now();
        sleep(HEALS_WITHIN).await;
        spans.healed.push((over, run.now()));
        if !fault.spares_the_store() {
            spans.since = run.now();
        }
        let effect = match fault {
            Fault::ClockLeaps => hours.expect("it was measured"),
            Fault::NodeIsKilled | Fault::NodeReloads => life - self::life(&cluster, node).await,
            Fault::NodeSleeps => self::gone(&cluster) - gone,
            _ => effects(&cluster).await - before,
        };
        eprintln!("seed {seed}: {at} ms: {fault:?} at node {node}: effect {effect}");
        assert!(effect > 0.0, "seed {seed}: {fault:?} at node {node} had no effect");
    }
    run.quiet.cancel();
    spans.served.push((spans.since, run.now()));
    sleep(HEALS_WITHIN).await;
    let healed_at = run.now();
    run.over.cancel();
    for client in clients {
        client.await.unwrap();
    }
    let history = history(&run, &cluster, spans, healed_at);
    eprintln!("seed {seed}: {}", summary(&history));
    let violations = check(&history);
    assert!(violations.is_empty(), "seed {seed}: {violations:#?}");
}

/// Starts the clients. Returns their tasks, and readers with a session, which may be signed out.
async fn start(run: &Run, cluster: &Cluster, seed: u64) -> (Vec<tokio::task::JoinHandle<()>>, Vec<Person>) {
    let mut clients = Vec::new();
    let owner = cluster.nodes[0].owner().await;
    let moderator = Person { uid: owner.uid.clone(), cookie: owner.cookie().unwrap() };
    let mut people = Vec::new();
    for n in 0..SENDERS + FAULTS.len() {
        let guest = cluster.nodes[n % NODES].guest(&format!("P{n}")).await;
        people.push(Person { uid: guest.uid.clone(), cookie: guest.cookie().unwrap() });
    }
    let signed_in = people.split_off(SENDERS);
    for (n, person) in people.iter().enumerate() {
        let room = ROOMS[n % ROOMS.len()];
        clients.push(tokio::spawn(run.clone().send_on(person.clone(), room, seed + n as u64)));
    }
    for reader in 0..READERS {
        let (room, moves) = (ROOMS[reader % ROOMS.len()], reader % 4 < 2);
        let person = signed_in.get(reader).cloned();
        let moves = moves && person.is_none();
        clients.push(tokio::spawn(run.clone().read_on(reader, room, person, moves, seed + 1_000 + reader as u64)));
    }
    let victims = people.iter().step_by(2).take(4).cloned().collect();
    clients.push(tokio::spawn(run.clone().moderate_on(moderator, ROOMS[0], victims, seed)));
    (clients, signed_in)
}

/// Breaks something, waits, and mends it. Returns the hours by which a node's clock was wrong.
async fn inflict(cluster: &mut Cluster, postgres: &Arc<Postgres>, fault: Fault, node: usize) -> Option<f64> {
    let lasts = || sleep(Duration::from_secs(2));
    let at = &mut cluster.nodes[node];
    match fault {
        Fault::NatsStops | Fault::NatsIsKilled => {
            if fault == Fault::NatsStops {
                cluster.nats.stop()
            } else {
                cluster.nats.kill()
            }
            lasts().await;
            cluster.nats.run();
        }
        Fault::LinkToNatsIsCut | Fault::LinkToNatsSwallows | Fault::LinkToNatsIsSlow => {
            at.nats.set(match fault {
                Fault::LinkToNatsIsCut => Link::Cut,
                Fault::LinkToNatsSwallows => Link::BlackHole,
                _ => Link::Delay(Duration::from_millis(300)),
            });
            lasts().await;
            at.nats.reset();
        }
        Fault::PostgresRestarts => {
            postgres.stop(Stop::Immediate);
            // Each node looks at the heads of its rooms meanwhile.
            sleep(Duration::from_millis(1_500)).await;
            postgres.start();
        }
        Fault::LinkToPostgresSwallows => {
            at.postgres.set(Link::BlackHole);
            lasts().await;
            at.postgres.reset();
        }
        Fault::NodeSleeps => {
            at.signal(libc::SIGSTOP);
            sleep(Duration::from_secs(5)).await;
            at.signal(libc::SIGCONT);
        }
        Fault::NodeIsKilled => {
            at.kill();
            at.restart();
        }
        Fault::NodeReloads => at.reload().await,
        Fault::ClockLeaps => {
            at.clock.as_ref().unwrap().shift(3_600);
            lasts().await;
            let hours = cluster.hours_ahead(&cluster.nodes[node]).await;
            cluster.nodes[node].clock.as_ref().unwrap().shift(0);
            return hours.parse().ok();
        }
    }
    None
}

/// The effects of faults until now, of all nodes.
async fn effects(cluster: &Cluster) -> f64 {
    let mut sum = 0.0;
    for node in &cluster.nodes {
        for (name, label) in EFFECTS {
            sum += node.metric_sum(name, label).await;
        }
    }
    sum
}

/// The times that a node did not hear another one any more.
fn gone(cluster: &Cluster) -> f64 {
    cluster.nodes.iter().map(|node| node.log().matches(GONE).count() as f64).sum()
}

async fn life(cluster: &Cluster, node: usize) -> f64 {
    cluster.nodes[node].metric_sum(LIFE.0, LIFE.1).await
}

fn history(run: &Run, cluster: &Cluster, spans: Spans, healed_at: u64) -> History {
    let noted = std::mem::take(&mut *run.noted.lock().unwrap());
    let rows = |query: &str| -> Vec<Vec<String>> {
        let answer = cluster.database.sql(query);
        answer.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
    };
    let mut store: BTreeMap<String, Room> = BTreeMap::new();
    for row in rows("SELECT room, rev FROM roomcast.heads") {
        store.entry(row[0].clone()).or_default().rev = row[1].parse().unwrap();
    }
    let texts: HashMap<String, String> = noted.texts;
    for row in rows("SELECT room, seq, id, uid, nonce, at FROM roomcast.messages ORDER BY room, seq") {
        let text = texts.get(&row[4]).cloned().unwrap_or_default();
        let (seq, at) = (row[1].parse().unwrap(), row[5].parse().unwrap());
        let stored = Row { seq, id: row[2].clone(), user: row[3].clone(), nonce: row[4].clone(), text, at };
        store.entry(row[0].clone()).or_default().rows.push(stored);
    }
    History {
        sends: noted.sends,
        sockets: noted.sockets,
        bans: noted.bans,
        ended: noted.ended,
        store,
        healed: spans.healed,
        served: spans.served,
        healed_at,
        cooldown_ms: COOLDOWN_MS,
    }
}

fn summary(history: &History) -> String {
    let of = |is: fn(&Outcome) -> bool| history.sends.iter().filter(|send| is(&send.outcome)).count();
    let stored = of(|outcome| matches!(outcome, Outcome::Stored { .. }));
    let unknown = of(|outcome| matches!(outcome, Outcome::Unknown));
    format!(
        "{stored} sends accepted, {unknown} unknown of {}, the latest {} ms later on a screen; {} sockets; {} bans, {} sign-outs",
        history.sends.len(),
        latest(history).0,
        history.sockets.len(),
        history.bans.len(),
        history.ended.len()
    )
}
