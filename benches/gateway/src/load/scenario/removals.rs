//! Removals by the owner of room 1 at a fixed rate: from the click, which is an HTTP request, until each viewer has its push.

use super::Cast;
use crate::arguments::Arguments;
use crate::changes::{Changes, number_after};
use crate::clock::{self, MS, SECOND};
use gateway_bench::http;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: u64 = 15 * SECOND;
/// Removals before the measurement.
const WARM_UP: usize = 3;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    let target = cast.target.clone();
    let mut client = http::Client::new(target.addr);
    let mut ask = |request: &[u8], field: &[u8]| -> Result<u64, String> {
        let answer = client.request(request).map_err(|error| error.to_string())?;
        let number = number_after(&answer.body, field).filter(|_| answer.status == 200);
        number.ok_or_else(|| format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)))
    };
    let removals = (arguments.rate * arguments.seconds).round().max(1.0) as usize;
    let mut seqs = Vec::new();
    for n in 0..removals + WARM_UP {
        seqs.push(ask(&target.publish(n, 1, "a message that is removed soon"), br#""seq":"#)?);
    }
    cast.viewers.connect_all(arguments.connecting)?;
    let mut rev = 0;
    for seq in seqs.drain(..WARM_UP) {
        rev = ask(&target.remove(seq), br#""rev":"#)?;
    }
    cast.rest(Duration::from_secs(1));

    let (begin, every) = (clock::now() + 100 * MS, (1e9 / arguments.rate) as u64);
    let due: Vec<u64> = (0..removals as u64).map(|n| begin + n * every).collect();
    cast.viewers.changes = Some(Changes::new(rev + 1, due.clone()));
    let expected = (removals * cast.viewers.len()) as u64;
    let (cpu, last_due) = (cast.server.cpu(), due.last().copied().unwrap_or_default());
    let answers = std::thread::scope(|scope| {
        let clicking = scope.spawn(|| -> Result<Histogram<u64>, String> {
            let mut answers = Histogram::new_with_bounds(1, 60_000_000, 3).expect("three digits");
            for (seq, due) in seqs.iter().zip(&due) {
                std::thread::sleep(Duration::from_nanos(due.saturating_sub(clock::now())));
                ask(&target.remove(*seq), br#""rev":"#)?;
                answers.saturating_record(clock::now().saturating_sub(*due) / 1_000);
            }
            Ok(answers)
        });
        let is_done = |cast: &Cast| cast.viewers.changes.as_ref().is_none_or(|changes| changes.seen >= expected);
        while !is_done(cast) && clock::now() < last_due + PATIENCE {
            cast.viewers.poll_once(Duration::from_millis(20));
        }
        clicking.join().expect("no panic")
    })?;
    let changes = cast.viewers.changes.take().expect("it was set");
    let late = |share: f64| changes.late.value_at_quantile(share) as f64 / 1e3;
    Ok(json!({
        "removals": removals,
        "deliveries": changes.seen,
        "p50_ms": late(0.5),
        "p99_ms": late(0.99),
        "max_ms": late(1.0),
        "answer_p50_ms": answers.value_at_quantile(0.5) as f64 / 1e3,
        "answer_p99_ms": answers.value_at_quantile(0.99) as f64 / 1e3,
        "cpu_us": (cast.server.cpu() - cpu) * 1e6 / changes.seen.max(1) as f64,
        "lost": expected.saturating_sub(changes.seen),
    }))
}
