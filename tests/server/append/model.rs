//! `append` against a simple model: numbers, repeats, roles and cooldowns. The time is in minutes: on PostgreSQL, whose clock counts, a
//! minute passes by an UPDATE of the last messages, and what really passes meanwhile is rounded away.

use super::message;
use crate::storage::{set_closed, set_host, set_slow_mode};
use crate::support::Place;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use roomcast::domain::{
    id::{RoomId, Uid},
    message::Role,
};
use roomcast::server::storage::{Appended, NewMessage, Store};
use std::cell::Cell;
use std::collections::HashMap;
use tokio::runtime::Runtime;

const MINUTE_MS: u64 = 60_000;
/// Rooms and people of a case; the room after the last does not exist.
const ROOMS: usize = 2;
const PEOPLE: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// Room, person and nonce of each message.
    Append(Vec<(usize, usize, Option<u8>)>),
    Pass {
        minutes: u64,
    },
    Slow {
        room: usize,
        minutes: u64,
    },
    Close {
        room: usize,
        closed: bool,
    },
    Host {
        room: usize,
        person: usize,
    },
    /// Opens the store again: what it remembers comes from the database.
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let sent = (0..=ROOMS, 0..PEOPLE, prop::option::weighted(0.8, 0..6_u8));
    prop_oneof![
        8 => prop::collection::vec(sent, 1..8).prop_map(Step::Append),
        4 => (1..5_u64).prop_map(|minutes| Step::Pass { minutes }),
        2 => (0..ROOMS, prop_oneof![Just(0), 1..9_u64]).prop_map(|(room, minutes)| Step::Slow { room, minutes }),
        1 => (0..ROOMS, any::<bool>()).prop_map(|(room, closed)| Step::Close { room, closed }),
        1 => (0..ROOMS, 0..PEOPLE).prop_map(|(room, person)| Step::Host { room, person }),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Clone, Default)]
struct Room {
    newest: u64,
    slow: u64,
    is_closed: bool,
    host: Option<usize>,
}

/// The times are minutes.
struct Model {
    cooldown: u64,
    now: u64,
    rooms: Vec<Room>,
    last: HashMap<(usize, usize), u64>,
    nonces: HashMap<(usize, usize, u8), u64>,
}

impl Model {
    /// The answer that [`word`] gives for the message.
    fn append(&mut self, (room, person, nonce): (usize, usize, Option<u8>)) -> String {
        if let Some(seq) = nonce.and_then(|nonce| self.nonces.get(&(room, person, nonce))) {
            return format!("as {seq}");
        }
        let Some(to) = self.rooms.get_mut(room) else { return "no room".into() };
        if to.is_closed {
            return "closed".into();
        }
        let is_host = to.host == Some(person);
        let cooldown = if is_host { self.cooldown } else { self.cooldown.max(to.slow) };
        let since = self.last.get(&(room, person)).map(|last| self.now - last);
        if let Some(wait) = since.and_then(|since| cooldown.checked_sub(since)).filter(|wait| *wait > 0) {
            return format!("wait {wait}");
        }
        to.newest += 1;
        self.last.insert((room, person), self.now);
        if let Some(nonce) = nonce {
            self.nonces.insert((room, person, nonce), to.newest);
        }
        format!("{}{}", to.newest, if is_host { " host" } else { "" })
    }
}

/// A store, with the rooms of one case.
struct Real<'a> {
    place: &'a Place,
    store: Store,
    case: u32,
    /// The time of messages where the store has no clock of its own.
    now_ms: u64,
}

impl Real<'_> {
    fn room(&self, room: usize) -> RoomId {
        format!("{}-{room}", self.case).parse().unwrap()
    }

    fn person(&self, person: usize) -> Uid {
        format!("{}-{person}", self.case).parse().unwrap()
    }

    fn message(&self, (room, person, nonce): (usize, usize, Option<u8>)) -> NewMessage {
        let (room, person, nonce) = (self.room(room), self.person(person), nonce.map(|nonce| nonce.to_string()));
        message(room.as_str(), person.as_str(), nonce.as_deref(), self.now_ms)
    }

    async fn pass(&mut self, minutes: u64) {
        self.now_ms += minutes * MINUTE_MS;
        if self.place.database.is_some() {
            self.place.sql(&format!("UPDATE roomcast.paces SET at = at - {}", minutes * MINUTE_MS)).await;
        }
    }

    async fn take(&mut self, step: Step, model: &mut Model) {
        match step {
            Step::Append(batch) => {
                let expected: Vec<_> = batch.iter().map(|sent| model.append(*sent)).collect();
                let new = batch.into_iter().map(|sent| self.message(sent)).collect();
                let appended = self.store.append(new, model.cooldown * MINUTE_MS).await.unwrap();
                assert_eq!(appended.iter().map(word).collect::<Vec<_>>(), expected);
            }
            Step::Pass { minutes } => {
                model.now += minutes;
                self.pass(minutes).await;
            }
            Step::Slow { room, minutes } => {
                model.rooms[room].slow = minutes;
                set_slow_mode(&self.store, &self.room(room), minutes * MINUTE_MS).await;
            }
            Step::Close { room, closed } => {
                model.rooms[room].is_closed = closed;
                set_closed(&self.store, &self.room(room), closed).await;
            }
            Step::Host { room, person } => {
                model.rooms[room].host = Some(person);
                set_host(&self.store, &self.room(room), &self.person(person)).await;
            }
            Step::Reopen => {
                self.store.close().await;
                self.store = Store::open_unlocked(&self.place.settings()).await.unwrap();
            }
        }
    }
}

/// The answer in a word or two; a wait in minutes.
fn word(appended: &Appended) -> String {
    match appended {
        Appended::Stored(message) if message.role == Role::Host => format!("{} host", message.seq.0),
        Appended::TooFast { retry_after_ms } => format!("wait {}", retry_after_ms.div_ceil(MINUTE_MS)),
        other => super::word(other),
    }
}

fn check(place: &Place, cases: u32) {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async { Store::open(&place.settings()).await.unwrap().close().await });
    let strategy = (0..3_u64, prop::collection::vec(step(), 1..40));
    let case = Cell::new(0);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() });
    let checked = runner.run(&strategy, |(cooldown, steps)| {
        case.set(case.get() + 1);
        runtime.block_on(async {
            let store = Store::open_unlocked(&place.settings()).await.unwrap();
            let mut real = Real { place, store, case: case.get(), now_ms: super::NOW };
            let rooms = vec![Room::default(); ROOMS];
            let mut model = Model { cooldown, now: 0, rooms, last: HashMap::new(), nonces: HashMap::new() };
            for person in 0..PEOPLE {
                real.store.put_nickname(&real.person(person), "n", 0).await.unwrap();
            }
            for room in 0..ROOMS {
                assert!(real.store.add_room(&real.room(room), "t", None, 0).await.unwrap());
            }
            for step in steps {
                real.take(step, &mut model).await;
            }
            for (room, expected) in model.rooms.iter().enumerate() {
                assert_eq!(real.store.seq_range(&real.room(room)).await.unwrap().newest.0, expected.newest);
            }
            real.store.close().await;
        });
        Ok(())
    });
    checked.unwrap();
}

#[test]
fn sqlite_appends_as_the_model() {
    check(&Place::sqlite(), 60);
}

#[test]
fn postgres_appends_as_the_model() {
    if let Some(place) = Place::postgres() {
        check(&place, 30);
    }
}
