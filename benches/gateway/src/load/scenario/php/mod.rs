//! Scenarios of the PHP gateway protocol, all on GatewayWorker's inner port.

pub mod commands;
pub mod connections;
pub mod queries;
pub mod sessions;

use super::Cast;
use crate::clock;
use crate::inner::{Client, Command, Packet, reply};
use crate::process::{Processes, own_cpu};
use serde_json::{Value, json};
use std::time::Duration;

impl Cast {
    /// Runs `work` on a thread of its own; meanwhile this thread reads for the viewers.
    fn beside<T: Send>(&mut self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let working = scope.spawn(work);
            while !working.is_finished() {
                self.viewers.poll_once(Duration::from_millis(20));
            }
            working.join().expect("no panic")
        })
    }
}

/// Time and CPU at the start of a measurement.
struct Meter {
    began: u64,
    cpu: f64,
    client_cpu: f64,
}

impl Meter {
    fn start(server: &Processes) -> Self {
        Self { cpu: server.cpu(), client_cpu: own_cpu(), began: clock::now() }
    }

    /// Returns the cost of each of `count` operations. Time counts until `end`, CPU until now, so that pushes sent after `end`
    /// count.
    fn cost(&self, server: &Processes, count: u64, end: u64) -> Value {
        let each = |cpu: f64| cpu * 1e6 / count.max(1) as f64;
        json!({
            "a_second": (count as f64 * 1e9 / end.saturating_sub(self.began).max(1) as f64).round(),
            "cpu_us": each(server.cpu() - self.cpu),
            "client_cpu_us": each(own_cpu() - self.client_cpu),
        })
    }
}

/// Waits for the reply to a query; all commands sent before on this connection are executed then.
fn barrier(inner: &mut Client, connection: u32) -> Result<(), String> {
    reply::expect(reply::ONE, inner.query(&Packet::new(Command::IsOnline, connection, "").bytes())?)
}
