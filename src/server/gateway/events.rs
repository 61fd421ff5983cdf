//! Connection events for one subscriber: connected, message, disconnected.
//!
//! Without a subscriber a shard only checks a flag. The queue is bounded in bytes; an event that does not fit is dropped and
//! counted, and a shard never waits.

use super::ClientSession;
use crate::domain::id::ClientId;
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
#[derive(Debug)]
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
#[derive(Debug)]
pub enum EventKind {
    /// The handshake is done.
    Connected(Option<Box<Handshake>>),
    /// A message of the client; only with `gateway.workers = "on"`.
    Message(Vec<u8>),
    /// The connection closes or is closed. The last event of a connection.
    Disconnected,
}

/// The HTTP request of the WebSocket handshake.
#[derive(Debug)]
pub struct Handshake {
    /// The request target.
    pub path_and_query: String,
    /// In the order of the request, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// The sending side, shared by the shards.
pub(super) struct EventSender {
    enabled: AtomicBool,
    waiting_bytes: AtomicUsize,
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
    let sender = Arc::new(EventSender { enabled: AtomicBool::new(false), waiting_bytes: AtomicUsize::new(0), to });
    (sender.clone(), EventReceiver { sender, from })
}

impl EventSender {
    /// Whether a subscriber wants events.
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Queues an event, or drops and counts it if the queue is full.
    pub(super) fn send(&self, event: ConnectionEvent) {
        let bytes = event.weight();
        // Disconnected is always queued: the subscriber frees the client's state by it, and it is small and sent once.
        let fits = |waiting: usize| waiting + bytes <= MAX_WAITING_BYTES || matches!(event.kind, EventKind::Disconnected);
        if !fits(self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed)) || self.to.send(event).is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            metrics::counter!("roomcast_events_dropped_total").increment(1);
        }
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

    /// Enables or disables events from now on.
    pub fn set_enabled(&self, enabled: bool) {
        self.0.enabled.store(enabled, Ordering::Relaxed);
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
    fn weight(&self) -> usize {
        let content = match &self.kind {
            EventKind::Connected(Some(handshake)) => {
                handshake.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
                    + handshake.path_and_query.len()
            }
            EventKind::Message(message) => message.len(),
            EventKind::Connected(None) | EventKind::Disconnected => 0,
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
        while let Ok(event) = events.from.try_recv() {
            events.sender.waiting_bytes.fetch_sub(event.weight(), Ordering::Relaxed);
            received += 1;
        }
        assert_eq!(received, 9);
        sender.send(message(1));
        assert!(events.next().await.is_some());
        assert_eq!(sender.waiting_bytes.load(Ordering::Relaxed), 0);
    }
}
