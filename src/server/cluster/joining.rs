//! How a node joins its cluster and leaves it: the claim of its address, its subjects, its hellos.

use super::answering::{Handlers, carry_out};
use super::calls::Calls;
use super::members::{Change, Members};
use super::parcels::Parcels;
use super::wire::{Answer, Hello, Part, State, decode};
use super::{CallError, Cluster, Handler, Incarnation, Joined, NodeName};
use crate::server::bus::{Bus, BusError, Link, Received, Subject, Subscription};
use crate::server::config::ClusterSettings as Settings;
use crate::server::storage::{NodeClaim, StorageError, Store};
use bytes::Bytes;
use std::io;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Time between two hellos.
const HELLO_EVERY: Duration = Duration::from_secs(1);
/// Time between two looks at the table of nodes.
const SWEEP_EVERY: Duration = Duration::from_millis(250);
/// Time between two renewals of the claim.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Time in which the row of a node that was killed gets old.
const CLAIM_WITHIN: Duration = Duration::from_secs(17);
/// Time for the state that a reload hands over.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(2);
const CLAIM_RETRY: Duration = Duration::from_millis(250);
/// File of the data folder with the run that served from it last.
const FILE: &str = "roomcast.node";

/// A node that joins.
pub struct Joining {
    /// Its inner address, with the port.
    pub lan_addr: SocketAddrV4,
    /// Its run, handed on by a reload.
    pub incarnation: Option<Incarnation>,
    /// The data folder, which is this process's alone.
    pub data_dir: PathBuf,
    /// Its open sockets.
    pub connections: Arc<dyn Fn() -> usize + Send + Sync>,
}

/// Why a node could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Another live node has the address.
    #[error(
        "another node serves with gateway.lan_addr {0}: each node's client_ids begin with its address, so set gateway.lan_addr \
         (ROOMCAST_LAN_ADDR) to one that this node alone has"
    )]
    Taken(SocketAddrV4),
    /// The table of nodes could not be written.
    #[error("the node could not join its cluster: {0}")]
    Store(#[from] StorageError),
    /// The run could not be noted in the data folder.
    #[error("{} cannot be written: {}", .0.display(), .1)]
    Folder(PathBuf, #[source] io::Error),
    /// The bus could not be started.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl Cluster {
    /// Claims the node's address and subscribes to its subjects. Without `cluster.nats` the node is alone. The others hear of it from
    /// [`Cluster::announce`] on, and until then it hears nothing.
    pub async fn join(settings: &Settings, store: &Store, joining: Joining) -> Result<Self, JoinError> {
        if settings.nats.is_empty() {
            return Ok(Self::alone());
        }
        let Joining { lan_addr, incarnation, data_dir, connections } = joining;
        let incarnation = incarnation.unwrap_or_else(Incarnation::draw);
        claim(store, lan_addr, incarnation, &data_dir).await?;
        let bus = Bus::connect(settings).await?;
        bus.pause();
        let me = NodeName::from(lan_addr);
        let joined = Arc::new(Joined {
            members: Mutex::new(Members::new(me)),
            bus,
            me,
            incarnation,
            store: store.clone(),
            connections,
            answer_within: Duration::from_millis(settings.answer_within_ms),
            started: Instant::now(),
            calls: Calls::default(),
            handlers: Handlers::default(),
            hand_over: OnceLock::new(),
            changes: watch::Sender::new(0),
            is_announced: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            ended: CancellationToken::new(),
            lost: CancellationToken::new(),
        });
        joined.count();
        let to_me = joined.bus.subscribe(Subject::of(&["n", &me.hex()])).await;
        let to_all = joined.bus.subscribe(Subject::from("all")).await;
        let answers = joined.bus.subscribe(answers_to(me, incarnation)).await;
        let hellos = joined.bus.subscribe(Subject::from("hello")).await;
        tokio::spawn(carry_out(joined.clone(), to_me, to_all));
        tokio::spawn(take_answers(joined.clone(), answers));
        tokio::spawn(keep_table(joined.clone(), hellos));
        tokio::spawn(renew_claim(joined.clone()));
        tracing::info!(node = %me, %incarnation, "joined the cluster");
        Ok(Self(Some(joined)))
    }

    /// Tells the other nodes that this one serves, and listens to them.
    pub fn announce(&self) {
        if let Some(joined) = &self.0 {
            joined.bus.resume();
            joined.is_announced.store(true, Ordering::Relaxed);
            joined.say(State::Serving);
        }
    }

    /// Tells the other nodes that this one shuts down. Its sockets stay until they are drained.
    pub fn begin_to_leave(&self) {
        if let Some(joined) = &self.0 {
            joined.is_leaving.store(true, Ordering::Relaxed);
            joined.say(State::Leaving);
        }
    }

    /// Leaves the cluster: says so, ends the bus and gives the address up. After [`Cluster::hand_over`] nothing is left to do.
    pub async fn leave(&self) {
        let Some(joined) = self.0.as_ref().filter(|joined| !joined.ended.is_cancelled()) else { return };
        joined.say(State::Gone);
        joined.ended.cancel();
        joined.bus.close().await;
        let left = joined.store.leave_node(&joined.me.to_string(), &joined.incarnation.to_string()).await;
        if let Err(error) = left {
            tracing::warn!(%error, "the node's address stays taken for 15 s");
        }
    }

    /// Calls the handler when another process of this node takes over. Its answer is the state from which that one goes on.
    pub fn on_hand_over(&self, handler: Handler) {
        if let Some(joined) = &self.0 {
            let _ = joined.hand_over.set(handler);
        }
    }

    /// Leaves the bus to the process that took over: it is the same node. Returns the state from which that one goes on.
    pub async fn hand_over(&self) -> Bytes {
        let Some(joined) = &self.0 else { return Bytes::new() };
        joined.ended.cancel();
        let state = async {
            match joined.hand_over.get() {
                Some(handler) => handler(Bytes::new()).await,
                None => Bytes::new(),
            }
        };
        let state = timeout(HAND_OVER_WITHIN, state).await.unwrap_or_default();
        joined.bus.close().await;
        state
    }

    /// Waits until another node has this one's address. The node must not serve any more then.
    pub async fn lost(&self) {
        match &self.0 {
            Some(joined) => joined.lost.cancelled().await,
            None => std::future::pending().await,
        }
    }
}

/// Takes the address. A live node that has it refuses; of one that was killed the row gets old.
async fn claim(store: &Store, lan_addr: SocketAddrV4, incarnation: Incarnation, data_dir: &Path) -> Result<(), JoinError> {
    let file = data_dir.join(FILE);
    // The data folder belongs to this process, so the run that had it before has ended.
    let former = std::fs::read_to_string(&file).ok();
    let (name, run, deadline) = (lan_addr.to_string(), incarnation.to_string(), Instant::now() + CLAIM_WITHIN);
    let mut seen = None;
    loop {
        match store.claim_node(&name, &run, former.as_deref()).await? {
            NodeClaim::Claimed => break,
            NodeClaim::HeldBy { seen_at, .. } => {
                // Renewed meanwhile: it lives.
                if *seen.get_or_insert(seen_at) != seen_at || Instant::now() > deadline {
                    return Err(JoinError::Taken(lan_addr));
                }
                sleep(CLAIM_RETRY).await;
            }
        }
    }
    std::fs::write(&file, run).map_err(|error| JoinError::Folder(file, error))
}

pub(super) fn answers_to(name: NodeName, incarnation: Incarnation) -> Subject {
    Subject::of(&["r", &name.hex(), &incarnation.to_string()])
}

/// Hands the answers of other nodes to the calls that wait for them.
async fn take_answers(joined: Arc<Joined>, mut answers: Subscription) {
    let mut parcels = Parcels::default();
    while let Some(received) = answers.next().await {
        let whole = Part::decode(received.payload).and_then(|part| parcels.add(part, Instant::now()));
        let Some((id, whole)) = whole else { continue };
        let Some((answer, body)) = decode::<Answer>(whole) else { continue };
        let answer = match answer {
            Answer::Done => Ok(body),
            Answer::Unknown => Err(CallError::Unknown(id.from)),
            Answer::Refused => Err(CallError::Silent(id.from)),
            Answer::TooLong => Err(CallError::TooLong(id.from)),
        };
        joined.calls.answer(id.number, id.from, answer);
    }
}

/// Keeps the table of the live nodes, and says hello.
async fn keep_table(joined: Arc<Joined>, mut hellos: Subscription) {
    let mut link = joined.bus.link();
    link.mark_changed();
    let mut sweep = interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hello = interval(HELLO_EVERY);
    hello.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            received = hellos.next() => match received {
                Some(received) => joined.hear(&received),
                None => return,
            },
            Ok(()) = link.changed() => {
                let is_up = *link.borrow_and_update() == Link::Up;
                joined.members().link(is_up, joined.now());
                joined.say_hello();
            }
            _ = sweep.tick() => joined.sweep(),
            _ = hello.tick() => joined.say_hello(),
        }
    }
}

