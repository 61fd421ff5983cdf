//! Counters of commands, packets and connections, and the rate limit of log lines about peers.

use super::protocol::opcode;
use ::metrics::Counter;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Counters that are registered once, so that counting a command needs no look-up by name.
pub(super) struct Metrics {
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
    /// Counts a command by its number; an unknown number is not counted.
    pub(super) fn count_command(&self, command: u8) {
        if let Some(counter) = self.commands.get(usize::from(command)).and_then(Option::as_ref) {
            counter.increment(1);
        }
    }

    /// Counts a command for a client that is not connected.
    pub(super) fn client_not_found(&self) {
        self.client_not_found.increment(1);
    }

    /// Counts a packet that is ignored.
    pub(super) fn packet_rejected(&self) {
        self.packet_rejected.increment(1);
    }
}

/// Counts a connection that the node closes, with the reason as a label.
pub(super) fn connection_rejected(reason: &'static str) {
    metrics::counter!("roomcast_php_connections_rejected_total", "reason" => reason).increment(1);
}

/// Returns true if a line about a peer may be logged: one per second in all, or a peer could fill the disk. Metrics count
/// everything.
pub(super) fn within_log_rate_limit() -> bool {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    static LAST_LINE: AtomicU64 = AtomicU64::new(0);
    let now = STARTED.elapsed().as_secs() + 1;
    LAST_LINE.swap(now, Ordering::Relaxed) != now
}
