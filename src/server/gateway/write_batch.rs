//! The frames of all publishes that a shard has yet to write to its readers, stored once, one behind the other.
//!
//! A reader has spans of the batch pending. Neighbouring frames merge into one span, so the members of a group get the
//! whole batch with one vectored write, and a reader that keeps up needs no buffer of its own.

use super::frame::Frame;
use bytes::Bytes;
use std::io::IoSlice;
use std::ops::Range;

/// Marks the end of a chain of spans.
const NONE: u32 = u32::MAX;
/// Bytes and spans at which the shard writes the batch before it adds more.
const FULL_BYTES: usize = 1 << 20;
const FULL_SPANS: usize = 1 << 17;
/// Slices per vectored write.
pub(super) const SLICES: usize = 64;

/// One shard's write batch.
pub(super) struct WriteBatch {
    arena: Vec<u8>,
    /// Bytes that the arena never exceeds: a span's offsets are 32 bits wide.
    max_bytes: u32,
    /// The frames of the arena by their offset: a reader that falls behind keeps clones of these.
    frames: Vec<(u32, Bytes)>,
    spans: Vec<Span>,
    /// First of the chain of released spans, which are used again before new ones.
    free: u32,
}

impl Default for WriteBatch {
    fn default() -> Self {
        Self::with_limit(u32::MAX)
    }
}

struct Span {
    bytes: Range<u32>,
    next: u32,
}

/// One reader's chain of spans in the batch: eight bytes, however many frames are pending.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingSpans {
    first: u32,
    last: u32,
}

impl Default for PendingSpans {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl PendingSpans {
    /// Whether no span is pending.
    pub(super) fn is_empty(self) -> bool {
        self.first == NONE
    }
}

impl WriteBatch {
    /// Returns an empty batch that refuses a frame beyond `max_bytes`.
    pub(super) fn with_limit(max_bytes: u32) -> Self {
        Self { arena: Vec::new(), max_bytes, frames: Vec::new(), spans: Vec::new(), free: NONE }
    }

    /// Bytes of the frames in the batch.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.arena.len()
    }

