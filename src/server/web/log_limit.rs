//! Bounds the log lines of conditions that any client can cause: one line per condition and minute.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two log lines of one condition.
const INTERVAL: Duration = Duration::from_secs(60);

/// The log lines of a node that are bounded.
#[derive(Default)]
pub struct LogLimits {
    /// Requests whose `Origin` is refused.
    pub refused_origin: LogLimit,
    /// Headers of trusted proxies that cannot be read.
    pub unreadable_forwarding: LogLimit,
}

/// The bound of one condition.
#[derive(Default)]
pub struct LogLimit(Mutex<State>);

#[derive(Default)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl LogLimit {
    /// Counts an occurrence. Returns the number of occurrences without a line since the last line if a line is due, else `None`.
    pub(crate) fn line_due(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.duration_since(last) < INTERVAL) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_minute_tells_the_number_of_those_left_out() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        assert_eq!(limit.line_due(start), Some(0));
        assert_eq!((limit.line_due(start), limit.line_due(start + INTERVAL / 2)), (None, None));
        assert_eq!(limit.line_due(start + INTERVAL), Some(2));
        assert_eq!(limit.line_due(start + INTERVAL), None);
    }
}
