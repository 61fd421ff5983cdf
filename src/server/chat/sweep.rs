//! The hourly sweep of moderation: removed texts, notes, reasons, networks and changes that have ended, and the keys of networks. It
//! also prints the heads of the audit log's chains that grew: a log that was cut is found with a head of before.

use crate::server::{
    clock::Clock,
    moderation::{NetworkKeys, hex},
    storage::{Job, Result, Store},
};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Time between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Rows of a table per batch.
const BATCH: u32 = 500;

/// The sweep of a node's store.
pub(super) struct Sweep {
    store: Store,
    clock: Clock,
    closing: CancellationToken,
    /// The number of each chain's head when it was printed last.
    printed: HashMap<String, u64>,
}

impl Sweep {
    pub(super) fn new(store: Store, clock: Clock, closing: CancellationToken) -> Self {
        Self { store, clock, closing, printed: HashMap::new() }
    }

    /// Sweeps at the start and every hour, until `closing` is cancelled. Of several nodes one sweeps.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.store.take(Job::Moderation) => {}
                () = self.closing.cancelled() => return,
            }
            if let Err(error) = self.sweep().await {
                tracing::warn!(%error, "moderation: the sweep failed and is repeated in an hour");
            }
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                () = self.store.lose(Job::Moderation) => {}
                () = self.closing.cancelled() => return,
            }
        }
    }

    async fn sweep(&mut self) -> Result<()> {
        let now = self.store.earlier_now(self.clock.now_ms()).await?;
        let mut removed = 0;
        while !self.closing.is_cancelled() && self.store.holds(Job::Moderation) {
            let started = Instant::now();
            match self.store.sweep_moderation(now, BATCH).await? {
                0 => break,
                count => removed += count,
            }
            tokio::select! {
                () = tokio::time::sleep(started.elapsed()) => {}
                () = self.closing.cancelled() => return Ok(()),
            }
        }
        if removed > 0 {
            tracing::info!(removed, "moderation: rows that ended were removed");
        }
        NetworkKeys::destroy_old(&self.store, now).await?;
        for head in self.store.chain_heads().await? {
            if self.printed.get(&head.chain).is_none_or(|printed| *printed < head.n) {
                tracing::info!(chain = head.chain, n = head.n, hash = hex(&head.hash), "audit head");
                self.printed.insert(head.chain, head.n);
            }
        }
        Ok(())
    }
}
