//! Calls into the shards: a closure runs on the shard that owns a connection, or on all shards, and its result comes back.

use super::Gateway;
use super::handle::COMMAND_BYTES;
use super::registry::Slot;
use super::shard::Shard;
use super::shard_thread::ShardCommand;
use super::stream::Socket;
use crate::domain::id::ClientId;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::unconstrained;

impl Gateway {
    /// Runs a closure on the shard that owns the connection. `None`: no such connection on this node.
    pub(super) async fn on_client<T: Send + 'static>(
        &self,
        client: ClientId,
        job: impl FnOnce(&mut Shard<Socket>, Slot, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        self.on_client_with(0, client, job).await
    }

    /// The same for a closure that holds `bytes` of payload, which count against the command budget.
    pub(super) async fn on_client_with<T: Send + 'static>(
        &self,
        bytes: usize,
        client: ClientId,
        job: impl FnOnce(&mut Shard<Socket>, Slot, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        let shard = self.0.ids.shard(client)?;
        let found = self.run_on(shard, bytes, move |shard, now| {
            let slot = shard.registry.slot_of(client.connection)?;
            Some(job(shard, slot, now))
        });
        found.await.flatten()
    }

    /// Runs a closure on every shard in parallel. A shard that has ended is left out.
    pub(super) async fn on_all_shards<T: Send + 'static>(
        &self,
        job: impl Fn(&mut Shard<Socket>, Instant) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        self.on_all_shards_with(0, job).await
    }

    /// The same for a closure that holds `bytes` of payload, which count against the command budget once per shard.
    pub(super) async fn on_all_shards_with<T: Send + 'static>(
        &self,
        bytes: usize,
        job: impl Fn(&mut Shard<Socket>, Instant) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let pending = (0..self.0.shards.len()).map(|shard| self.run_on(shard, bytes, job.clone()));
        futures_util::future::join_all(pending).await.into_iter().flatten().collect()
    }

    /// Runs a closure on every shard and adds the results.
    pub(super) async fn sum_over_shards(
        &self,
        job: impl Fn(&mut Shard<Socket>, Instant) -> usize + Clone + Send + 'static,
    ) -> usize {
        self.on_all_shards(job).await.into_iter().sum()
    }

    async fn run_on<T: Send + 'static>(
        &self,
        shard: usize,
        bytes: usize,
        job: impl FnOnce(&mut Shard<Socket>, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let permit = self.reserve_budget(COMMAND_BYTES + bytes).await;
        // The caller may have been cancelled.
        let job = move |shard: &mut Shard<Socket>, now: Instant| _ = answer.send(job(shard, now));
        self.0.shards[shard].post(ShardCommand::Run(Box::new(job), permit));
        answered.await.ok()
    }

    /// Runs a closure on the shard that owns the connection, without a share of the command budget: for at most a few calls per
    /// connection in its life. Does not wait.
    pub(super) fn post_to_client(&self, client: ClientId, job: impl FnOnce(&mut Shard<Socket>, Slot, Instant) + Send + 'static) {
        let Some(shard) = self.0.ids.shard(client) else { return };
        let job = move |shard: &mut Shard<Socket>, now: Instant| {
            if let Some(slot) = shard.registry.slot_of(client.connection) {
                job(shard, slot, now);
            }
        };
        self.0.shards[shard].post(ShardCommand::Run(Box::new(job), None));
    }

    pub(super) fn shard_count(&self) -> usize {
        self.0.shards.len()
    }

    /// Back-pressure: waits for `bytes` of the command budget, in FIFO order. `unconstrained`, since tokio's cooperative yield
    /// would break that order. The semaphore is never closed.
    pub(super) async fn reserve_budget(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = bytes.min(self.0.settings.command_bytes.max(COMMAND_BYTES));
        unconstrained(self.0.command_budget.clone().acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX))).await.ok()
    }
}
