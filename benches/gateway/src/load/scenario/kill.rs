//! The last node is killed while the others accept messages. Its viewers come back at the others as Roomcast's page does: after its
//! back-off, with `since`, `rev` and `epoch`.

use super::{Cast, rate};
use crate::arguments::Arguments;
use crate::backoff::Backoff;
use crate::clock::{self, MS, SECOND};
use crate::probe::{Database, part};
use crate::process::{Processes, family_cpu, kill};
use crate::target::Target;
use crate::viewers::{News, Viewers};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    let killed = arguments.nodes.len() - 1;
    if killed == 0 || arguments.pids.len() != arguments.nodes.len() {
        return Err("one process id for each of two or more nodes".into());
    }
    cast.viewers.have_pages();
    cast.viewers.connect_all(arguments.connecting)?;
    cast.step(arguments, arguments.rate, arguments.warm_up, rate::PATIENCE)?;
    Database::analyze(&arguments.database)?;

    let target = cast.target.clone();
    let mut returns = Returns::new(arguments, &target, killed);
    let (spans, outcome) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(arguments, &target, killed));
        let mut turn = |viewers: &mut Viewers| returns.turn(viewers);
        let outcome = cast.step_with(arguments, arguments.rate, 2.0 * arguments.seconds, rate::PATIENCE, &mut turn);
        (watching.join().expect("no panic"), outcome)
    });
    let (Spans { killed_at, before, after }, outcome) = (spans?, outcome?);
    let back = returns.back(killed_at);
    let returned = back.len().max(1) as f64;
    let seconds = |share: f64| back.value_at_quantile(share) as f64 / 1e6;
    let extra = |of: fn(&Span) -> u64| (of(&after) as f64 - of(&before) as f64) / returned;
    Ok(json!({
        "viewers": arguments.viewers,
        "returned": back.len(),
        "back_p50_s": seconds(0.5),
        "back_p99_s": seconds(0.99),
        "back_max_s": seconds(1.0),
        "attempts": returns.attempts,
        "rebinds": cast.viewers.rebinds,
        "not_back": returns.came.iter().zip(&returns.is_killed).filter(|(came, killed)| **killed && came.is_none()).count(),
        "dropped": returns.dropped,
        "lost": outcome.lost(),
        "doubled": outcome.doubled,
        "swapped": outcome.swapped,
        "failed": outcome.failed + outcome.unsent,
        "messages": outcome.messages,
        "before": before.to_json(arguments.seconds),
        "after": after.to_json(arguments.seconds),
        "extra_transactions": extra(|span| span.database.transactions),
        "extra_rows": extra(|span| span.database.rows),
        "p50_ms": outcome.late_ms(0.5),
        "p99_ms": outcome.late_ms(0.99),
    }))
}

/// The viewers that lost their connection, and their way back.
struct Returns {
    /// By viewer: whether its node is killed.
    is_killed: Vec<bool>,
    backoffs: Vec<Backoff>,
    /// The next attempts: time and viewer.
    due: BTreeSet<(u64, usize)>,
    /// When a viewer of the killed node was bound again and held everything.
    came: Vec<Option<u64>>,
    attempts: u64,
    /// Connections that a surviving node closed.
    dropped: u64,
}

impl Returns {
    fn new(arguments: &Arguments, target: &Target, killed: usize) -> Self {
        let all = arguments.viewers;
        Self {
            is_killed: (0..all).map(|n| target.node(n) == killed).collect(),
            backoffs: vec![Backoff::default(); all],
            due: BTreeSet::new(),
            came: vec![None; all],
            attempts: 0,
            dropped: 0,
        }
    }

    /// Reads for the viewers once, and opens those whose pause is over.
    fn turn(&mut self, viewers: &mut Viewers) {
        let pause = self.due.first().map_or(20 * MS, |(at, _)| at.saturating_sub(clock::now()).clamp(MS, 20 * MS));
        viewers.poll_once(Duration::from_nanos(pause));
        let now = clock::now();
        for news in std::mem::take(&mut viewers.news) {
            match news {
                News::Joined(n) => {
                    self.backoffs[n].reset();
                    if self.is_killed[n] {
                        self.came[n].get_or_insert(now);
                    }
                }
                News::Left(n) | News::Lost(n) => {
                    // A viewer of the killed node loses its connection once; each further loss is a failed attempt.
                    self.dropped += u64::from(!self.is_killed[n] || self.came[n].is_some());
                    self.due.insert((now + u64::from(self.backoffs[n].next_ms(random(n))) * MS, n));
                }
            }
        }
        while let Some((_, n)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.pop_first();
            self.attempts += 1;
            viewers.open(n);
        }
    }

    /// Returns the times from the kill until the viewers of the killed node were back, in us.
    fn back(&self, killed_at: u64) -> Histogram<u64> {
        let mut back = Histogram::new_with_bounds(1, 600_000_000, 3).expect("three digits");
        for came in self.came.iter().flatten() {
            back.saturating_record(came.saturating_sub(killed_at) / 1_000);
        }
        back
    }
}

/// A random number in 0..1: the standard library draws new keys for each hash.
fn random(n: usize) -> f64 {
    RandomState::new().hash_one(n) as f64 / u64::MAX as f64
}

/// Counts and CPU of PostgreSQL and of the surviving nodes, in some seconds.
struct Span {
    database: Database,
    postgres_cpu: f64,
    nodes_cpu: f64,
}

struct Spans {
    killed_at: u64,
    before: Span,
    after: Span,
}

impl Span {
    fn read(arguments: &Arguments, survivors: &Processes) -> Result<Self, String> {
        let (postgres_cpu, nodes_cpu) = (family_cpu(part(arguments, "postgres")?), survivors.cpu());
        Ok(Self { database: Database::read(&arguments.database)?, postgres_cpu, nodes_cpu })
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            database: self.database.since(before.database),
            postgres_cpu: self.postgres_cpu - before.postgres_cpu,
            nodes_cpu: self.nodes_cpu - before.nodes_cpu,
        }
    }

    fn to_json(&self, seconds: f64) -> Value {
        json!({
            "transactions_s": self.database.transactions as f64 / seconds,
            "rows_s": self.database.rows as f64 / seconds,
            "postgres_cpu_ms_s": self.postgres_cpu * 1e3 / seconds,
            "nodes_cpu_ms_s": self.nodes_cpu * 1e3 / seconds,
        })
    }
}

/// Reads the counts of a span, kills the node, and reads those of as long a span after it.
fn watch(arguments: &Arguments, target: &Target, killed: usize) -> Result<Spans, String> {
    let survivors = Processes::new(&arguments.pids[..killed]);
    let span = (arguments.seconds * SECOND as f64) as u64;
    let begin = clock::now();
    let until = |at: u64| std::thread::sleep(Duration::from_nanos(at.saturating_sub(clock::now())));
    let first = Span::read(arguments, &survivors)?;
    until(begin + span);
    let second = Span::read(arguments, &survivors)?;
    target.lose(killed);
    let killed_at = clock::now();
    kill(arguments.pids[killed])?;
    until(begin + 2 * span);
    let third = Span::read(arguments, &survivors)?;
    Ok(Spans { killed_at, before: second.since(&first), after: third.since(&second) })
}
