//! The events of a shard's connections for PHP's workers. The subscriber receives all events of a connection or none: a connection
//! is announced by its first event, and one without that event has no others.

use super::connection::Connection;
use super::events::{ConnectionEvent, EventKind, Handshake};
use super::registry::Slot;
use super::shard::Shard;
use super::stream::Stream;
use super::{ClientSession, Gateway};
use crate::domain::{id::ClientId, push::CloseCode};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Age of a connection up to which a worker's session is merged with one that changed meanwhile: a worker handles the first
/// event within this.
const MERGE_SESSIONS_WITHIN: Duration = Duration::from_secs(90);

/// Whether a worker may be computing the session of a connection from one that was changed since. A worker receives the session
/// with an event, and sets it as a whole after its callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SessionWatch {
    /// A worker's session replaces the stored one.
    Off,
    /// A worker was told of the connection, with the session that is stored.
    Unchanged,
    /// Another back end changed the session since. So many of the worker's sessions may come that do not contain the change: a
    /// worker sets one after each of its two callbacks for a handshake.
    Changed(u8),
}

impl<S: Stream> Shard<S> {
    /// Queues the first event of a connection. If it cannot, the subscriber receives nothing of the connection.
    pub(super) fn announce(&mut self, slot: Slot, handshake: Option<Box<Handshake>>) {
        if !self.event_sender.is_enabled() {
            return;
        }
        if handshake.is_some_and(|handshake| self.emit(slot, EventKind::Connected(handshake))) {
            self.watch_session(slot, SessionWatch::Unchanged);
        } else {
            self.event_sender.record_missed();
        }
    }

    /// Queues a message. A connection whose message is lost is closed, so that the client notices.
    pub(super) fn emit_message(&mut self, slot: Slot, message: Vec<u8>, now: Instant) {
        if self.is_announced(slot) && self.emit(slot, EventKind::Message(message)) {
            self.watch_session(slot, SessionWatch::Off);
        } else {
            metrics::counter!("roomcast_client_frames_dropped_total").increment(1);
            self.turn_away(slot, now);
        }
    }

    /// Queues the last event of an announced connection.
    pub(super) fn end_events(&mut self, slot: Slot) {
        if self.is_announced(slot) {
            self.emit(slot, EventKind::Disconnected);
        }
    }

    /// Records a change of the session that is not a worker's.
    pub(super) fn session_changed(&mut self, slot: Slot) {
        if let Some(connection) = self.connection(slot)
            && connection.announced == Some(SessionWatch::Unchanged)
        {
            connection.announced = Some(SessionWatch::Changed(2));
        }
    }

    /// Sets the session that a worker computed. If another back end changed it after the worker was told of the connection, its
    /// keys are kept beside the worker's.
    fn set_worker_session(&mut self, slot: Slot, session: Option<&ClientSession>, now: Instant) {
        let is_young = |connection: &Connection<S>| self.age(connection, now) < MERGE_SESSIONS_WITHIN;
        let watch = self.get(slot).filter(|connection| is_young(connection)).and_then(|connection| connection.announced);
        let merges = matches!(watch, Some(SessionWatch::Changed(_)));
        if let Some(SessionWatch::Changed(sessions)) = watch {
            let rest = sessions.saturating_sub(1);
            self.watch_session(slot, if rest > 0 { SessionWatch::Changed(rest) } else { SessionWatch::Off });
        }
        let Some(kept) = self.registry.session_of(slot) else { return };
        let merged = kept.as_ref().filter(|_| merges).and_then(|kept| ClientSession::extended(kept, session).ok());
        *kept = merged.or_else(|| session.cloned());
    }

    /// Closes a connection that no worker can be told of. Its page reconnects.
    fn turn_away(&mut self, slot: Slot, now: Instant) {
        self.close(slot, CloseCode::NO_WORKER, CloseCode::NO_WORKER.reason(), now);
    }

    fn is_announced(&self, slot: Slot) -> bool {
        self.get(slot).is_some_and(|connection| connection.announced.is_some())
    }

    fn watch_session(&mut self, slot: Slot, watch: SessionWatch) {
        if let Some(connection) = self.connection(slot) {
            connection.announced = Some(watch);
        }
    }

    /// Returns whether the event is queued.
    fn emit(&self, slot: Slot, kind: EventKind) -> bool {
        let (Some(connection), Some(client), Some(member)) = (self.get(slot), self.client_id(slot), self.registry.get(slot))
        else {
            return false;
        };
        let (address, port, session) = (connection.permit.address, connection.port, member.session().cloned());
        self.event_sender.send(ConnectionEvent { client, address, port, session, kind })
    }
}

impl Gateway {
    /// Ends the events of a connection, which stays open: its last event is queued. Does not wait.
    pub fn forget(&self, client: ClientId) {
        self.post_to_client(client, |shard, slot, _| {
            shard.end_events(slot);
            if let Some(connection) = shard.connection(slot) {
                connection.announced = None;
            }
        });
    }

    /// Closes a connection with [`CloseCode::NO_WORKER`]. Does not wait.
    pub fn turn_away(&self, client: ClientId) {
        self.post_to_client(client, |shard, slot, now| shard.turn_away(slot, now));
    }

    /// Closes up to about `count` connections that were not announced, and returns their number.
    pub async fn turn_away_unannounced(&self, count: usize) -> usize {
        let per_shard = count.div_ceil(self.shard_count());
        self.sum_over_shards(move |shard, now| {
            let slots: Vec<_> = shard.registry.all().filter(|slot| !shard.is_announced(*slot)).take(per_shard).collect();
            slots.iter().for_each(|slot| shard.turn_away(*slot, now));
            slots.len()
        })
        .await
    }

    /// Returns the sessions of connections that a worker is about to be told of. Those that are closed are left out.
    pub async fn sessions_to_tell(&self, clients: Vec<ClientId>) -> HashMap<ClientId, Option<ClientSession>> {
        let found = self.on_all_shards(move |shard, _| {
            let mut found = Vec::new();
            for client in &clients {
                let Some(slot) = shard.slot_of(*client).filter(|slot| shard.is_announced(*slot)) else { continue };
                shard.watch_session(slot, SessionWatch::Unchanged);
                found.push((*client, shard.registry.get(slot).and_then(|member| member.session().cloned())));
            }
            found
        });
        found.await.into_iter().flatten().collect()
    }

    /// Sets the session that a worker computed from the one it was told; `None` clears it. Keys that another back end set in
    /// the first moments of the connection, after the worker was told of it, are kept.
    pub async fn set_worker_session(&self, client: ClientId, session: Option<ClientSession>) -> bool {
        let bytes = session.as_ref().map_or(0, ClientSession::bytes);
        self.on_client_with(bytes, client, move |shard, slot, now| shard.set_worker_session(slot, session.as_ref(), now))
            .await
            .is_some()
    }
}
