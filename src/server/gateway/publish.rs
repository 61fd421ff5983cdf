//! One publish on its way: to whom, what, and what became of it. Every shard gets the same one; when the last has queued it,
//! the publisher is told; when the last has written it, how long it took is noted.

use super::client_ids::ClientIds;
use super::frame::Publication;
use super::registry::Slot;
use super::{Group, Uid, registry::Registry};
use crate::domain::id::ClientId;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Whom a publish is for. Whoever is named twice, by two uids or two groups, gets it twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    All,
    /// Each once, however often it is named; unknown ones are skipped.
    Clients(Vec<ClientId>),
    Uids(Vec<Uid>),
    Groups(Vec<Group>),
}

/// How often names may stand in one list again: each time their people are sent the same once more.
pub const MAX_REPEATS: usize = 1000;

/// More often than that?
pub fn is_repetitive<T: Hash + Eq>(names: &[T]) -> bool {
    names.len() > MAX_REPEATS && names.len() - names.iter().collect::<HashSet<_>>().len() > MAX_REPEATS
}

/// Who is left out of it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Except {
    pub clients: HashSet<ClientId>,
    pub uids: HashSet<Uid>,
}

/// What became of a publish on this node.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Delivered {
    /// Connections it was handed to, written or queued.
    pub to: usize,
    /// Of those, how many have not taken what came before: it waits in their queue.
    pub queued: usize,
    /// Connections whose queue was full: it was skipped for them.
    pub slow: usize,
}

pub struct Publish {
    pub target: Target,
    pub except: Except,
    pub publication: Publication,
    posted_at: Instant,
    to: AtomicUsize,
    queued: AtomicUsize,
    slow: AtomicUsize,
    /// Shards that have not queued it yet.
    to_come: AtomicUsize,
    report: Mutex<Option<oneshot::Sender<Delivered>>>,
    /// Its share of what may wait for the shards, given back when all have written it.
    _room: Option<OwnedSemaphorePermit>,
}

impl Publish {
    pub fn new(
        target: Target,
        except: Except,
        publication: Publication,
        shards: usize,
        room: Option<OwnedSemaphorePermit>,
    ) -> (Self, oneshot::Receiver<Delivered>) {
        let (report, reported) = oneshot::channel();
        let [to, queued, slow] = [0; 3].map(AtomicUsize::new);
        let (to_come, report) = (AtomicUsize::new(shards), Mutex::new(Some(report)));
        let posted_at = Instant::now();
        (Self { target, except, publication, posted_at, to, queued, slow, to_come, report, _room: room }, reported)
    }

    /// One shard's part of the outcome.
    pub fn add(&self, delivered: Delivered) {
        self.to.fetch_add(delivered.to, Ordering::Relaxed);
        self.queued.fetch_add(delivered.queued, Ordering::Relaxed);
        self.slow.fetch_add(delivered.slow, Ordering::Relaxed);
        // Whoever comes last sees what all others have added.
        if self.to_come.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.tell();
        }
    }

    /// The publisher need not be waiting.
    fn tell(&self) {
        if let Some(report) = self.report.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let [to, queued, slow] = [&self.to, &self.queued, &self.slow].map(|count| count.load(Ordering::Relaxed));
            let _ = report.send(Delivered { to, queued, slow });
        }
    }

    /// Its receivers on one shard, by slot.
    pub fn receivers<'a>(&'a self, registry: &'a Registry, ids: ClientIds) -> Box<dyn Iterator<Item = Slot> + 'a> {
        let all: Box<dyn Iterator<Item = Slot>> = match &self.target {
            Target::All => Box::new(registry.all()),
            Target::Clients(clients) => Box::new(clients.iter().filter_map(|client| registry.slot_of(client.connection))),
            Target::Uids(uids) => Box::new(uids.iter().flat_map(|uid| registry.of_uid(uid))),
            Target::Groups(groups) => Box::new(groups.iter().flat_map(|group| registry.of_group(group))),
        };
        if self.except.clients.is_empty() && self.except.uids.is_empty() {
            return all;
        }
        let is_meant =
            move |slot: &Slot| registry.get(*slot).is_some_and(|member| !self.except.covers(ids.name(member.id()), member.uid()));
        Box::new(all.filter(is_meant))
    }
}

/// What a name in a list weighs, in bytes.
const NAME_BYTES: usize = 64;

impl Target {
    pub fn weight(&self) -> usize {
        NAME_BYTES
            * match self {
                Self::All => 0,
                Self::Clients(clients) => clients.len(),
                Self::Uids(uids) => uids.len(),
                Self::Groups(groups) => groups.len(),
            }
    }
}

impl Except {
    pub fn weight(&self) -> usize {
        NAME_BYTES * (self.clients.len() + self.uids.len())
    }

    fn covers(&self, client: ClientId, uid: Option<&Uid>) -> bool {
        self.clients.contains(&client) || uid.is_some_and(|uid| self.uids.contains(uid))
    }
}

/// The last shard is done with it.
impl Drop for Publish {
    fn drop(&mut self) {
        metrics::histogram!("roomcast_push_seconds").record(self.posted_at.elapsed().as_secs_f64());
        // A shard that was gone has told nothing; nobody may wait for it.
        self.tell();
    }
}
