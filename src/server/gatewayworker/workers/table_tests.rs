//! The assignment of clients to workers, and held events, with a clock set by the test.

use super::super::link::MAX_UNREAD_BYTES;
use super::*;
use crate::server::gateway::Handshake;
use EventKind::Disconnected;

fn client(connection: u32) -> ClientId {
    ClientId { address: [127, 0, 0, 1], port: 2900, connection }
}

fn event(connection: u32, kind: EventKind) -> ConnectionEvent {
    ConnectionEvent { client: client(connection), address: [127, 0, 0, 1].into(), port: 1, session: None, kind }
}

fn connected() -> EventKind {
    handshake_of(10)
}

fn handshake_of(bytes: usize) -> EventKind {
    EventKind::Connected(Box::new(Handshake::new(&"x".repeat(bytes), [])))
}

fn message(text: &str) -> EventKind {
    EventKind::Message(text.into())
}

struct Bench {
    table: Table,
    now: Instant,
}

impl Bench {
    fn new(always_expected: bool) -> Self {
        let now = Instant::now();
        Self { table: Table::new(always_expected, now), now }
    }

    fn worker(&mut self, name: &str) -> Connected {
        self.table.connect(name.into(), self.now)
    }

    fn accept(&mut self, connection: u32, kind: EventKind) -> Option<Action> {
        self.table.accept(event(connection, kind), self.now)
    }

    fn messages(&mut self, connections: &[u32]) {
        for connection in connections {
            assert_eq!(self.accept(*connection, message("m")), None);
        }
    }

    /// Tells all clients that wait and are open, each with a session of its own number.
    fn tell(&mut self, is_open: impl Fn(u32) -> bool) {
        for (_, id, told) in self.table.waiting(0, 100_000) {
            let session = ClientSession::serialized(id.connection.to_string().as_bytes()).unwrap();
            self.table.tell(id, told, is_open(id.connection).then_some(&session), self.now);
        }
    }

    /// The events of a worker as `connection` and the first letter of their kind; in lower case with a session. All are sent.
    fn received(&mut self, worker: &Connected) -> String {
        let received = self.taken(worker);
        self.table.sent(&worker.name, worker.number, received.split_whitespace().count());
        received
    }

    /// The same, in a send buffer that the worker does not read.
    fn taken(&mut self, worker: &Connected) -> String {
        let mut received = Vec::new();
        while let Some((event, _)) = self.table.next_event(&worker.name, worker.number) {
            let letter = match &event.kind {
                EventKind::Connected(_) => 'C',
                EventKind::Message(_) => 'M',
                Disconnected => 'D',
            };
            let letter = if event.session.is_some() { letter.to_ascii_lowercase() } else { letter };
            received.push(format!("{}{letter}", event.client.connection));
        }
        received.join(" ")
    }
}

#[test]
fn a_client_stays_with_its_worker_and_moves_when_the_worker_disconnects() {
    let mut bench = Bench::new(true);
    let (one, two) = (bench.worker("one"), bench.worker("two"));
    bench.messages(&[1, 2, 3, 1, 2, 1]);
    assert_eq!((bench.received(&one), bench.received(&two)), ("1M 3M 1M 1M".into(), "2M 2M".into()));
    // Clients 1 and 3 disconnect: client 4 goes to the worker with fewer clients.
    bench.accept(1, Disconnected);
    bench.accept(3, Disconnected);
    bench.messages(&[4]);
    assert_eq!(bench.received(&one), "1D 3D 4M");
    bench.table.disconnect(&one.name, one.number, bench.now);
    bench.messages(&[4, 2]);
    assert_eq!(bench.received(&two), "4M 2M");
    for connection in [4, 2] {
        bench.accept(connection, Disconnected);
    }
    assert!(bench.table.pins.is_empty() && bench.table.clients.is_empty());
}

#[test]
fn a_new_worker_replaces_the_one_of_the_same_name_and_receives_its_queue() {
    let mut bench = Bench::new(true);
    let old = bench.worker("php:0");
    bench.accept(7, connected());
    bench.messages(&[7]);
    let new = bench.worker("php:0");
    assert!(old.replaced.is_cancelled() && !new.replaced.is_cancelled());
    bench.table.disconnect(&old.name, old.number, bench.now);
    bench.tell(|_| true);
    assert_eq!((bench.received(&old).as_str(), bench.received(&new).as_str()), ("", "7c 7m"));
    // A worker that reconnects gets its clients back, except those that had an event in the meantime.
    let other = bench.worker("php:1");
    bench.messages(&[2, 3, 4]);
    assert_eq!((bench.received(&new).as_str(), bench.received(&other).as_str()), ("3M", "2M 4M"));
    bench.table.disconnect(&new.name, new.number, bench.now);
    bench.messages(&[3]);
    let back = bench.worker("php:0");
    bench.messages(&[7, 2, 3, 4]);
    assert_eq!((bench.received(&back).as_str(), bench.received(&other).as_str()), ("7M", "3M 2M 3M 4M"));
}

