//! The countdown on the send button.

use crate::domain::refusal::whole_seconds;
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Milliseconds between two readings of the clock.
const TICK_MS: u32 = 100;

/// Counts down the wait that the server demands. Cheap to copy; all copies are one countdown.
#[derive(Clone, Copy, Default)]
pub struct Cooldown {
    /// Seconds left, rounded up; 0 when it is over.
    pub seconds: RwSignal<u64>,
}

impl Cooldown {
    /// Returns true until the countdown is over.
    pub fn is_running(self) -> bool {
        self.seconds.get_untracked() != 0
    }

    /// Starts a countdown of `ms` milliseconds. It stops early if the panel is gone.
    pub fn start(self, ms: u64) {
        let until = js_sys::Date::now() + ms as f64;
        self.seconds.set(whole_seconds(ms));
        spawn_local(async move {
            loop {
                let left = (until - js_sys::Date::now()).max(0.0);
                if self.seconds.try_set(whole_seconds(left.ceil() as u64)).is_some() || left == 0.0 {
                    return;
                }
                TimeoutFuture::new(TICK_MS).await;
            }
        });
    }
}
