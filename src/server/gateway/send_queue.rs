//! What one connection has not been sent yet: bounded in bytes, with a fate for what does not fit.
//!
//! A reader who keeps up is due spans of the [`Round`] and owns no buffer. One who does not is [`Behind`]: frames wait for
//! it, shared with everyone else who waits. A frame with a position that does not fit is skipped, and one `gap` says so as
//! soon as there is room; other frames are dropped and counted. Nobody who publishes ever waits here.

use super::write_batch::{Due, Round, SLICES};
use super::{Dialect, Frame, Group};
use crate::domain::{id::Seq, push::Push};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::ops::Range;
use std::time::Instant;

#[derive(Default)]
pub struct Outbox {
    due: Due,
    due_bytes: usize,
    behind: Option<Box<Behind>>,
}

/// What waits until the peer takes more.
struct Behind {
    /// The first may be cut: its beginning was written.
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// What was skipped, by group; rarely more than one.
    skipped: Vec<(Group, Seq, Seq)>,
    progress_at: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queued {
    /// Leaves with this round.
    Due,
    /// Waits behind what the peer has not taken.
    Waits,
    /// Skipped: the queue is full.
    Slow,
    /// The connection is closing: nothing else reaches it.
    Leaving,
    /// More is due in this round than may wait: write, then offer it again.
    WriteFirst,
}

impl Outbox {
    /// `held` is where the frame stands in the round.
    pub fn push(&mut self, round: &mut Round, frame: &Frame, held: Range<u32>, limit_bytes: usize, dialect: Dialect) -> Queued {
        if let Some(behind) = &mut self.behind {
            return behind.push(frame, limit_bytes, dialect);
        }
        // A single frame is never too large for who waits for nothing.
        if self.due_bytes > 0 && self.due_bytes + frame.bytes.len() > limit_bytes {
            return Queued::WriteFirst;
        }
        self.push_surely(round, frame, held);
        Queued::Due
    }

    /// Whatever is queued: what the protocol itself has to say.
    pub fn push_surely(&mut self, round: &mut Round, frame: &Frame, held: Range<u32>) {
        match &mut self.behind {
            Some(behind) => behind.append(frame.bytes.clone()),
            None => {
                self.due_bytes += frame.bytes.len();
                round.add(&mut self.due, held);
            }
        }
    }

    /// Is something due in this round?
    pub fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Since when the peer took nothing, if something waits for it.
    pub fn behind_since(&self) -> Option<Instant> {
        self.behind.as_ref().map(|behind| behind.progress_at)
    }

    pub fn unsent_bytes(&self) -> usize {
        self.due_bytes + self.behind.as_ref().map_or(0, |behind| behind.bytes)
    }

