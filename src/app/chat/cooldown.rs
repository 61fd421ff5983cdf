//! The countdown on the send button.

use crate::domain::refusal::whole_seconds;
use gloo_timers::future::TimeoutFuture;
use leptos::html::Button;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Milliseconds of a second.
const SECOND_MS: u32 = 1_000;

/// Counts down the wait that the server demands. Cheap to copy; all copies are one countdown.
#[derive(Clone, Copy)]
pub struct Cooldown {
    /// Seconds left, rounded up; 0 when it is over.
    pub seconds: RwSignal<u64>,
    /// The send button. Its custom property `--wait` is the length of the countdown, for the bar that runs out.
    pub button: NodeRef<Button>,
    /// The end, in milliseconds since the page was loaded.
    until: StoredValue<f64>,
}

impl Cooldown {
    /// Creates a countdown that is over.
    pub fn new() -> Self {
        Self { seconds: RwSignal::new(0), button: NodeRef::new(), until: StoredValue::new(0.0) }
    }

    /// Starts a countdown of `ms` milliseconds. It stops early if the panel is gone. It is measured by the clock that counts
    /// since the page was loaded, because the time of day can be set back.
    pub fn start(self, ms: u64) {
        self.until.set_value(now() + ms as f64);
        if let Some(button) = self.button.get_untracked() {
            let _ = web_sys::HtmlElement::style(&button).set_property("--wait", &[&ms.to_string(), "ms"].concat());
        }
        self.seconds.set(whole_seconds(ms));
        spawn_local(async move {
            loop {
                let Some(until) = self.until.try_get_value() else { return };
                let left = (until - now()).max(0.0).ceil() as u32;
                let seconds = whole_seconds(u64::from(left));
                if self.seconds.try_get_untracked().is_some_and(|shown| shown != seconds) {
                    self.seconds.set(seconds);
                }
                if left == 0 {
                    return;
                }
                // To the next whole second.
                TimeoutFuture::new((left - 1) % SECOND_MS + 1).await;
            }
        });
    }
}

/// Returns milliseconds since the page was loaded.
fn now() -> f64 {
    window().performance().map(|performance| performance.now()).unwrap_or_default()
}
