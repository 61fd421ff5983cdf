//! A connection for each command, as PHP does by default: connect, write, close, and believe that it was heard. Every command
//! puts another client into another group, so that at the end the members can be counted: nothing may be lost.

use super::Meter;
use crate::arguments::Arguments;
use crate::clock::{self, MS, SECOND};
use crate::inner::{Client, Command, Packet, reply};
use crate::scenario::Cast;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// Until what was told shows.
const PATIENCE: u64 = 15 * SECOND;
/// Whoever closes first keeps the port in TIME_WAIT, and there are some 28,000. On loopback Linux gives it out again after a
/// second (tcp_tw_reuse).
const PORTS_RETURN: Duration = Duration::from_millis(1_500);

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.arrive(arguments.connecting)?;
    let connections: Vec<u32> = (0..cast.viewers.len()).map(|n| cast.viewers.connection(n)).collect();
    join_all(arguments.inner, cast, &connections, (arguments.commands / 10).max(1), 1)?;
    let one = join_all(arguments.inner, cast, &connections, arguments.commands, 1)?;
    let eight = join_all(arguments.inner, cast, &connections, arguments.commands, 8)?;
    Ok(json!({ "one": one, "eight": eight }))
}

/// As many joins as `count` says, no two alike, by so many workers at once.
fn join_all(addr: SocketAddr, cast: &mut Cast, connections: &[u32], count: usize, workers: usize) -> Result<Value, String> {
    let groups: Vec<String> = (0..count.div_ceil(connections.len())).map(|n| format!("php-{n}")).collect();
    let packets: Vec<Vec<u8>> = (0..count)
        .map(|n| Packet::new(Command::JoinGroup, connections[n % connections.len()], &groups[n / connections.len()]).bytes())
        .collect();
    let members = Packet::new(Command::BatchCountByGroup, 0, &json!(groups).to_string()).bytes();
    let mut inner = Client::open(addr)?;
    let meter = Meter::start(&cast.server);
    let (took, joined, end) = cast.beside(|| {
        let took = tell_all(addr, &packets, workers)?;
        let give_up = clock::now() + PATIENCE;
        loop {
            let joined = reply::sum(inner.ask(&members)?);
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
    // The next ones join the same groups.
    for group in &groups {
        inner.tell(&Packet::new(Command::Ungroup, 0, group).bytes())?;
    }
    cast.rest(PORTS_RETURN);
    reply::expect(b"a:0:{}", inner.ask(&Packet::new(Command::GetGroupIdList, 0, "").bytes())?)?;
    Ok(cost)
}

/// The workers take turns. What each call took, in us.
fn tell_all(addr: SocketAddr, packets: &[Vec<u8>], workers: usize) -> Result<Histogram<u64>, String> {
    std::thread::scope(|scope| {
        let working: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn(move || {
                    let mut took = no_times();
                    for packet in packets.iter().skip(worker).step_by(workers) {
                        let began = clock::now();
                        Client::open(addr)?.tell(packet)?;
                        took.saturating_record((clock::now() - began) / 1_000);
                    }
                    Ok::<_, String>(took)
                })
            })
            .collect();
        let mut all = no_times();
        for worker in working {
            all += worker.join().expect("no panic")?;
        }
        Ok(all)
    })
}

fn no_times() -> Histogram<u64> {
    const LONGEST_US: u64 = 60_000_000;
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("three digits")
}