#[test]
fn h1_clients_are_told_once_to_the_first_worker_with_their_present_session() {
    let mut bench = Bench::new(true);
    for connection in [1, 2, 3] {
        assert_eq!(bench.accept(connection, connected()), None);
    }
    bench.messages(&[1, 3]);
    // Client 2 disconnects before a worker is there, client 3 while its session is read.
    bench.accept(2, Disconnected);
    let worker = bench.worker("php:0");
    bench.tell(|connection| connection != 3);
    bench.accept(3, Disconnected);
    bench.messages(&[1]);
    bench.tell(|_| panic!("no one waits"));
    assert_eq!(bench.received(&worker), "1c 1m 1M");
    assert!(bench.table.held.is_empty() && bench.table.held.bytes == 0);
    // A client that was told leaves while no worker is connected: the next one hears of it.
    bench.table.disconnect(&worker.name, worker.number, bench.now);
    bench.accept(1, Disconnected);
    let worker = bench.worker("php:0");
    bench.tell(|_| false);
    assert_eq!(bench.received(&worker), "1D");
    assert!(bench.table.pins.is_empty() && bench.table.held.is_empty());
}

#[test]
fn h1_the_queue_of_a_worker_that_ends_goes_to_the_next_one() {
    let mut bench = Bench::new(false);
    let worker = bench.worker("php:0");
    for connection in [1, 2, 3] {
        bench.accept(connection, connected());
    }
    bench.messages(&[1]);
    bench.accept(2, Disconnected);
    let first = bench.table.next_event(&worker.name, worker.number).unwrap().0;
    assert_eq!(first.client.connection, 1);
    bench.table.sent(&worker.name, worker.number, 1);
    bench.table.disconnect(&worker.name, worker.number, bench.now);
    bench.messages(&[1]);
    let next = bench.worker("php:1");
    bench.tell(|_| true);
    // Client 1 was told before. Client 2 was not, and is gone.
    assert_eq!(bench.received(&next), "1M 1M 3c");
    // Of clients that leave before a worker is told of them, nothing is left.
    for connection in [4, 5] {
        bench.accept(connection, connected());
    }
    bench.table.disconnect(&next.name, next.number, bench.now);
    bench.accept(4, Disconnected);
    let last = bench.worker("php:2");
    bench.tell(|connection| connection != 5);
    for connection in [5, 1, 3] {
        bench.accept(connection, Disconnected);
    }
    bench.tell(|_| false);
    assert_eq!(bench.received(&last), "1D 3D");
    assert!(bench.table.pins.is_empty() && bench.table.clients.is_empty() && bench.table.held.is_empty());
}

#[test]
fn h1_a_worker_that_does_not_read_delays_a_first_event_and_never_loses_it() {
    let mut bench = Bench::new(true);
    let worker = bench.worker("php:0");
    bench.accept(1, connected());
    let mut large = 0;
    while bench.table.held.is_empty() {
        assert_eq!(bench.accept(1, message(&"x".repeat(100_000))), None);
        large += 1;
    }
    assert_eq!(large, MAX_UNREAD_BYTES / 100_256 + 1);
    assert_eq!(bench.accept(2, handshake_of(15_000)), None);
    bench.tell(|_| panic!("the worker has no space"));
    // Each client's messages that wait are limited, and all of them together.
    assert_eq!(bench.accept(1, message(&"x".repeat(100_000))), None);
    assert_eq!(bench.accept(1, message(&"x".repeat(100_000))), Some(Action::TurnAway(client(1))));
    // A disconnect is queued behind them.
    assert_eq!(bench.accept(1, Disconnected), None);
    let mut received = bench.received(&worker);
    bench.tell(|_| true);
    received = format!("{received} {}", bench.received(&worker));
    let messages = vec!["1M"; large + 1].join(" ");
    assert_eq!(received, format!("1C {messages} 1D 2c"));
    assert!(bench.table.held.is_empty() && bench.table.held.bytes == 0);
}

