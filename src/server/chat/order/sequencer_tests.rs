//! A room's log, carried by a transport that loses, doubles, delays and reorders, and a store that answers late or not at all.

use super::super::item::{Found, Kind, Skipped};
use super::super::room::{MAX_CHANGES, MAX_MESSAGES};
use super::*;
use crate::domain::{change::Rev, id::Seq};
use bytes::Bytes;
use proptest::prelude::*;
use std::time::Duration;

/// A commit: a message, or a change after the newest message.
#[derive(Clone, Debug)]
struct Commit {
    at: u64,
    is_change: bool,
    /// Delays of its copies.
    copies: Vec<u64>,
}

/// The store's treatment of a question.
#[derive(Clone, Copy, Debug)]
enum Service {
    Answers { after: u64 },
    Fails { after: u64 },
}

#[derive(Debug)]
enum Event {
    Copy(Item),
    Poll(u64),
    Answer(Ask, Option<u64>),
}

struct World {
    begun: Instant,
    now: u64,
    log: Vec<(u64, Item)>,
    /// Messages up to this one are swept at the end of the log.
    swept: u64,
    events: BTreeSet<(u64, usize)>,
    acts: Vec<Event>,
    services: Vec<Service>,
    asks: usize,
    sequencer: Sequencer,
    seen: Seen,
}

/// The pushes that the members saw.
#[derive(Default, Debug)]
struct Seen {
    seq: u64,
    rev: u64,
    skips: usize,
    changes: usize,
    /// The longest time from the commit of a message to its delivery.
    latest: u64,
}

fn room() -> RoomId {
    "1".parse().unwrap()
}

fn epoch(name: &str) -> Epoch {
    name.parse().unwrap()
}

fn item(kind: Kind, number: u64, head: u64) -> Item {
    Item { kind, number, head: Seq(head), json: Bytes::from_static(b"{}"), message: None }
}

fn head(seq: u64, rev: u64) -> Head {
    Head { epoch: epoch("e"), seq: Seq(seq), rev: Rev(rev) }
}

impl Seen {
    fn take(&mut self, output: Output, log: &[(u64, Item)], now: u64) {
        match output {
            Output::Deliver(_, item) if item.kind == Kind::Message => {
                assert_eq!(item.number, self.seq + 1, "a message out of turn");
                self.seq += 1;
                let committed = log.iter().find(|(_, other)| other.kind == item.kind && other.number == item.number);
                self.latest = self.latest.max(now - committed.unwrap().0);
            }
            Output::Deliver(_, item) => {
                assert_eq!(item.number, self.rev + 1, "a change out of turn");
                assert!(item.head.0 <= self.seq, "change {} before message {}", item.number, item.head);
                self.rev += 1;
                self.changes += 1;
            }
            Output::Skip(_, Skipped::Messages(from, to)) => {
                assert!(from.0 == self.seq + 1 && to >= from, "a gap out of turn");
                (self.seq, self.skips) = (to.0, self.skips + 1);
            }
            Output::Skip(_, Skipped::Changes(from, to)) => {
                assert!(from.0 == self.rev + 1 && to >= from, "a gap of changes out of turn");
                (self.rev, self.skips) = (to.0, self.skips + 1);
            }
            Output::Complete(_) | Output::Healed(_) => {}
        }
    }
}

impl World {
    fn new(commits: &[Commit], services: Vec<Service>, polls: &[u64], swept: u64) -> Self {
        let mut world = Self {
            begun: Instant::now(),
            now: 0,
            log: Vec::new(),
            swept,
            events: BTreeSet::new(),
            acts: Vec::new(),
            services,
            asks: 0,
            sequencer: Sequencer::default(),
            seen: Seen::default(),
        };
        let (mut seq, mut rev, mut at) = (0, 0, 0);
        for commit in commits {
            at += commit.at;
            let item = match commit.is_change {
                true => item(Kind::Changed, rev + 1, seq),
                false => item(Kind::Message, seq + 1, 0),
            };
            (seq, rev) = if commit.is_change { (seq, rev + 1) } else { (seq + 1, rev) };
            commit.copies.iter().for_each(|delay| world.later(at + delay, Event::Copy(item.clone())));
            world.log.push((at, item));
        }
        let end = at + 12_000;
        let mut poll_at = 0;
        for delay in polls.iter().cycle() {
            poll_at += 1000;
            if poll_at > end {
                break;
            }
            world.later(poll_at + delay, Event::Poll(poll_at));
        }
        world
    }

