//! Draining a node: `bye` to every connection, in jittered batches, and then the end of the shards.

use super::Gateway;
use super::handle::COMMAND_BYTES;
use super::shard_thread::ShardCommand;
use std::sync::PoisonError;
use std::time::Duration;

/// Batches in which a draining node sends `bye`, and connections per batch at least.
const DRAIN_BATCHES: u32 = 20;
const MIN_DRAIN_BATCH: usize = 100;
/// Shortest time after which a page reconnects, ms.
const MIN_RECONNECT_MS: u64 = 200;

impl Gateway {
    /// Refuses new connections and sends `bye` to all others, in jittered batches over half of `within`, each with a
    /// reconnect time of its own. Connections that remain after `within` are dropped. Then the shards end.
    pub async fn drain(&self, within: Duration) {
        let deadline = tokio::time::Instant::now() + within;
        self.0.limits.close();
        let connections = self.connection_count();
        // A new process accepts about a thousand handshakes per second: spread the reconnects over that.
        let spread_ms = (connections as u64).clamp(1_000, 30_000);
        let pause = within / 2 / DRAIN_BATCHES;
        let shards = self.0.shards.len();
        let per_shard = connections.div_ceil(DRAIN_BATCHES as usize).max(MIN_DRAIN_BATCH).div_ceil(shards);
        let send_bye = async {
            let mut drained = 0;
            while drained < connections {
                let reconnect_after_ms = move || MIN_RECONNECT_MS + rand::random_range(0..spread_ms);
                self.sum_over_shards(move |shard, now| {
                    shard.drain_batch(per_shard, reconnect_after_ms, now);
                    0
                })
                .await;
                drained += per_shard * shards;
                if drained < connections {
                    tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
                }
            }
            // Connections whose handshake was in progress at the start, and those of shards with more than the average.
            self.sum_over_shards(move |shard, now| {
                shard.drain_batch(usize::MAX, || MIN_RECONNECT_MS + rand::random_range(0..spread_ms), now);
                0
            })
            .await;
            self.0.limits.all_released().await;
        };
        let _ = tokio::time::timeout_at(deadline, send_bye).await;
        for shard in &self.0.shards {
            shard.post(ShardCommand::Stop);
        }
        let threads = std::mem::take(&mut *self.0.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| _ = thread.join())).await;
    }

    /// Connections of the node, including handshakes in progress.
    pub fn connection_count(&self) -> usize {
        self.0.limits.count()
    }

    /// Sets the gauges of the limits, for a scrape of `/metrics`.
    pub fn record_metrics(&self) {
        metrics::gauge!("roomcast_connections").set(self.connection_count() as f64);
        metrics::gauge!("roomcast_connections_max").set(self.0.settings.max_connections as f64);
        metrics::gauge!("roomcast_handshakes").set(self.0.limits.handshakes() as f64);
        let queued = self.0.settings.command_bytes.max(COMMAND_BYTES).saturating_sub(self.0.command_budget.available_permits());
        metrics::gauge!("roomcast_command_bytes").set(queued as f64);
        metrics::gauge!("roomcast_command_bytes_max").set(self.0.settings.command_bytes as f64);
    }
}
