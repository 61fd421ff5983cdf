//! The workers, the assignment of clients to them, and the events that none of them can take yet. Plain data: the router carries
//! out the actions that are returned.
//!
//! Each client is pinned to the name of one worker, also across that worker's reconnect. If the worker is absent at the next
//! event, the client is pinned to the worker with the fewest clients.

use super::held::{Held, HeldClient};
use super::link::{Connected, Link};
use crate::domain::id::ClientId;
use crate::server::gateway::{ClientSession, ConnectionEvent, EventKind};
use indexmap::IndexMap;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Bytes of events that wait for a worker. Messages use at most half of it.
pub(super) const MAX_HELD_BYTES: usize = 16 * 1024 * 1024;
/// The same before the first worker was seen, unless `gateway.workers` is on: most nodes have no workers.
pub(super) const MAX_HELD_BYTES_UNSEEN: usize = 256 * 1024;
/// Time for which an event waits for a worker.
pub(super) const HOLD_TIMEOUT: Duration = Duration::from_secs(60);
/// Clients that are turned away at once, because they waited in vain: their pages reconnect, and a node accepts about a thousand per
/// second.
pub(super) const TURN_AWAY_BATCH: usize = 250;

/// An action of the router on a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// Leave it open without events. It is turned away when a worker is there.
    Forget(ClientId),
    /// Close it, so that its page connects again.
    TurnAway(ClientId),
}

/// The workers and the clients.
pub(super) struct Table {
    /// By name. A new worker replaces the one of the same name.
    links: IndexMap<Arc<str>, Link>,
    /// By connection id (the last part of a client_id): the name of the client's worker.
    pins: HashMap<u32, Arc<str>>,
    /// The number of clients by name, also of workers that are absent.
    clients: HashMap<Arc<str>, usize>,
    next_number: u64,
    held: Held,
    /// `gateway.workers` is on: workers are expected at any time.
    always_expected: bool,
    was_seen: bool,
    /// Events are held. False when no worker was connected for [`HOLD_TIMEOUT`] and none is always expected.
    is_holding: bool,
    /// Since when no worker is connected.
    alone_since: Instant,
    /// Clients without events may be connected, and must be turned away.
    pub must_sweep: bool,
}

impl Table {
    /// No workers and no clients.
    pub(super) fn new(always_expected: bool, now: Instant) -> Self {
        Self {
            links: IndexMap::new(),
            pins: HashMap::new(),
            clients: HashMap::new(),
            next_number: 0,
            held: Held::default(),
            always_expected,
            was_seen: false,
            is_holding: true,
            alone_since: now,
            must_sweep: false,
        }
    }

    /// Adds a worker. One of the same name is replaced.
    pub(super) fn connect(&mut self, name: String, now: Instant) -> Connected {
        let (name, arrived, replaced) = (Arc::<str>::from(name), Arc::<Notify>::default(), CancellationToken::new());
        let number = self.next_number;
        self.next_number += 1;
        self.must_sweep |= self.links.is_empty();
        (self.was_seen, self.is_holding) = (true, true);
        let link = Link::new(number, arrived.clone(), replaced.clone());
        if let Some(before) = self.links.insert(name.clone(), link) {
            before.replaced.cancel();
            self.take_back(before.into_unsent(), now);
        }
        Connected { name, number, arrived, replaced }
    }

    /// Removes a worker, unless one of the same name has replaced it. The events that it was not sent wait for another one.
    pub(super) fn disconnect(&mut self, name: &str, number: u64, now: Instant) {
        if self.links.get(name).is_some_and(|link| link.number == number)
            && let Some(link) = self.links.shift_remove(name)
        {
            self.take_back(link.into_unsent(), now);
            self.alone_since = now;
        }
    }

    /// Takes the next event for a worker. The second value is true if there is space again for events that wait.
    pub(super) fn next_event(&mut self, name: &str, number: u64) -> Option<(Arc<ConnectionEvent>, bool)> {
        let link = self.links.get_mut(name).filter(|link| link.number == number)?;
        let had_space = link.has_space();
        let event = link.take()?;
        Some((event, !had_space && link.has_space() && !self.held.is_empty()))
    }

    /// Records that the first `count` events that a worker took are sent. It is told all others again, or another worker is.
    pub(super) fn sent(&mut self, name: &str, number: u64, count: usize) {
        if let Some(link) = self.links.get_mut(name).filter(|link| link.number == number) {
            link.sent(count);
        }
    }

