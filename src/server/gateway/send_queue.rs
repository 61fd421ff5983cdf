//! The unsent frames of one connection, bounded in bytes.
//!
//! A reader that keeps up only has spans pending in the shard's [`WriteBatch`] and owns no buffer. A slow reader has a
//! [`Backlog`]: a queue of its own, whose frames share their bytes with other backlogs. At the limit the newest frame is
//! skipped and counted. On `roomcast.v1`, skipped positions are also reported, by one `gap` per group, once half of the queue
//! is free or all of it is written. A publisher never waits for a send queue.

use super::write_batch::{PendingSpans, SLICES, WriteBatch};
use super::{Dialect, Frame, Group};
use crate::domain::{id::Seq, push::Push};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::ops::Range;
use std::time::Instant;

/// The send queue of one connection.
#[derive(Default)]
pub(super) struct SendQueue {
    pending: PendingSpans,
    pending_bytes: usize,
    backlog: Option<Box<Backlog>>,
}

/// Frames queued until the socket is writable again.
struct Backlog {
    /// The first may be the unwritten rest of a frame.
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Skipped frames not yet reported: group, first and last seq. Rarely more than one group.
    skipped: Vec<(Group, Seq, Seq)>,
    /// When the peer last accepted bytes.
    progress_at: Instant,
}

/// Result of queueing one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Enqueue {
    /// In this write batch.
    Batched,
    /// Queued behind a backlog.
    Backlogged,
    /// Not queued: the queue is full, or the frame's group still owes a gap.
    Skipped,
    /// Not queued: the connection is closing.
    Closing,
    /// Not queued: this batch already holds the limit for this reader. Write, then push again.
    FlushFirst,
}

impl SendQueue {
    /// Queues a frame; `span` is its place in the batch.
    pub(super) fn push(
        &mut self,
        batch: &mut WriteBatch,
        frame: &Frame,
        span: Range<u32>,
        limit_bytes: usize,
        dialect: Dialect,
    ) -> Enqueue {
        if let Some(backlog) = &mut self.backlog {
            return backlog.push(frame, limit_bytes, dialect);
        }
        // The limit does not apply to the only frame of an empty queue: a frame larger than the limit can still be sent.
        if self.pending_bytes > 0 && self.pending_bytes + frame.bytes.len() > limit_bytes {
            return Enqueue::FlushFirst;
        }
        self.push_unbounded(batch, frame, span);
        Enqueue::Batched
    }

    /// Queues a frame without regard to the limit: for the protocol's own frames.
    pub(super) fn push_unbounded(&mut self, batch: &mut WriteBatch, frame: &Frame, span: Range<u32>) {
        match &mut self.backlog {
            Some(backlog) => backlog.append(frame.bytes.clone()),
            None => {
                self.pending_bytes += frame.bytes.len();
                batch.push_span(&mut self.pending, span);
            }
        }
    }

    /// Whether frames are pending in this write batch.
    pub(super) fn has_batched(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether frames are queued behind a socket that would block.
    pub(super) fn has_backlog(&self) -> bool {
        self.backlog.is_some()
    }

    /// When the peer last accepted bytes; `None` without a backlog.
    pub(super) fn last_progress(&self) -> Option<Instant> {
        self.backlog.as_ref().map(|backlog| backlog.progress_at)
    }

    /// Bytes queued and not yet written.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.pending_bytes + self.backlog.as_ref().map_or(0, |backlog| backlog.bytes)
    }

