//! The gateway as the other floors see it, with GatewayWorker's verbs. Changes and queries run on the shard that owns the
//! connection, or on all shards; a publish is posted once to each shard.

use super::client_ids::ClientIds;
use super::connection::NewConnection;
use super::events::{self, EventReceiver, EventSender};
use super::idle::IdlePasses;
use super::limits::{ConnectionLimits, ConnectionPermit, LimitReached};
use super::live_groups::LiveGroups;
use super::outcome::{GroupChange, Kick, Sent};
use super::publish::Publish;
use super::relay::{Relay, Relayed};
use super::senders::Senders;
use super::session::{ClientSession, SessionError};
use super::shard::Shard;
use super::shard_thread::{OpenConnection, ShardCommand, ShardHandle};
use super::stream::{RawStream, Socket};
use super::{Credentials, Except, Group, LogicalTime, Publication, SocketOwner, Target, Uid};
use crate::domain::{id::ClientId, push::CloseCode};
use crate::server::config::GatewaySettings as Settings;
use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Bytes that a command counts against the budget beside its payload.
pub(super) const COMMAND_BYTES: usize = 512;

/// The push gateway of this node. Cheap to clone; all clones are one gateway.
#[derive(Clone)]
pub struct Gateway(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) settings: Arc<Settings>,
    pub(super) ids: ClientIds,
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) shards: Vec<ShardHandle>,
    pub(super) threads: Mutex<Vec<JoinHandle<()>>>,
    /// Bytes of commands that may be queued for all shards together; a poster waits for its share.
    pub(super) command_budget: Arc<Semaphore>,
    /// Connections opened so far: modulo the number of shards, the shard of the next one.
    pub(super) next: AtomicUsize,
    /// The next [`LogicalTime`]: numbers opens, binds and joins, so that lists of several shards can be sorted.
    pub(super) logical_clock: AtomicU32,
    pub(super) idle_passes: IdlePasses,
    /// Forwards publishes to the old process after a reload.
    pub(super) relay: Relay,
    pub(super) live_groups: LiveGroups,
    pub(super) senders: Senders,
    pub(super) event_sender: Arc<EventSender>,
    pub(super) events: Mutex<Option<EventReceiver>>,
    /// Held while a publish is posted to the shards, so that all shards see publishes in one order.
    pub(super) posting: Mutex<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for shard in &self.shards {
            shard.post(ShardCommand::Stop);
        }
    }
}

