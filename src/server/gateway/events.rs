//! What happens to connections, for whoever listens: someone came, said something, left. Nobody listens unless a door
//! asks to, and until then a shard pays a look at a flag. Bounded in bytes; what does not fit is dropped and counted, never
//! waited for.

use super::ClientSession;
use crate::domain::id::ClientId;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Bytes that may wait for the listener.
const MAX_WAITING_BYTES: usize = 10 * 1024 * 1024;
/// How often it is looked whether the listener has taken all, 5 ms apart: a second at most.
const SETTLES: u32 = 200;
/// What an event weighs beside what was said.
const EVENT_BYTES: usize = 256;

#[derive(Debug)]
pub struct ConnectionEvent {
    pub client: ClientId,
    pub address: IpAddr,
    pub port: u16,
    pub session: Option<ClientSession>,
    pub kind: EventKind,
}

#[derive(Debug)]
pub enum EventKind {
    Connected(Option<Box<Handshake>>),
    /// Only where clients are heard (`gateway.workers`).
    Message(Vec<u8>),
    /// Or is leaving: nothing reaches it any more. Always the last.
    Disconnected,
}

/// The request a connection began with.
#[derive(Debug)]
pub struct Handshake {
    pub path_and_query: String,
    /// In their order, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// The shards' side.
pub struct EventSender {
    enabled: AtomicBool,
    waiting_bytes: AtomicUsize,
    to: UnboundedSender<ConnectionEvent>,
}

/// The listener's side.
pub struct EventReceiver {
    sender: Arc<EventSender>,
    from: UnboundedReceiver<ConnectionEvent>,
}

pub fn channel() -> (Arc<EventSender>, EventReceiver) {
    let (to, from) = unbounded_channel();
    let sender = Arc::new(EventSender { enabled: AtomicBool::new(false), waiting_bytes: AtomicUsize::new(0), to });
    (sender.clone(), EventReceiver { sender, from })
}

impl EventSender {
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    pub fn send(&self, event: ConnectionEvent) {
        let bytes = event.weight();
        // That someone left comes once, is what the listener forgets a client by, and holds nothing the connection did not
        // hold before: it is always told.
        let fits = |waiting: usize| waiting + bytes <= MAX_WAITING_BYTES || matches!(event.kind, EventKind::Disconnected);
        if !fits(self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed)) || self.to.send(event).is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            metrics::counter!("roomcast_events_dropped_total").increment(1);
        }
    }
}

/// Whether anybody wants to know.
#[derive(Clone)]
pub struct Subscription(Arc<EventSender>);

impl Subscription {
    /// Everything that happened was taken by the listener; nothing happens any more.
    pub async fn drained(&self) {
        for _ in 0..SETTLES {
            if self.0.waiting_bytes.load(Ordering::Relaxed) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// From here on, or no longer.
    pub fn set_enabled(&self, enabled: bool) {
        self.0.enabled.store(enabled, Ordering::Relaxed);
    }
}

impl EventReceiver {
    pub fn subscription(&self) -> Subscription {
        Subscription(self.sender.clone())
    }

    /// In the order they happened to each client.
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
    async fn nobody_waits_for_a_listener_that_does_not_listen() {
        let (sender, mut events) = channel();
        let said = |len| ConnectionEvent {
            client: "7f0000010b5400000001".parse().unwrap(),
            address: [127, 0, 0, 1].into(),
            port: 1,
            session: None,
            kind: EventKind::Message(vec![0; len]),
        };
        for _ in 0..30 {
            sender.send(said(1024 * 1024));
        }
        let mut told = 0;
        while let Ok(event) = events.from.try_recv() {
            events.sender.waiting_bytes.fetch_sub(event.weight(), Ordering::Relaxed);
            told += 1;
        }
        assert_eq!(told, 9);
        sender.send(said(1));
        assert!(events.next().await.is_some());
        assert_eq!(sender.waiting_bytes.load(Ordering::Relaxed), 0);
    }
}
