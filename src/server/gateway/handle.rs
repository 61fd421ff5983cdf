//! The gateway as the other floors see it: GatewayWorker's verbs. What changes or asks goes to the shard that owns the
//! connection, or to all; what is pushed goes to each shard once.

use super::client_ids::ClientIds;
use super::connection::NewConnection;
use super::events::{self, EventReceiver, EventSender};
use super::limits::{ConnectionLimits, ConnectionPermit, LimitReached};
use super::publish::Publish;
use super::registry::Slot;
use super::relay::{Relay, Relayed};
use super::session::{ClientSession, SessionError};
use super::shard::Shard;
use super::shard_thread::{Command, Handle, Opening};
use super::stream::{RawStream, Socket};
use super::{Delivered, Dialect, Except, Frame, Group, LogicalTime, Publication, SocketOwner, Target, Uid};
use crate::domain::{id::ClientId, push::CloseCode};
use crate::server::config::GatewaySettings as Settings;
use std::hash::RandomState;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::unconstrained;

/// What a command weighs beside its payload, in bytes.
const COMMAND_BYTES: usize = 512;
/// Steps in which a draining node says `bye`, and how many at least leave in one.
const DRAIN_STEPS: u32 = 20;
const DRAIN_AT_ONCE: usize = 100;

/// The facade. Cheap to clone; all clones are one gateway.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

struct Shared {
    settings: Arc<Settings>,
    ids: ClientIds,
    limits: Arc<ConnectionLimits>,
    shards: Vec<Handle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Bytes that may wait for the shards, all together: whoever posts more waits.
    room: Arc<Semaphore>,
    /// The shard that takes the next connection, in turns.
    next: AtomicUsize,
    /// What the next thing to happen is numbered.
    logical_clock: AtomicU32,
    /// To the process that handed over to this one, while it has people.
    relay: Relay,
    event_sender: Arc<EventSender>,
    events: Mutex<Option<EventReceiver>>,
    /// Held while a publish is posted to the shards.
    posting: Mutex<()>,
    /// Hashes uids alike on every shard.
    hasher: RandomState,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for shard in &self.shards {
            shard.post(Command::Stop);
        }
    }
}

/// Why a connection is closed, as its page is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kick {
    pub code: CloseCode,
    pub reason: String,
    /// Pages without the subprotocol get no close frame, as they got none from GatewayWorker.
    pub silent_on_plain: bool,
}

impl From<CloseCode> for Kick {
    fn from(code: CloseCode) -> Self {
        Self { code, reason: code.reason().into(), silent_on_plain: false }
    }
}

/// Result of [`Gateway::bind`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindOutcome {
    Bound,
    /// Another session opened the connection.
    NotOwner,
    /// No such connection on this node.
    NotFound,
}

/// Result of [`Gateway::join_group`] and [`Gateway::leave_group`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupChange {
    Changed,
    /// The connection was already in the group, or was not in it.
    Unchanged,
    /// No such connection on this node.
    NotFound,
}

impl GroupChange {
    /// Whether the connection exists on this node.
    pub fn is_found(self) -> bool {
        self != Self::NotFound
    }
}

impl From<Option<bool>> for GroupChange {
    fn from(changed: Option<bool>) -> Self {
        match changed {
            Some(true) => Self::Changed,
            Some(false) => Self::Unchanged,
            None => Self::NotFound,
        }
    }
}

/// A publish that is with every shard; what became of it may be waited for, or not.
#[must_use = "a publish tells what became of it: `delivered`, or drop it"]
pub struct Sent(oneshot::Receiver<Delivered>);

impl Sent {
    /// Resolves when every shard has queued it: it leaves with their next write.
    pub async fn delivered(self) -> Delivered {
        self.0.await.unwrap_or_default()
    }
}