    fn later(&mut self, at: u64, event: Event) {
        self.events.insert((at, self.acts.len()));
        self.acts.push(event);
    }

    fn at(&self, ms: u64) -> Instant {
        self.begun + Duration::from_millis(ms)
    }

    /// The newest seq and rev that are committed at a time.
    fn newest(&self, at: u64) -> (u64, u64) {
        let done = || self.log.iter().filter(|(committed, _)| *committed <= at);
        let of = |is_message: bool| done().filter(|(_, item)| (item.kind == Kind::Message) == is_message).count() as u64;
        (of(true), of(false))
    }

    fn found(&self, ask: &Ask, at: u64) -> Found {
        let (seq, rev) = self.newest(at);
        let (after, after_rev) = (ask.after.map_or(seq, |seq| seq.0), ask.rev.map_or(rev, |rev| rev.0));
        let (upto, upto_rev) = (seq.min(after + MAX_MESSAGES).max(after), rev.min(after_rev + MAX_CHANGES).max(after_rev));
        let has = |item: &Item| match item.kind {
            Kind::Message => item.number > after.max(self.swept) && item.number <= upto,
            _ => item.number > after_rev && item.number <= upto_rev,
        };
        let items = self.log.iter().map(|(_, item)| item).filter(|item| has(item)).cloned().collect();
        Found { head: head(seq, rev), upto: Seq(upto), upto_rev: Rev(upto_rev), items }
    }

    fn run(&mut self) {
        self.sequencer.begin(&room(), &head(0, 0), self.at(0), &mut Vec::new());
        loop {
            let due = self.sequencer.due_at().map(|at| at.duration_since(self.begun).as_millis() as u64);
            let next = self.events.first().map(|(at, _)| *at);
            let Some(now) = due.into_iter().chain(next).min() else { return };
            self.now = self.now.max(now);
            self.step();
        }
    }

    fn step(&mut self) {
        let (now, mut out) = (self.at(self.now), Vec::new());
        while let Some((_, act)) = self.events.first().filter(|(at, _)| *at <= self.now).copied() {
            self.events.pop_first();
            match std::mem::replace(&mut self.acts[act], Event::Poll(0)) {
                Event::Copy(item) => self.sequencer.take(&room(), Some(&epoch("e")), item, now, &mut out),
                Event::Poll(at) => {
                    let (seq, rev) = self.newest(at);
                    self.sequencer.know(&room(), &head(seq, rev), now, &mut out);
                }
                Event::Answer(ask, at) => {
                    let answer = at.map_or(Answer::Failed, |at| Answer::Found(self.found(&ask, at)));
                    self.sequencer.answer(&ask, answer, now, &mut out);
                }
            }
        }
        for ask in self.sequencer.look(now, &mut out) {
            let service = self.services[self.asks % self.services.len()];
            self.asks += 1;
            match service {
                Service::Answers { after } => self.later(self.now + after, Event::Answer(ask, Some(self.now + after / 2))),
                Service::Fails { after } => self.later(self.now + after, Event::Answer(ask, None)),
            }
        }
        assert!(self.sequencer.held() <= 256 && self.sequencer.bytes < 2 * 1024 * 1024);
        assert_eq!(self.sequencer.held() == 0, self.sequencer.bytes == 0);
        out.into_iter().for_each(|output| self.seen.take(output, &self.log, self.now));
    }
}

