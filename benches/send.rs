//! Measures accepted sends per second over HTTP, and their latency: 64 people, each with a thread and a kept-alive connection,
//! one request at a time. Each person goes round the rooms 1 to ROOMS. With GUESTS, as many new guests per second arrive
//! meanwhile, evenly spaced. `disk` measures the time of a write of 8 KiB with its fsync, which bounds what a store can do.
//! Uses only the standard library: `rustc -O benches/send.rs`, run by `make bench`.
//!
//! send ADDRESS SECONDS [GUESTS [ROOMS]]
//! send disk FOLDER

#![expect(clippy::expect_used, reason = "a bench ends at the first error")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PEOPLE: usize = 64;
/// Connections over which the new guests arrive.
const GUEST_CONNECTIONS: u32 = 16;

struct Person {
    reader: BufReader<TcpStream>,
    address: String,
    cookie: String,
}

impl Person {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("nodelay");
        Self { reader: BufReader::new(stream), address: address.into(), cookie: String::new() }
    }

    fn sign_in(address: &str, nickname: &str) -> Self {
        let mut person = Self::connect(address);
        let (status, head) = person.post("/session/guest", &format!("nickname={nickname}"));
        assert_eq!(status, 200, "{head}");
        let cookie = head.split("set-cookie: ").nth(1).and_then(|rest| rest.split(';').next()).expect("a session cookie");
        person.cookie = format!("Cookie: {cookie}\r\n");
        person
    }

    fn post(&mut self, path: &str, form: &str) -> (u16, String) {
        let Self { reader, address, cookie } = self;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\n{cookie}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        reader.get_mut().write_all(request.as_bytes()).expect("write");
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let before = head.len();
            reader.read_line(&mut head).expect("read");
            let line = &head[before..];
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
        }
        std::io::copy(&mut reader.take(length), &mut std::io::sink()).expect("body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, head)
    }
}

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

/// Prints count per second and latencies of requests that `took` so many microseconds.
fn print(name: &str, mut took: Vec<u32>, seconds: u64) {
    took.sort_unstable();
    let at = |share: f64| f64::from(took[((took.len() - 1) as f64 * share) as usize]) / 1000.0;
    println!(
        "{name}: {:.0}   p50 {:.1} ms   p99 {:.1} ms   max {:.1} ms",
        took.len() as f64 / seconds as f64,
        at(0.5),
        at(0.99),
        at(1.0)
    );
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
