//! A shard's counters: summed over all shards in `/metrics`, per shard in `roomcast status`.

use metrics::{Counter, Gauge, counter, gauge};

/// Handles of the metrics, looked up once per shard, not per push.
pub(super) struct ShardMetrics {
    pub stats: ShardStats,
    pushes: Counter,
    skipped: Counter,
    bytes: Counter,
    failures: Counter,
    queue: Gauge,
    backlogged: Gauge,
}

/// Totals since the shard started; `queue_bytes` and `backlogged` are current values.
#[derive(Clone, Copy, Default, Debug, serde::Serialize, serde::Deserialize)]
pub struct ShardStats {
    /// Frames queued or written.
    pub pushes: u64,
    /// Frames skipped because a send queue was full.
    pub skipped: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Writes that failed because the peer had disconnected.
    pub failures: u64,
    /// Unsent bytes of connections with a backlog.
    pub queue_bytes: u64,
    /// Connections with a backlog.
    #[serde(rename = "behind")]
    pub backlogged: u64,
}

impl ShardMetrics {
    /// Looks the metrics of a shard up.
    pub(super) fn new(shard: usize) -> Self {
        let shard = shard.to_string();
        Self {
            stats: ShardStats::default(),
            pushes: counter!("roomcast_pushes_total"),
            skipped: counter!("roomcast_pushes_skipped_total"),
            bytes: counter!("roomcast_push_bytes_total"),
            failures: counter!("roomcast_push_failures_total"),
            queue: gauge!("roomcast_queue_bytes", "shard" => shard.clone()),
            backlogged: gauge!("roomcast_connections_backlogged", "shard" => shard),
        }
    }

    /// Adds the outcome of one publish.
    pub(super) fn record_pushes(&mut self, to: u64, skipped: u64) {
        self.stats.pushes += to;
        self.stats.skipped += skipped;
        self.pushes.increment(to);
        self.skipped.increment(skipped);
    }

    /// Adds written bytes.
    pub(super) fn record_write(&mut self, bytes: u64) {
        self.stats.bytes += bytes;
        self.bytes.increment(bytes);
    }

    /// Adds a failed write.
    pub(super) fn record_failure(&mut self) {
        self.stats.failures += 1;
        self.failures.increment(1);
    }

    /// Sets the current backlog.
    pub(super) fn record_backlog(&mut self, queue_bytes: u64, backlogged: u64) {
        (self.stats.queue_bytes, self.stats.backlogged) = (queue_bytes, backlogged);
        self.queue.set(queue_bytes as f64);
        self.backlogged.set(backlogged as f64);
    }
}
