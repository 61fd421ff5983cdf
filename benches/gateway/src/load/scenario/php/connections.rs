//! One connection per command, as PHP does by default: connect, write, close, without a reply. Every command adds another client
//! to another group, so that the members can be counted at the end: no command may be lost.

use super::Meter;
use crate::arguments::Arguments;
use crate::clock::{self, MS, SECOND};
use crate::inner::{Client, Command, Packet, reply};
use crate::scenario::Cast;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// Timeout until all commands are executed, in ns.
const PATIENCE: u64 = 15 * SECOND;
/// Pause until ports are free: the side that closes first keeps its port in TIME_WAIT, and there are some 28,000. On loopback,
/// Linux reuses them after a second (tcp_tw_reuse).
const PORTS_RETURN: Duration = Duration::from_millis(1_500);

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.connect_all(arguments.connecting)?;
    let connections: Vec<u32> = (0..cast.viewers.len()).map(|n| cast.viewers.connection(n)).collect();
    join_all(arguments.inner, cast, &connections, (arguments.commands / 10).max(1), 1)?;
    let one = join_all(arguments.inner, cast, &connections, arguments.commands, 1)?;
    let eight = join_all(arguments.inner, cast, &connections, arguments.commands, 8)?;
    Ok(json!({ "one": one, "eight": eight }))
}

/// Sends `count` different joins, from `workers` threads.
fn join_all(addr: SocketAddr, cast: &mut Cast, connections: &[u32], count: usize, workers: usize) -> Result<Value, String> {
    let groups: Vec<String> = (0..count.div_ceil(connections.len())).map(|n| format!("php-{n}")).collect();
    let packets: Vec<Vec<u8>> = (0..count)
        .map(|n| Packet::new(Command::JoinGroup, connections[n % connections.len()], &groups[n / connections.len()]).bytes())
        .collect();
    let members = Packet::new(Command::BatchCountByGroup, 0, &json!(groups).to_string()).bytes();
    let mut inner = Client::open(addr)?;
    let meter = Meter::start(&cast.server);
    let (took, joined, end) = cast.beside(|| {
        let took = send_all(addr, &packets, workers)?;
        let give_up = clock::now() + PATIENCE;
        loop {
            let joined = reply::sum(inner.query(&members)?);
            let now = clock::now();
            if joined == count as u64 || now > give_up {
                return Ok::<_, String>((took, joined, now));
            }
            std::thread::sleep(Duration::from_nanos(MS));
        }
    })?;
    let mut cost = meter.cost(&cast.server, count as u64, end);
    cost["p99_ms"] = (took.value_at_quantile(0.99) as f64 / 1e3).into();
    cost["max_ms"] = (took.max() as f64 / 1e3).into();
    cost["lost"] = (count as u64).saturating_sub(joined).into();
    // The next measurement joins the same groups.
    for group in &groups {
        inner.send(&Packet::new(Command::Ungroup, 0, group).bytes())?;
    }
    cast.rest(PORTS_RETURN);
    reply::expect(b"a:0:{}", inner.query(&Packet::new(Command::GetGroupIdList, 0, "").bytes())?)?;
    Ok(cost)
}

/// Distributes the packets over the workers. Returns the duration of each call in us.
fn send_all(addr: SocketAddr, packets: &[Vec<u8>], workers: usize) -> Result<Histogram<u64>, String> {
    std::thread::scope(|scope| {
        let working: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn(move || {
                    let mut took = new_histogram();
                    for packet in packets.iter().skip(worker).step_by(workers) {
                        let began = clock::now();
                        Client::open(addr)?.send(packet)?;
                        took.saturating_record((clock::now() - began) / 1_000);
                    }
                    Ok::<_, String>(took)
                })
            })
            .collect();
        let mut all = new_histogram();
        for worker in working {
            all += worker.join().expect("no panic")?;
        }
        Ok(all)
    })
}

fn new_histogram() -> Histogram<u64> {
    const LONGEST_US: u64 = 60_000_000;
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("three digits")
}
