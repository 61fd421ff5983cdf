//! A shard with streams of our own and a clock turned by hand: what happens to those who are slow, silent, or leave.

use super::client_ids::ClientIds;
use super::limits::ConnectionLimits;
use super::publish::{Except, Publish, Target};
use super::shard::Shard;
use super::stream::Stream;
use super::{Delivered, Dialect, Frame, Group, LogicalTime, NewConnection, Publication};
use crate::domain::{id::Seq, push::CloseCode};
use crate::server::config::GatewaySettings as Settings;
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The peer's end of a stream: takes so many bytes, says what it is given to say.
#[derive(Default)]
struct Peer {
    room: usize,
    took: Vec<u8>,
    says: VecDeque<u8>,
    gone: bool,
    writes: usize,
    shut: bool,
}

#[derive(Clone)]
struct Fake(Rc<RefCell<Peer>>);

impl Read for Fake {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut peer = self.0.borrow_mut();
        let count = peer.says.len().min(into.len());
        if count == 0 {
            return if peer.gone { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        for byte in &mut into[..count] {
            *byte = peer.says.pop_front().unwrap();
        }
        Ok(count)
    }
}

impl Write for Fake {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut peer = self.0.borrow_mut();
        if peer.room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = bytes.len().min(peer.room);
        peer.room -= count;
        peer.writes += 1;
        peer.took.extend(&bytes[..count]);
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
            shard: Shard::new(0, ids, Arc::new(settings), super::events::channel().0, now),
            now,
        }
    }

    /// A connection in group "1" whose peer takes `room` bytes beyond its `init`.
    fn open(&mut self, dialect: Dialect, room: usize) -> (usize, Fake) {
        let fake = Fake(Rc::default());
        fake.0.borrow_mut().room = PLENTY;
        let permit = self.limits.take([127, 0, 0, 1].into(), None).unwrap();
        let new = NewConnection { dialect, permit, early: Bytes::new(), port: 1, handshake: None };
        let slot = self.shard.open(fake.clone(), new, LogicalTime(0), self.now);
        self.shard.registry.join_group(slot, &Group::new("1"), LogicalTime(0));
        self.shard.flush(self.now);
        assert!(text(&fake).contains("{\"type\":\"init\""));
        fake.0.borrow_mut().room = room;
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
        }
    }

    fn is_open(&self, slot: usize) -> bool {
        self.shard.get(slot).is_some()
    }
}

/// What the peer took since the last look; a message's text as one letter.
fn text(fake: &Fake) -> String {
    let took = std::mem::take(&mut fake.0.borrow_mut().took);
    String::from_utf8_lossy(&took).replace(&"x".repeat(98), "x")
}

/// The close frame's code at the end of what the peer took.
fn close_code(fake: &Fake) -> Option<u16> {
    let took = fake.0.borrow().took.clone();
    let at = took.windows(2).rposition(|pair| pair[0] == 0x88 && (2..=125).contains(&pair[1]))?;
    Some(u16::from_be_bytes([*took.get(at + 2)?, *took.get(at + 3)?]))
}

#[test]
fn what_comes_together_leaves_in_one_write() {
    let mut bench = Bench::new(Settings::default());
    let (_, one) = bench.open(Dialect::V1, PLENTY);
    let (_, other) = bench.open(Dialect::Plain, PLENTY);
    let before = one.0.borrow().writes;
    let mut reports: Vec<_> = (1..=50).map(|seq| bench.message(seq)).collect();
    bench.shard.flush(bench.now);
    assert_eq!((one.0.borrow().writes - before, one.0.borrow().took.len(), other.0.borrow().took.len()), (1, 5000, 5000));
    for report in &mut reports {
        assert_eq!(report.try_recv(), Ok(Delivered { to: 2, queued: 0, slow: 0 }));
    }
}

