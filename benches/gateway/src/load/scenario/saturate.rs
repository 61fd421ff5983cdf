//! Finds the highest rate that a server sustains. The rate grows by half until a step is late, lossy or not drained; then
//! bisection between the last good and the first bad rate. Finally measures latency at half of the sustained rate.

use super::{Cast, rate};
use crate::arguments::Arguments;
use crate::clock::SECOND;
use crate::step::Outcome;
use serde_json::{Value, json};

/// Deadline for the deliveries of a step, in ns; a step that exceeds it is bad anyway.
const PATIENCE: u64 = 3 * SECOND;
/// Lowest rate tried, in deliveries per second.
const LEAST: f64 = 200.0;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.connect_all(arguments.connecting)?;
    // A delivery is one message received by one viewer.
    let messages = |deliveries: f64| deliveries * arguments.rooms as f64 / arguments.viewers as f64;
    let mut good: Option<(f64, Outcome)> = None;
    let mut bad: Option<f64> = None;
    let mut offered = arguments.start;
    let mut halvings = 0;
    let mut steps = vec![];
    loop {
        let outcome = cast.warm_step(arguments, messages(offered), arguments.seconds, PATIENCE)?;
        let kept_up = outcome.kept_up() && cast.viewers.joined == cast.viewers.len();
        steps.push(json!([offered.round(), kept_up, outcome.late_ms(0.99), outcome.drain_ms.round(), outcome.lost()]));
        if kept_up {
            good = Some((offered, outcome));
        } else {
            bad = Some(offered);
            cast.reconnect_all(arguments)?;
        }
        offered = match (&good, bad) {
            (_, None) => offered * 1.5,
            (None, Some(bad)) if bad > LEAST => bad / 2.0,
            (Some((good, _)), Some(bad)) if halvings < arguments.bisect => {
                halvings += 1;
                (good + bad) / 2.0
            }
            _ => break,
        };
    }
    let Some((_, best)) = good else { return Err(format!("no rate was sustained: {steps:?}")) };
    let half = cast.warm_step(arguments, messages(best.deliveries_a_second() / 2.0), arguments.seconds, rate::PATIENCE)?;
    Ok(json!({
        "deliveries_s": best.deliveries_a_second().round(),
        "cpu_us": best.cpu_us(),
        "client_cpu_us": best.client_cpu_s * 1e6 / best.seen.max(1) as f64,
        "swapped": best.swapped,
        "answer_mean_ms": best.answers.mean() / 1e3,
        "answer_p99_ms": best.answers.value_at_quantile(0.99) as f64 / 1e3,
        "half": half.to_json(),
        // Offered rate, sustained, p99 in ms, drain in ms, lost.
        "steps": steps,
    }))
}
