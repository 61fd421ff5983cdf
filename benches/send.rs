//! Measures accepted sends per second over HTTP, and their latency: 64 people, each with a thread and a kept-alive connection,
//! one request at a time. Each person goes round the rooms 1 to ROOMS. With GUESTS, as many new guests per second arrive
//! meanwhile, evenly spaced. `disk` measures the time of a write of 8 KiB with its fsync, which bounds what a store can do.
//! Uses only the standard library: `rustc -O benches/send.rs`, run by `make bench`.
//!
//! send ADDRESS SECONDS [GUESTS [ROOMS]]
//! send disk FOLDER

#![expect(clippy::expect_used, reason = "a bench ends at the first error")]

#[expect(dead_code, reason = "it uses a part")]
mod people;

use people::{Person, print};
use std::io::Write;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PEOPLE: usize = 64;
/// Connections over which the new guests arrive.
const GUEST_CONNECTIONS: u32 = 16;

/// Signs new guests in over one connection, one per `interval`, and returns the microseconds of each.
fn arrive(address: &str, interval: Duration, stop: &AtomicBool) -> Vec<u32> {
    let mut connection = Person::connect(address);
    let (mut took, mut next) = (Vec::new(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let (status, head) = connection.post("/session/guest", "nickname=guest");
        assert_eq!(status, 200, "{head}");
        took.push(began.elapsed().as_micros() as u32);
        next += interval;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    took
}

/// Writes 8 KiB to a file in `folder` and waits for the disk, 200 times.
fn measure_disk(folder: &str) {
    let path = std::path::Path::new(folder).join("fsync");
    let mut file = std::fs::File::create(&path).expect("the folder can be written");
    let mut took: Vec<u32> = (0..200)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&[1; 8192]).expect("write");
            file.sync_data().expect("fsync");
            began.elapsed().as_micros() as u32
        })
        .collect();
    std::fs::remove_file(path).expect("remove");
    took.sort_unstable();
    println!("fsync of 8 KiB: p50 {:.2} ms   p99 {:.2} ms", f64::from(took[100]) / 1000.0, f64::from(took[198]) / 1000.0);
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("ADDRESS");
    if address == "disk" {
        return measure_disk(&arguments.next().expect("FOLDER"));
    }
    let seconds: u64 = arguments.next().and_then(|text| text.parse().ok()).expect("SECONDS");
    let guests: u32 = arguments.next().map_or(0, |text| text.parse().expect("GUESTS"));
    let rooms: usize = arguments.next().map_or(1, |text| text.parse().expect("ROOMS"));
    let (ready, stop) = (Barrier::new(PEOPLE + 1), AtomicBool::new(false));
    let (sends, arrivals): (Vec<u32>, Vec<u32>) = std::thread::scope(|scope| {
        let people: Vec<_> = (0..PEOPLE)
            .map(|n| {
                let (address, ready, stop) = (&address, &ready, &stop);
                scope.spawn(move || {
                    let mut person = Person::sign_in(address, &format!("p{n}"));
                    let mut took = Vec::new();
                    // Each begins in another room, so that the rooms are equally busy at any time.
                    let mut turn = n * rooms / PEOPLE;
                    ready.wait();
                    while !stop.load(Ordering::Relaxed) {
                        let form = format!("room={}&message=hello+everybody+in+this+room", turn % rooms + 1);
                        turn += 1;
                        let began = Instant::now();
                        let (status, head) = person.post("/gateway/send", &form);
                        assert_eq!(status, 200, "{head}");
                        took.push(began.elapsed().as_micros() as u32);
                    }
                    took
                })
            })
            .collect();
        ready.wait();
        let arriving: Vec<_> = (0..if guests == 0 { 0 } else { GUEST_CONNECTIONS })
            .map(|_| scope.spawn(|| arrive(&address, Duration::from_secs(1) * GUEST_CONNECTIONS / guests, &stop)))
            .collect();
        std::thread::sleep(Duration::from_secs(seconds));
        stop.store(true, Ordering::Relaxed);
        let sends = people.into_iter().flat_map(|person| person.join().expect("no failure")).collect();
        (sends, arriving.into_iter().flat_map(|guest| guest.join().expect("no failure")).collect())
    });
    print(&format!("accepted sends per second, {PEOPLE} people, rooms: {rooms}"), sends, seconds);
    if guests > 0 {
        print(&format!("new guests per second, {guests} meant"), arrivals, seconds);
    }
}
