//! The nodes of a cluster: their names, the ones that live, and calls from one to another. With one node there is no bus, and every
//! call is answered at once with nothing.
//!
//! Subjects: `n.<node>` calls to one node, `all` calls to all, `r.<node>.<incarnation>` answers, `hello` once a second.

mod answering;
mod calls;
mod joining;
mod lag;
mod members;
mod name;
mod parcels;
mod wire;

pub use joining::{JoinError, Joining};
pub use name::{Incarnation, NodeName};

use crate::domain::id::ClientId;
use crate::server::bus::{Bus, Link, Subject};
use crate::server::storage::Store;
use answering::Handlers;
use bytes::Bytes;
use calls::{Answered, Calls};
use futures_util::future::BoxFuture;
use members::Members;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::{Answer, Call, ParcelId, encode};

/// This node's place in its cluster. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Cluster(Option<Arc<Joined>>);

struct Joined {
    bus: Bus,
    me: NodeName,
    incarnation: Incarnation,
    store: Store,
    connections: Arc<dyn Fn() -> usize + Send + Sync>,
    answer_within: Duration,
    /// The beginning of this process's clock.
    started: Instant,
    members: Mutex<Members>,
    calls: Calls,
    handlers: Handlers,
    /// Ends the pushes of this process, and returns the state for the next one.
    hand_over: OnceLock<Handler>,
    /// Grows with each change of the table.
    changes: watch::Sender<u64>,
    is_announced: AtomicBool,
    is_leaving: AtomicBool,
    /// Cancelled when this process is not the node any more.
    ended: CancellationToken,
    /// Cancelled when another node has the address.
    lost: CancellationToken,
}

/// A live node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its inner address.
    pub name: NodeName,
    /// Its run.
    pub incarnation: Incarnation,
    /// The version of Roomcast.
    pub version: String,
    /// Whether it shuts down: it gets no new clients and PHP does not connect to it.
    pub is_leaving: bool,
    /// Open sockets.
    pub connections: usize,
}

/// The node that owns a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// This one.
    Here,
    /// Another live one.
    Node(NodeName),
    /// None that lives: there is no such connection.
    Nowhere,
}

/// A call that was not answered. It may have been carried out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// No answer in `cluster.answer_within_ms`.
    #[error("node {0} did not answer")]
    Silent(NodeName),
    /// The node is of a version that does not know the call.
    #[error("node {0} does not know the call")]
    Unknown(NodeName),
    /// The answer is longer than 64 MiB.
    #[error("the answer of node {0} is too long")]
    TooLong(NodeName),
}

/// The answers of the other nodes.
#[derive(Clone, Default, Debug)]
pub struct Gathered {
    /// One for each node that answered, by name.
    pub answers: Vec<(NodeName, Bytes)>,
    /// The live nodes that did not answer in time, or do not know the call.
    pub silent: Vec<NodeName>,
}

/// Carries a call out: its body in, its answer out.
pub type Handler = Arc<dyn Fn(Bytes) -> BoxFuture<'static, Bytes> + Send + Sync>;

impl Cluster {
    /// The cluster of one node.
    pub fn alone() -> Self {
        Self(None)
    }

    /// Whether this is the only node there can be.
    pub fn is_alone(&self) -> bool {
        self.0.is_none()
    }

    /// The bus, if there can be other nodes.
    pub fn bus(&self) -> Option<&Bus> {
        self.0.as_ref().map(|joined| &joined.bus)
    }

    /// This node's name. `None` for the only one.
    pub fn me(&self) -> Option<NodeName> {
        self.0.as_ref().map(|joined| joined.me)
    }

