//! The unsent frames of one connection, bounded in bytes.
//!
//! A reader that keeps up only has spans pending in the shard's [`WriteBatch`] and owns no buffer. A slow reader has a
//! [`Backlog`]: a queue of its own, whose frames share their bytes with other backlogs. At the limit the newest frame is
//! skipped and counted. On `roomcast.v1`, skipped positions, of messages and of changes, are also reported, by one `gap` per
//! group, once half of the queue is free or all of it is written. A publisher never waits for a send queue.

use super::write_batch::{PendingSpans, SLICES, WriteBatch};
use super::{Dialect, Frame, Group, Number, Position};
use crate::domain::{change::Rev, id::Seq, push::Push};
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
    /// Skipped frames not yet reported. Rarely more than one group.
    skipped: Vec<Skipped>,
    /// When the peer last accepted bytes.
    progress_at: Instant,
}

/// Skipped frames of one group.
struct Skipped {
    group: Group,
    /// The first and the last skipped message.
    seqs: Option<(Seq, Seq)>,
    /// The newest skipped change.
    rev: Option<Rev>,
}

impl Skipped {
    fn add(&mut self, number: Number) {
        match number {
            Number::Seq(seq) => self.add(Number::Seqs(seq, seq)),
            Number::Seqs(first, last) => {
                let (from, to) = self.seqs.unwrap_or((first, last));
                self.seqs = Some((from, to.max(last)));
            }
            Number::Rev(rev) => self.rev = self.rev.max(Some(rev)),
        }
    }

    /// Returns the `gap`; `None` if the group is not a room.
    fn gap(&self) -> Option<Push> {
        let room = self.group.as_text().parse().ok()?;
        Some(Push::Gap { room, from: self.seqs.map(|(from, _)| from), to: self.seqs.map(|(_, to)| to), rev: self.rev })
    }
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
        let owes_gap = |group: &Group| self.skipped.iter().any(|skipped| skipped.group == *group);
        let fits = self.bytes + frame.bytes.len() <= limit_bytes;
        if fits && !frame.position.as_ref().is_some_and(|position| owes_gap(&position.group)) {
            self.append(frame.bytes.clone());
            return Enqueue::Backlogged;
        }
        if let (Some(Position { group, number }), Dialect::V1) = (&frame.position, dialect) {
            match self.skipped.iter_mut().find(|skipped| skipped.group == *group) {
                Some(skipped) => skipped.add(*number),
                None => {
                    let mut skipped = Skipped { group: group.clone(), seqs: None, rev: None };
                    skipped.add(*number);
                    self.skipped.push(skipped);
                }
            }
        }
        Enqueue::Skipped
    }

    fn queue_gaps(&mut self) {
        for skipped in std::mem::take(&mut self.skipped) {
            if let Some(gap) = skipped.gap() {
                self.append(Frame::text(gap.to_json().as_bytes()).bytes);
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
#[path = "send_queue_tests.rs"]
mod tests;
