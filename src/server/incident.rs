//! Incidents: unexpected failures. The cause is logged here, once, under a random number; the person sees the number only.

use crate::domain::refusal::Refusal;
use crate::server::storage::StorageError;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Time between two log lines of a use case about a database that is away: each request meets it.
const INTERVAL: Duration = Duration::from_secs(10);

/// The last line of each use case and meaning, and the number of those left out since. Both names are constants, so it is bounded.
type Lines = HashMap<(&'static str, &'static str), (Instant, u64)>;

/// Returns the refusal of a storage error. A failure becomes an incident; a busy database, which recovers by itself, does not.
/// `during` names the use case in the log.
pub fn refusal_of(error: &StorageError, during: &'static str) -> Refusal {
    match error {
        StorageError::NameTaken => Refusal::NameTaken,
        StorageError::Busy(_) => {
            if let Some(left_out) = line_due((during, "busy")) {
                tracing::warn!(during, %error, left_out, "storage is busy");
            }
            Refusal::Busy
        }
        StorageError::Uncertain(_) => {
            if let Some(left_out) = line_due((during, "uncertain")) {
                tracing::warn!(during, %error, left_out, "storage did not answer");
            }
            Refusal::Uncertain
        }
        StorageError::Failed(_) => incident(error, during),
    }
}

/// Returns the number of lines left out since the last one if a line is due, else `None`.
fn line_due(of: (&'static str, &'static str)) -> Option<u64> {
    static LINES: LazyLock<Mutex<Lines>> = LazyLock::new(Mutex::default);
    next_line(&mut LINES.lock().unwrap_or_else(PoisonError::into_inner), of, Instant::now())
}

fn next_line(lines: &mut Lines, of: (&'static str, &'static str), now: Instant) -> Option<u64> {
    match lines.get_mut(&of) {
        Some((last, left_out)) if now.duration_since(*last) < INTERVAL => {
            *left_out += 1;
            None
        }
        _ => Some(lines.insert(of, (now, 0)).map_or(0, |(_, left_out)| left_out)),
    }
}

/// Logs `error` under a new incident number and returns the refusal that shows the number.
pub fn incident(error: &dyn std::fmt::Display, during: &'static str) -> Refusal {
    let incident = Uuid::now_v7().simple().to_string();
    tracing::error!(during, %error, incident, "incident");
    Refusal::Internal { incident }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_interval_and_use_case_tells_the_number_of_those_left_out() {
        let (mut lines, start) = (Lines::new(), Instant::now());
        let mut due = |during, after| next_line(&mut lines, (during, "busy"), start + after);
        assert_eq!((due("send", Duration::ZERO), due("bind", Duration::ZERO)), (Some(0), Some(0)));
        assert_eq!((due("send", INTERVAL / 2), due("send", INTERVAL / 2)), (None, None));
        assert_eq!((due("send", INTERVAL), due("send", INTERVAL)), (Some(2), None));
    }
}
