//! The table's side of a worker's connection: its queue of events, and those that its send buffer contains.

use crate::server::gateway::ConnectionEvent;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Bytes of events that a worker has not read: GatewayWorker's `sendToWorkerBufferSize`. Only disconnects exceed it.
pub(super) const MAX_UNREAD_BYTES: usize = 10_240_000;

/// A worker's queue.
pub(super) struct Link {
    /// Distinguishes connections of the same name.
    pub number: u64,
    pub replaced: CancellationToken,
    arrived: Arc<Notify>,
    events: VecDeque<ConnectionEvent>,
    /// Events that were taken and whose last byte is not sent. They are not in `unread_bytes`: the send buffer has its own limit.
    unsent: VecDeque<Arc<ConnectionEvent>>,
    unread_bytes: usize,
}

/// The worker's side of a new link.
pub(super) struct Connected {
    pub name: Arc<str>,
    pub number: u64,
    pub arrived: Arc<Notify>,
    pub replaced: CancellationToken,
}

impl Link {
    /// An empty queue. `arrived` is notified of each event.
    pub(super) fn new(number: u64, arrived: Arc<Notify>, replaced: CancellationToken) -> Self {
        Self { number, replaced, arrived, events: VecDeque::new(), unsent: VecDeque::new(), unread_bytes: 0 }
    }

    /// Returns true if the event fits into the queue.
    pub(super) fn fits(&self, event: &ConnectionEvent) -> bool {
        self.unread_bytes + event.weight() <= MAX_UNREAD_BYTES
    }

    /// Returns true if a half of the queue is free.
    pub(super) fn has_space(&self) -> bool {
        self.unread_bytes <= MAX_UNREAD_BYTES / 2
    }

    /// Returns true if no event is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Queues an event.
    pub(super) fn push(&mut self, event: ConnectionEvent) {
        self.unread_bytes += event.weight();
        self.events.push_back(event);
        self.arrived.notify_one();
    }

    /// Takes the next event for the send buffer. [`Link::sent`] must follow, or the event is among [`Link::into_unsent`].
    pub(super) fn take(&mut self) -> Option<Arc<ConnectionEvent>> {
        let event = Arc::new(self.events.pop_front()?);
        self.unread_bytes -= event.weight();
        self.unsent.push_back(event.clone());
        Some(event)
    }

    /// Forgets the first events that were taken: all their bytes are sent.
    pub(super) fn sent(&mut self, count: usize) {
        self.unsent.drain(..count.min(self.unsent.len()));
    }

    /// Returns the events that were not sent as a whole, in their order.
    pub(super) fn into_unsent(self) -> VecDeque<ConnectionEvent> {
        self.unsent.into_iter().map(Arc::unwrap_or_clone).chain(self.events).collect()
    }
}
