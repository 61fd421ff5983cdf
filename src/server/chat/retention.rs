//! Retention: the task that removes deleted rooms, messages older than `chat.keep_days`, and guests that left nothing. It
//! works in batches and rests as long as each took, so that sends find the database free.

use crate::domain::id::RoomId;
use crate::server::clock::Clock;
use crate::server::storage::{Job, Result, Store};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Time between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Rows per batch.
const BATCH: u32 = 500;
/// Notes of last messages per batch.
const PACES_BATCH: u32 = 5000;
/// Age at which a guest without messages and without a session is removed: 30 days.
const GUEST_MS: u64 = 30 * DAY_MS;
const DAY_MS: u64 = 24 * 3600 * 1000;
/// Attempts to scrub the database's files while readers keep a part of them, and the pause between two.
const SCRUB_ATTEMPTS: u32 = 40;
const SCRUB_PAUSE: Duration = Duration::from_millis(250);

/// Rows that a sweep removed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Removed {
    of_deleted_rooms: u64,
    messages: u64,
    guests: u64,
}

/// The sweeps of a node's store.
pub(super) struct Retention {
    store: Store,
    clock: Clock,
    keep_days: u64,
    /// Notified when a room was deleted, so that its messages go at once.
    wake: Arc<Notify>,
    closing: CancellationToken,
}

impl Retention {
    /// `keep_days` is the age at which messages are removed; 0 keeps them.
    pub(super) fn new(store: Store, clock: Clock, keep_days: u32, wake: Arc<Notify>, closing: CancellationToken) -> Self {
        Self { store, clock, keep_days: keep_days.into(), wake, closing }
    }

    /// Sweeps at the start, every hour and when woken, until `closing` is cancelled. A batch under way is finished. Of several nodes
    /// one sweeps.
    pub(super) async fn run(self) {
        loop {
            tokio::select! {
                () = self.store.take(Job::Retention) => {}
                () = self.closing.cancelled() => return,
            }
            if let Err(error) = self.sweep().await {
                tracing::warn!(%error, "retention: the sweep failed and is repeated in an hour");
            }
            // Also after a failure, and at the start: a sweep that was cut short may have removed rows.
            if let Err(error) = self.scrub().await {
                tracing::warn!(%error, "retention: removed texts are not overwritten yet, which is repeated in an hour");
            }
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                () = self.wake.notified() => {}
                () = self.store.lose(Job::Retention) => {}
                () = self.closing.cancelled() => return,
            }
        }
    }

    async fn sweep(&self) -> Result<()> {
        let removed = Removed {
            of_deleted_rooms: self.in_batches(|| self.store.sweep_deleted_rooms(BATCH)).await?,
            messages: self.sweep_messages().await?,
            guests: self.sweep_guests().await?,
        };
        // Notes without a text, which nobody misses.
        self.in_batches(|| self.store.sweep_paces(PACES_BATCH)).await?;
        self.in_batches(|| self.store.sweep_news(BATCH)).await?;
        if removed != Removed::default() {
            let Removed { of_deleted_rooms, messages, guests } = removed;
            tracing::info!(of_deleted_rooms, messages, guests, "retention: rows removed");
        }
        Ok(())
    }

    async fn sweep_messages(&self) -> Result<u64> {
        if self.keep_days == 0 {
            return Ok(0);
        }
        let now = self.store.earlier_now(self.clock.now_ms()).await?;
        let before = now.saturating_sub(self.keep_days * DAY_MS);
        let (mut removed, mut after): (u64, Option<RoomId>) = (0, None);
        loop {
            let (rooms, last) = self.store.rooms_with_messages_before(before, after.as_ref()).await?;
            for room in &rooms {
                removed += self.in_batches(|| self.store.remove_messages_before(room, before, BATCH)).await?;
            }
            after = last;
            if after.is_none() || self.is_ending() {
                return Ok(removed);
            }
        }
    }

    async fn sweep_guests(&self) -> Result<u64> {
        let now = self.store.earlier_now(self.clock.now_ms()).await?;
        let before = now.saturating_sub(GUEST_MS);
        let (mut removed, mut after) = (0, None);
        loop {
            let (guests, last) = self.store.idle_guests(before, now, after.as_ref()).await?;
            for batch in guests.chunks(BATCH as usize) {
                if self.is_ending() {
                    return Ok(removed);
                }
                let started = Instant::now();
                removed += self.store.remove_idle_guests(batch, now).await?;
                self.rest(started).await;
            }
            after = last;
            if after.is_none() || self.is_ending() {
                return Ok(removed);
            }
        }
    }

    /// Repeats a batch until one removes nothing, and returns the number of rows.
    async fn in_batches<F: Future<Output = Result<u64>>>(&self, batch: impl Fn() -> F) -> Result<u64> {
        let mut removed = 0;
        while !self.is_ending() {
            let started = Instant::now();
            match batch().await? {
                0 => break,
                count => removed += count,
            }
            self.rest(started).await;
        }
        Ok(removed)
    }

    /// Leaves the database to others for as long as the batch took.
    async fn rest(&self, started: Instant) {
        tokio::select! {
            () = tokio::time::sleep(started.elapsed()) => {}
            () = self.closing.cancelled() => {}
        }
    }

    /// Overwrites the removed texts in the database's files.
    async fn scrub(&self) -> Result<()> {
        for _ in 0..SCRUB_ATTEMPTS {
            if self.is_ending() || self.store.scrub().await? {
                return Ok(());
            }
            tokio::time::sleep(SCRUB_PAUSE).await;
        }
        tracing::warn!("retention: removed texts stay in the write-ahead log until a reader of the database is gone");
        Ok(())
    }

    /// Whether the node shuts down, or another process or node has the job now.
    fn is_ending(&self) -> bool {
        self.closing.is_cancelled() || !self.store.holds(Job::Retention)
    }
}