#[test]
fn a_full_queue_skips_the_newest_and_says_so_and_others_lose_nothing() {
    let mut bench = Bench::new(Settings { queue_bytes: 1000, ..Settings::default() });
    let (slow, at_slow) = bench.open(Dialect::V1, 150);
    let (_, fast) = bench.open(Dialect::V1, PLENTY);
    let mut outcomes = Vec::new();
    for seq in 1..=20 {
        let mut report = bench.message(seq);
        bench.shard.flush(bench.now);
        outcomes.push(report.try_recv().unwrap());
    }
    assert_eq!(fast.0.borrow().took.len(), 2000);
    assert_eq!(outcomes[0], Delivered { to: 2, queued: 0, slow: 0 });
    assert_eq!(outcomes[5], Delivered { to: 2, queued: 1, slow: 0 });
    assert_eq!(outcomes[19], Delivered { to: 1, queued: 0, slow: 1 });
    let mut dropped = bench.publish(Publication::both(Frame::text(&[b'y'; 900])));
    bench.shard.flush(bench.now);
    assert_eq!(dropped.try_recv(), Ok(Delivered { to: 1, queued: 0, slow: 1 }), "the API's payload is dropped and counted");

    at_slow.0.borrow_mut().room = PLENTY;
    bench.shard.writable(slow, bench.now);
    let took = text(&at_slow);
    assert!(took.ends_with("{\"type\":\"gap\",\"room\":\"1\",\"from\":12,\"to\":20}"), "{took}");
    assert_eq!((took.matches('x').count(), took.matches("gap").count(), took.matches("yy").count()), (11, 1, 0));
    bench.message(21);
    bench.shard.flush(bench.now);
    assert_eq!(text(&at_slow).matches('x').count(), 1);
    assert_eq!(bench.shard.figures.counted.skipped, 10);
}

#[test]
fn a_burst_beyond_the_queue_reaches_who_takes_it() {
    let mut bench = Bench::new(Settings { queue_bytes: 1000, ..Settings::default() });
    let (_, fast) = bench.open(Dialect::V1, PLENTY);
    for seq in 1..=500 {
        bench.message(seq);
    }
    let mut large = bench.publish(Publication::both(Frame::text(&[b'y'; 5000])));
    bench.shard.flush(bench.now);
    assert_eq!(large.try_recv(), Ok(Delivered { to: 1, queued: 0, slow: 0 }));
    assert_eq!(fast.0.borrow().took.len(), 500 * 100 + 5004);
}

#[test]
fn who_takes_nothing_for_thirty_seconds_is_closed_as_slow() {
    let mut bench = Bench::new(Settings::default());
    let (stuck, at_stuck) = bench.open(Dialect::V1, 10);
    let (slow, at_slow) = bench.open(Dialect::V1, 10);
    bench.message(1);
    bench.message(2);
    bench.shard.flush(bench.now);
    for _ in 0..4 {
        bench.wait(9);
        // A byte now and then is progress.
        at_slow.0.borrow_mut().room = 1;
        bench.shard.writable(slow, bench.now);
    }
    assert!(!bench.is_open(stuck) && bench.is_open(slow));
    assert_eq!(close_code(&at_stuck), None, "it took nothing, the close frame included");
    bench.wait(30);
    at_slow.0.borrow_mut().room = PLENTY;
    bench.shard.writable(slow, bench.now);
    assert_eq!(close_code(&at_slow), Some(CloseCode::SLOW.0));
}

