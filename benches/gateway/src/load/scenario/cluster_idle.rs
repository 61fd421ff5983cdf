//! A cluster in which nobody sends: its nodes tell each other of people, and ask PostgreSQL for heads. First without a viewer, then
//! with all of them idle, then with some that leave and come.

use super::Cast;
use crate::arguments::Arguments;
use crate::clock::{self, SECOND};
use crate::probe::Counts;
use crate::viewers::News;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;

/// Time in which the nodes have told each other of all viewers, and PostgreSQL's idle connections have told their counts.
const TOLD: Duration = Duration::from_secs(11);
/// Time for which a viewer that left stays away, in ns. It would not be missed for less than the second between two counts of a room.
const AWAY: u64 = 2 * SECOND;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.rest(TOLD);
    let empty = measure(arguments, cast, 0.0)?;
    cast.viewers.connect_all(arguments.connecting)?;
    cast.rest(TOLD);
    let idle = measure(arguments, cast, 0.0)?;
    let churn = measure(arguments, cast, arguments.churn)?;
    Ok(json!({ "empty": empty, "idle": idle, "churn": churn, "failures": cast.viewers.failures }))
}

/// Measures for some seconds. Meanwhile `churn` viewers per second leave, one room after the other, and come again.
fn measure(arguments: &Arguments, cast: &mut Cast, churn: f64) -> Result<Value, String> {
    let before = Counts::read(arguments, cast.server.cpu())?;
    let (begin, mut left, mut away) = (clock::now(), 0, VecDeque::new());
    let end = begin + (arguments.seconds * 1e9) as u64;
    cast.viewers.news.clear();
    while clock::now() < end {
        cast.viewers.poll_once(Duration::from_millis(20));
        while left < ((clock::now() - begin) as f64 / 1e9 * churn) as usize {
            cast.viewers.leave(left % arguments.viewers);
            left += 1;
        }
        for news in std::mem::take(&mut cast.viewers.news) {
            if let News::Left(n) | News::Lost(n) = news {
                away.push_back((clock::now() + AWAY, n));
            }
        }
        while let Some((_, n)) = away.front().copied().filter(|(until, _)| *until < clock::now()) {
            away.pop_front();
            cast.viewers.open(n);
        }
    }
    let mut counts = Counts::read(arguments, cast.server.cpu())?.since(&before);
    counts["left"] = left.into();
    Ok(counts)
}
