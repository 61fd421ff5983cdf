//! What a shard sends in one round over its readers: the frames of all publishes that waited, once, side by side. A reader
//! is due some spans of them; frames that follow each other are one span, so a room's readers get a round in one write.

use super::frame::Frame;
use bytes::Bytes;
use std::io::IoSlice;
use std::ops::Range;

const NONE: u32 = u32::MAX;
/// A round with more than this is sent before it grows.
const FULL_BYTES: usize = 1 << 20;
const FULL_SPANS: usize = 1 << 17;
/// Slices of one vectored write.
pub const SLICES: usize = 64;

#[derive(Default)]
pub struct Round {
    arena: Vec<u8>,
    /// What stands in the arena, with where it begins: whoever falls behind shares these.
    frames: Vec<(u32, Bytes)>,
    spans: Vec<Span>,
}

struct Span {
    bytes: Range<u32>,
    next: u32,
}

/// One reader's spans of this round; eight bytes, whatever is due.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    first: u32,
    last: u32,
}

impl Default for Due {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl Due {
    pub fn is_empty(self) -> bool {
        self.first == NONE
    }
}

impl Round {
    pub fn is_full(&self) -> bool {
        self.arena.len() >= FULL_BYTES || self.spans.len() >= FULL_SPANS
    }

    /// Puts a frame down for this round; where it stands is then given to each receiver.
    pub fn hold(&mut self, frame: &Frame) -> Range<u32> {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(&frame.bytes);
        self.frames.push((start, frame.bytes.clone()));
        start..self.arena.len() as u32
    }

    pub fn add(&mut self, due: &mut Due, bytes: Range<u32>) {
        if let Some(last) = self.spans.get_mut(due.last as usize)
            && last.bytes.end == bytes.start
        {
            last.bytes.end = bytes.end;
            return;
        }
        let new = self.spans.len() as u32;
        self.spans.push(Span { bytes, next: NONE });
        match self.spans.get_mut(due.last as usize) {
            Some(last) => last.next = new,
            None => due.first = new,
        }
        due.last = new;
    }

    /// The first slices of what is due; their number.
    pub fn slices<'a>(&'a self, due: Due, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let mut count = 0;
        for (slice, bytes) in slices.iter_mut().zip(self.bytes(due)) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    /// What is due, span by span.
    fn bytes(&self, due: Due) -> impl Iterator<Item = &[u8]> {
        self.ranges(due).map(|range| &self.arena[range.start as usize..range.end as usize])
    }

    fn ranges(&self, due: Due) -> impl Iterator<Item = Range<u32>> {
        let mut at = due.first;
        std::iter::from_fn(move || {
            let span = self.spans.get(at as usize)?;
            at = span.next;
            Some(span.bytes.clone())
        })
    }

    /// What is due but for the first `written` bytes, frame by frame: shared, not copied.
    pub fn rest(&self, due: Due, mut written: usize) -> impl Iterator<Item = Bytes> {
        let frames = self.ranges(due).flat_map(|range| {
            let first = self.frames.partition_point(|(start, _)| *start < range.start);
            self.frames[first..].iter().take_while(move |(start, _)| *start < range.end).map(|(_, frame)| frame)
        });
        frames.filter_map(move |frame| {
            let cut = written.min(frame.len());
            written -= cut;
            (cut < frame.len()).then(|| frame.slice(cut..))
        })
    }

    /// Everyone was served: the next round begins, in the same memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.frames.clear();
        self.spans.clear();
        if self.arena.capacity() > 2 * FULL_BYTES {
            self.arena = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_span_and_others_keep_their_order() {
        let mut round = Round::default();
        let [a, b, c] = [&b"a"[..], b"b", b"c"].map(|payload| round.hold(&Frame::text(payload)));
        let (mut both, mut apart) = (Due::default(), Due::default());
        for bytes in [&a, &b] {
            round.add(&mut both, bytes.clone());
        }
        for bytes in [&a, &c, &c] {
            round.add(&mut apart, bytes.clone());
        }
        let of = |due| round.bytes(due).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(of(both), [b"\x81\x01a\x81\x01b"]);
        assert_eq!(of(apart), [b"\x81\x01a", b"\x81\x01c", b"\x81\x01c"]);
        let rest = |due, written| round.rest(due, written).map(|frame| frame.to_vec()).collect::<Vec<_>>();
        assert_eq!(rest(both, 0), [b"\x81\x01a", b"\x81\x01b"]);
        assert_eq!(rest(both, 4), [b"\x01b"]);
        assert_eq!(rest(apart, 3), [b"\x81\x01c", b"\x81\x01c"]);
        assert!(rest(apart, 9).is_empty());
        assert!(of(Due::default()).is_empty() && Due::default().is_empty());
        round.clear();
        assert_eq!(round.bytes(Due::default()).count(), 0);
    }
}