#[test]
fn who_does_not_answer_a_ping_is_closed_as_silent() {
    let mut bench = Bench::new(Settings::default());
    let connections: Vec<_> = (0..60).map(|_| bench.open(Dialect::V1, PLENTY)).collect();
    // An odd number answers each ping, an even one never.
    let mut pinged = vec![0; 60];
    for second in 1..=80 {
        bench.wait(1);
        for (place, (slot, fake)) in connections.iter().enumerate() {
            let took = std::mem::take(&mut fake.0.borrow_mut().took);
            let pings = took.windows(2).filter(|pair| *pair == [0x89, 0]).count();
            pinged[place] += pings;
            if place % 2 == 1 && pings > 0 {
                fake.0.borrow_mut().says.extend([0x8a, 0x80, 0, 0, 0, 0]);
                bench.shard.readable(*slot, bench.now);
            } else if took.windows(4).any(|four| four == [0x88, 8, 0x11, 0x3a]) {
                // A quarter of the way around nobody who has just come is pinged, and 10 s are given to answer.
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
fn a_machine_that_slept_closes_nobody_for_it() {
    let mut bench = Bench::new(Settings::default());
    let connections: Vec<_> = (0..60).map(|_| bench.open(Dialect::V1, PLENTY)).collect();
    bench.now += Duration::from_secs(100);
    bench.shard.tick(bench.now);
    for (slot, fake) in &connections {
        assert!(bench.is_open(*slot));
        assert_eq!(fake.0.borrow().took.windows(2).filter(|pair| *pair == [0x89, 0]).count(), 1, "everyone was pinged once");
    }
    bench.wait(9);
    assert_eq!(bench.limits.count(), 60);
    bench.wait(27);
    assert_eq!(bench.limits.count(), 0, "and who does not answer is closed all the same");
}

#[test]
fn the_closing_handshake_is_ours_or_theirs() {
    let mut bench = Bench::new(Settings::default());
    let (kicked, at_kicked) = bench.open(Dialect::V1, PLENTY);
    bench.message(1);
    bench.shard.close(kicked, CloseCode(4321), "because", bench.now);
    bench.message(2);
    bench.shard.flush(bench.now);
    let took = at_kicked.0.borrow().took.clone();
    assert_eq!(&took[100..], b"\x88\x09\x10\xe1because", "what was queued, then the close frame, then nothing");
    assert!(at_kicked.0.borrow().shut && bench.is_open(kicked), "half closed: the peer may read to the end");
    at_kicked.0.borrow_mut().gone = true;
    bench.shard.readable(kicked, bench.now);
    assert!(!bench.is_open(kicked));

    let (theirs, at_theirs) = bench.open(Dialect::V1, PLENTY);
    at_theirs.0.borrow_mut().says.extend(b"\x88\x82\0\0\0\0\x03\xe8");
    bench.shard.readable(theirs, bench.now);
    bench.shard.flush(bench.now);
    assert_eq!(at_theirs.0.borrow().took, b"\x88\x02\x03\xe8");
    assert!(!bench.is_open(theirs));

    let (deaf, _) = bench.open(Dialect::V1, PLENTY);
    bench.shard.close(deaf, CloseCode::KICKED, "", bench.now);
    bench.shard.flush(bench.now);
    bench.wait(1);
    assert!(bench.is_open(deaf));
    bench.wait(2);
    assert!(!bench.is_open(deaf), "who never answers is cut off");
    assert_eq!(bench.limits.count(), 0);
}

#[test]
fn a_node_that_drains_sees_everyone_off_in_batches() {
    let mut bench = Bench::new(Settings::default());
    let connections: Vec<_> = (0..10).map(|_| bench.open(Dialect::V1, PLENTY)).collect();
    let (_, plain) = bench.open(Dialect::Plain, PLENTY);
    let mut again = 0;
    for expected in [4, 8, 11, 11] {
        bench.shard.see_off(
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
    assert!(!text(&plain).contains("bye"), "an old page knows no bye");
}

#[test]
fn talking_up_a_one_way_socket_ends_it_and_a_ping_is_answered() {
    let mut bench = Bench::new(Settings::default());
    let (slot, fake) = bench.open(Dialect::V1, PLENTY);
    fake.0.borrow_mut().says.extend(b"\x89\x82\0\0\0\0hi");
    bench.shard.readable(slot, bench.now);
    bench.shard.flush(bench.now);
    assert_eq!(std::mem::take(&mut fake.0.borrow_mut().took), b"\x8a\x02hi");
    fake.0.borrow_mut().says.extend(b"\x81\x81\0\0\0\0x".repeat(11));
    bench.shard.readable(slot, bench.now);
    bench.shard.flush(bench.now);
    assert_eq!(close_code(&fake), Some(CloseCode::INBOUND_LIMIT.0));
}
