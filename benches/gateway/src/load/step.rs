//! One measurement: publishes at a rate for some seconds, waits for all deliveries, returns latency and cost.

use crate::clock;
use crate::process::{Processes, own_cpu};
use crate::publisher::{Plan, Published, Publisher};
use crate::viewers::Viewers;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// If no delivery arrives for this long after the last publish, none is expected any more. In ns.
const QUIET: u64 = 2 * clock::SECOND;

pub struct Outcome {
    pub messages: u64,
    pub expected: u64,
    pub seen: u64,
    pub doubled: u64,
    pub swapped: u64,
    pub failed: u64,
    pub unsent: u64,
    /// From the first due time to the last delivery.
    pub took_s: f64,
    /// From the end of the schedule to the last delivery; 0 if that came earlier.
    pub drain_ms: f64,
    pub seconds: f64,
    pub cpu_s: f64,
    pub client_cpu_s: f64,
    /// CPU of the parts that are reported apart.
    pub parts_s: Vec<(String, f64)>,
    pub late: Histogram<u64>,
    /// Of viewers at whose node nobody publishes.
    pub remote: Histogram<u64>,
    /// From sending a publish to its answer, in us.
    pub answers: Histogram<u64>,
}

/// Runs the step to its end. `patience`: deadline for deliveries, in ns after the end of the schedule. `turn` reads for the viewers once,
/// and does no more than a moment's work beside it.
pub fn run(
    viewers: &mut Viewers,
    publisher: &Publisher,
    (server, parts): (&Processes, &[(String, u32)]),
    plan: Plan,
    patience: u64,
    turn: &mut dyn FnMut(&mut Viewers),
) -> Result<Outcome, String> {
    viewers.begin(plan.epoch, plan.rooms);
    let plan = Plan { begin: clock::now() + 10 * clock::MS, give_up_after: plan.give_up_after.min(patience), ..plan };
    let (cpu, client_cpu) = (server.cpu(), own_cpu());
    // Their children may be younger than the run: PostgreSQL has a process for each connection.
    let parts: Vec<_> = parts.iter().map(|(name, pid)| (name.clone(), Processes::new(&[*pid]))).collect();
    let parts_cpu: Vec<_> = parts.iter().map(|(_, part)| part.cpu()).collect();
    let published = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| publisher.run(&plan));
        while !publishing.is_finished() {
            turn(viewers);
        }
        publishing.join().expect("no panic")
    })
    .map_err(|error| format!("publish: {error}"))?;

    let expected: u64 =
        published.sent.iter().zip(&viewers.tally.readers).map(|(sent, readers)| sent.len() as u64 * readers).sum();
    loop {
        let (tally, now) = (&viewers.tally, clock::now());
        let is_whole = tally.seen + tally.faults.lost >= expected;
        if is_whole || now > plan.end() + patience || now > tally.last.max(plan.end()) + QUIET {
            break;
        }
        turn(viewers);
    }
    let tally = &viewers.tally;
    let swapped = (0..plan.rooms).map(|room| tally.rooms[room].swapped(&published.sent[room], &published.answered[room])).sum();
    Ok(Outcome {
        messages: published.sent.iter().map(|room| room.len() as u64).sum(),
        expected,
        seen: tally.seen,
        doubled: tally.faults.doubled,
        swapped,
        failed: published.failed,
        unsent: published.unsent,
        took_s: tally.last.saturating_sub(plan.begin) as f64 / 1e9,
        drain_ms: tally.last.saturating_sub(plan.end()) as f64 / 1e6,
        seconds: plan.seconds,
        cpu_s: server.cpu() - cpu,
        client_cpu_s: own_cpu() - client_cpu,
        parts_s: parts.into_iter().zip(parts_cpu).map(|((name, part), before)| (name, part.cpu() - before)).collect(),
        late: tally.late.clone(),
        remote: tally.remote.clone(),
        answers: answers(&published),
    })
}

fn answers(published: &Published) -> Histogram<u64> {
    let mut answers = Histogram::new_with_bounds(1, 60_000_000, 3).expect("valid bounds");
    let times = published.sent.iter().flatten().zip(published.answered.iter().flatten());
    for (sent, answered) in times.filter(|(_, answered)| **answered != u64::MAX) {
        answers.saturating_record(answered.saturating_sub(*sent) / 1_000);
    }
    answers
}

impl Outcome {
    pub fn deliveries_a_second(&self) -> f64 {
        self.seen as f64 / self.took_s.max(self.seconds)
    }

    pub fn cpu_us(&self) -> f64 {
        self.cpu_s * 1e6 / self.seen.max(1) as f64
    }

    pub fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.seen)
    }

    /// Returns a quantile of the latency since the due time, in ms.
    pub fn late_ms(&self, share: f64) -> f64 {
        self.late.value_at_quantile(share) as f64 / 1e3
    }

    /// Returns whether all messages were delivered once, in order and in time.
    pub fn kept_up(&self) -> bool {
        const BEHIND_MS: f64 = 500.0;
        let is_whole = self.lost() == 0 && self.doubled == 0 && self.failed == 0 && self.unsent == 0;
        is_whole && self.late_ms(0.99) <= BEHIND_MS && self.drain_ms <= BEHIND_MS
    }

    pub fn to_json(&self) -> Value {
        let part = |(name, cpu_s): &(String, f64)| (name.clone(), json!(cpu_s * 1e6 / self.seen.max(1) as f64));
        json!({
            "messages": self.messages,
            "deliveries": self.seen,
            "deliveries_s": self.deliveries_a_second().round(),
            "cpu_us": self.cpu_us(),
            "client_cpu_us": self.client_cpu_s * 1e6 / self.seen.max(1) as f64,
            "parts_cpu_us": self.parts_s.iter().map(part).collect::<serde_json::Map<_, _>>(),
            "remote_p50_ms": self.remote.value_at_quantile(0.5) as f64 / 1e3,
            "remote_p99_ms": self.remote.value_at_quantile(0.99) as f64 / 1e3,
            "remote_max_ms": self.remote.value_at_quantile(1.0) as f64 / 1e3,
            "p50_ms": self.late_ms(0.5),
            "p99_ms": self.late_ms(0.99),
            "max_ms": self.late_ms(1.0),
            "answer_mean_ms": self.answers.mean() / 1e3,
            "answer_p99_ms": self.answers.value_at_quantile(0.99) as f64 / 1e3,
            "lost": self.lost(),
            "doubled": self.doubled,
            "swapped": self.swapped,
            "failed": self.failed,
            "unsent": self.unsent,
            "took_s": self.took_s,
            "drain_ms": self.drain_ms,
            "kept_up": self.kept_up(),
        })
    }
}
