//! A shard with in-memory streams and a clock set by the test: slow readers, unanswered pings, closing handshakes, drains.

use super::client_ids::ClientIds;
use super::limits::ConnectionLimits;
use super::publish::{Except, Publish, Target};
use super::shard::Shard;
use super::stream::Stream;
use super::write_batch::WriteBatch;
use super::{Credentials, Delivered, Dialect, Frame, Group, LogicalTime, NewConnection, Publication, Uid};
use crate::domain::{id::Seq, push::CloseCode};
use crate::server::config::GatewaySettings as Settings;
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The peer's end of a stream: accepts `capacity` bytes, and sends the bytes of `input`.
#[derive(Default)]
struct Peer {
    capacity: usize,
    received: Vec<u8>,
    input: VecDeque<u8>,
    eof: bool,
    writes: usize,
    shut: bool,
}

#[derive(Clone)]
struct Fake(Rc<RefCell<Peer>>);

impl Read for Fake {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut peer = self.0.borrow_mut();
        let count = peer.input.len().min(into.len());
        if count == 0 {
            return if peer.eof { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        for byte in &mut into[..count] {
            *byte = peer.input.pop_front().unwrap();
        }
        Ok(count)
    }
}

impl Write for Fake {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut peer = self.0.borrow_mut();
        if peer.capacity == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = bytes.len().min(peer.capacity);
        peer.capacity -= count;
        peer.writes += 1;
        peer.received.extend(&bytes[..count]);
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.write(&bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Fake {
    fn shut(&mut self) -> io::Result<()> {
        self.0.borrow_mut().shut = true;
        Ok(())
    }
}

const PLENTY: usize = usize::MAX / 2;

struct Bench {
    shard: Shard<Fake>,
    limits: Arc<ConnectionLimits>,
    now: Instant,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        let ids = ClientIds::new(settings.lan_addr, 1);
        Self {
            limits: Arc::new(ConnectionLimits::new(&settings)),
            shard: Shard::new(
                0,
                ids,
                Arc::new(settings),
                super::events::channel().0,
                crate::server::gateway::live_groups::ShardGroups::default(),
                now,
            ),
            now,
        }
    }

    /// Opens a connection in group "1" whose peer accepts `capacity` bytes after `init`.
    fn open(&mut self, dialect: Dialect, capacity: usize) -> (usize, Fake) {
        let fake = Fake(Rc::default());
        fake.0.borrow_mut().capacity = PLENTY;
        let permit = self.limits.reserve([127, 0, 0, 1].into(), Credentials::default()).unwrap();
        let new = NewConnection { dialect, permit, early: Bytes::new(), port: 1, handshake: None };
        let slot = self.shard.open(fake.clone(), new, LogicalTime(0), self.now);
        self.shard.registry.join_group(slot, &Group::new("1"), LogicalTime(0));
        self.shard.flush(self.now);
        assert!(text(&fake).contains("{\"type\":\"init\""));
        fake.0.borrow_mut().capacity = capacity;
        (slot, fake)
    }

    fn publish(&mut self, publication: Publication) -> tokio::sync::oneshot::Receiver<Delivered> {
        let (publish, report) = Publish::new(Target::Groups(vec![Group::new("1")]), Except::default(), publication, 1, None);
        self.shard.publish(Arc::new(publish), self.now);
        report
    }

    fn message(&mut self, seq: u64) -> tokio::sync::oneshot::Receiver<Delivered> {
        self.publish(Publication::both(Frame::text(&[b'x'; 98]).at(Group::new("1"), Seq(seq))))
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds * 4 {
            self.now += Duration::from_millis(250);
            self.shard.tick(self.now);
            self.shard.flush(self.now);
        }
    }

    fn is_open(&self, slot: usize) -> bool {
        self.shard.get(slot).is_some()
    }
}

/// Returns and clears the bytes that the peer received, each 98-byte text as one `x`.
fn text(fake: &Fake) -> String {
    let received = std::mem::take(&mut fake.0.borrow_mut().received);
    String::from_utf8_lossy(&received).replace(&"x".repeat(98), "x")
}

/// The code of the close frame that the peer received last.
fn close_code(fake: &Fake) -> Option<u16> {
    let received = fake.0.borrow().received.clone();
    let at = received.windows(2).rposition(|pair| pair[0] == 0x88 && (2..=125).contains(&pair[1]))?;
    Some(u16::from_be_bytes([*received.get(at + 2)?, *received.get(at + 3)?]))
}

#[test]
fn a_batch_is_one_write_per_reader() {
    let mut bench = Bench::new(Settings::default());
    let (_, one) = bench.open(Dialect::V1, PLENTY);
    let (_, other) = bench.open(Dialect::Plain, PLENTY);
    let before = one.0.borrow().writes;
    let mut reports: Vec<_> = (1..=50).map(|seq| bench.message(seq)).collect();
    bench.shard.flush(bench.now);
    assert_eq!((one.0.borrow().writes - before, one.0.borrow().received.len(), other.0.borrow().received.len()), (1, 5000, 5000));
    for report in &mut reports {
        assert_eq!(report.try_recv(), Ok(Delivered { to: 2, queued: 0, slow: 0 }));
    }
}

/// The publish answer: a publisher does not wait until a round over the readers is over.
#[test]
fn a_publish_amid_a_round_is_reported_at_once_and_each_reader_gets_it_once_in_order() {
    let mut bench = Bench::new(Settings::default());
    let readers: Vec<_> = (0..10).map(|_| bench.open(Dialect::V1, PLENTY).1).collect();
    let letter = |letter: u8| Publication::both(Frame::text(&[letter; 98]));
    let (mut first, before) = (bench.publish(letter(b'a')), readers[0].0.borrow().writes);
    assert!(bench.shard.write_batched(4, bench.now), "six readers are left");
    let mut second = bench.publish(letter(b'b'));
    let reported = Ok(Delivered { to: 10, queued: 0, slow: 0 });
    assert_eq!((first.try_recv(), second.try_recv()), (reported.clone(), reported));
    assert!(bench.shard.write_batched(6, bench.now), "the first four have the second frame to come");
    assert!(!bench.shard.write_batched(5, bench.now));
    for (reader, writes) in readers.iter().zip([2, 2, 2, 2, 1, 1, 1, 1, 1, 1]) {
        assert_eq!(reader.0.borrow().writes - before, writes);
        let received = text(reader);
        assert!(
            received.starts_with(&format!("\u{fffd}b{}", "a".repeat(98))) && received.ends_with(&"b".repeat(98)),
            "{received}"
        );
        assert_eq!(received.len(), "\u{fffd}b".len() * 2 + 2 * 98);
    }
}

/// Between two passes the thread of the shard looks at its mailbox.
#[test]
fn a_pass_writes_some_readers_and_a_full_batch_all_of_them() {
    let mut bench = Bench::new(Settings::default());
    let _readers: Vec<_> = (0..300).map(|_| bench.open(Dialect::V1, PLENTY)).collect();
    bench.message(1);
    let passes: Vec<_> = (0..3).map(|_| bench.shard.write_pass(bench.now)).collect();
    assert_eq!(passes, [true, true, false]);
    // The peers' pings fill the batch without a publish.
    let ping = Frame::pong(&[b'x'; 125]);
    while !bench.shard.batch.is_full() {
        (0..300).for_each(|slot| bench.shard.send_unbounded(slot, &ping));
    }
    assert!(!bench.shard.write_pass(bench.now));
}

#[test]
fn slow_reader_skips_frames_and_gets_one_gap_and_others_lose_nothing() {
    let mut bench = Bench::new(Settings { queue_bytes: 1000, ..Settings::default() });
    let (slow, at_slow) = bench.open(Dialect::V1, 150);
    let (_, fast) = bench.open(Dialect::V1, PLENTY);
    let mut outcomes = Vec::new();
    for seq in 1..=20 {
        let mut report = bench.message(seq);
        bench.shard.flush(bench.now);
        outcomes.push(report.try_recv().unwrap());
    }
    assert_eq!(fast.0.borrow().received.len(), 2000);
    assert_eq!(outcomes[0], Delivered { to: 2, queued: 0, slow: 0 });
    assert_eq!(outcomes[5], Delivered { to: 2, queued: 1, slow: 0 });
    assert_eq!(outcomes[19], Delivered { to: 1, queued: 0, slow: 1 });
    let mut dropped = bench.publish(Publication::both(Frame::text(&[b'y'; 900])));
    bench.shard.flush(bench.now);
    assert_eq!(dropped.try_recv(), Ok(Delivered { to: 1, queued: 0, slow: 1 }), "the API's payload is dropped and counted");

    at_slow.0.borrow_mut().capacity = PLENTY;
    bench.shard.writable(slow, bench.now);
    let received = text(&at_slow);
    assert!(received.ends_with("{\"type\":\"gap\",\"room\":\"1\",\"from\":12,\"to\":20}"), "{received}");
    assert_eq!((received.matches('x').count(), received.matches("gap").count(), received.matches("yy").count()), (11, 1, 0));
    bench.message(21);
    bench.shard.flush(bench.now);
    assert_eq!(text(&at_slow).matches('x').count(), 1);
    assert_eq!(bench.shard.metrics.stats.skipped, 10);
}

#[test]
fn a_burst_beyond_the_limit_reaches_a_reader_that_keeps_up() {
    let mut bench = Bench::new(Settings { queue_bytes: 1000, ..Settings::default() });
    let (_, fast) = bench.open(Dialect::V1, PLENTY);
    for seq in 1..=500 {
        bench.message(seq);
    }
    let mut large = bench.publish(Publication::both(Frame::text(&[b'q'; 5000])));
    bench.shard.flush(bench.now);
    assert_eq!(large.try_recv(), Ok(Delivered { to: 1, queued: 0, slow: 0 }));
    assert_eq!(fast.0.borrow().received.len(), 500 * 100 + 5004);
}

#[test]
fn reader_without_progress_for_thirty_seconds_is_closed_as_slow() {
    let mut bench = Bench::new(Settings::default());
    let (stuck, at_stuck) = bench.open(Dialect::V1, 10);
    let (slow, at_slow) = bench.open(Dialect::V1, 10);
    bench.message(1);
    bench.message(2);
    bench.shard.flush(bench.now);
    for _ in 0..4 {
        bench.wait(9);
        // One byte is progress.
        at_slow.0.borrow_mut().capacity = 1;
        bench.shard.writable(slow, bench.now);
    }
    assert!(!bench.is_open(stuck) && bench.is_open(slow));
    assert_eq!(close_code(&at_stuck), None, "it accepted nothing, not even the close frame");
    bench.wait(30);
    at_slow.0.borrow_mut().capacity = PLENTY;
    bench.shard.writable(slow, bench.now);
    assert_eq!(close_code(&at_slow), Some(CloseCode::SLOW.0));
}

#[test]
fn connection_that_does_not_answer_a_ping_is_closed_as_silent() {
    let mut bench = Bench::new(Settings::default());
    let connections: Vec<_> = (0..60).map(|_| bench.open(Dialect::V1, PLENTY)).collect();
    // Connections with an odd index answer each ping, the others never do.
    let mut pinged = vec![0; 60];
    for second in 1..=80 {
        bench.wait(1);
        for (place, (slot, fake)) in connections.iter().enumerate() {
            let received = std::mem::take(&mut fake.0.borrow_mut().received);
            let pings = received.windows(2).filter(|pair| *pair == [0x89, 0]).count();
            pinged[place] += pings;
            if place % 2 == 1 && pings > 0 {
                fake.0.borrow_mut().input.extend([0x8a, 0x80, 0, 0, 0, 0]);
                bench.shard.readable(*slot, bench.now);
            } else if received.windows(4).any(|four| four == [0x88, 8, 0x11, 0x3a]) {
                // No ping in the first quarter of the interval (6 s), at the latest after 25 s more; 10 s to answer.
                assert!((16..=41).contains(&second), "closed after {second} s");
            }
        }
    }
    for (place, (slot, _)) in connections.iter().enumerate() {
        assert_eq!(bench.is_open(*slot), place % 2 == 1, "{place}");
        assert!(if place % 2 == 1 { (3..=4).contains(&pinged[place]) } else { pinged[place] == 1 }, "{place}: {}", pinged[place]);
    }
    assert_eq!(bench.limits.count(), 30);
}

#[test]
fn a_stalled_machine_closes_no_connection_for_the_stall() {
    let mut bench = Bench::new(Settings::default());
    let connections: Vec<_> = (0..60).map(|_| bench.open(Dialect::V1, PLENTY)).collect();
    bench.now += Duration::from_secs(100);
    bench.shard.tick(bench.now);
    bench.shard.flush(bench.now);
    for (slot, fake) in &connections {
        assert!(bench.is_open(*slot));
        assert_eq!(
            fake.0.borrow().received.windows(2).filter(|pair| *pair == [0x89, 0]).count(),
            1,
            "each connection was pinged once"
        );
    }
    bench.wait(9);
    assert_eq!(bench.limits.count(), 60);
    bench.wait(27);
    assert_eq!(bench.limits.count(), 0, "connections that do not answer are closed");
}

#[test]
fn either_side_may_start_the_closing_handshake() {
    let mut bench = Bench::new(Settings::default());
    let (kicked, at_kicked) = bench.open(Dialect::V1, PLENTY);
    bench.message(1);
    bench.shard.close(kicked, CloseCode(4321), "because", bench.now);
    bench.message(2);
    bench.shard.flush(bench.now);
    let received = at_kicked.0.borrow().received.clone();
    assert_eq!(&received[100..], b"\x88\x09\x10\xe1because", "the queued frame, the close frame, and nothing after it");
    assert!(at_kicked.0.borrow().shut && bench.is_open(kicked), "half closed: the peer may read to the end");
    at_kicked.0.borrow_mut().eof = true;
    bench.shard.readable(kicked, bench.now);
    assert!(!bench.is_open(kicked));

    let (theirs, at_theirs) = bench.open(Dialect::V1, PLENTY);
    at_theirs.0.borrow_mut().input.extend(b"\x88\x82\0\0\0\0\x03\xe8");
    bench.shard.readable(theirs, bench.now);
    bench.shard.flush(bench.now);
    assert_eq!(at_theirs.0.borrow().received, b"\x88\x02\x03\xe8");
    assert!(!bench.is_open(theirs));

    let (deaf, _) = bench.open(Dialect::V1, PLENTY);
    bench.shard.close(deaf, CloseCode::KICKED, "", bench.now);
    bench.shard.flush(bench.now);
    bench.wait(1);
    assert!(bench.is_open(deaf));
    bench.wait(2);
    assert!(!bench.is_open(deaf), "a peer that does not answer the close frame is dropped");
    assert_eq!(bench.limits.count(), 0);
}

#[test]
fn f4_the_farewell_of_many_connections_is_held_once() {
    let mut bench = Bench::new(Settings::default());
    let readers: Vec<_> = (0..300)
        .map(|number| bench.open([Dialect::V1, Dialect::Plain][number % 2], if number % 3 == 0 { 10 } else { PLENTY }))
        .collect();
    let slots: Vec<_> = readers.iter().map(|(slot, _)| *slot).collect();
    let farewell = Publication::both(Frame::text(&[b'q'; 900_000]));
    bench.shard.close_with_farewell(&slots, Some(&farewell), &CloseCode::KICKED.into(), bench.now);
    assert!(bench.shard.batch.len() < 1_000_000, "{} bytes are held", bench.shard.batch.len());
    bench.shard.flush(bench.now);
    for (number, (slot, reader)) in readers.iter().enumerate() {
        if number % 3 == 0 {
            // The backlogs share the farewell's bytes, and the rest arrives when the peer reads on.
            reader.0.borrow_mut().capacity = PLENTY;
            bench.shard.writable(*slot, bench.now);
        }
        assert_eq!(close_code(reader), Some(CloseCode::KICKED.0), "{number}");
        assert_eq!(reader.0.borrow().received.iter().filter(|byte| **byte == b'q').count(), 900_000, "{number}");
    }
}

/// A span's offsets are 32 bits wide. The bound is 4 GiB, and here 1,000 bytes.
#[test]
fn f4_frames_beyond_the_bound_of_a_batch_are_written_or_refused_and_nothing_panics() {
    let mut bench = Bench::new(Settings::default());
    let readers: Vec<_> = (0..50).map(|_| bench.open(Dialect::V1, PLENTY)).collect();
    bench.shard.batch = WriteBatch::with_limit(1000);
    let mut reports: Vec<_> = (0..30).map(|seq| bench.message(seq)).collect();
    assert!(reports.iter_mut().all(|report| report.try_recv().unwrap().to == 50), "flushed between, all are delivered");
    bench.publish(Publication::both(Frame::text(&[b'y'; 5000])));
    bench.message(31);
    for (slot, _) in &readers {
        bench.shard.send_unbounded(*slot, &Frame::text(&[b'z'; 98]));
    }
    let slots: Vec<_> = readers.iter().map(|(slot, _)| *slot).collect();
    let farewell = Publication::both(Frame::text(&[b'f'; 700]));
    bench.shard.close_with_farewell(&slots, Some(&farewell), &CloseCode::KICKED.into(), bench.now);
    bench.shard.flush(bench.now);
    for (_, reader) in &readers {
        let received = text(reader);
        assert_eq!(received.matches("\u{fffd}bx").count(), 31, "every frame that fits");
        assert!(!received.contains('q') && received.matches('f').count() >= 700);
    }
}

#[test]
fn f28_idle_connections_make_way_oldest_first() {
    let mut bench = Bench::new(Settings::default());
    let (bound, _) = bench.open(Dialect::V1, PLENTY);
    let outside = |bench: &mut Bench| {
        let (slot, fake) = bench.open(Dialect::Plain, PLENTY);
        bench.shard.registry.leave_group(slot, &Group::new("1"));
        bench.wait(1);
        (slot, fake)
    };
    let [(kept, _), (addressed, _), (first, at_first), (second, _), (third, _)] = [(); 5].map(|()| outside(&mut bench));
    *bench.shard.registry.session_of(kept).unwrap() = Some(super::ClientSession::new(&serde_json::json!({"a": 1})).unwrap());
    let client = bench.shard.client_id(addressed).unwrap();
    let publication = Publication::both(Frame::text(b"for you"));
    let (publish, _report) = Publish::new(Target::Clients(vec![client]), Except::default(), publication, 1, None);
    bench.shard.publish(Arc::new(publish), bench.now);
    bench.wait(10);
    let (young, _) = outside(&mut bench);
    bench.shard.close_idle(2, bench.now);
    bench.shard.flush(bench.now);
    assert_eq!(close_code(&at_first), Some(4407));
    let is_open = |bench: &Bench, slot| bench.shard.client_id(slot).is_some();
    assert_eq!([first, second, third, young].map(|slot| is_open(&bench, slot)), [false, false, true, true]);
    bench.shard.close_idle(100, bench.now);
    assert_eq!([bound, kept, addressed, third, young].map(|slot| is_open(&bench, slot)), [true, true, true, false, true]);
}

/// A connection's ping frees its decoder, but not the count of its frames within the last second.
#[test]
fn f28_a_ping_does_not_reset_the_rate_of_a_connections_frames() {
    let mut bench = Bench::new(Settings { ping_every_ms: 4000, ..Settings::default() });
    let (slot, fake) = bench.open(Dialect::V1, PLENTY);
    let began = bench.now;
    let text_frames = |count: usize| b"\x81\x81\0\0\0\0x".repeat(count);
    let pong = b"\x8a\x80\0\0\0\0";
    // In each second of a ping interval: some frames before the tick that may ping, and the rest of them after it.
    let mut was_pinged = false;
    while !was_pinged {
        assert!(bench.now < began + Duration::from_secs(8), "no ping was sent");
        bench.now += Duration::from_millis(990);
        fake.0.borrow_mut().input.extend(text_frames(6));
        bench.shard.readable(slot, bench.now);
        bench.now += Duration::from_millis(20);
        bench.shard.tick(bench.now);
        bench.shard.flush(bench.now);
        was_pinged = fake.0.borrow().received.ends_with(b"\x89\0");
    }
    fake.0.borrow_mut().input.extend(pong);
    fake.0.borrow_mut().input.extend(text_frames(6));
    bench.shard.readable(slot, bench.now);
    bench.shard.flush(bench.now);
    assert_eq!(close_code(&fake), Some(CloseCode::INBOUND_LIMIT.0));
}

#[test]
fn a_draining_shard_closes_its_connections_in_batches() {
    let mut bench = Bench::new(Settings::default());
    let connections: Vec<_> = (0..10).map(|_| bench.open(Dialect::V1, PLENTY)).collect();
    let (_, plain) = bench.open(Dialect::Plain, PLENTY);
    let mut again = 0;
    for expected in [4, 8, 11, 11] {
        bench.shard.drain_batch(
            4,
            || {
                again += 1;
                again
            },
            bench.now,
        );
        bench.shard.flush(bench.now);
        let left = connections.iter().map(|(_, fake)| fake).chain([&plain]).filter(|fake| close_code(fake) == Some(1001)).count();
        assert_eq!(left, expected);
    }
    for (place, (_, fake)) in connections.iter().enumerate() {
        assert!(text(fake).contains(&format!("{{\"type\":\"bye\",\"reconnect_after_ms\":{}}}", place + 1)));
    }
    assert!(!text(&plain).contains("bye"), "the plain dialect has no bye");
}

#[test]
fn client_frames_over_the_limit_close_the_socket_and_a_ping_is_answered() {
    let mut bench = Bench::new(Settings::default());
    let (slot, fake) = bench.open(Dialect::V1, PLENTY);
    fake.0.borrow_mut().input.extend(b"\x89\x82\0\0\0\0hi");
    bench.shard.readable(slot, bench.now);
    bench.shard.flush(bench.now);
    assert_eq!(std::mem::take(&mut fake.0.borrow_mut().received), b"\x8a\x02hi");
    fake.0.borrow_mut().input.extend(b"\x81\x81\0\0\0\0x".repeat(11));
    bench.shard.readable(slot, bench.now);
    bench.shard.flush(bench.now);
    assert_eq!(close_code(&fake), Some(CloseCode::INBOUND_LIMIT.0));
}

/// Trap 13.
#[test]
fn a_staff_frame_reaches_the_staff_of_its_group_on_v1_alone() {
    let mut bench = Bench::new(Settings::default());
    let group = Group::new("1");
    let staff: Vec<_> = [Dialect::V1, Dialect::Plain, Dialect::V1].map(|dialect| bench.open(dialect, PLENTY)).into();
    let (_, viewer) = bench.open(Dialect::V1, PLENTY);
    let uid = Uid::new("mod");
    for (slot, _) in &staff {
        bench.shard.registry.bind_uid(*slot, &uid, LogicalTime(0));
        assert!(bench.shard.registry.join_staff(*slot, &uid, &group));
    }
    bench.shard.registry.unbind_uid(staff[2].0);
    let publication = Publication::v1(Frame::text(b"staff"));
    let (publish, report) = Publish::new(Target::Staff(group), Except::default(), publication, 1, None);
    bench.shard.publish(Arc::new(publish), bench.now);
    bench.shard.flush(bench.now);
    assert_eq!(report.blocking_recv().unwrap().to, 1);
    let received = [&staff[0].1, &staff[1].1, &staff[2].1, &viewer].map(text);
    assert!(received[0].ends_with("staff") && received[1..].iter().all(String::is_empty), "{received:?}");
    // No group has another name for it, and it is no group.
    assert_eq!(bench.shard.registry.groups().map(|(group, ..)| group.as_text().into_owned()).collect::<Vec<_>>(), ["1"]);
}