impl Gateway {
    /// Starts the shards' threads; [`Gateway::drain`] ends them, and so does dropping the last clone.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let shards = match settings.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            shards => shards,
        };
        let (ids, settings) = (ClientIds::new(settings.lan_addr, shards), Arc::new(settings));
        let (event_sender, events) = events::channel();
        let started = (0..shards).map(|index| Handle::start(index, settings.clone(), ids, event_sender.clone()));
        let (shards, threads) = started.collect::<io::Result<(Vec<_>, Vec<_>)>>()?;
        Ok(Self(Arc::new(Shared {
            ids,
            limits: Arc::new(ConnectionLimits::new(&settings)),
            shards,
            threads: Mutex::new(threads),
            room: Arc::new(Semaphore::new(settings.command_bytes.max(COMMAND_BYTES))),
            next: AtomicUsize::new(0),
            logical_clock: AtomicU32::new(0),
            event_sender,
            events: Mutex::new(Some(events)),
            posting: Mutex::new(()),
            relay: Relay::default(),
            hasher: RandomState::new(),
            settings,
        })))
    }

    /// A place for a connection whose handshake begins; held while it lasts.
    pub fn reserve_connection(&self, address: IpAddr, owner: Option<SocketOwner>) -> Result<ConnectionPermit, LimitReached> {
        self.0.limits.take(address, owner)
    }

    /// Takes a stream whose handshake is done, tells it who it is, and serves it until it ends.
    pub async fn connect(&self, stream: RawStream, new: NewConnection) {
        let since = self.logical_now();
        let shard = self.0.next.fetch_add(1, Ordering::Relaxed) % self.0.shards.len();
        let room = self.room(COMMAND_BYTES).await;
        self.0.shards[shard].post(Command::Open(Box::new(Opening { stream, new, since })));
        drop(room);
    }

    // What happens to connections

    /// For the one listener there is. `None`: there is one already.
    pub fn listen(&self) -> Option<EventReceiver> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Is anybody told what happens?
    pub fn has_subscriber(&self) -> bool {
        self.0.event_sender.is_enabled()
    }

    // Sending

    /// To everyone, or to those named, each once.
    pub async fn send_to_all(&self, only: Option<Vec<ClientId>>, except: Except, publication: Publication) -> Sent {
        self.publish(only.map_or(Target::All, Target::Clients), except, publication).await
    }

    pub async fn send_to_client(&self, client: ClientId, publication: Publication) -> Sent {
        self.publish(Target::Clients(vec![client]), Except::default(), publication).await
    }

    /// To every connection of these people; a repeated uid gets it again.
    pub async fn send_to_uid(&self, uids: Vec<Uid>, except: Except, publication: Publication) -> Sent {
        self.publish(Target::Uids(uids), except, publication).await
    }

    /// To every member; who is in several of the groups gets it several times.
    pub async fn send_to_group(&self, groups: Vec<Group>, except: Except, publication: Publication) -> Sent {
        self.publish(Target::Groups(groups), except, publication).await
    }

    async fn publish(&self, target: Target, except: Except, publication: Publication) -> Sent {
        self.0.relay.hand_on(&target, &except, &publication);
        self.publish_here(target, except, publication).await
    }

    /// What the process that took over from this one pushes, for those who are still here.
    pub async fn publish_relayed(&self, Relayed { target, except, publication }: Relayed) {
        drop(self.publish_here(target, except, publication).await);
    }

    /// From now on every publish is handed on, too, until the receiver is dropped.
    pub fn relay(&self) -> mpsc::Receiver<(Relayed, OwnedSemaphorePermit)> {
        self.0.relay.begin()
    }

    async fn publish_here(&self, mut target: Target, except: Except, publication: Publication) -> Sent {
        let mut shards: Vec<_> = (0..self.0.shards.len()).collect();
        if let Target::Clients(clients) = &mut target {
            // A name once, and only names of this node.
            clients.sort_unstable_by_key(|client| client.connection);
            clients.dedup();
            clients.retain(|client| self.0.ids.shard(*client).is_some());
            shards.retain(|shard| clients.iter().any(|client| self.0.ids.shard(*client) == Some(*shard)));
        }
        let room = self.room(COMMAND_BYTES + publication.weight() + target.weight() + except.weight()).await;
        let (publish, report) = Publish::new(target, except, publication, shards.len(), room);
        let publish = Arc::new(publish);
        // Two publishes are in one order on all shards, and so before all eyes.
        let _in_order = self.0.posting.lock().unwrap_or_else(PoisonError::into_inner);
        for shard in shards {
            self.0.shards[shard].post(Command::Publish(publish.clone()));
        }
        Sent(report)
    }

    // Connections. `None` and `false`: no such connection here.

    pub async fn is_online(&self, client: ClientId) -> bool {
        self.on(client, |_, _, _| ()).await.is_some()
    }

    /// After what is queued and the farewell, the close frame is sent, and then the connection ends.
    pub async fn close_client(&self, client: ClientId, farewell: Option<Publication>, kick: Kick) -> bool {
        let bytes = farewell.as_ref().map_or(0, Publication::weight);
        let close = move |shard: &mut Shard<Socket>, slot, now| say_and_close(shard, &[slot], farewell.as_ref(), &kick, now);
        self.on_with(bytes, client, close).await.is_some()
    }

    /// At once: no farewell, no close frame; what its peer does not take at once is lost.
    pub async fn destroy_client(&self, client: ClientId) -> bool {
        self.on(client, |shard, slot, now| shard.destroy(slot, now)).await.is_some()
    }

    /// Every connection of a person. How many there were.
    pub async fn close_uid(&self, uid: Uid, farewell: Option<Publication>, kick: Kick) -> usize {
        self.sum(move |shard, now| {
            let slots = shard.of_uid(&uid);
            say_and_close(shard, &slots, farewell.as_ref(), &kick, now);
            slots.len()
        })
        .await
    }

    /// Every connection that `owner` opened. How many there were.
    pub async fn close_owner(&self, owner: SocketOwner, code: CloseCode) -> usize {
        self.sum(move |shard, now| {
            let slots = shard.of_owner(owner);
            shard.close_all_of(slots, code, code.reason(), now)
        })
        .await
    }

    // People and groups

    /// One uid a client, the last one wins; many clients a uid.
    pub async fn bind_uid(&self, client: ClientId, uid: Uid) -> bool {
        let now = self.logical_now();
        self.on(client, move |shard, slot, _| shard.registry.bind_uid(slot, &uid, now)).await.is_some()
    }

    /// Takes the uid away, whatever it is.
    pub async fn unbind_uid(&self, client: ClientId) -> bool {
        self.on(client, |shard, slot, _| shard.registry.unbind_uid(slot)).await.is_some()
    }

    /// Adds the connection to the group. Joining twice is [`GroupChange::Unchanged`].
    pub async fn join_group(&self, client: ClientId, group: Group) -> GroupChange {
        let now = self.logical_now();
        self.on(client, move |shard, slot, _| shard.registry.join_group(slot, &group, now)).await.into()
    }

    /// Removes the connection from the group. Leaving a group it is not in is [`GroupChange::Unchanged`].
    pub async fn leave_group(&self, client: ClientId, group: Group) -> GroupChange {
        self.on(client, move |shard, slot, _| shard.registry.leave_group(slot, &group)).await.into()
    }

    /// Everyone leaves it; their connections stay. How many were in it.
    pub async fn ungroup(&self, group: Group) -> usize {
        self.sum(move |shard, _| shard.registry.ungroup(&group)).await
    }

    /// Binds the connection to `uid` and adds it to `group` in one step, if `owner` opened it.
    pub async fn bind(&self, client: ClientId, owner: SocketOwner, uid: Uid, group: Group) -> BindOutcome {
        let now = self.logical_now();
        self.on(client, move |shard, slot, _| {
            let is_owner = shard.get(slot).is_some_and(|connection| connection.permit.owner() == Some(owner));
            if is_owner {
                shard.registry.bind_uid(slot, &uid, now);
                shard.registry.join_group(slot, &group, now);
            }
            is_owner
        })
        .await
        .map_or(BindOutcome::NotFound, |is_owner| if is_owner { BindOutcome::Bound } else { BindOutcome::NotOwner })
    }

    // Sessions

    /// `None` takes it away.
    pub async fn set_session(&self, client: ClientId, session: Option<ClientSession>) -> bool {
        self.on_with(session.as_ref().map_or(0, ClientSession::bytes), client, move |shard, slot, _| {
            // Copied, as a name is: it is kept long, in the shard's own memory.
            shard.registry.session_of(slot).map(|kept| *kept = session.clone())
        })
        .await
        .is_some()
    }

    /// Merges recursively. `Err`: it would grow too large, or one of them cannot be read; it stays as it was.
    pub async fn update_session(&self, client: ClientId, update: ClientSession) -> Option<Result<(), SessionError>> {
        self.on_with(update.bytes(), client, move |shard, slot, _| {
            let Some(kept) = shard.registry.session_of(slot) else { return Ok(()) };
            *kept = Some(ClientSession::merged(kept.as_ref(), &update)?);
            Ok(())
        })
        .await
    }

    // Leaving

    /// Lets nobody else in and says `bye` to everyone, in jittered batches over half of `within`, each with its own time to
    /// come back. Whoever is left at the end of it is cut off. Then the shards are gone.
    pub async fn drain(&self, within: Duration) {
        let deadline = tokio::time::Instant::now() + within;
        self.0.limits.close();
        let leaving = self.connection_count();
        // A fresh node takes about a thousand handshakes a second without strain: spread the return over that.
        let spread_ms = (leaving as u64).clamp(1_000, 30_000);
        let step = within / 2 / DRAIN_STEPS;
        let shards = self.0.shards.len();
        let at_once = leaving.div_ceil(DRAIN_STEPS as usize).max(DRAIN_AT_ONCE).div_ceil(shards);
        let say_bye = async {
            let mut seen_off = 0;
            while seen_off < leaving {
                let again = move || 200 + rand::random_range(0..spread_ms);
                self.sum(move |shard, now| {
                    shard.see_off(at_once, again, now);
                    0
                })
                .await;
                seen_off += at_once * shards;
                if seen_off < leaving {
                    tokio::time::sleep(step.mul_f64(rand::random_range(0.5..1.5))).await;
                }
            }
            // Those whose handshake was under way when it began, and the last of an uneven shard.
            self.sum(move |shard, now| {
                shard.see_off(usize::MAX, || 200 + rand::random_range(0..spread_ms), now);
                0
            })
            .await;
            self.0.limits.all_left().await;
        };
        let _ = tokio::time::timeout_at(deadline, say_bye).await;
        for shard in &self.0.shards {
            shard.post(Command::Stop);
        }
        let threads = std::mem::take(&mut *self.0.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| _ = thread.join())).await;
    }

    /// Connections, and handshakes on their way to become one.
    pub fn connection_count(&self) -> usize {
        self.0.limits.count()
    }

    /// The bounds' figures, for whoever shows them now.
    pub fn record_metrics(&self) {
        metrics::gauge!("roomcast_connections").set(self.connection_count() as f64);
        metrics::gauge!("roomcast_connections_max").set(self.0.settings.max_connections as f64);
        metrics::gauge!("roomcast_handshakes").set(self.0.limits.handshakes() as f64);
        let waiting = self.0.settings.command_bytes.max(COMMAND_BYTES).saturating_sub(self.0.room.available_permits());
        metrics::gauge!("roomcast_command_bytes").set(waiting as f64);
        metrics::gauge!("roomcast_command_bytes_max").set(self.0.settings.command_bytes as f64);
    }

    /// The number of what happens now.
    pub(super) fn logical_now(&self) -> LogicalTime {
        LogicalTime(self.0.logical_clock.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn hasher(&self) -> &RandomState {
        &self.0.hasher
    }

    /// Done by the shard that owns the connection.
    pub(super) async fn on<T: Send + 'static>(
        &self,
        client: ClientId,
        act: impl FnOnce(&mut Shard<Socket>, Slot, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        self.on_with(0, client, act).await
    }

    /// The same; `bytes` is what it brings along.
    async fn on_with<T: Send + 'static>(
        &self,
        bytes: usize,
        client: ClientId,
        act: impl FnOnce(&mut Shard<Socket>, Slot, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        let shard = self.0.ids.shard(client)?;
        let found = self.ask(shard, bytes, move |shard, now| {
            let slot = shard.registry.slot_of(client.connection)?;
            Some(act(shard, slot, now))
        });
        found.await.flatten()
    }

    /// Done by every shard, all at once; one that is gone does not answer.
    pub(super) async fn all<T: Send + 'static>(
        &self,
        act: impl Fn(&mut Shard<Socket>, Instant) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let asked = (0..self.0.shards.len()).map(|shard| self.ask(shard, 0, act.clone()));
        futures_util::future::join_all(asked).await.into_iter().flatten().collect()
    }

    pub(super) async fn sum(&self, act: impl Fn(&mut Shard<Socket>, Instant) -> usize + Clone + Send + 'static) -> usize {
        self.all(act).await.into_iter().sum()
    }

    async fn ask<T: Send + 'static>(
        &self,
        shard: usize,
        bytes: usize,
        act: impl FnOnce(&mut Shard<Socket>, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let room = self.room(COMMAND_BYTES + bytes).await;
        // Whoever asked may be gone.
        let act = move |shard: &mut Shard<Socket>, now: Instant| _ = answer.send(act(shard, now));
        self.0.shards[shard].post(Command::Do(Box::new(act), room));
        answered.await.ok()
    }

    /// Waits while the shards have too much before them; who asks first goes first, also where a task that asks much is made
    /// to pause (tokio's cooperative budget). The semaphore is never closed.
    async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = bytes.min(self.0.settings.command_bytes.max(COMMAND_BYTES));
        unconstrained(self.0.room.clone().acquire_many_owned(bytes as u32)).await.ok()
    }
}

fn say_and_close(shard: &mut Shard<Socket>, slots: &[Slot], farewell: Option<&Publication>, kick: &Kick, now: Instant) {
    for slot in slots {
        let dialect = shard.get(*slot).map(|connection| connection.dialect);
        let frame: Option<&Frame> = farewell.and_then(|farewell| match dialect {
            Some(Dialect::V1) => farewell.v1.as_ref(),
            _ => farewell.plain.as_ref(),
        });
        if let Some(frame) = frame {
            shard.say_farewell(*slot, frame);
        }
        if kick.silent_on_plain && dialect == Some(Dialect::Plain) {
            shard.hang_up(*slot, kick.code, now);
        } else {
            shard.close(*slot, kick.code, &kick.reason, now);
        }
    }
}
