//! The send queue of one reader, slow and fast, with a peer that accepts so many bytes.

use super::*;
use proptest::prelude::*;

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

    /// Pushes a change, which is a frame of 100 bytes as well.
    fn push_change(&mut self, rev: u64, limit: usize) -> Enqueue {
        let frame = Frame::text(&[b'y'; 98]).at_rev(Group::new("1"), Rev(rev));
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

/// A reader with four messages in a queue of 400 bytes, which is full: its socket took ten bytes.
fn full() -> Bench {
    let mut bench = Bench::new(Dialect::V1);
    bench.push(1, 400);
    bench.take(10);
    assert!((2..=4).all(|seq| bench.push(seq, 400) == Enqueue::Backlogged));
    bench
}

/// Trap 1.
#[test]
fn a_skipped_change_is_reported_by_its_rev_alone() {
    let mut bench = full();
    assert_eq!((bench.push_change(7, 400), bench.push_change(8, 400)), (Enqueue::Skipped, Enqueue::Skipped));
    let left = bench.take(1000);
    assert!(left.ends_with(r#"{"type":"gap","room":"1","rev":8}"#), "{left}");
}

#[test]
fn a_skipped_frame_that_stands_for_messages_is_reported_as_all_of_them() {
    let mut bench = full();
    let frame = Frame::text(&[b'x'; 98]).over(Group::new("1"), Seq(5), Seq(9));
    let span = bench.batch.append_frame(&frame);
    assert_eq!(bench.send_queue.push(&mut bench.batch, &frame, span, 400, bench.dialect), Enqueue::Skipped);
    let left = bench.take(1000);
    assert!(left.ends_with(r#"{"type":"gap","room":"1","from":5,"to":9}"#), "{left}");
}

/// Trap 1.
#[test]
fn messages_and_changes_of_a_group_share_one_gap_and_wait_for_it() {
    let mut bench = full();
    assert_eq!((bench.push_change(7, 400), bench.push(5, 400)), (Enqueue::Skipped, Enqueue::Skipped));
    bench.take(90);
    // A frame would fit, but the queue owes a gap until half of it is free.
    assert_eq!(bench.push(6, 400), Enqueue::Skipped, "a message does not pass the gap of a change");
    assert_eq!(bench.push_change(8, 400), Enqueue::Skipped, "a change does not pass the gap of a message");
    bench.take(100);
    assert_eq!(bench.push_change(9, 400), Enqueue::Backlogged);
    let left = bench.take(1000);
    let (gap, change) = left.split_at(left.find("\u{fffd}by").unwrap_or(left.len()));
    assert!(gap.ends_with(r#"{"type":"gap","room":"1","from":5,"to":6,"rev":8}"#), "{left}");
    assert!(change.contains("yy") && !change.contains("gap"), "{left}");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Message,
    Change,
    Take(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![4 => Just(Step::Message), 2 => Just(Step::Change), 3 => (0..500u16).prop_map(Step::Take)]
}

/// The numbers that a reader got, from its frames: of messages and of changes, and the gaps.
fn read(frames: &str) -> Vec<(bool, u64, u64)> {
    let objects = frames.split_inclusive('}').filter_map(|object| serde_json::from_str(&object[object.find('{')?..]).ok());
    let mut numbers = Vec::new();
    for object in objects {
        let object: serde_json::Value = object;
        match (&object["seq"], &object["from"], &object["rev"]) {
            (serde_json::Value::Number(seq), ..) => numbers.push((true, seq.as_u64().unwrap(), seq.as_u64().unwrap())),
            (_, from, rev) => {
                if let (Some(from), Some(to)) = (from.as_u64(), object["to"].as_u64()) {
                    numbers.push((true, from, to));
                }
                // The page binds again, with the rev that it holds: every change up to this one is told.
                if let Some(rev) = rev.as_u64() {
                    numbers.push((false, if object["type"] == "gap" { 0 } else { rev }, rev));
                }
            }
        }
    }
    numbers
}

proptest! {
    /// Trap 1: however slowly it reads, a reader of `roomcast.v1` gets or is told every number, in order.
    #[test]
    fn every_number_is_sent_or_in_a_gap(steps in prop::collection::vec(step(), 1..120)) {
        let (mut bench, group) = (Bench::new(Dialect::V1), Group::new("1"));
        let (mut seq, mut rev, mut frames) = (0, 0, String::new());
        for step in steps.into_iter().chain([Step::Take(u16::MAX)]) {
            let frame = match step {
                Step::Message => {
                    seq += 1;
                    Frame::text(format!(r#"{{"seq":{seq}}}"#).as_bytes()).at(group.clone(), Seq(seq))
                }
                Step::Change => {
                    rev += 1;
                    Frame::text(format!(r#"{{"rev":{rev}}}"#).as_bytes()).at_rev(group.clone(), Rev(rev))
                }
                Step::Take(bytes) => {
                    frames += &bench.take(usize::from(bytes));
                    continue;
                }
            };
            let span = bench.batch.append_frame(&frame);
            if bench.send_queue.push(&mut bench.batch, &frame, span.clone(), 60, Dialect::V1) == Enqueue::FlushFirst {
                bench.send_queue.write(&mut bench.batch, &mut bench.peer, bench.now).unwrap();
                bench.send_queue.push(&mut bench.batch, &frame, span, 60, Dialect::V1);
            }
        }
        let (mut next_seq, mut newest_rev) = (1, 0);
        for (is_message, from, to) in read(&frames) {
            if is_message {
                prop_assert_eq!(from, next_seq);
                next_seq = to + 1;
            } else {
                prop_assert!(to > newest_rev && from <= newest_rev + 1, "{} {} after {}", from, to, newest_rev);
                newest_rev = to;
            }
        }
        prop_assert_eq!((next_seq, newest_rev), (seq + 1, rev));
    }
}
