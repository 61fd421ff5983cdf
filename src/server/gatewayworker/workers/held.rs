//! The events that no worker could take yet. Those of one client stay together and in order. The caller bounds their bytes.

use crate::domain::id::ClientId;
use crate::server::gateway::{ConnectionEvent, EventKind};
use std::collections::{BTreeMap, HashMap, VecDeque};
use tokio::time::Instant;

/// Bytes of one client's first event, and of its messages.
const MAX_HANDSHAKE_BYTES: usize = 16 * 1024;
const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// The clients with held events, in the order of their first one.
#[derive(Default)]
pub(super) struct Held {
    clients: BTreeMap<u64, HeldClient>,
    /// By connection id: the client's key in `clients`.
    places: HashMap<u32, u64>,
    next_place: u64,
    /// Of all events.
    pub bytes: usize,
    /// Of the messages among them.
    pub message_bytes: usize,
}

/// A client and its held events.
pub(super) struct HeldClient {
    pub id: ClientId,
    /// Whether a worker was told of the client. Without events and not told, the client will not be told, and waits for its last
    /// event only.
    pub told: bool,
    pub since: Instant,
    pub events: VecDeque<ConnectionEvent>,
}

impl HeldClient {
    /// Returns true if the client will not be told.
    pub(super) fn is_given_up(&self) -> bool {
        !self.told && self.events.is_empty()
    }

    /// Returns true if its last event waits.
    pub(super) fn has_left(&self) -> bool {
        self.events.back().is_some_and(|event| matches!(event.kind, EventKind::Disconnected))
    }

    /// Bytes of its events.
    pub(super) fn bytes(&self) -> usize {
        self.events.iter().map(ConnectionEvent::weight).sum()
    }
}

impl Held {
    /// Returns true if no client is held.
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Clients with events that wait.
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Returns a client.
    pub(super) fn get(&self, connection: u32) -> Option<&HeldClient> {
        self.clients.get(self.places.get(&connection)?)
    }

    /// Returns the clients from a place on, with their places.
    pub(super) fn from(&self, place: u64) -> impl Iterator<Item = (u64, &HeldClient)> {
        self.clients.range(place..).map(|(place, client)| (*place, client))
    }

    /// Appends an event to those of its client. A client without held events was told before, unless this is its first event.
    pub(super) fn push(&mut self, event: ConnectionEvent, now: Instant) {
        let told = !matches!(event.kind, EventKind::Connected(_));
        self.count(&event);
        self.entry(event.client, told, now).events.push_back(event);
    }

    /// Puts an event before those of its client.
    pub(super) fn push_front(&mut self, event: ConnectionEvent, now: Instant) {
        let told = !matches!(event.kind, EventKind::Connected(_));
        self.count(&event);
        let client = self.entry(event.client, told, now);
        client.told &= told;
        client.events.push_front(event);
    }

    /// Drops the events of a client, which will not be told.
    pub(super) fn give_up(&mut self, id: ClientId, now: Instant) {
        let client = self.entry(id, false, now);
        client.told = false;
        let events = std::mem::take(&mut client.events);
        events.iter().for_each(|event| self.discount(event));
    }

    /// Removes a client with its events.
    pub(super) fn remove(&mut self, connection: u32) -> Option<HeldClient> {
        let client = self.clients.remove(&self.places.remove(&connection)?)?;
        client.events.iter().for_each(|event| self.discount(event));
        Some(client)
    }

    /// Takes the first event of a client, which keeps its place until [`Held::settle`].
    pub(super) fn pop(&mut self, connection: u32) -> Option<ConnectionEvent> {
        let client = self.clients.get_mut(self.places.get(&connection)?)?;
        let event = client.events.pop_front()?;
        client.told = true;
        self.discount(&event);
        Some(event)
    }

    /// Removes a client that has no events left.
    pub(super) fn settle(&mut self, connection: u32) {
        if self.get(connection).is_some_and(|client| client.events.is_empty()) {
            self.remove(connection);
        }
    }

    /// Returns true if the event can be held, with `limit` bytes for all events.
    pub(super) fn has_space_for(&self, event: &ConnectionEvent, limit: usize) -> bool {
        let (bytes, all) = (event.weight(), self.bytes + event.weight());
        match event.kind {
            EventKind::Connected(_) => bytes <= MAX_HANDSHAKE_BYTES && all <= limit,
            EventKind::Message(_) => {
                let of_client = self.get(event.client.connection).map_or(0, HeldClient::bytes);
                of_client + bytes <= MAX_MESSAGE_BYTES && self.message_bytes + bytes <= limit / 2 && all <= limit
            }
            EventKind::Disconnected => all <= limit,
        }
    }

    fn count(&mut self, event: &ConnectionEvent) {
        self.bytes += event.weight();
        self.message_bytes += message_bytes(event);
    }

    fn discount(&mut self, event: &ConnectionEvent) {
        self.bytes -= event.weight();
        self.message_bytes -= message_bytes(event);
    }

    fn entry(&mut self, id: ClientId, told: bool, now: Instant) -> &mut HeldClient {
        let place = *self.places.entry(id.connection).or_insert_with(|| {
            self.next_place += 1;
            self.next_place
        });
        self.clients.entry(place).or_insert_with(|| HeldClient { id, told, since: now, events: VecDeque::new() })
    }
}

fn message_bytes(event: &ConnectionEvent) -> usize {
    if matches!(event.kind, EventKind::Message(_)) { event.weight() } else { 0 }
}