#[test]
fn h1_a_client_beyond_the_limit_is_forgotten_and_turned_away_when_a_worker_is_there() {
    for (always_expected, limit) in [(true, MAX_HELD_BYTES), (false, MAX_HELD_BYTES_UNSEEN)] {
        let mut bench = Bench::new(always_expected);
        let forgotten = (1..).find(|connection| bench.accept(*connection, handshake_of(4000)).is_some()).unwrap();
        assert!((limit - 4256..=limit).contains(&bench.table.held.bytes), "{}", bench.table.held.bytes);
        assert!(bench.table.must_sweep);
        // Its last event is not told.
        assert_eq!(bench.accept(forgotten, Disconnected), None);
        let worker = bench.worker("php:0");
        let mut told = String::new();
        while !bench.table.held.is_empty() {
            bench.tell(|_| true);
            told = bench.received(&worker);
        }
        assert!(told.ends_with(&format!(" {}c", forgotten - 1)), "{told}");
    }
    // One handshake has a limit, too, if it must wait.
    let mut bench = Bench::new(true);
    assert_eq!(bench.accept(1, handshake_of(20_000)), Some(Action::Forget(client(1))));
    bench.worker("php:0");
    assert_eq!(bench.accept(2, handshake_of(20_000)), None);
}

#[test]
fn h1_events_wait_for_a_minute() {
    let minute = |bench: &mut Bench| {
        bench.now += HOLD_TIMEOUT - Duration::from_secs(1);
        assert_eq!(bench.table.expire(bench.now), []);
        bench.now += Duration::from_secs(1);
        bench.table.expire(bench.now)
    };
    // Without workers a node holds nothing any more, and nobody is closed.
    let mut bench = Bench::new(false);
    bench.accept(1, connected());
    assert_eq!(minute(&mut bench), [Action::Forget(client(1))]);
    assert!(!bench.table.is_holding() && bench.table.held.bytes == 0);
    bench.accept(1, Disconnected);
    assert_eq!(bench.accept(2, connected()), Some(Action::Forget(client(2))));
    bench.accept(2, Disconnected);
    assert!(bench.table.held.is_empty());
    // The first worker turns away all that it cannot be told of.
    bench.table.must_sweep = false;
    let worker = bench.worker("php:0");
    assert!(bench.table.is_holding() && bench.table.must_sweep);
    bench.accept(3, connected());
    assert_eq!(bench.received(&worker), "3C");
    bench.table.disconnect(&worker.name, worker.number, bench.now);
    bench.accept(3, Disconnected);
    assert_eq!(minute(&mut bench), []);
    assert!(bench.table.held.is_empty() && bench.table.pins.is_empty());
    // Where workers are always expected, clients without one are closed, as by GatewayWorker.
    let mut bench = Bench::new(true);
    bench.accept(1, connected());
    bench.accept(2, message("told before"));
    assert_eq!(minute(&mut bench), [Action::TurnAway(client(1)), Action::TurnAway(client(2))]);
    assert!(bench.table.is_holding());
    bench.accept(1, Disconnected);
    bench.accept(2, Disconnected);
    let worker = bench.worker("php:0");
    bench.tell(|_| true);
    assert_eq!(bench.received(&worker), "2D");
}

#[test]
fn h1_events_that_a_worker_was_not_sent_go_to_the_next_one() {
    let mut bench = Bench::new(false);
    let worker = bench.worker("php:0");
    for connection in [1, 2, 3, 4] {
        bench.accept(connection, connected());
    }
    bench.messages(&[2]);
    bench.accept(3, Disconnected);
    assert_eq!(bench.taken(&worker), "1C 2C 3C 4C 2M 3D");
    // Its socket takes the first event, and a part of the second one.
    bench.table.sent(&worker.name, worker.number, 1);
    bench.messages(&[4]);
    let next = bench.worker("php:0");
    bench.tell(|_| true);
    // Client 1 was told. Client 3 was not, and is gone.
    assert_eq!(bench.received(&next), "4c 4m 2c 2m");
    // The end of the other one, and what it still records, change nothing.
    bench.table.sent(&worker.name, worker.number, 5);
    bench.table.disconnect(&worker.name, worker.number, bench.now);
    assert!(bench.table.held.is_empty() && bench.table.pins.len() == 3, "{:?}", bench.table.pins);
}

#[test]
fn h1_a_client_whose_worker_ends_while_its_session_is_read_is_told_later() {
    let mut bench = Bench::new(true);
    let one = bench.worker("one");
    bench.accept(1, connected());
    while bench.table.held.is_empty() {
        bench.accept(1, message(&"x".repeat(100_000)));
    }
    let two = bench.worker("two");
    let waiting = bench.table.waiting(0, 10);
    assert!(matches!(waiting[..], [(_, _, true)]));
    // Client 1 is pinned to a worker that knows it, so that its session is not asked for.
    bench.table.disconnect(&one.name, one.number, bench.now);
    bench.table.tell(client(1), true, None, bench.now);
    assert!(bench.table.held.get(1).is_some_and(|client| !client.is_given_up() && !client.told));
    bench.tell(|_| true);
    let received = bench.received(&two);
    assert!(received.starts_with("1c 1m 1m"), "{received}");
}