    /// Writes what is due, or what waits, until all is gone or the peer takes no more. How many bytes it took.
    pub fn write(&mut self, round: &Round, stream: &mut impl Write, now: Instant) -> io::Result<usize> {
        let mut written = 0;
        if self.is_due() {
            let (due, bytes) = (std::mem::take(&mut self.due), std::mem::take(&mut self.due_bytes));
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = round.slices(due, &mut slices);
            written = give(stream, &slices[..count])?;
            if written < bytes {
                let frames = round.rest(due, written).collect();
                self.behind = Some(Box::new(Behind { frames, bytes: bytes - written, skipped: vec![], progress_at: now }));
            }
        }
        if let Some(behind) = &mut self.behind {
            written += behind.write(stream, now)?;
        }
        let settled = self.behind.as_ref().is_none_or(|behind| behind.frames.is_empty());
        if settled && (written > 0 || self.behind.is_some()) {
            match stream.flush() {
                Ok(()) => self.behind = None,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // An encrypted stream holds the last records itself.
                    self.behind.get_or_insert_with(|| Box::new(Behind::nothing(now)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
}

/// How much the peer took; a full socket took nothing, and will say when it takes more.
fn give(stream: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        match stream.write_vectored(slices) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            given => return given,
        }
    }
}

impl Behind {
    fn nothing(now: Instant) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, skipped: vec![], progress_at: now }
    }

    fn push(&mut self, frame: &Frame, limit_bytes: usize, dialect: Dialect) -> Queued {
        // A group's gap goes before its next frame, or the reader would see the hole before its reason. Half of the bound
        // must be free: a gap told at the brim would be followed by the next one at once.
        if frame.position.is_some() && self.bytes <= limit_bytes / 2 {
            self.tell_gaps();
        }
        let owes_gap = |group: &Group| self.skipped.iter().any(|(skipped, ..)| skipped == group);
        let fits = self.bytes + frame.bytes.len() <= limit_bytes;
        if fits && !frame.position.as_ref().is_some_and(|position| owes_gap(&position.group)) {
            self.append(frame.bytes.clone());
            return Queued::Waits;
        }
        if let (Some(position), Dialect::V1) = (&frame.position, dialect) {
            match self.skipped.iter_mut().find(|(group, ..)| *group == position.group) {
                Some((_, _, to)) => *to = (*to).max(position.seq),
                None => self.skipped.push((position.group.clone(), position.seq, position.seq)),
            }
        }
        Queued::Slow
    }

    fn tell_gaps(&mut self) {
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
                self.tell_gaps();
            }
            if self.frames.is_empty() {
                return Ok(written);
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.frames.len().min(SLICES);
            for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                *slice = IoSlice::new(frame);
            }
            let took = give(stream, &slices[..count])?;
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

    /// A peer that takes so many bytes and then no more.
    #[derive(Default)]
    struct Peer {
        room: usize,
        took: Vec<u8>,
    }

    impl Write for Peer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(self.room);
            self.took.extend(&bytes[..count]);
            self.room -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Bench {
        outbox: Outbox,
        round: Round,
        peer: Peer,
        dialect: Dialect,
        now: Instant,
    }

    impl Bench {
        fn new(dialect: Dialect) -> Self {
            Self { outbox: Outbox::default(), round: Round::default(), peer: Peer::default(), dialect, now: Instant::now() }
        }

        /// A frame of 100 bytes, in a queue of `limit`.
        fn push(&mut self, seq: u64, limit: usize) -> Queued {
            let frame = Frame::text(&[b'x'; 98]).at(Group::new("1"), Seq(seq));
            let held = self.round.hold(&frame);
            self.outbox.push(&mut self.round, &frame, held, limit, self.dialect)
        }

        /// The peer takes up to `room` bytes; how many frames and what text came.
        fn take(&mut self, room: usize) -> String {
            self.peer.room = room;
            self.outbox.write(&self.round, &mut self.peer, self.now).unwrap();
            self.round.clear();
            let took = std::mem::take(&mut self.peer.took);
            String::from_utf8_lossy(&took).replace(&"x".repeat(98), "x").replace("\u{fffd}bx", "x")
        }
    }

    #[test]
    fn who_keeps_up_owns_nothing() {
        let mut bench = Bench::new(Dialect::V1);
        assert_eq!((bench.push(1, 1000), bench.push(2, 1000)), (Queued::Due, Queued::Due));
        assert_eq!((bench.outbox.unsent_bytes(), bench.take(200).as_str()), (200, "xx"));
        assert!(bench.outbox.behind.is_none() && bench.outbox.unsent_bytes() == 0);
        assert_eq!((bench.push(3, 150), bench.push(4, 150)), (Queued::Due, Queued::WriteFirst));
    }

    #[test]
    fn what_does_not_fit_is_skipped_and_told_once() {
        let mut bench = Bench::new(Dialect::V1);
        bench.push(1, 300);
        bench.take(50);
        let queued: Vec<_> = (2..=5).map(|seq| bench.push(seq, 300)).collect();
        assert_eq!(queued, [Queued::Waits, Queued::Waits, Queued::Slow, Queued::Slow]);
        bench.take(149);
        assert_eq!(bench.push(6, 300), Queued::Waits, "half is free: the gap is told first");
        let rest = bench.take(10_000);
        assert!(rest.ends_with("{\"type\":\"gap\",\"room\":\"1\",\"from\":4,\"to\":5}x"), "{rest}");
        assert_eq!(rest.matches("gap").count(), 1);
        assert!(bench.outbox.behind.is_none());
    }

    #[test]
    fn a_gap_at_the_end_is_told_when_the_queue_is_empty() {
        let mut bench = Bench::new(Dialect::V1);
        bench.push(1, 100);
        bench.take(10);
        assert_eq!(bench.push(2, 100), Queued::Slow);
        assert!(bench.take(1000).contains(r#"{"type":"gap","room":"1","from":2,"to":2}"#));
        assert_eq!(bench.take(1000), "");
    }

    #[test]
    fn the_plain_dialect_has_no_gap() {
        let mut bench = Bench::new(Dialect::Plain);
        bench.push(1, 100);
        bench.take(10);
        assert_eq!(bench.push(2, 100), Queued::Slow);
        assert_eq!(bench.take(1000).len(), 90);
    }

    #[test]
    fn progress_is_what_the_peer_took() {
        let mut bench = Bench::new(Dialect::V1);
        let began = bench.now;
        bench.push(1, 1000);
        bench.take(10);
        bench.now += std::time::Duration::from_secs(9);
        bench.take(0);
        assert_eq!(bench.outbox.behind_since(), Some(began));
        bench.take(10);
        assert_eq!(bench.outbox.behind_since(), Some(bench.now));
        bench.take(100);
        assert_eq!(bench.outbox.behind_since(), None);
    }
}
