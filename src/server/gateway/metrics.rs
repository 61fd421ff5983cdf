//! What a shard counts: for `/metrics` (all shards together), and for `roomcast status` (each by itself).

use metrics::{Counter, Gauge, counter, gauge};

/// Looked up once; a push costs no look-up.
pub struct Figures {
    pub counted: ShardStats,
    pushes: Counter,
    skipped: Counter,
    bytes: Counter,
    failures: Counter,
    queue: Gauge,
    behind: Gauge,
}

/// Since this shard began; `queue_bytes` and `behind` are now.
#[derive(Clone, Copy, Default, Debug, serde::Serialize, serde::Deserialize)]
pub struct ShardStats {
    /// Frames handed to connections.
    pub pushes: u64,
    /// Frames skipped because a queue was full.
    pub skipped: u64,
    pub bytes: u64,
    /// Writes that failed: the peer was gone.
    pub failures: u64,
    /// Unsent bytes of those who are behind.
    pub queue_bytes: u64,
    /// Connections that are behind.
    pub behind: u64,
}

impl Figures {
    pub fn new(shard: usize) -> Self {
        let shard = shard.to_string();
        Self {
            counted: ShardStats::default(),
            pushes: counter!("roomcast_pushes_total"),
            skipped: counter!("roomcast_pushes_skipped_total"),
            bytes: counter!("roomcast_push_bytes_total"),
            failures: counter!("roomcast_push_failures_total"),
            queue: gauge!("roomcast_queue_bytes", "shard" => shard.clone()),
            behind: gauge!("roomcast_connections_behind", "shard" => shard),
        }
    }

    pub fn pushed(&mut self, to: u64, skipped: u64) {
        self.counted.pushes += to;
        self.counted.skipped += skipped;
        self.pushes.increment(to);
        self.skipped.increment(skipped);
    }

    pub fn wrote(&mut self, bytes: u64) {
        self.counted.bytes += bytes;
        self.bytes.increment(bytes);
    }

    pub fn failed(&mut self) {
        self.counted.failures += 1;
        self.failures.increment(1);
    }

    pub fn waiting(&mut self, queue_bytes: u64, behind: u64) {
        (self.counted.queue_bytes, self.counted.behind) = (queue_bytes, behind);
        self.queue.set(queue_bytes as f64);
        self.behind.set(behind as f64);
    }
}
