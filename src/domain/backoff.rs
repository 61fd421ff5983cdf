//! How long to wait before the next attempt to connect: full jitter, so that ten thousand pages that lost the same
//! server do not come back at the same moment.

const MIN_MS: f64 = 500.0;
const MAX_MS: f64 = 20_000.0;

/// The ceiling doubles with every attempt that failures; the wait is drawn evenly between the floor and the ceiling.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait in ms. `random` is uniform in 0..1 and comes from the caller: nothing here rolls dice.
    pub fn next_ms(&mut self, random: f64) -> u32 {
        let ceiling = (2.0 * MIN_MS * 2f64.powi(self.failures.min(16) as i32)).min(MAX_MS);
        self.failures += 1;
        (MIN_MS + random.clamp(0.0, 1.0) * (ceiling - MIN_MS)) as u32
    }

    /// A connection was made and bound: the next loss starts over.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_ceiling_and_start_over() {
        let mut backoff = Backoff::default();
        let longest: Vec<u32> = (0..7).map(|_| backoff.next_ms(1.0)).collect();
        assert_eq!(longest, [1000, 2000, 4000, 8000, 16000, 20000, 20000]);
        assert_eq!(backoff.next_ms(0.0), 500);
        backoff.reset();
        assert_eq!(backoff.next_ms(1.0), 1000);
    }
}