/// Renews the claim until the node leaves. A node whose address another one has must not go on.
async fn renew_claim(joined: Arc<Joined>) {
    let mut tick = interval(RENEW_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = joined.ended.cancelled() => return,
        }
        let claimed = joined.store.claim_node(&joined.me.to_string(), &joined.incarnation.to_string(), None).await;
        if let Ok(NodeClaim::HeldBy { incarnation, .. }) = claimed
            && !joined.ended.is_cancelled()
        {
            tracing::error!(node = %joined.me, by = incarnation, "another node took this one's address, so this one stops serving");
            joined.lost.cancel();
            return;
        }
    }
}

impl Joined {
    fn hear(&self, received: &Received) {
        let Ok(hello) = serde_json::from_slice::<Hello>(&received.payload) else { return };
        let (name, version) = (hello.name, hello.version.clone());
        let change = self.members().hear(hello, self.now());
        match change {
            Change::None => return,
            Change::New => {
                tracing::info!(node = %name, version, "a node joined the cluster");
                // So that it need not wait for the next one.
                self.say_hello();
            }
            Change::Gone => self.gone(name, "left"),
            Change::Other => {}
        }
        self.count();
    }

    fn sweep(&self) {
        let silent = self.members().sweep(self.now());
        if !silent.is_empty() {
            silent.into_iter().for_each(|name| self.gone(name, "is silent"));
            self.count();
        }
    }

    fn gone(&self, name: NodeName, why: &'static str) {
        tracing::info!(node = %name, why, "a node is gone from the cluster");
        self.calls.gone(name);
    }

    /// The table changed.
    fn count(&self) {
        metrics::gauge!("roomcast_cluster_nodes").set((self.members().others().len() + 1) as f64);
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn say_hello(&self) {
        self.say(if self.is_leaving.load(Ordering::Relaxed) { State::Leaving } else { State::Serving });
    }

    fn say(&self, state: State) {
        if !self.is_announced.load(Ordering::Relaxed) || self.ended.is_cancelled() {
            return;
        }
        let hello = Hello {
            name: self.me,
            incarnation: self.incarnation,
            process: std::process::id(),
            at: self.now(),
            version: env!("CARGO_PKG_VERSION").into(),
            state,
            connections: (self.connections)(),
        };
        if let Ok(hello) = serde_json::to_vec(&hello) {
            self.bus.publish(&Subject::from("hello"), hello.into());
        }
    }
}