fn commits(most: usize) -> impl Strategy<Value = Vec<Commit>> {
    let copies = prop_oneof![
        4 => Just(vec![1]),
        2 => (0..60u64).prop_map(|delay| vec![delay]),
        2 => Just(vec![]),
        1 => prop::collection::vec(0..3000u64, 1..4),
    ];
    let commit = (prop_oneof![8 => 0..10u64, 1 => 0..500u64], prop::bool::weighted(0.15), copies);
    prop::collection::vec(commit.prop_map(|(at, is_change, copies)| Commit { at, is_change, copies }), 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// With a store that answers, everything comes, each once and in order, and soon.
    #[test]
    fn a_store_that_answers_heals_every_loss(
        commits in commits(150),
        after in 1..50u64,
        polls in prop::collection::vec(0..40u64, 1..5),
    ) {
        let mut world = World::new(&commits, vec![Service::Answers { after }], &polls, 0);
        world.run();
        let (seq, rev) = world.newest(u64::MAX);
        prop_assert_eq!((world.seen.seq, world.seen.rev, world.seen.skips), (seq, rev, 0));
        prop_assert_eq!(world.seen.changes as u64, rev);
        prop_assert!(world.seen.latest < 1500, "{} ms late", world.seen.latest);
    }

    /// With a store that fails, is late or has lost the oldest messages, each push comes or is told as skipped.
    #[test]
    fn a_push_comes_or_is_told_as_skipped(
        commits in commits(500),
        services in prop::collection::vec(prop_oneof![
            (1..2500u64).prop_map(|after| Service::Answers { after }),
            (1..3500u64).prop_map(|after| Service::Fails { after }),
        ], 0..12),
        polls in prop::collection::vec(0..400u64, 1..5),
        swept in 0..200u64,
    ) {
        // In the end the store answers.
        let services = services.into_iter().chain([Service::Answers { after: 3 }]).collect();
        let mut world = World::new(&commits, services, &polls, swept);
        world.run();
        prop_assert_eq!((world.seen.seq, world.seen.rev), world.newest(u64::MAX));
    }
}

/// A sequencer with one room, at seq 0 and rev 0.
fn begun() -> (Sequencer, Instant) {
    let (mut sequencer, now) = (Sequencer::default(), Instant::now());
    assert!(sequencer.begin(&room(), &head(0, 0), now, &mut Vec::new()));
    (sequencer, now)
}

fn numbers(out: &[Output]) -> Vec<u64> {
    let number = |output: &Output| match output {
        Output::Deliver(_, item) => Some(item.number),
        _ => None,
    };
    out.iter().filter_map(number).collect()
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_reader_that_read_before_the_room_was_placed_reads_again() {
    let (mut sequencer, now, mut out) = (Sequencer::default(), Instant::now(), Vec::new());
    sequencer.know(&room(), &head(7, 3), now, &mut out);
    assert!(!sequencer.begin(&room(), &head(5, 3), now, &mut out), "6 and 7 are in no window and in no push");
    assert!(!sequencer.begin(&room(), &head(7, 2), now, &mut out));
    assert!(sequencer.begin(&room(), &head(7, 3), now, &mut out));
    // A push that came while the window was read is delivered, also one that the window has.
    let mut sequencer = Sequencer::default();
    sequencer.take(&room(), Some(&epoch("e")), item(Kind::Message, 7, 0), now, &mut out);
    sequencer.take(&room(), Some(&epoch("e")), item(Kind::Message, 6, 0), now, &mut out);
    assert!(numbers(&out).is_empty());
    assert!(sequencer.begin(&room(), &head(6, 0), now, &mut out));
    assert_eq!(numbers(&out), [6, 7]);
}

#[test]
fn the_next_process_of_a_node_goes_on_after_the_last_numbers() {
    let ((mut before, now), mut out) = (begun(), Vec::new());
    for number in [1, 2, 4] {
        before.take(&room(), None, item(Kind::Message, number, 0), now, &mut out);
    }
    before.take(&room(), None, item(Kind::State, 1, 2), now, &mut out);
    assert_eq!(numbers(&out), [1, 2, 1]);
    let passed = before.passed();
    assert_eq!(passed, [(room(), head(2, 1))]);
    let mut after = Sequencer::default();
    passed.iter().for_each(|(room, head)| after.know(room, head, now, &mut out));
    // It heard nothing of 3 and 4.
    after.take(&room(), Some(&epoch("e")), item(Kind::Message, 5, 0), now, &mut out);
    assert_eq!(numbers(&out), [1, 2, 1]);
    let asks = after.look(now + 25 * MS, &mut out);
    assert_eq!(asks, [Ask { room: room(), after: Some(Seq(2)), rev: Some(Rev(1)) }]);
}

#[test]
fn a_room_that_nobody_read_begins_with_its_first_push() {
    let (mut sequencer, now, mut out) = (Sequencer::default(), Instant::now(), Vec::new());
    for number in [9, 8] {
        sequencer.take(&room(), Some(&epoch("e")), item(Kind::Message, number, 0), now, &mut out);
    }
    sequencer.take(&room(), None, item(Kind::State, 4, 8), now, &mut out);
    assert!(out.is_empty() && sequencer.due_at() == Some(now + 25 * MS));
    assert!(sequencer.look(now + 25 * MS, &mut out).is_empty());
    assert_eq!(numbers(&out), [8, 4, 9]);
    // The store says that there are more changes.
    sequencer.know(&room(), &head(9, 5), now + 30 * MS, &mut out);
    assert_eq!(sequencer.look(now + 55 * MS, &mut out).len(), 1);
}

#[test]
fn a_change_waits_for_its_message_and_a_hole_for_25_ms() {
    let ((mut sequencer, now), mut out) = (begun(), Vec::new());
    sequencer.take(&room(), Some(&epoch("e")), item(Kind::Changed, 1, 2), now, &mut out);
    sequencer.take(&room(), Some(&epoch("e")), item(Kind::Message, 2, 0), now, &mut out);
    assert!(sequencer.look(now + 24 * MS, &mut out).is_empty() && numbers(&out).is_empty());
    let asks = sequencer.look(now + 25 * MS, &mut out);
    assert_eq!(asks, [Ask { room: room(), after: Some(Seq(0)), rev: Some(Rev(0)) }]);
    assert!(sequencer.look(now + 1000 * MS, &mut out).is_empty(), "asked once");
    sequencer.take(&room(), None, item(Kind::Message, 1, 0), now, &mut out);
    assert_eq!(numbers(&out), [1, 2, 1]);
    sequencer.take(&room(), None, item(Kind::Message, 1, 0), now, &mut out);
    assert_eq!(numbers(&out), [1, 2, 1], "a late push is dropped");
}

#[test]
fn a_silent_store_ends_the_wait_after_two_seconds() {
    let ((mut sequencer, now), mut out) = (begun(), Vec::new());
    sequencer.take(&room(), Some(&epoch("e")), item(Kind::Message, 3, 0), now, &mut out);
    sequencer.take(&room(), Some(&epoch("e")), item(Kind::Changed, 2, 5), now, &mut out);
    assert_eq!(sequencer.look(now + 25 * MS, &mut out).len(), 1);
    assert_eq!(sequencer.due_at(), Some(now + 2025 * MS));
    sequencer.look(now + 2025 * MS, &mut out);
    let skip = |output: &Output| matches!(output, Output::Skip(..));
    let skips: Vec<_> = out.iter().filter(|output| skip(output)).cloned().collect();
    let expected = [
        Output::Skip(room(), Skipped::Messages(Seq(1), Seq(2))),
        Output::Skip(room(), Skipped::Changes(Rev(1), Rev(1))),
        Output::Skip(room(), Skipped::Messages(Seq(4), Seq(5))),
    ];
    assert_eq!((numbers(&out), skips), (vec![3, 2], expected.to_vec()));
    // While the store is silent, nothing else waits.
    sequencer.take(&room(), Some(&epoch("e")), item(Kind::Message, 8, 0), now + 2100 * MS, &mut out);
    sequencer.look(now + 2100 * MS, &mut out);
    assert_eq!(numbers(&out), [3, 2, 8]);
}

#[test]
fn a_room_far_behind_gets_the_newest_and_a_gap_for_the_rest() {
    let ((mut sequencer, now), mut out) = (begun(), Vec::new());
    sequencer.know(&room(), &head(5000, 0), now, &mut out);
    let ask = sequencer.look(now + 25 * MS, &mut out).pop().unwrap();
    let items = (1..=200).map(|number| item(Kind::Message, number, 0)).collect();
    assert_eq!(ask.after, Some(Seq(0)));
    let found = Found { head: head(5000, 0), upto: Seq(200), upto_rev: Rev(0), items };
    sequencer.answer(&ask, Answer::Found(found), now + 30 * MS, &mut out);
    assert_eq!(numbers(&out).len(), 200);
    assert!(out.contains(&Output::Skip(room(), Skipped::Messages(Seq(201), Seq(4800)))));
    let ask = sequencer.look(now + 30 * MS, &mut out).pop().unwrap();
    assert_eq!(ask.after, Some(Seq(4800)));
}

#[test]
fn another_epoch_is_asked_about_and_begins_anew() {
    let ((mut sequencer, now), mut out) = (begun(), Vec::new());
    sequencer.take(&room(), Some(&epoch("old")), item(Kind::Message, 1, 0), now, &mut out);
    assert_eq!((numbers(&out), sequencer.held()), (vec![], 0));
    let asks = sequencer.look(now + 25 * MS, &mut out);
    let found = Found { head: head(0, 0), upto: Seq(0), upto_rev: Rev(0), items: vec![] };
    sequencer.answer(&asks[0], Answer::Found(found), now + 30 * MS, &mut out);
    // Not for each of its pushes.
    sequencer.take(&room(), Some(&epoch("old")), item(Kind::Message, 2, 0), now + 40 * MS, &mut out);
    assert!(sequencer.look(now + 900 * MS, &mut out).is_empty());
    let new = Head { epoch: epoch("new"), seq: Seq(40), rev: Rev(2) };
    sequencer.know(&room(), &new, now + 950 * MS, &mut out);
    sequencer.take(&room(), Some(&epoch("new")), item(Kind::Message, 41, 0), now + 960 * MS, &mut out);
    assert_eq!(numbers(&out), [41]);
    assert!(sequencer.begin(&room(), &new, now + 970 * MS, &mut out));
}

#[test]
fn a_number_that_the_store_does_not_have_is_dropped() {
    let ((mut sequencer, now), mut out) = (begun(), Vec::new());
    sequencer.take(&room(), Some(&epoch("e")), item(Kind::Message, 4_000_000, 0), now, &mut out);
    let asks = sequencer.look(now + 25 * MS, &mut out);
    let found = Found { head: head(0, 0), upto: Seq(0), upto_rev: Rev(0), items: vec![] };
    sequencer.answer(&asks[0], Answer::Found(found), now + 30 * MS, &mut out);
    assert_eq!((sequencer.held(), sequencer.due_at()), (0, None));
    sequencer.take(&room(), Some(&epoch("e")), item(Kind::Message, 1, 0), now + 40 * MS, &mut out);
    assert_eq!(numbers(&out), [1]);
}

#[test]
fn four_questions_at_a_time_and_the_hold_is_bounded() {
    let (mut sequencer, now, mut out) = (Sequencer::default(), Instant::now(), Vec::new());
    let rooms: Vec<RoomId> = (0..10).map(|number| number.to_string().parse().unwrap()).collect();
    for room in &rooms {
        sequencer.know(room, &head(0, 0), now, &mut out);
        sequencer.take(room, Some(&epoch("e")), item(Kind::Message, 2, 0), now, &mut out);
    }
    let asks = sequencer.look(now + 25 * MS, &mut out);
    assert_eq!(asks.len(), 4);
    assert!(sequencer.look(now + 30 * MS, &mut out).is_empty());
    sequencer.answer(&asks[0], Answer::Gone, now + 30 * MS, &mut out);
    assert!(!sequencer.contains(&asks[0].room) && sequencer.rooms().count() == 9);
    assert_eq!(sequencer.look(now + 30 * MS, &mut out).len(), 1);
    let large = |number| Item { json: vec![0; 300 * 1024].into(), ..item(Kind::Message, number, 0) };
    for number in 3..10 {
        sequencer.take(&rooms[0], Some(&epoch("e")), large(number), now, &mut out);
    }
    assert!(sequencer.bytes < 1024 * 1024 + 10_000, "{}", sequencer.bytes);
    for number in 3..1000 {
        sequencer.take(&rooms[1], Some(&epoch("e")), item(Kind::Message, number, 0), now, &mut out);
    }
    assert!(sequencer.held() <= 256 + 20, "{}", sequencer.held());
    assert!(numbers(&out).is_empty());
    sequencer.forget_all();
    assert_eq!((sequencer.held(), sequencer.bytes, sequencer.due_at()), (0, 0, None));
}
