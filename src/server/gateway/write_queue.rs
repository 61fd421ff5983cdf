//! The order in which a shard writes to its readers, and the publishes whose readers are not all written yet.

use super::publish::Publish;
use super::registry::Slot;
use std::collections::VecDeque;
use std::sync::Arc;

/// A FIFO queue of readers. A publish stands behind all of its readers and is held until they are written.
#[derive(Default)]
pub(super) struct WriteQueue {
    readers: VecDeque<Slot>,
    /// Readers ever queued.
    queued: u64,
    /// Each with the value of `queued` at which it was held.
    publishes: VecDeque<(u64, Arc<Publish>)>,
}

impl WriteQueue {
    /// Queues a reader that has frames in the batch.
    pub(super) fn push(&mut self, reader: Slot) {
        self.readers.push_back(reader);
        self.queued += 1;
    }

    /// Takes the next reader.
    pub(super) fn pop(&mut self) -> Option<Slot> {
        self.readers.pop_front()
    }

    /// Whether no reader is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// Holds a publish whose readers are all queued, until they are taken.
    pub(super) fn hold(&mut self, publish: Arc<Publish>) {
        self.publishes.push_back((self.queued, publish));
    }

    /// Drops the publishes whose readers are all taken. Dropping the last reference records the publish's latency.
    pub(super) fn release(&mut self) {
        let taken = self.queued - self.readers.len() as u64;
        while self.publishes.front().is_some_and(|(queued, _)| *queued <= taken) {
            self.publishes.pop_front();
        }
    }
}
