//! A publish: receivers, content and delivery report. All shards share one. When the last shard has queued it, the publisher
//! gets the report; when the last has written it, its latency is recorded.

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

/// The receivers of a publish. A member of two groups of the list, or a connection of a uid that the list repeats, receives
/// it twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Every connection of the node.
    All,
    /// These connections, each once; ids that are not connected are skipped.
    Clients(Vec<ClientId>),
    /// All connections of these uids.
    Uids(Vec<Uid>),
    /// All members of these groups.
    Groups(Vec<Group>),
    /// The staff of this group: not a group, and reached by [`Gateway::send_to_staff`](super::Gateway::send_to_staff) alone.
    Staff(Group),
}

/// Repeated names allowed in one list: each repetition sends the publish once more.
pub const MAX_REPEATS: usize = 1000;

/// Whether a list repeats its names more than [`MAX_REPEATS`] times.
pub fn is_repetitive<T: Hash + Eq>(names: &[T]) -> bool {
    names.len() > MAX_REPEATS && names.len() - names.iter().collect::<HashSet<_>>().len() > MAX_REPEATS
}

/// Connections excluded from a publish.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Except {
    /// These connections.
    pub clients: HashSet<ClientId>,
    /// All connections of these uids.
    pub uids: HashSet<Uid>,
}

/// Delivery report of a publish on this node.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Delivered {
    /// Connections reached: written or queued.
    pub to: usize,
    /// Of those, how many have a backlog, so that the frame is in their queue.
    pub queued: usize,
    /// Connections that skipped the frame: their queue was full, or still owes a gap of its group.
    pub slow: usize,
}

/// One publish on its way through the shards.
pub(super) struct Publish {
    pub target: Target,
    pub except: Except,
    pub publication: Publication,
    posted_at: Instant,
    to: AtomicUsize,
    queued: AtomicUsize,
    slow: AtomicUsize,
    /// Shards that have not yet reported.
    pending_shards: AtomicUsize,
    report: Mutex<Option<oneshot::Sender<Delivered>>>,
    /// Its share of the command budget, released when every shard has written it.
    _budget: Option<OwnedSemaphorePermit>,
}

impl Publish {
    /// Returns the publish and the receiver of its report. `shards` is the number of shards that it is posted to.
    pub(super) fn new(
        target: Target,
        except: Except,
        publication: Publication,
        shards: usize,
        budget: Option<OwnedSemaphorePermit>,
    ) -> (Self, oneshot::Receiver<Delivered>) {
        let (report, reported) = oneshot::channel();
        let [to, queued, slow] = [0; 3].map(AtomicUsize::new);
        let (pending_shards, report) = (AtomicUsize::new(shards), Mutex::new(Some(report)));
        let posted_at = Instant::now();
        (Self { target, except, publication, posted_at, to, queued, slow, pending_shards, report, _budget: budget }, reported)
    }

    /// Adds one shard's part of the delivery report; the last shard completes it.
    pub(super) fn report_shard(&self, delivered: Delivered) {
        self.to.fetch_add(delivered.to, Ordering::Relaxed);
        self.queued.fetch_add(delivered.queued, Ordering::Relaxed);
        self.slow.fetch_add(delivered.slow, Ordering::Relaxed);
        // AcqRel: the last shard to report sees the additions of all others.
        if self.pending_shards.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.complete();
        }
    }

    /// Sends the report, if the publisher waits for it.
    fn complete(&self) {
        if let Some(report) = self.report.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let [to, queued, slow] = [&self.to, &self.queued, &self.slow].map(|count| count.load(Ordering::Relaxed));
            let _ = report.send(Delivered { to, queued, slow });
        }
    }

    /// Returns the receivers on one shard.
    pub(super) fn receivers<'a>(&'a self, registry: &'a Registry, ids: ClientIds) -> Box<dyn Iterator<Item = Slot> + 'a> {
        let all: Box<dyn Iterator<Item = Slot>> = match &self.target {
            Target::All => Box::new(registry.all()),
            Target::Clients(clients) => Box::new(clients.iter().filter_map(|client| registry.slot_of(client.connection))),
            Target::Uids(uids) => Box::new(uids.iter().flat_map(|uid| registry.of_uid(uid))),
            Target::Groups(groups) => Box::new(groups.iter().flat_map(|group| registry.of_group(group))),
            Target::Staff(group) => Box::new(registry.staff.of_group(group)),
        };
        if self.except.clients.is_empty() && self.except.uids.is_empty() {
            return all;
        }
        let is_included = move |slot: &Slot| {
            registry.get(*slot).is_some_and(|member| !self.except.covers(ids.client_id(member.connection_id()), member.uid()))
        };
        Box::new(all.filter(is_included))
    }
}

/// Bytes counted per name of a list.
const NAME_BYTES: usize = 64;

impl Target {
    /// Bytes it occupies while queued.
    pub fn weight(&self) -> usize {
        NAME_BYTES
            * match self {
                Self::All => 0,
                Self::Clients(clients) => clients.len(),
                Self::Uids(uids) => uids.len(),
                Self::Groups(groups) => groups.len(),
                Self::Staff(_) => 1,
            }
    }
}

impl Except {
    /// Bytes it occupies while queued.
    pub fn weight(&self) -> usize {
        NAME_BYTES * (self.clients.len() + self.uids.len())
    }

    fn covers(&self, client: ClientId, uid: Option<&Uid>) -> bool {
        self.clients.contains(&client) || uid.is_some_and(|uid| self.uids.contains(uid))
    }
}

/// The last shard has written the publish, or dropped it.
impl Drop for Publish {
    fn drop(&mut self) {
        metrics::histogram!("roomcast_push_seconds").record(self.posted_at.elapsed().as_secs_f64());
        // A shard that ended has not reported: the publisher must not wait for it.
        self.complete();
    }
}
