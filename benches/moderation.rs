//! Measures sends while a room is moderated: with restraints and modes in force, and while a purge is carried out. 64 people with
//! accounts (`sends`) or 16 (`purge`), each with a thread and a kept-alive connection, one request at a time. Uses only the standard
//! library: `rustc -O benches/moderation.rs`, run by `make bench`. OWNER is the token of the owner's link.
//!
//! moderation sends ADDRESS OWNER SECONDS RESTRAINTS (0: neither restraints nor modes)
//! moderation purge ADDRESS OWNER SECONDS MESSAGES

#![expect(clippy::expect_used, clippy::panic, reason = "a bench ends at the first error")]

mod people;

use people::{Person, print};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PEOPLE: usize = 64;
/// People that send during a purge, and the pause of each between two sends: 800 sends a second.
const WITNESSES: usize = 16;
const PAUSE: Duration = Duration::from_millis(20);
const FORM: &str = "room=1&message=hello+everybody+in+this+room";

/// Sends by `people` for `seconds`, each with `pause` after a send, and returns the microseconds of each send and the refused ones.
fn send_all(people: &mut [Person], seconds: u64, pause: Duration) -> (Vec<u32>, usize) {
    let (ready, stop) = (Barrier::new(people.len() + 1), AtomicBool::new(false));
    let results: Vec<_> = std::thread::scope(|scope| {
        let sending: Vec<_> = people
            .iter_mut()
            .map(|person| {
                let (ready, stop) = (&ready, &stop);
                scope.spawn(move || {
                    let (mut took, mut refused) = (Vec::new(), 0);
                    ready.wait();
                    while !stop.load(Ordering::Relaxed) {
                        let began = Instant::now();
                        match person.post("/gateway/send", FORM).0 {
                            200 => took.push(began.elapsed().as_micros() as u32),
                            _ => refused += 1,
                        }
                        std::thread::sleep(pause);
                    }
                    (took, refused)
                })
            })
            .collect();
        ready.wait();
        std::thread::sleep(Duration::from_secs(seconds));
        stop.store(true, Ordering::Relaxed);
        sending.into_iter().map(|person| person.join().expect("no failure")).collect()
    });
    let refused = results.iter().map(|(_, refused)| refused).sum();
    (results.into_iter().flat_map(|(took, _)| took).collect(), refused)
}

fn accounts(address: &str, count: usize) -> Vec<Person> {
    (0..count).map(|n| Person::register(address, &format!("person-{n}"), None)).collect()
}

/// Puts `count` guests under a timeout, and the modes slow (1 ms, so that it refuses nobody here) and accounts.
fn moderate(address: &str, owner: &mut Person, count: usize) {
    for n in 0..count {
        let guest = Person::sign_in(address, &format!("guest-{n}"));
        owner.accepted("/gateway/mod/timeout", &format!("room=1&user={}&seconds=86400", guest.uid));
    }
    owner.accepted("/gateway/mod/mode", "room=1&slow_ms=1&accounts=true");
}

fn sends(address: &str, owner: &mut Person, seconds: u64, restraints: usize) {
    let mut people = accounts(address, PEOPLE);
    if restraints > 0 {
        moderate(address, owner, restraints);
    }
    send_all(&mut people, 1, Duration::ZERO);
    let (took, refused) = send_all(&mut people, seconds, Duration::ZERO);
    print(&format!("accepted sends per second, {restraints} restraints (refused: {refused})"), took, seconds);
}

fn purge(address: &str, owner: &Person, seconds: u64, messages: usize) {
    let spammer = Person::sign_in(address, "spammer");
    std::thread::scope(|scope| {
        for _ in 0..PEOPLE {
            let mut connection = spammer.again();
            scope.spawn(move || {
                for _ in 0..messages / PEOPLE {
                    connection.accepted("/gateway/send", FORM);
                }
            });
        }
    });
    let mut people = accounts(address, WITNESSES);
    print("sends per second before the purge", send_all(&mut people, seconds, PAUSE).0, seconds);
    // The first connection was idle for too long.
    let mut owner = owner.again();
    let (took, answered) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send_all(&mut people, seconds, PAUSE).0);
        std::thread::sleep(Duration::from_millis(500));
        let began = Instant::now();
        owner.accepted("/gateway/mod/purge", &format!("room=1&user={}&seconds=0", spammer.uid));
        let answered = began.elapsed();
        (sending.join().expect("no failure"), answered)
    });
    print(
        &format!("the same while {messages} messages are purged, answered after {:.1} ms", answered.as_secs_f64() * 1e3),
        took,
        seconds,
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, address, owner, seconds, count] = &arguments[..] else { panic!("see the head of this file") };
    let (seconds, count) = (seconds.parse().expect("SECONDS"), count.parse().expect("a number"));
    let mut owner = Person::register(address, "owner", Some(owner));
    match what.as_str() {
        "sends" => sends(address, &mut owner, seconds, count),
        "purge" => purge(address, &owner, seconds, count),
        other => panic!("unknown: {other}"),
    }
}