    /// Returns true if no event is queued for a worker.
    pub(super) fn is_drained(&self, name: &str, number: u64) -> bool {
        self.links.get(name).filter(|link| link.number == number).is_none_or(Link::is_empty)
    }

    /// Queues an event for the client's worker, or holds it until one can take it.
    pub(super) fn accept(&mut self, event: ConnectionEvent, now: Instant) -> Option<Action> {
        let connection = event.client.connection;
        match self.held.get(connection) {
            // No worker was told of the client.
            Some(client) if !client.told && matches!(event.kind, EventKind::Disconnected) => {
                self.held.remove(connection);
                self.unpin(connection);
                None
            }
            Some(client) if client.is_given_up() => {
                count_dropped(1);
                None
            }
            Some(_) => self.hold(event, now),
            None => self.deliver(event).err().and_then(|event| self.hold(event, now)),
        }
    }

    /// Returns up to `count` clients whose events wait, from a place on: their places, and whether a worker was told of them.
    /// Empty if no worker has space.
    pub(super) fn waiting(&self, place: u64, count: usize) -> Vec<(u64, ClientId, bool)> {
        if !self.links.values().any(Link::has_space) {
            return Vec::new();
        }
        let waiting = self.held.from(place).filter(|(_, client)| !client.is_given_up());
        waiting.take(count).map(|(place, client)| (place, client.id, client.told)).collect()
    }

    /// Queues the events of a client that wait, as far as its worker can take them. `told` is the value that [`Self::waiting`]
    /// returned; `session` is the present one, for a client that is not told yet; without it that client is closed.
    pub(super) fn tell(&mut self, id: ClientId, told: bool, session: Option<&Option<ClientSession>>, now: Instant) {
        let connection = id.connection;
        // The worker that was told of it may have ended meanwhile: its session was not read.
        if self.held.get(connection).is_none_or(|client| client.told != told) {
            return;
        }
        if !told && session.is_none() {
            return self.give_up(id, now);
        }
        while let Some(mut event) = self.held.pop(connection) {
            if let Some(session) = session.filter(|_| !told) {
                event.session.clone_from(session);
            }
            if let Err(event) = self.deliver(event) {
                return self.held.push_front(event, now);
            }
        }
        self.held.settle(connection);
    }

