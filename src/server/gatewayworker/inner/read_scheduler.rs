//! Reads connections in FIFO order of readiness. Wake-ups for writes and timers do not change that order.
//!
//! A PHP page that calls on two connections expects the first call to be carried out before the second. A task's wake-ups do
//! not tell which connection became readable first. Therefore each connection has a second waker, only for reading, which
//! records it here.

use futures_util::task::AtomicWaker;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use tokio::net::TcpStream;

/// The readable connections in the order in which they became readable. Only the first is read, and it stays first until it
/// leaves.
#[derive(Clone, Default)]
pub(crate) struct ReadyQueue(Arc<Mutex<VecDeque<Arc<QueueEntry>>>>);

/// One connection, as the queue and the I/O driver know it.
struct QueueEntry {
    queue: ReadyQueue,
    /// A [`ReadState`], written only while the queue is locked.
    state: AtomicU8,
    /// Wakes the task that reads the connection.
    task: AtomicWaker,
}

/// The effect that readiness has on a connection.
#[derive(Clone, Copy)]
enum ReadState {
    /// The connection does not accept input; queueing it would block the connections behind it.
    Idle,
    /// The connection joins the queue once it is readable.
    Armed,
    /// The connection is in the queue.
    Queued,
}

/// A connection's handle on the [`ReadyQueue`]. Dropping it leaves the queue.
pub(crate) struct ReadTicket {
    entry: Arc<QueueEntry>,
    waker: Waker,
}

impl QueueEntry {
    fn is(&self, state: ReadState) -> bool {
        self.state.load(Ordering::Relaxed) == state as u8
    }

    fn set(&self, state: ReadState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }
}

impl ReadyQueue {
    /// Appends an armed connection.
    fn push(&self, entry: &Arc<QueueEntry>) {
        let mut entries = self.entries();
        if entry.is(ReadState::Armed) {
            entry.set(ReadState::Queued);
            entries.push_back(entry.clone());
        }
    }

    /// Removes a connection, and wakes the next one if this one was at the front.
    fn remove(&self, entry: &Arc<QueueEntry>) {
        let mut entries = self.entries();
        let was_queued = entry.is(ReadState::Queued);
        entry.set(ReadState::Idle);
        if !was_queued {
            return;
        }
        let at = entries.iter().position(|other| Arc::ptr_eq(other, entry));
        at.and_then(|at| entries.remove(at));
        if let Some(first) = entries.front().filter(|_| at == Some(0)) {
            first.task.wake();
        }
    }

    fn arm(&self, entry: &QueueEntry) {
        let _entries = self.entries();
        if entry.is(ReadState::Idle) {
            entry.set(ReadState::Armed);
        }
    }

    fn is_at_front(&self, entry: &Arc<QueueEntry>) -> bool {
        self.entries().front().is_some_and(|first| Arc::ptr_eq(first, entry))
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Arc<QueueEntry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Called by tokio's I/O driver while it handles epoll events, in their order.
impl Wake for QueueEntry {
    fn wake(self: Arc<Self>) {
        self.queue.push(&self);
        self.task.wake();
    }
}

impl ReadTicket {
    /// A ticket that is not armed yet.
    pub(crate) fn new(queue: &ReadyQueue) -> Self {
        let state = AtomicU8::new(ReadState::Idle as u8);
        let entry = Arc::new(QueueEntry { queue: queue.clone(), state, task: AtomicWaker::new() });
        Self { waker: entry.clone().into(), entry }
    }

    /// Arms the ticket: the connection joins the queue once `stream` is readable, at once if it is readable already.
    pub(crate) fn watch(&self, stream: &TcpStream) {
        self.entry.queue.arm(&self.entry);
        if stream.poll_read_ready(&mut Context::from_waker(&self.waker)).is_ready() {
            self.entry.queue.push(&self.entry);
        }
    }

    /// Waits until the connection is at the front. It stays there, and no other connection is read, until [`Self::leave`].
    pub(crate) async fn at_front(&self) {
        poll_fn(|cx| {
            self.entry.task.register(cx.waker());
            if self.entry.queue.is_at_front(&self.entry) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Leaves the queue. Readiness is ignored until [`Self::watch`] is called again.
    pub(crate) fn leave(&self) {
        self.entry.queue.remove(&self.entry);
    }
}

impl Drop for ReadTicket {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn is_at_front(ticket: &ReadTicket) -> bool {
        ticket.at_front().now_or_never().is_some()
    }

    #[test]
    fn connections_are_read_in_the_order_in_which_they_became_readable() {
        let queue = ReadyQueue::default();
        let [one, two, three] = [(); 3].map(|()| ReadTicket::new(&queue));
        let arm = |ticket: &ReadTicket| queue.arm(&ticket.entry);
        [&one, &two, &three].into_iter().for_each(arm);
        assert!(!is_at_front(&one));
        for ticket in [&two, &one, &two, &three] {
            ticket.waker.wake_by_ref();
        }
        assert!(is_at_front(&two) && is_at_front(&two) && !is_at_front(&one) && !is_at_front(&three));
        // A connection that leaves joins at the end, once it is armed again.
        two.leave();
        two.waker.wake_by_ref();
        arm(&two);
        assert!(is_at_front(&one) && !is_at_front(&two));
        one.leave();
        assert!(is_at_front(&three) && !is_at_front(&two));
        two.waker.wake_by_ref();
        // A connection that left, or was dropped, blocks no other, even when it becomes readable later.
        three.leave();
        three.waker.wake_by_ref();
        let late = one.waker.clone();
        drop(one);
        late.wake();
        assert!(is_at_front(&two) && !is_at_front(&three));
        drop((two, three));
        assert!(queue.entries().is_empty());
    }
}