    /// Writes the pending spans and the backlog until both are empty or the socket would block. Returns the bytes written.
    pub(super) fn write(&mut self, batch: &mut WriteBatch, stream: &mut impl Write, now: Instant) -> io::Result<usize> {
        let mut written = 0;
        if self.has_batched() {
            let (pending, bytes) = (std::mem::take(&mut self.pending), std::mem::take(&mut self.pending_bytes));
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = batch.slices(pending, &mut slices);
            written = write_some(stream, &slices[..count])?;
            if written < bytes {
                let frames = batch.remaining_frames(pending, written).collect();
                self.backlog = Some(Box::new(Backlog { frames, bytes: bytes - written, skipped: vec![], progress_at: now }));
            }
            batch.release_spans(pending);
        }
        if let Some(backlog) = &mut self.backlog {
            written += backlog.write(stream, now)?;
        }
        // The backlog ends when every byte is passed to the stream and a TLS stream's own buffer is flushed.
        let all_passed = self.backlog.as_ref().is_none_or(|backlog| backlog.frames.is_empty());
        if all_passed && (written > 0 || self.backlog.is_some()) {
            match stream.flush() {
                Ok(()) => self.backlog = None,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // A TLS stream buffers its last records: an empty backlog keeps the connection watched.
                    self.backlog.get_or_insert_with(|| Box::new(Backlog::nothing(now)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
}

/// Writes once and returns the bytes written; 0 if the socket would block.
fn write_some(stream: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        match stream.write_vectored(slices) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            given => return given,
        }
    }
}

impl Backlog {
    fn nothing(now: Instant) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, skipped: vec![], progress_at: now }
    }

    fn push(&mut self, frame: &Frame, limit_bytes: usize, dialect: Dialect) -> Enqueue {
        // A group's gap precedes its next frame, so that the reader learns of the hole first. It waits until half of the
        // queue is free: otherwise the queue would be full again at once, and the next gap would follow.
        if frame.position.is_some() && self.bytes <= limit_bytes / 2 {
            self.queue_gaps();
        }
        let owes_gap = |group: &Group| self.skipped.iter().any(|(skipped, ..)| skipped == group);
        let fits = self.bytes + frame.bytes.len() <= limit_bytes;
        if fits && !frame.position.as_ref().is_some_and(|position| owes_gap(&position.group)) {
            self.append(frame.bytes.clone());
            return Enqueue::Backlogged;
        }
        if let (Some(position), Dialect::V1) = (&frame.position, dialect) {
            match self.skipped.iter_mut().find(|(group, ..)| *group == position.group) {
                Some((_, _, to)) => *to = (*to).max(position.seq),
                None => self.skipped.push((position.group.clone(), position.seq, position.seq)),
            }
        }
        Enqueue::Skipped
    }

    fn queue_gaps(&mut self) {
        for (group, from, to) in std::mem::take(&mut self.skipped) {
            if let Ok(room) = group.as_text().parse() {
                self.append(Frame::text(Push::Gap { room, from, to }.to_json().as_bytes()).bytes);
            }
        }
    }

    fn append(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    fn write(&mut self, stream: &mut impl Write, now: Instant) -> io::Result<usize> {
        let mut written = 0;
        loop {
            if self.frames.is_empty() {
                self.queue_gaps();
            }
            if self.frames.is_empty() {
                return Ok(written);
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.frames.len().min(SLICES);
            for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                *slice = IoSlice::new(frame);
            }
            let took = write_some(stream, &slices[..count])?;
            if took == 0 {
                return Ok(written);
            }
            self.progress_at = now;
            self.bytes -= took;
            written += took;
            self.forget(took);
        }
    }

    fn forget(&mut self, mut bytes: usize) {
        while let Some(first) = self.frames.front_mut() {
            if bytes < first.len() {
                let _ = first.split_to(bytes);
                return;
            }
            bytes -= first.len();
            self.frames.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that accepts `capacity` bytes and then blocks.
    #[derive(Default)]
    struct Peer {
        capacity: usize,
        took: Vec<u8>,
    }

    impl Write for Peer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.capacity == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(self.capacity);
            self.took.extend(&bytes[..count]);
            self.capacity -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Bench {
        send_queue: SendQueue,
        batch: WriteBatch,
        peer: Peer,
        dialect: Dialect,
        now: Instant,
    }

    impl Bench {
        fn new(dialect: Dialect) -> Self {
            Self {
                send_queue: SendQueue::default(),
                batch: WriteBatch::default(),
                peer: Peer::default(),
                dialect,
                now: Instant::now(),
            }
        }

        /// Pushes a frame of 100 bytes into a queue of `limit` bytes.
        fn push(&mut self, seq: u64, limit: usize) -> Enqueue {
            let frame = Frame::text(&[b'x'; 98]).at(Group::new("1"), Seq(seq));
            let span = self.batch.append_frame(&frame);
            self.send_queue.push(&mut self.batch, &frame, span, limit, self.dialect)
        }

        /// Lets the peer accept up to `capacity` bytes and returns them, each 98-byte text as one `x`.
        fn take(&mut self, capacity: usize) -> String {
            self.peer.capacity = capacity;
            self.send_queue.write(&mut self.batch, &mut self.peer, self.now).unwrap();
            self.batch.clear();
            let took = std::mem::take(&mut self.peer.took);
            String::from_utf8_lossy(&took).replace(&"x".repeat(98), "x").replace("\u{fffd}bx", "x")
        }
    }

    #[test]
    fn a_reader_that_keeps_up_owns_no_buffer() {
        let mut bench = Bench::new(Dialect::V1);
        assert_eq!((bench.push(1, 1000), bench.push(2, 1000)), (Enqueue::Batched, Enqueue::Batched));
        assert_eq!((bench.send_queue.unsent_bytes(), bench.take(200).as_str()), (200, "xx"));
        assert!(bench.send_queue.backlog.is_none() && bench.send_queue.unsent_bytes() == 0);
        assert_eq!((bench.push(3, 150), bench.push(4, 150)), (Enqueue::Batched, Enqueue::FlushFirst));
    }

    #[test]
    fn a_full_queue_skips_frames_and_sends_one_gap() {
        let mut bench = Bench::new(Dialect::V1);
        bench.push(1, 300);
        bench.take(50);
        let queued: Vec<_> = (2..=5).map(|seq| bench.push(seq, 300)).collect();
        assert_eq!(queued, [Enqueue::Backlogged, Enqueue::Backlogged, Enqueue::Skipped, Enqueue::Skipped]);
        bench.take(149);
        assert_eq!(bench.push(6, 300), Enqueue::Backlogged, "half is free: the gap is sent first");
        let remaining_frames = bench.take(10_000);
        assert!(remaining_frames.ends_with("{\"type\":\"gap\",\"room\":\"1\",\"from\":4,\"to\":5}x"), "{remaining_frames}");
        assert_eq!(remaining_frames.matches("gap").count(), 1);
        assert!(bench.send_queue.backlog.is_none());
    }

    #[test]
    fn a_gap_at_the_end_is_sent_when_the_queue_is_empty() {
        let mut bench = Bench::new(Dialect::V1);
        bench.push(1, 100);
        bench.take(10);
        assert_eq!(bench.push(2, 100), Enqueue::Skipped);
        assert!(bench.take(1000).contains(r#"{"type":"gap","room":"1","from":2,"to":2}"#));
        assert_eq!(bench.take(1000), "");
    }

    #[test]
    fn the_plain_dialect_has_no_gap() {
        let mut bench = Bench::new(Dialect::Plain);
        bench.push(1, 100);
        bench.take(10);
        assert_eq!(bench.push(2, 100), Enqueue::Skipped);
        assert_eq!(bench.take(1000).len(), 90);
    }

    #[test]
    fn accepted_bytes_count_as_progress() {
        let mut bench = Bench::new(Dialect::V1);
        let began = bench.now;
        bench.push(1, 1000);
        bench.take(10);
        bench.now += std::time::Duration::from_secs(9);
        bench.take(0);
        assert_eq!(bench.send_queue.last_progress(), Some(began));
        bench.take(10);
        assert_eq!(bench.send_queue.last_progress(), Some(bench.now));
        bench.take(100);
        assert_eq!(bench.send_queue.last_progress(), None);
    }
}
