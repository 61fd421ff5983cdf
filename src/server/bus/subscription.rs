//! The messages of a subject, on their way from the client to their receiver: bounded in number and bytes.

use super::link::Dropped;
use super::{Shared, Subject};
use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Messages that may wait for their receiver.
const MESSAGES: usize = 64 * 1024;
/// Bytes that may wait for their receiver.
const BYTES: usize = 64 * 1024 * 1024;

/// A message from another node. A node does not receive its own.
#[derive(Clone, Debug)]
pub struct Received {
    /// Where it was published.
    pub subject: Subject,
    /// The payload, at most 256 KiB.
    pub payload: Bytes,
}

/// The messages of a subject, bounded: beyond the bound the newest are dropped and counted as a loss.
pub struct Subscription {
    messages: mpsc::Receiver<Received>,
    waiting: Arc<AtomicUsize>,
}

impl Subscription {
    /// Returns the next message; `None` after [`Bus::close`](super::Bus::close).
    pub async fn next(&mut self) -> Option<Received> {
        let received = self.messages.recv().await?;
        self.waiting.fetch_sub(received.payload.len(), Ordering::Relaxed);
        Some(received)
    }
}

pub(super) async fn subscribe(shared: &Arc<Shared>, subject: &Subject) -> Subscription {
    let (sender, messages) = mpsc::channel(MESSAGES);
    let waiting = Arc::new(AtomicUsize::new(0));
    let subscribed = shared.client.subscribe(format!("{}{subject}", shared.prefix));
    let subscriber = tokio::select! {
        subscribed = subscribed => subscribed.ok(),
        () = shared.closing.cancelled() => None,
    };
    if let Some(subscriber) = subscriber {
        shared.tasks.spawn(carry(shared.clone(), subscriber, sender, waiting.clone()));
    }
    Subscription { messages, waiting }
}

/// Takes the messages from the client as fast as it can: a client that is not read slows all nodes down.
async fn carry(shared: Arc<Shared>, mut subscriber: Subscriber, sender: mpsc::Sender<Received>, waiting: Arc<AtomicUsize>) {
    loop {
        let message = tokio::select! {
            message = subscriber.next() => message,
            () = sender.closed() => None,
            () = shared.closing.cancelled() => None,
        };
        let Some(message) = message else { return };
        if !shared.is_open.load(Ordering::Relaxed) {
            continue;
        }
        let Some(subject) = message.subject.as_str().strip_prefix(shared.prefix.as_str()) else { continue };
        let received = Received { subject: Subject::from(subject), payload: message.payload };
        let bytes = received.payload.len();
        let has_room = waiting.fetch_add(bytes, Ordering::Relaxed) + bytes <= BYTES;
        if !has_room || sender.try_send(received).is_err() {
            waiting.fetch_sub(bytes, Ordering::Relaxed);
            shared.state.dropped(Dropped::Slow);
        }
    }
}
