//! Token buckets by key, with the time as an argument. Owned by the commit task, so they need no lock. Unlike a limiter that
//! only counts, a bucket is asked without taking a token, and takes one back.

use std::collections::HashMap;
use std::hash::Hash;

/// Number of entries at which full buckets are removed. After a sweep it is twice the number that remained, and never less
/// than this.
const SWEEP_AT: usize = 10_000;
const US_PER_MS: u64 = 1_000;
const US_PER_MINUTE: u64 = 60_000_000;

/// One bucket per key, all with the same size and refill. A bucket without an entry is full.
pub(super) struct TokenBuckets<K> {
    /// Microseconds in which an empty bucket becomes full.
    capacity_us: u64,
    /// Microseconds in which one token comes back.
    token_us: u64,
    /// When each bucket is full again, unix microseconds.
    full_at: HashMap<K, u64>,
    sweep_at: usize,
}

impl<K: Hash + Eq + Clone> TokenBuckets<K> {
    /// Buckets of `burst` tokens, of which `per_minute` come back per minute. A value of 0 counts as 1, since a bucket
    /// without tokens would refuse everything.
    pub(super) fn new(burst: u32, per_minute: u32) -> Self {
        let token_us = (US_PER_MINUTE / u64::from(per_minute.max(1))).max(1);
        Self { capacity_us: u64::from(burst.max(1)) * token_us, token_us, full_at: HashMap::new(), sweep_at: SWEEP_AT }
    }

    /// Returns the milliseconds until the bucket has a token; 0 if it has one.
    pub(super) fn wait_ms(&self, key: &K, now_ms: u64) -> u64 {
        self.until_missing_at_most(self.capacity_us - self.token_us, key, now_ms)
    }

    /// Returns the milliseconds until the bucket is at least half full; 0 if it is.
    pub(super) fn wait_until_half_full_ms(&self, key: &K, now_ms: u64) -> u64 {
        self.until_missing_at_most(self.capacity_us / 2, key, now_ms)
    }

    /// Takes a token. The caller has checked [`wait_ms`](Self::wait_ms); from an empty bucket nothing is taken.
    pub(super) fn take(&mut self, key: K, now_ms: u64) {
        let now = now_ms.saturating_mul(US_PER_MS);
        if self.full_at.len() >= self.sweep_at {
            let empty = now.saturating_add(self.capacity_us);
            self.full_at.retain(|_, full_at| *full_at > now && *full_at <= empty);
            self.sweep_at = SWEEP_AT.max(self.full_at.len() * 2);
        }
        let missing = (self.missing_us(&key, now) + self.token_us).min(self.capacity_us);
        self.full_at.insert(key, now + missing);
    }

    /// Returns a taken token to the bucket.
    pub(super) fn give_back(&mut self, key: &K) {
        if let Some(full_at) = self.full_at.get_mut(key) {
            *full_at = full_at.saturating_sub(self.token_us);
        }
    }

    fn until_missing_at_most(&self, us: u64, key: &K, now_ms: u64) -> u64 {
        self.missing_us(key, now_ms.saturating_mul(US_PER_MS)).saturating_sub(us).div_ceil(US_PER_MS)
    }

    /// Microseconds until the bucket is full. A bucket that needs longer than an empty one was used before the clock was set back:
    /// it counts as full, so that nobody is silenced until the clock catches up.
    fn missing_us(&self, key: &K, now_us: u64) -> u64 {
        let missing = self.full_at.get(key).map_or(0, |full_at| full_at.saturating_sub(now_us));
        if missing > self.capacity_us { 0 } else { missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn f1_a_bucket_gives_its_burst_and_then_its_rate() {
        let mut buckets = TokenBuckets::new(3, 60);
        let mut take = |key: &'static str, now| {
            let wait = buckets.wait_ms(&key, now);
            if wait == 0 {
                buckets.take(key, now);
            }
            wait
        };
        assert_eq!([take("a", 5000), take("a", 5000), take("a", 5000), take("a", 5000)], [0, 0, 0, 1000]);
        assert_eq!([take("a", 5999), take("a", 6000), take("a", 6000)], [1, 0, 1000]);
        assert_eq!(take("b", 5000), 0, "another key has another bucket");
        assert_eq!(
            [take("a", 1000), take("a", 1000), take("a", 1000), take("a", 1000)],
            [0, 0, 0, 1000],
            "the clock was set back"
        );
    }

    #[test]
    fn f1_half_full_is_told_and_a_token_comes_back() {
        let mut buckets = TokenBuckets::new(4, 60);
        for _ in 0..2 {
            buckets.take("a", 0);
            assert_eq!(buckets.wait_until_half_full_ms(&"a", 0), 0);
        }
        buckets.take("a", 0);
        assert_eq!(buckets.wait_until_half_full_ms(&"a", 0), 1000);
        buckets.give_back(&"a");
        assert_eq!(buckets.wait_until_half_full_ms(&"a", 0), 0);
    }

    #[test]
    fn f1_full_buckets_are_forgotten() {
        let mut buckets = TokenBuckets::new(10, 600);
        for n in 0..100_000u64 {
            buckets.take(n, n);
        }
        assert!(buckets.full_at.len() <= SWEEP_AT, "{}", buckets.full_at.len());
    }

    proptest! {
        /// In no window of time do more tokens leave than the burst and the refill of that window.
        #[test]
        fn f1_no_window_exceeds_burst_and_refill(burst in 1u32..20, per_minute in 1u32..5000, steps in prop::collection::vec(0u64..400, 1..200)) {
            let mut buckets = TokenBuckets::new(burst, per_minute);
            let (mut now, mut taken) = (1_000_000, Vec::new());
            for step in steps {
                now += step;
                if buckets.wait_ms(&(), now) == 0 {
                    buckets.take((), now);
                    taken.push(now);
                } else {
                    let wait = buckets.wait_ms(&(), now);
                    prop_assert_eq!(buckets.wait_ms(&(), now + wait), 0, "the told wait is enough");
                }
            }
            for (index, from) in taken.iter().enumerate() {
                for (count, to) in taken[index..].iter().enumerate() {
                    let refill = (to - from) as f64 * f64::from(per_minute) / 60_000.0;
                    prop_assert!(count as f64 + 1.0 <= f64::from(burst) + refill * 1.01 + 1.0);
                }
            }
        }
    }
}
