//! What one connection has not been sent yet: bounded in bytes, with a fate for what does not fit.
//!
//! A frame with a position that does not fit is skipped, and one `gap` says so as soon as there is room; other frames are
//! dropped and counted. Nobody who publishes ever waits here.

use super::{Dialect, Frame, Group, Publication};
use crate::domain::{
    id::Seq,
    push::{CloseCode, Push},
};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

pub struct Outbox {
    limit_bytes: usize,
    dialect: Dialect,
    queue: Mutex<Queue>,
    /// Signals the connection's task that something was queued or the close was asked for.
    changed: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    /// Of `frames` and of what was taken and is not yet written.
    unsent_bytes: usize,
    /// What was skipped, by group; rarely more than one.
    skipped: Vec<(Group, Seq, Seq)>,
    close: Option<CloseCode>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queued {
    Yes,
    /// The queue is full, or the connection is closing.
    Slow,
    /// The dialect has no form for it.
    NotForIt,
}

impl Outbox {
    pub fn new(limit_bytes: usize, dialect: Dialect) -> Self {
        Self { limit_bytes, dialect, queue: Mutex::default(), changed: Notify::new() }
    }

    pub fn publish(&self, publication: &Publication) -> Queued {
        let frame = match self.dialect {
            Dialect::Plain => &publication.plain,
            Dialect::V1 => &publication.v1,
        };
        frame.as_ref().map_or(Queued::NotForIt, |frame| self.push(frame.clone()))
    }

    pub fn push(&self, frame: Frame) -> Queued {
        let queued = self.queue().push(frame, self.limit_bytes, self.dialect);
        self.changed.notify_one();
        queued
    }

    /// After what is queued, the close frame is sent and the connection ended. The first code stays.
    pub fn close(&self, code: CloseCode) {
        self.queue().close.get_or_insert(code);
        self.changed.notify_one();
    }

    pub fn close_code(&self) -> Option<CloseCode> {
        self.queue().close
    }

    /// Resolves when something changed since the last time.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Moves at most `count` frames over to the writer; their bytes count until [`Outbox::wrote`].
    pub fn take(&self, into: &mut VecDeque<Bytes>, count: usize) {
        let mut queue = self.queue();
        if queue.frames.is_empty() {
            queue.tell_gaps(self.limit_bytes);
        }
        let count = count.min(queue.frames.len());
        into.extend(queue.frames.drain(..count));
        if queue.frames.is_empty() {
            // An idle connection keeps no buffer.
            queue.frames.shrink_to_fit();
        }
    }

    pub fn wrote(&self, bytes: usize) {
        let mut queue = self.queue();
        queue.unsent_bytes = queue.unsent_bytes.saturating_sub(bytes);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, frame: Frame, limit_bytes: usize, dialect: Dialect) -> Queued {
        if self.close.is_some() {
            return Queued::Slow;
        }
        // A group's gap goes before its next frame, or the reader would see the hole before its reason.
        if frame.position.is_some() && !self.skipped.is_empty() {
            self.tell_gaps(limit_bytes);
        }
        let owes_gap = |position: &super::Position| self.skipped.iter().any(|(group, ..)| *group == position.group);
        let fits = self.unsent_bytes + frame.bytes.len() <= limit_bytes;
        if fits && !frame.position.as_ref().is_some_and(owes_gap) {
            self.append(frame.bytes);
            return Queued::Yes;
        }
        if let (Some(position), Dialect::V1) = (frame.position, dialect) {
            match self.skipped.iter_mut().find(|(group, ..)| *group == position.group) {
                Some((_, _, to)) => *to = (*to).max(position.seq),
                None => self.skipped.push((position.group, position.seq, position.seq)),
            }
        }
        Queued::Slow
    }

    /// Half of the bound must be free: a gap told at the brim would be followed by the next one at once.
    fn tell_gaps(&mut self, limit_bytes: usize) {
        if self.unsent_bytes > limit_bytes / 2 {
            return;
        }
        for (group, from, to) in std::mem::take(&mut self.skipped) {
            if let Ok(room) = group.as_str().parse() {
                self.append(Frame::text(Push::Gap { room, from, to }.to_json().as_bytes()).bytes);
            }
        }
    }

    fn append(&mut self, bytes: Bytes) {
        self.unsent_bytes += bytes.len();
        self.frames.push_back(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(seq: u64) -> Frame {
        Frame::text(&[b'x'; 98]).at(Group::new("1"), Seq(seq))
    }

    fn drain(outbox: &Outbox) -> Vec<Bytes> {
        let mut taken = VecDeque::new();
        outbox.take(&mut taken, usize::MAX);
        outbox.wrote(taken.iter().map(Bytes::len).sum());
        taken.into()
    }

    #[test]
    fn what_does_not_fit_is_skipped_and_told_once() {
        let outbox = Outbox::new(300, Dialect::V1);
        let queued: Vec<_> = (1..=5).map(|seq| outbox.push(frame(seq))).collect();
        assert_eq!(queued, [Queued::Yes, Queued::Yes, Queued::Yes, Queued::Slow, Queued::Slow]);
        assert_eq!(drain(&outbox).len(), 3);
        assert_eq!(outbox.push(frame(6)), Queued::Yes);
        let frames = drain(&outbox);
        assert_eq!(&frames[0][2..], br#"{"type":"gap","room":"1","from":4,"to":5}"#);
        assert_eq!((frames.len(), drain(&outbox).len()), (2, 0));
    }

    #[test]
    fn a_gap_at_the_end_is_told_when_the_queue_is_empty() {
        let outbox = Outbox::new(100, Dialect::V1);
        outbox.push(frame(1));
        outbox.push(frame(2));
        assert_eq!(drain(&outbox).len(), 1);
        assert_eq!(&drain(&outbox)[0][2..], br#"{"type":"gap","room":"1","from":2,"to":2}"#);
    }

    #[test]
    fn what_was_taken_counts_until_it_was_written() {
        let outbox = Outbox::new(150, Dialect::Plain);
        outbox.push(frame(1));
        let mut taken = VecDeque::new();
        outbox.take(&mut taken, 10);
        assert_eq!(outbox.push(frame(2)), Queued::Slow);
        outbox.wrote(100);
        assert_eq!(outbox.push(frame(3)), Queued::Yes);
        assert_eq!(drain(&outbox).len(), 1, "the plain dialect has no gap");
    }

    #[test]
    fn nothing_is_queued_behind_a_close() {
        let outbox = Outbox::new(1000, Dialect::V1);
        outbox.close(CloseCode::SLOW);
        outbox.close(CloseCode::GOING_AWAY);
        assert_eq!((outbox.push(frame(1)), outbox.close_code()), (Queued::Slow, Some(CloseCode::SLOW)));
    }
}