    /// This node's run, which a reload hands on. `None` for the only one.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.0.as_ref().map(|joined| joined.incarnation)
    }

    /// The other live nodes, by name, those that leave too.
    pub fn others(&self) -> Vec<Node> {
        self.0.as_ref().map(|joined| joined.members().others()).unwrap_or_default()
    }

    /// A number that grows when a node joins, leaves or is gone. `None` for the only one.
    pub fn changes(&self) -> Option<watch::Receiver<u64>> {
        self.0.as_ref().map(|joined| joined.changes.subscribe())
    }

    /// The node that owns a connection. Alone, it is this one. A node that may only be out of hearing is a live one: a call to it is
    /// [`CallError::Silent`].
    pub fn place(&self, client: ClientId) -> Place {
        let name = NodeName::of(client);
        match &self.0 {
            Some(joined) if joined.me != name => match joined.members().is_member(name, joined.now()) {
                true => Place::Node(name),
                false => Place::Nowhere,
            },
            _ => Place::Here,
        }
    }

    /// Answers calls of this name from now on. A later handler takes the place of an earlier one. Calls start in the order in which they
    /// arrive and run at the same time, 1,024 at most.
    pub fn answer(&self, call: &'static str, handler: Handler) {
        if let Some(joined) = &self.0 {
            joined.handlers.set(call, handler);
        }
    }

    /// Calls another node and returns its answer. While NATS is away it fails at once.
    pub async fn call(&self, node: NodeName, call: &str, body: Bytes) -> Result<Bytes, CallError> {
        let Some(joined) = &self.0 else { return Err(CallError::Silent(node)) };
        if joined.me == node {
            let handler = joined.handlers.get(call).ok_or(CallError::Unknown(node))?;
            return Ok(handler(body).await);
        }
        let answers = joined.call(&Subject::of(&["n", &node.hex()]), [node].into(), call, body, |_| false).await;
        answers.into_iter().find(|(name, _)| *name == node).map_or(Err(CallError::Silent(node)), |(_, answer)| answer)
    }

    /// Calls all other nodes at once, and returns when each live one has answered, or at the deadline. While NATS is away it returns at
    /// once.
    pub async fn call_others(&self, call: &str, body: Bytes) -> Gathered {
        self.call_others_until(call, body, |_| false).await
    }

    /// The same, and returns at the first answer that is enough, with those that came until then.
    pub async fn call_others_until(&self, call: &str, body: Bytes, is_enough: fn(&Bytes) -> bool) -> Gathered {
        let Some(joined) = &self.0 else { return Gathered::default() };
        let nodes = joined.members().asked(joined.now());
        if nodes.is_empty() {
            return Gathered::default();
        }
        let mut gathered = Gathered::default();
        for (name, answer) in joined.call(&Subject::from("all"), nodes, call, body, is_enough).await {
            match answer {
                Ok(answer) => gathered.answers.push((name, answer)),
                Err(_) => gathered.silent.push(name),
            }
        }
        gathered
    }
}

impl Joined {
    /// The milliseconds of this process's clock.
    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn is_up(&self) -> bool {
        *self.bus.link().borrow() == Link::Up
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a call and waits for the answers of these nodes, or for one that is enough. Returns one for each.
    async fn call(
        &self,
        subject: &Subject,
        nodes: BTreeSet<NodeName>,
        call: &str,
        body: Bytes,
        is_enough: fn(&Bytes) -> bool,
    ) -> Vec<Answered> {
        if !self.is_up() {
            let silent = nodes.into_iter().map(|name| (name, Err(CallError::Silent(name))));
            return silent.inspect(|(_, answer)| calls::count(call, answer)).collect();
        }
        let deadline = tokio::time::Instant::now() + self.answer_within;
        let within = self.answer_within.as_millis() as u64;
        let head = Call { call: call.to_owned(), process: std::process::id(), at: self.now(), within };
        let waiting = self.calls.open(nodes, is_enough);
        let id = ParcelId { from: self.me, incarnation: self.incarnation, number: waiting.number };
        match encode(id, &head, &body) {
            Some(parts) => self.send(subject, parts).await,
            None => tracing::warn!(call, bytes = body.len(), "a call to other nodes is not sent: it is too long"),
        }
        let answers = waiting.answers(deadline).await;
        answers.iter().for_each(|(_, answer)| calls::count(call, answer));
        answers
    }

    async fn send(&self, subject: &Subject, mut parts: Vec<Bytes>) {
        if parts.len() == 1 {
            parts.drain(..).for_each(|part| self.bus.publish(subject, part));
        }
        for part in parts {
            self.bus.publish_in_turn(subject, part).await;
        }
    }

    /// Answers a call of another node. A long answer is sent by a task of its own.
    fn answer(self: &Arc<Self>, call: ParcelId, answer: Answer, body: Bytes) {
        let id = ParcelId { from: self.me, incarnation: self.incarnation, number: call.number };
        let parts = encode(id, &answer, &body).or_else(|| encode(id, &Answer::TooLong, &Bytes::new())).unwrap_or_default();
        let (this, subject) = (self.clone(), joining::answers_to(call.from, call.incarnation));
        match &parts[..] {
            [part] => self.bus.publish(&subject, part.clone()),
            _ => _ = tokio::spawn(async move { this.send(&subject, parts).await }),
        }
    }
}