    /// Drops events that waited for too long, of [`TURN_AWAY_BATCH`] clients that are closed. Must be called regularly.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Action> {
        if self.links.is_empty() && !self.always_expected {
            if !self.is_holding || now.duration_since(self.alone_since) < HOLD_TIMEOUT {
                return Vec::new();
            }
            self.is_holding = false;
            return self.drop_held(|_| true, usize::MAX, Action::Forget, now);
        }
        let is_due = |client: &HeldClient| now.duration_since(client.since) >= HOLD_TIMEOUT;
        self.drop_held(is_due, TURN_AWAY_BATCH, Action::TurnAway, now)
    }

    /// Drops events that wait, because no worker will connect to this process any more, of [`TURN_AWAY_BATCH`] clients. They are
    /// turned away only if the node has workers: on others they stay until the process drains them. The last event of a client
    /// waits on: this process may remain, if the other one does not start. Must be called regularly.
    pub(super) fn end_waiting(&mut self, now: Instant) -> Vec<Action> {
        let action: fn(ClientId) -> Action =
            if self.was_seen || self.always_expected { Action::TurnAway } else { Action::Forget };
        self.drop_held(|client| !client.has_left(), TURN_AWAY_BATCH, action, now)
    }

    /// Returns false if no event is held, because no worker is expected.
    pub(super) fn is_holding(&self) -> bool {
        self.is_holding
    }

    /// Connected workers.
    pub(super) fn worker_count(&self) -> usize {
        self.links.len()
    }

    /// Clients whose events wait.
    pub(super) fn waiting_clients(&self) -> usize {
        self.held.len()
    }

    fn drop_held(
        &mut self,
        is_due: impl Fn(&HeldClient) -> bool,
        count: usize,
        action: impl Fn(ClientId) -> Action,
        now: Instant,
    ) -> Vec<Action> {
        let due = self.held.from(0).map(|(_, client)| client).filter(|client| !client.is_given_up() && is_due(client));
        let due: Vec<_> = due.take(count).map(|client| (client.id, client.told)).collect();
        due.into_iter().filter(|(id, told)| self.drop_client(*id, *told, now)).map(|(id, _)| action(id)).collect()
    }

    /// Drops the events of a client. Returns false if it has disconnected.
    fn drop_client(&mut self, id: ClientId, told: bool, now: Instant) -> bool {
        let events = if told { self.held.remove(id.connection).map(|client| client.events) } else { None };
        let is_gone = events.iter().flatten().any(|event| matches!(event.kind, EventKind::Disconnected));
        count_dropped(events.as_ref().map_or(1, VecDeque::len));
        if !told {
            self.give_up(id, now);
        } else if is_gone {
            self.unpin(id.connection);
        }
        !is_gone
    }

    /// Holds an event that no worker can take. Without space for it, the client has no events from then on, or is turned away.
    fn hold(&mut self, mut event: ConnectionEvent, now: Instant) -> Option<Action> {
        let id = event.client;
        if self.held.has_space_for(&event, self.held_limit()) {
            self.held.push(event, now);
            return None;
        }
        if self.is_holding && matches!(event.kind, EventKind::Disconnected) {
            // A worker forgets a client at this event: it is held beyond the limit, without the session.
            event.session = None;
            self.held.push(event, now);
            return None;
        }
        count_dropped(1);
        match event.kind {
            EventKind::Connected(_) => {
                self.give_up(id, now);
                self.must_sweep = true;
                Some(Action::Forget(id))
            }
            EventKind::Message(_) => {
                if self.held.get(id.connection).is_some_and(|client| !client.told) {
                    self.give_up(id, now);
                }
                Some(Action::TurnAway(id))
            }
            EventKind::Disconnected => {
                self.held.remove(id.connection);
                self.unpin(id.connection);
                None
            }
        }
    }

    fn held_limit(&self) -> usize {
        match (self.is_holding, self.always_expected || self.was_seen) {
            (false, _) => 0,
            (true, true) => MAX_HELD_BYTES,
            (true, false) => MAX_HELD_BYTES_UNSEEN,
        }
    }

    /// Queues an event for a worker; returns it if none can take it.
    fn deliver(&mut self, mut event: ConnectionEvent) -> Result<(), ConnectionEvent> {
        let (connection, is_last) = (event.client.connection, matches!(event.kind, EventKind::Disconnected));
        let pinned = self.pins.get(&connection).filter(|name| self.links.contains_key(*name));
        let name = match pinned {
            Some(name) => name.clone(),
            None => {
                let count = |name: &Arc<str>| self.clients.get(name).copied().unwrap_or_default();
                let with_space = self.links.iter().filter(|(_, link)| is_last || link.fits(&event));
                let Some((name, _)) = with_space.min_by_key(|(name, _)| count(name)) else { return Err(event) };
                name.clone()
            }
        };
        let Some(link) = self.links.get_mut(&name) else { return Err(event) };
        if !link.fits(&event) {
            if !is_last {
                return Err(event);
            }
            // A worker forgets a client at this event, which is sent once: it is queued beyond the limit, without the session.
            event.session = None;
        }
        link.push(event);
        self.pin(connection, name, is_last);
        Ok(())
    }

    fn pin(&mut self, connection: u32, name: Arc<str>, is_last: bool) {
        if is_last {
            return self.unpin(connection);
        }
        if self.pins.get(&connection) != Some(&name) {
            self.unpin(connection);
            *self.clients.entry(name.clone()).or_default() += 1;
            self.pins.insert(connection, name);
        }
    }

    /// Drops the events of a client that no worker was told of, and will not be.
    fn give_up(&mut self, id: ClientId, now: Instant) {
        self.held.give_up(id, now);
        self.unpin(id.connection);
    }

    fn unpin(&mut self, connection: u32) {
        let Some(name) = self.pins.remove(&connection) else { return };
        if let Some(count) = self.clients.get_mut(&name) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&name);
            }
        }
    }

    /// Holds the events that a worker did not receive, before those of the same clients that wait already. A client that was not
    /// told and has disconnected is forgotten.
    fn take_back(&mut self, events: VecDeque<ConnectionEvent>, now: Instant) {
        for event in events.into_iter().rev() {
            let (connection, is_first) = (event.client.connection, matches!(event.kind, EventKind::Connected(_)));
            self.held.push_front(event, now);
            let last = self.held.get(connection).and_then(|client| client.events.back());
            if is_first && last.is_some_and(|event| matches!(event.kind, EventKind::Disconnected)) {
                self.held.remove(connection);
                self.unpin(connection);
            }
        }
    }
}

fn count_dropped(events: usize) {
    metrics::counter!("roomcast_php_worker_events_dropped_total").increment(events as u64);
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
