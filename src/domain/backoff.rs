//! Delay before the next attempt to connect: exponential back-off with full jitter, so that ten thousand pages that lost
//! the same server do not reconnect at the same moment.

/// Shortest delay in milliseconds.
const MIN_MS: f64 = 500.0;
/// Longest delay in milliseconds.
const MAX_MS: f64 = 20_000.0;

/// Counts failed attempts. The upper bound of the delay starts at 1 s and doubles with each failure, up to 20 s.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Returns the delay in milliseconds, between 500 and the upper bound, and counts one more failure. The caller supplies
    /// `random`, uniform in 0..1, because `domain` has no random source.
    pub fn next_ms(&mut self, random: f64) -> u32 {
        let ceiling = (2.0 * MIN_MS * 2f64.powi(self.failures.min(16) as i32)).min(MAX_MS);
        self.failures += 1;
        (MIN_MS + random.clamp(0.0, 1.0) * (ceiling - MIN_MS)) as u32
    }

    /// Forgets the failures, after a connection was opened and bound.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_maximum_and_start_over_after_a_reset() {
        let mut backoff = Backoff::default();
        let longest: Vec<u32> = (0..7).map(|_| backoff.next_ms(1.0)).collect();
        assert_eq!(longest, [1000, 2000, 4000, 8000, 16000, 20000, 20000]);
        assert_eq!(backoff.next_ms(0.0), 500);
        backoff.reset();
        assert_eq!(backoff.next_ms(1.0), 1000);
    }
}