/// A reload that fails: this process serves on.
#[test]
fn h1_a_pause_of_the_workers_keeps_the_last_event_of_a_client_that_was_told() {
    let mut bench = Bench::new(false);
    let worker = bench.worker("php:0");
    for connection in [1, 2, 3] {
        bench.accept(connection, connected());
    }
    assert_eq!(bench.received(&worker), "1C 2C 3C");
    bench.table.disconnect(&worker.name, worker.number, bench.now);
    bench.messages(&[1, 2]);
    bench.accept(1, Disconnected);
    bench.accept(4, connected());
    assert_eq!(bench.table.end_waiting(bench.now), [Action::TurnAway(client(2)), Action::TurnAway(client(4))]);
    for connection in [2, 3, 4] {
        bench.accept(connection, Disconnected);
    }
    assert_eq!(bench.table.end_waiting(bench.now), []);
    let worker = bench.worker("php:0");
    bench.tell(|_| true);
    assert_eq!(bench.received(&worker), "1M 1D 2D 3D");
    assert!(bench.table.pins.is_empty() && bench.table.held.is_empty() && bench.table.held.bytes == 0);
}

#[test]
fn h1_the_last_event_of_a_client_that_was_told_waits_beyond_the_limit() {
    let mut bench = Bench::new(true);
    let worker = bench.worker("php:0");
    for connection in [1, 2] {
        bench.accept(connection, connected());
    }
    assert_eq!(bench.received(&worker), "1C 2C");
    bench.table.disconnect(&worker.name, worker.number, bench.now);
    bench.messages(&[2]);
    for connection in 3.. {
        if bench.accept(connection, handshake_of(4000)).is_some() {
            break;
        }
    }
    let full = bench.table.held.bytes;
    for connection in [1, 2] {
        let session = ClientSession::serialized(&[b'x'; 10_000]).unwrap();
        let event = ConnectionEvent { session, ..event(connection, Disconnected) };
        assert_eq!(bench.table.accept(event, bench.now), None);
    }
    // Without the session, since that has a size of the site's choice.
    assert!(bench.table.held.bytes < full + 1000);
    let worker = bench.worker("php:0");
    bench.tell(|_| true);
    let received = bench.received(&worker);
    assert!(received.starts_with("2M 2D ") && received.contains(" 1D"), "{received}");
}

#[test]
fn h1_handshakes_that_wait_leave_messages_their_half() {
    let mut bench = Bench::new(true);
    while bench.table.held.bytes < MAX_HELD_BYTES * 6 / 10 {
        let connection = bench.table.held.len() as u32 + 1;
        assert_eq!(bench.accept(connection, handshake_of(15_000)), None);
    }
    bench.messages(&[1, 2]);
    // Their own half is their limit: messages of clients that were told.
    let mut bench = Bench::new(true);
    let turned_away = (1..).find(|connection| bench.accept(*connection, message(&"x".repeat(100_000))).is_some()).unwrap();
    assert_eq!(turned_away as usize, MAX_HELD_BYTES / 2 / 100_256 + 1);
    assert_eq!(bench.accept(turned_away + 1, handshake_of(15_000)), None);
    bench.worker("php:0");
    bench.tell(|_| true);
    assert!(bench.table.held.message_bytes == 0 && bench.table.held.bytes == 0);
}

#[test]
fn h1_clients_that_waited_in_vain_are_turned_away_in_batches() {
    let count = TURN_AWAY_BATCH as u32 * 2 + 10;
    let connect = |bench: &mut Bench| (1..=count).for_each(|connection| assert_eq!(bench.accept(connection, connected()), None));
    let mut bench = Bench::new(true);
    connect(&mut bench);
    bench.now += HOLD_TIMEOUT;
    let batches: Vec<_> = (0..4).map(|_| bench.table.expire(bench.now).len()).collect();
    assert_eq!(batches, [250, 250, 10, 0]);
    let mut bench = Bench::new(true);
    connect(&mut bench);
    let batches: Vec<_> = (0..4).map(|_| bench.table.end_waiting(bench.now).len()).collect();
    assert_eq!(batches, [250, 250, 10, 0]);
    // Without workers nobody is closed, and nothing is kept.
    let mut bench = Bench::new(false);
    (1..=count).for_each(|connection| _ = bench.accept(connection, connected()));
    bench.now += HOLD_TIMEOUT;
    assert_eq!(bench.table.expire(bench.now).len(), count as usize);
    assert_eq!(bench.table.held.bytes, 0);
}
