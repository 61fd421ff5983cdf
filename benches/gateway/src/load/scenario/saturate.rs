//! Where does it fall behind? The rate goes up by half until a step is late, lost or not drained; then between the last good
//! one and the first bad one by halves. Afterwards the latency at half of what was good.

use super::{Cast, rate};
use crate::arguments::Arguments;
use crate::clock::SECOND;
use crate::step::Outcome;
use serde_json::{Value, json};

/// A step that is this late is lost; the longer it is watched, the longer all takes.
const PATIENCE: u64 = 3 * SECOND;
/// Deliveries a second below which a server is called broken.
const LEAST: f64 = 200.0;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.arrive(arguments.connecting)?;
    // A delivery is a message for one viewer.
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
            cast.come_anew(arguments)?;
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
    let Some((_, best)) = good else { return Err(format!("behind from the beginning: {steps:?}")) };
    let half = cast.warm_step(arguments, messages(best.deliveries_a_second() / 2.0), arguments.seconds, rate::PATIENCE)?;
    Ok(json!({
        "deliveries_s": best.deliveries_a_second().round(),
        "cpu_us": best.cpu_us(),
        "client_cpu_us": best.client_cpu_s * 1e6 / best.seen.max(1) as f64,
        "swapped": best.swapped,
        "half": half.to_json(),
        // Offered, kept up, p99 in ms, drain in ms, lost.
        "steps": steps,
    }))
}
