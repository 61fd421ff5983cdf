//! What the door counts.

use super::protocol::opcode;
use ::metrics::Counter;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Handles made once: a command is counted without a look-up.
pub struct Figures {
    commands: Vec<Option<Counter>>,
    stale: Counter,
    odd: Counter,
}

impl Default for Figures {
    fn default() -> Self {
        let counter = |command| Some(metrics::counter!("roomcast_php_commands_total", "command" => opcode::name(command)?));
        Self {
            commands: (0..=u8::MAX).map(counter).collect(),
            stale: metrics::counter!("roomcast_php_stale_total"),
            odd: metrics::counter!("roomcast_php_odd_packets_total"),
        }
    }
}

impl Figures {
    pub fn command(&self, command: u8) {
        if let Some(counter) = self.commands.get(usize::from(command)).and_then(Option::as_ref) {
            counter.increment(1);
        }
    }

    /// A command for a client that is not here.
    pub fn stale(&self) {
        self.stale.increment(1);
    }

    pub fn odd(&self) {
        self.odd.increment(1);
    }
}

/// A connection that was ended, or not let in.
pub fn refused(why: &'static str) {
    metrics::counter!("roomcast_php_refused_total", "why" => why).increment(1);
}

/// A line of the log a second about strangers: whoever can connect could fill the disk with them otherwise. All are counted.
pub fn may_say() -> bool {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    static SAID: AtomicU64 = AtomicU64::new(0);
    let now = BEGAN.elapsed().as_secs() + 1;
    SAID.swap(now, Ordering::Relaxed) != now
}