impl Gateway {
    /// Starts the shards' threads. [`Gateway::drain`] ends them, and so does dropping the last clone. Fails if a thread or its
    /// poll cannot be created.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let shards = match settings.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            shards => shards,
        };
        let (ids, settings) = (ClientIds::new(settings.lan_addr, shards), Arc::new(settings));
        let (event_sender, events) = events::channel();
        let live_groups = LiveGroups::new(shards);
        let started = (0..shards)
            .map(|index| ShardHandle::start(index, settings.clone(), ids, event_sender.clone(), live_groups.of_shard(index)));
        let (shards, threads) = started.collect::<io::Result<(Vec<_>, Vec<_>)>>()?;
        Ok(Self(Arc::new(Shared {
            ids,
            limits: Arc::new(ConnectionLimits::new(&settings)),
            shards,
            threads: Mutex::new(threads),
            command_budget: Arc::new(Semaphore::new(settings.command_bytes.max(COMMAND_BYTES))),
            next: AtomicUsize::new(0),
            logical_clock: AtomicU32::new(0),
            idle_passes: IdlePasses::default(),
            event_sender,
            events: Mutex::new(Some(events)),
            posting: Mutex::new(()),
            relay: Relay::default(),
            live_groups,
            senders: Senders::default(),
            settings,
        })))
    }

    /// Reserves a connection before its handshake. Fails with the limit that is reached.
    pub fn reserve_connection(&self, address: IpAddr, opened: Credentials) -> Result<ConnectionPermit, LimitReached> {
        self.close_idle_if_nearly_full();
        self.0.limits.reserve(address, opened)
    }

    /// Hands a stream to a shard after its handshake. The shard sends `init` and serves it until it closes.
    pub async fn connect(&self, stream: RawStream, new: NewConnection) {
        let opened_at = self.logical_now();
        let shard = self.0.next.fetch_add(1, Ordering::Relaxed) % self.0.shards.len();
        let permit = self.reserve_budget(COMMAND_BYTES).await;
        self.0.shards[shard].post(ShardCommand::Open(Box::new(OpenConnection { stream, new, opened_at })));
        drop(permit);
    }

    // Events

    /// Returns the event receiver, once. `None`: it was taken before.
    pub fn take_events(&self) -> Option<EventReceiver> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether new connections are announced to a subscriber.
    pub fn has_subscriber(&self) -> bool {
        self.0.event_sender.is_enabled()
    }

    // Sending

    /// Sends to all connections, or to those of `only`, each once.
    pub async fn send_to_all(&self, only: Option<Vec<ClientId>>, except: Except, publication: Publication) -> Sent {
        self.publish(only.map_or(Target::All, Target::Clients), except, publication).await
    }

    /// Sends to one connection.
    pub async fn send_to_client(&self, client: ClientId, publication: Publication) -> Sent {
        self.publish(Target::Clients(vec![client]), Except::default(), publication).await
    }

    /// Sends to every connection of these uids; a repeated uid receives it again.
    pub async fn send_to_uid(&self, uids: Vec<Uid>, except: Except, publication: Publication) -> Sent {
        self.publish(Target::Uids(uids), except, publication).await
    }

    /// Sends to every member of these groups; a member of several of them receives it several times.
    pub async fn send_to_group(&self, groups: Vec<Group>, except: Except, publication: Publication) -> Sent {
        self.publish(Target::Groups(groups), except, publication).await
    }

    async fn publish(&self, target: Target, except: Except, publication: Publication) -> Sent {
        self.0.relay.forward(&target, &except, &publication);
        self.publish_here(target, except, publication).await
    }

    /// Sends a publish that the new process forwarded, to the connections that this process still drains.
    pub async fn publish_relayed(&self, Relayed { target, except, publication }: Relayed) {
        drop(self.publish_here(target, except, publication).await);
    }

    /// Starts forwarding every publish to the old process, until the receiver is dropped.
    pub fn relay(&self) -> mpsc::Receiver<(Relayed, OwnedSemaphorePermit)> {
        self.0.relay.attach()
    }

    pub(super) async fn publish_here(&self, mut target: Target, except: Except, publication: Publication) -> Sent {
        let mut shards: Vec<_> = (0..self.0.shards.len()).collect();
        if let Target::Clients(clients) = &mut target {
            // Each id once, and only ids of this node.
            clients.sort_unstable_by_key(|client| client.connection);
            clients.dedup();
            clients.retain(|client| self.0.ids.shard(*client).is_some());
            shards.retain(|shard| clients.iter().any(|client| self.0.ids.shard(*client) == Some(*shard)));
        }
        let permit = self.reserve_budget(COMMAND_BYTES + publication.weight() + target.weight() + except.weight()).await;
        let (publish, report) = Publish::new(target, except, publication, shards.len(), permit);
        let publish = Arc::new(publish);
        // Serialises posting, so that every shard sees publishes in one order.
        let _in_order = self.0.posting.lock().unwrap_or_else(PoisonError::into_inner);
        for shard in shards {
            self.0.shards[shard].post(ShardCommand::Publish(publish.clone()));
        }
        Sent(report)
    }

    // Connections. `None` and `false`: no such connection on this node.

    /// Whether the connection is open on this node.
    pub async fn is_online(&self, client: ClientId) -> bool {
        self.on_client(client, |_, _, _| ()).await.is_some()
    }

    /// Sends the queued frames, the farewell and a close frame, then closes the connection.
    pub async fn close_client(&self, client: ClientId, farewell: Option<Publication>, kick: Kick) -> bool {
        let bytes = farewell.as_ref().map_or(0, Publication::weight);
        let close = move |shard: &mut Shard<Socket>, slot, now| shard.close_with_farewell(&[slot], farewell.as_ref(), &kick, now);
        self.on_client_with(bytes, client, close).await.is_some()
    }

    /// Closes the connection at once, without a close frame. Queued frames that the socket does not accept at once are lost.
    pub async fn destroy_client(&self, client: ClientId) -> bool {
        self.on_client(client, |shard, slot, now| shard.destroy(slot, now)).await.is_some()
    }

    /// Closes every connection of a uid and returns their number. The farewell counts against the command budget once per shard.
    pub async fn close_uid(&self, uid: Uid, farewell: Option<Publication>, kick: Kick) -> usize {
        let bytes = farewell.as_ref().map_or(0, Publication::weight);
        let close = move |shard: &mut Shard<Socket>, now| {
            let slots = shard.of_uid(&uid);
            shard.close_with_farewell(&slots, farewell.as_ref(), &kick, now);
            slots.len()
        };
        self.on_all_shards_with(bytes, close).await.into_iter().sum()
    }

    /// Closes every connection whose owner is one of `owners` and returns their number.
    pub async fn close_owners(&self, owners: impl IntoIterator<Item = SocketOwner>, code: CloseCode) -> usize {
        let owners: Arc<HashSet<SocketOwner>> = Arc::new(owners.into_iter().collect());
        if owners.is_empty() {
            return 0;
        }
        self.sum_over_shards(move |shard, now| {
            let slots = shard.of_owners(&owners);
            shard.close_all(slots, code, code.reason(), now)
        })
        .await
    }

    // People and groups

    /// Binds the connection to a uid, in place of an earlier one. A uid may have many connections.
    pub async fn bind_uid(&self, client: ClientId, uid: Uid) -> bool {
        let now = self.logical_now();
        self.on_client(client, move |shard, slot, _| shard.registry.bind_uid(slot, &uid, now)).await.is_some()
    }

    /// Removes the connection's uid.
    pub async fn unbind_uid(&self, client: ClientId) -> bool {
        self.on_client(client, |shard, slot, _| shard.registry.unbind_uid(slot)).await.is_some()
    }

    /// Adds the connection to the group. Joining twice is [`GroupChange::Unchanged`].
    pub async fn join_group(&self, client: ClientId, group: Group) -> GroupChange {
        let now = self.logical_now();
        self.on_client(client, move |shard, slot, _| shard.registry.join_group(slot, &group, now)).await.into()
    }

    /// Removes the connection from the group. Leaving a group that it is not in is [`GroupChange::Unchanged`].
    pub async fn leave_group(&self, client: ClientId, group: Group) -> GroupChange {
        self.on_client(client, move |shard, slot, _| shard.registry.leave_group(slot, &group)).await.into()
    }

    /// Removes all members from the group and returns their number. Their connections stay open.
    pub async fn ungroup(&self, group: Group) -> usize {
        self.sum_over_shards(move |shard, _| shard.registry.ungroup(&group)).await
    }

    // Sessions

    /// Sets the connection's session; `None` clears it.
    pub async fn set_session(&self, client: ClientId, session: Option<ClientSession>) -> bool {
        self.on_client_with(session.as_ref().map_or(0, ClientSession::bytes), client, move |shard, slot, _| {
            // Cloned on the shard's thread, and so into its allocator arena: a long-lived session must not keep pages of
            // short-lived data allocated.
            shard.session_changed(slot);
            shard.registry.session_of(slot).map(|kept| *kept = session.clone())
        })
        .await
        .is_some()
    }

    /// Merges `update` into the connection's session, recursively. On an error the session is unchanged.
    pub async fn update_session(&self, client: ClientId, update: ClientSession) -> Option<Result<(), SessionError>> {
        self.on_client_with(update.bytes(), client, move |shard, slot, _| {
            let Some(kept) = shard.registry.session_of(slot) else { return Ok(()) };
            *kept = Some(ClientSession::merged(kept.as_ref(), &update)?);
            shard.session_changed(slot);
            Ok(())
        })
        .await
    }

    /// Returns the next logical time.
    pub(super) fn logical_now(&self) -> LogicalTime {
        LogicalTime(self.0.logical_clock.fetch_add(1, Ordering::Relaxed))
    }
}
