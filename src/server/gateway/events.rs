//! Connection events for one subscriber: connected, message, disconnected.
//!
//! Without a subscriber a shard only checks a flag. The queue is bounded in bytes, and a shard never waits: a connection whose
//! first event does not fit is not announced, and one whose message does not fit is closed.

use super::ClientSession;
use crate::domain::id::ClientId;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Bytes that may be queued for the subscriber.
const MAX_WAITING_BYTES: usize = 10 * 1024 * 1024;
/// Polls of [`Subscription::drained`], 5 ms apart: it returns after one second at the latest.
const DRAIN_POLLS: u32 = 200;
/// Bytes counted per event beside its message, handshake and session.
const EVENT_BYTES: usize = 256;

/// An event of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionEvent {
    /// The id of the connection.
    pub client: ClientId,
    /// The peer's address.
    pub address: IpAddr,
    /// The peer's port.
    pub port: u16,
    /// The session that a back end stored with the connection.
    pub session: Option<ClientSession>,
    /// The kind, with its data.
    pub kind: EventKind,
}

/// The part of a [`ConnectionEvent`] that depends on its kind, with its data.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// The handshake is done. The first event of a connection.
    Connected(Box<Handshake>),
    /// A message of the client; only with `gateway.workers = "on"`.
    Message(Vec<u8>),
    /// The connection closes or is closed, or [`super::Gateway::forget`] was called. The last event of a connection.
    Disconnected,
}

/// The HTTP request of the WebSocket handshake, in few bytes: it may wait for a worker.
#[derive(Clone, Debug)]
pub struct Handshake {
    path_and_query: Box<str>,
    /// Lines of `name:value`. A header contains no line feed.
    headers: Box<[u8]>,
}

impl Handshake {
    /// Copies the request target and the headers, in the order of the request, with names in lower case.
    pub fn new<'a>(path_and_query: &str, headers: impl IntoIterator<Item = (&'a str, Cow<'a, [u8]>)>) -> Self {
        let mut lines = Vec::new();
        for (name, value) in headers {
            lines.extend_from_slice(name.as_bytes());
            lines.push(b':');
            lines.extend_from_slice(&value);
            lines.push(b'\n');
        }
        Self { path_and_query: path_and_query.into(), headers: lines.into() }
    }

    /// Returns the request target.
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }

    /// Returns the names and values of the headers.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.split(|byte| *byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((std::str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]))
        })
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.path_and_query.len() + self.headers.len()
    }
}

/// The sending side, shared by the shards.
pub(super) struct EventSender {
    enabled: AtomicBool,
    waiting_bytes: AtomicUsize,
    /// A connection opened while the events were enabled, and was not announced.
    missed: AtomicBool,
    to: UnboundedSender<ConnectionEvent>,
}

/// The receiving side, of the one subscriber.
pub struct EventReceiver {
    sender: Arc<EventSender>,
    from: UnboundedReceiver<ConnectionEvent>,
}

/// Returns both sides of the event queue.
pub(super) fn channel() -> (Arc<EventSender>, EventReceiver) {
    let (to, from) = unbounded_channel();
    let sender = Arc::new(EventSender {
        enabled: AtomicBool::new(false),
        waiting_bytes: AtomicUsize::new(0),
        missed: AtomicBool::new(false),
        to,
    });
    (sender.clone(), EventReceiver { sender, from })
}

impl EventSender {
    /// Whether new connections are announced.
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Records that a connection was not announced.
    pub(super) fn record_missed(&self) {
        self.missed.store(true, Ordering::Relaxed);
    }

    /// Queues an event and returns true, or drops and counts it if the queue is full.
    pub(super) fn send(&self, event: ConnectionEvent) -> bool {
        let bytes = event.weight();
        // Disconnected is always queued: the subscriber frees the client's state by it, and it is small and sent once.
        let fits = |waiting: usize| waiting + bytes <= MAX_WAITING_BYTES || matches!(event.kind, EventKind::Disconnected);
        if !fits(self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed)) || self.to.send(event).is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            metrics::counter!("roomcast_events_dropped_total").increment(1);
            return false;
        }
        true
    }
}

/// Switches events on and off.
#[derive(Clone)]
pub struct Subscription(Arc<EventSender>);

impl Subscription {
    /// Returns when the subscriber has received every queued event, or after one second. For use when no more are sent.
    pub async fn drained(&self) {
        for _ in 0..DRAIN_POLLS {
            if self.0.waiting_bytes.load(Ordering::Relaxed) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Enables or disables the announcement of new connections. The events of a connection that was announced continue.
    pub fn set_enabled(&self, enabled: bool) {
        self.0.enabled.store(enabled, Ordering::Relaxed);
    }

    /// Returns whether a connection was not announced since the last call, although the events were enabled.
    pub fn take_missed(&self) -> bool {
        self.0.missed.swap(false, Ordering::Relaxed)
    }
}

impl EventReceiver {
    /// Returns the switch of these events.
    pub fn subscription(&self) -> Subscription {
        Subscription(self.sender.clone())
    }

    /// Returns the next event; the events of one client come in order.
    pub async fn next(&mut self) -> Option<ConnectionEvent> {
        let event = self.from.recv().await?;
        self.sender.waiting_bytes.fetch_sub(event.weight(), Ordering::Relaxed);
        Some(event)
    }
}

impl ConnectionEvent {
    /// Bytes that count against the limits of queues.
    pub fn weight(&self) -> usize {
        let content = match &self.kind {
            EventKind::Connected(handshake) => handshake.bytes(),
            EventKind::Message(message) => message.len(),
            EventKind::Disconnected => 0,
        };
        EVENT_BYTES + content + self.session.as_ref().map_or(0, ClientSession::bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_beyond_the_limit_are_dropped_without_waiting() {
        let (sender, mut events) = channel();
        let message = |len| ConnectionEvent {
            client: "7f0000010b5400000001".parse().unwrap(),
            address: [127, 0, 0, 1].into(),
            port: 1,
            session: None,
            kind: EventKind::Message(vec![0; len]),
        };
        for _ in 0..30 {
            sender.send(message(1024 * 1024));
        }
        let mut received = 0;
        assert!(!sender.send(message(1024 * 1024)));
        while let Ok(event) = events.from.try_recv() {
            events.sender.waiting_bytes.fetch_sub(event.weight(), Ordering::Relaxed);
            received += 1;
        }
        assert_eq!(received, 9);
        assert!(sender.send(message(1)));
        assert!(events.next().await.is_some());
        assert_eq!(sender.waiting_bytes.load(Ordering::Relaxed), 0);
    }
}
