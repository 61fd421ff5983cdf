//! What the door counts.

use super::protocol::opcode;
use ::metrics::Counter;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Handles made once: a command is counted without a look-up.
pub struct Metrics {
    commands: Vec<Option<Counter>>,
    client_not_found: Counter,
    packet_rejected: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let counter = |command| Some(metrics::counter!("roomcast_php_commands_total", "command" => opcode::name(command)?));
        Self {
            commands: (0..=u8::MAX).map(counter).collect(),
            client_not_found: metrics::counter!("roomcast_php_client_not_found_total"),
            packet_rejected: metrics::counter!("roomcast_php_packets_rejected_total"),
        }
    }
}

impl Metrics {
    pub fn command(&self, command: u8) {
        if let Some(counter) = self.commands.get(usize::from(command)).and_then(Option::as_ref) {
            counter.increment(1);
        }
    }

    /// A command for a client that is not here.
    pub fn client_not_found(&self) {
        self.client_not_found.increment(1);
    }

    pub fn packet_rejected(&self) {
        self.packet_rejected.increment(1);
    }
}

/// A connection that was ended, or not let in.
pub fn connection_rejected(reason: &'static str) {
    metrics::counter!("roomcast_php_connections_rejected_total", "reason" => reason).increment(1);
}

/// A line of the log a second about strangers: whoever can connect could fill the disk with them otherwise. All are counted.
pub fn within_log_rate_limit() -> bool {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    static LAST_LINE: AtomicU64 = AtomicU64::new(0);
    let now = STARTED.elapsed().as_secs() + 1;
    LAST_LINE.swap(now, Ordering::Relaxed) != now
}