    /// Whether `bytes` more can be appended. If not, the batch is to be written first.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.end_with(bytes).is_some()
    }

    /// The arena's end after `bytes` more; `None` beyond the limit.
    fn end_with(&self, bytes: usize) -> Option<u32> {
        let end = self.arena.len().checked_add(bytes)?;
        u32::try_from(end).ok().filter(|end| *end <= self.max_bytes)
    }

    /// Whether the batch is to be written before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.arena.len() >= FULL_BYTES || self.spans.len() >= FULL_SPANS
    }

    /// Copies a frame into the arena and returns its place, to be pushed to each receiver. An empty range: it does not fit, and
    /// no receiver may get it before the batch is written.
    pub(super) fn append_frame(&mut self, frame: &Frame) -> Range<u32> {
        let (Some(start), Some(end)) = (self.end_with(0), self.end_with(frame.bytes.len())) else { return 0..0 };
        self.arena.extend_from_slice(&frame.bytes);
        self.frames.push((start, frame.bytes.clone()));
        start..end
    }

    /// Adds a span to a reader's chain, or extends its last span if the two are neighbours.
    pub(super) fn push_span(&mut self, pending: &mut PendingSpans, bytes: Range<u32>) {
        if let Some(last) = self.spans.get_mut(pending.last as usize)
            && last.bytes.end == bytes.start
        {
            last.bytes.end = bytes.end;
            return;
        }
        let new = self.new_span(bytes);
        match self.spans.get_mut(pending.last as usize) {
            Some(last) => last.next = new,
            None => pending.first = new,
        }
        pending.last = new;
    }

    fn new_span(&mut self, bytes: Range<u32>) -> u32 {
        let new = self.free;
        let span = Span { bytes, next: NONE };
        match self.spans.get_mut(new as usize) {
            Some(freed) => {
                self.free = freed.next;
                *freed = span;
                new
            }
            None => {
                self.spans.push(span);
                self.spans.len() as u32 - 1
            }
        }
    }

    /// Returns the spans of a reader that was written, for further readers of the same batch.
    pub(super) fn release_spans(&mut self, pending: PendingSpans) {
        if let Some(last) = self.spans.get_mut(pending.last as usize) {
            last.next = self.free;
            self.free = pending.first;
        }
    }

    /// Fills `slices` with the first pending spans and returns their number.
    pub(super) fn slices<'a>(&'a self, pending: PendingSpans, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let mut count = 0;
        for (slice, bytes) in slices.iter_mut().zip(self.bytes(pending)) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    /// The pending spans as bytes.
    fn bytes(&self, pending: PendingSpans) -> impl Iterator<Item = &[u8]> {
        self.ranges(pending).map(|range| &self.arena[range.start as usize..range.end as usize])
    }

    fn ranges(&self, pending: PendingSpans) -> impl Iterator<Item = Range<u32>> {
        let mut at = pending.first;
        std::iter::from_fn(move || {
            let span = self.spans.get(at as usize)?;
            at = span.next;
            Some(span.bytes.clone())
        })
    }

    /// The pending frames without their first `written` bytes: shared, not copied.
    pub(super) fn remaining_frames(&self, pending: PendingSpans, mut written: usize) -> impl Iterator<Item = Bytes> {
        let frames = self.ranges(pending).flat_map(|range| {
            let first = self.frames.partition_point(|(start, _)| *start < range.start);
            self.frames[first..].iter().take_while(move |(start, _)| *start < range.end).map(|(_, frame)| frame)
        });
        frames.filter_map(move |frame| {
            let cut = written.min(frame.len());
            written -= cut;
            (cut < frame.len()).then(|| frame.slice(cut..))
        })
    }

    /// Empties the batch after it was written. Keeps its memory, unless one large batch has doubled it.
    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.frames.clear();
        self.spans.clear();
        self.free = NONE;
        if self.frames.capacity() > FULL_SPANS {
            self.frames = Vec::new();
        }
        if self.arena.capacity() > 2 * FULL_BYTES {
            self.arena = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_are_one_span_and_others_keep_their_order() {
        let mut batch = WriteBatch::default();
        let [a, b, c] = [&b"a"[..], b"b", b"c"].map(|payload| batch.append_frame(&Frame::text(payload)));
        let (mut both, mut apart) = (PendingSpans::default(), PendingSpans::default());
        for bytes in [&a, &b] {
            batch.push_span(&mut both, bytes.clone());
        }
        for bytes in [&a, &c, &c] {
            batch.push_span(&mut apart, bytes.clone());
        }
        let of = |pending| batch.bytes(pending).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(of(both), [b"\x81\x01a\x81\x01b"]);
        assert_eq!(of(apart), [b"\x81\x01a", b"\x81\x01c", b"\x81\x01c"]);
        let remaining_frames =
            |pending, written| batch.remaining_frames(pending, written).map(|frame| frame.to_vec()).collect::<Vec<_>>();
        assert_eq!(remaining_frames(both, 0), [b"\x81\x01a", b"\x81\x01b"]);
        assert_eq!(remaining_frames(both, 4), [b"\x01b"]);
        assert_eq!(remaining_frames(apart, 3), [b"\x81\x01c", b"\x81\x01c"]);
        assert!(remaining_frames(apart, 9).is_empty());
        assert!(of(PendingSpans::default()).is_empty() && PendingSpans::default().is_empty());
        batch.clear();
        assert_eq!(batch.bytes(PendingSpans::default()).count(), 0);
    }

    #[test]
    fn released_spans_are_used_again() {
        let mut batch = WriteBatch::default();
        let frames: Vec<_> = (0..6).map(|_| batch.append_frame(&Frame::text(b"x"))).collect();
        for _ in 0..10 {
            let mut readers = [PendingSpans::default(); 2];
            for frame in frames.iter().step_by(2) {
                readers.iter_mut().for_each(|reader| batch.push_span(reader, frame.clone()));
            }
            for reader in readers {
                assert_eq!(batch.ranges(reader).collect::<Vec<_>>(), [0..3, 6..9, 12..15]);
                batch.release_spans(reader);
            }
        }
        assert_eq!(batch.spans.len(), 6);
    }

    proptest! {
        /// Frames of any sizes, pushed as the shard does it: flushed first if they do not fit.
        #[test]
        fn f4_a_batch_is_written_before_its_bound_and_never_passes_it(
            sizes in prop::collection::vec(0_usize..600, 1..60),
            max_bytes in 0_u32..1500,
        ) {
            let mut batch = WriteBatch::with_limit(max_bytes);
            let (mut written, mut refused) = (0, 0);
            for size in &sizes {
                let frame = Frame::text(&vec![b'x'; *size]);
                if !batch.fits(frame.bytes.len()) {
                    batch.clear();
                }
                let span = batch.append_frame(&frame);
                prop_assert!(batch.len() <= max_bytes as usize);
                let mut pending = PendingSpans::default();
                if span.is_empty() {
                    prop_assert!(frame.bytes.len() > max_bytes as usize, "only a frame above the bound is refused");
                    refused += 1;
                    continue;
                }
                batch.push_span(&mut pending, span);
                prop_assert_eq!(batch.bytes(pending).map(<[u8]>::len).sum::<usize>(), frame.bytes.len());
                written += 1;
            }
            prop_assert_eq!(written + refused, sizes.len());
        }
    }
}
