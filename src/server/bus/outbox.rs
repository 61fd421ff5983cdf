//! The messages that wait to be written to NATS: bounded in number and bytes. A message that does not fit is dropped.

use super::Subject;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Messages that may wait.
const MESSAGES: usize = 16 * 1024;
/// Bytes that may wait.
const BYTES: usize = 16 * 1024 * 1024;

/// A message, and the connection for which it was queued: it is not written to a later one.
pub(super) struct Outgoing {
    pub subject: Subject,
    pub payload: Bytes,
    pub connection: u64,
}

#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
    drained: Notify,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Outgoing>,
    bytes: usize,
}

impl Waiting {
    fn has_room(&self, bytes: usize, of: usize) -> bool {
        self.messages.len() < MESSAGES / of && self.bytes + bytes <= BYTES / of
    }
}

impl Outbox {
    /// Queues a message. Returns false if there is no room.
    pub(super) fn push(&self, message: Outgoing) -> bool {
        self.push_within(message, 1).is_none()
    }

    /// Queues a message when half of the outbox is free, so that urgent ones find room meanwhile.
    pub(super) async fn push_in_turn(&self, mut message: Outgoing) {
        loop {
            let drained = self.drained.notified();
            match self.push_within(message, 2) {
                None => return,
                Some(back) => message = back,
            }
            drained.await;
        }
    }

    /// Queues a message within a part of the bounds, or returns it.
    fn push_within(&self, message: Outgoing, part: usize) -> Option<Outgoing> {
        let mut waiting = self.lock();
        if !waiting.has_room(message.payload.len(), part) {
            return Some(message);
        }
        waiting.bytes += message.payload.len();
        waiting.messages.push_back(message);
        drop(waiting);
        self.filled.notify_one();
        None
    }

    /// Takes the oldest message. Waits for one.
    pub(super) async fn pop(&self) -> Outgoing {
        loop {
            if let Some(message) = self.try_pop() {
                return message;
            }
            self.filled.notified().await;
        }
    }

    /// Takes the oldest message, if there is one.
    pub(super) fn try_pop(&self) -> Option<Outgoing> {
        let mut waiting = self.lock();
        let message = waiting.messages.pop_front()?;
        waiting.bytes -= message.payload.len();
        drop(waiting);
        self.drained.notify_waiters();
        Some(message)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Outgoing {
        Outgoing { subject: Subject::of(&["a"]), payload: vec![0; bytes].into(), connection: 1 }
    }

    #[test]
    fn it_is_bounded_in_messages_and_in_bytes() {
        let outbox = Outbox::default();
        assert_eq!((0..MESSAGES + 10).filter(|_| outbox.push(message(1))).count(), MESSAGES);
        while outbox.try_pop().is_some() {}
        assert_eq!((0..100).filter(|_| outbox.push(message(BYTES / 10))).count(), 10);
        outbox.try_pop().unwrap();
        assert!(outbox.push(message(BYTES / 10)) && !outbox.push(message(BYTES % 10 + 1)));
    }

    #[tokio::test]
    async fn messages_in_turn_leave_half_of_it_free() {
        let outbox = Outbox::default();
        for _ in 0..5 {
            outbox.push_in_turn(message(BYTES / 10)).await;
        }
        let mut sixth = std::pin::pin!(outbox.push_in_turn(message(BYTES / 10)));
        assert!(futures_util::poll!(&mut sixth).is_pending());
        assert!(outbox.push(message(BYTES / 10)));
        outbox.try_pop().unwrap();
        assert!(futures_util::poll!(&mut sixth).is_pending());
        outbox.try_pop().unwrap();
        sixth.await;
    }
}
