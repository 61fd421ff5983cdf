//! The time of day. Code that compares times takes a [`Clock`], so that tests can set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The system's clock, or a manual one whose clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// Returns the system's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// Returns a manual clock that shows `ms` (Unix milliseconds) until [`Clock::set`].
    pub fn manual(ms: u64) -> Self {
        Self(Some(Arc::new(AtomicU64::new(ms))))
    }

    /// Sets a manual clock to `ms`. Has no effect on the system's clock.
    pub fn set(&self, ms: u64) {
        if let Some(manual) = &self.0 {
            manual.store(ms, Ordering::SeqCst);
        }
    }

    /// Returns the time in Unix milliseconds; 0 for a time before 1970.
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Some(manual) => manual.load(Ordering::SeqCst),
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64),
        }
    }
}
