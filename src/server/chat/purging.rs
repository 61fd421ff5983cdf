//! The task that blanks and restores the rows of large purges, batch by batch, between the sends of their rooms. It rests as long as
//! each batch took. It begins with the purges that an earlier process left. Of several nodes one does this, also for the purges that
//! others began.

use super::lanes::Commits;
use crate::domain::id::RoomId;
use crate::server::storage::{Job, Store};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Purges that may be queued; a further one is found by the next look at the store.
const MAX_QUEUED: usize = 64;
/// Time between two looks at the store for purges that a failure or another server left.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Pause after a batch that failed.
const PAUSE: Duration = Duration::from_secs(2);

/// The queue of the task. Cheap to clone.
#[derive(Clone)]
pub(super) struct Purging(mpsc::Sender<(RoomId, Uuid)>);

impl Purging {
    /// Starts the task; it ends when `closing` is cancelled. A purge that is not finished goes on with the next start.
    pub(super) fn start(tasks: &TaskTracker, closing: CancellationToken, store: Store, commits: Commits) -> Self {
        let (sender, queue) = mpsc::channel(MAX_QUEUED);
        let task = Task { store, commits, closing };
        tasks.spawn(task.run(queue));
        Self(sender)
    }

    /// Begins with the batches of a purge.
    pub(super) fn begin(&self, room: RoomId, action: Uuid) {
        // If the queue is full, the next look finds it.
        let _ = self.0.try_send((room, action));
    }
}

struct Task {
    store: Store,
    commits: Commits,
    closing: CancellationToken,
}

impl Task {
    async fn run(self, mut queue: mpsc::Receiver<(RoomId, Uuid)>) {
        loop {
            tokio::select! {
                () = self.store.take(Job::Purges) => {}
                () = self.closing.cancelled() => return,
            }
            if let Ok(open) = self.store.open_purges().await {
                for purge in open {
                    self.finish(&purge.room, purge.action).await;
                }
            }
            let looked = tokio::time::Instant::now();
            loop {
                tokio::select! {
                    Some((room, action)) = queue.recv() => self.finish(&room, action).await,
                    () = tokio::time::sleep_until(looked + LOOK_EVERY) => break,
                    () = self.store.lose(Job::Purges) => break,
                    () = self.closing.cancelled() => return,
                }
            }
        }
    }

    async fn finish(&self, room: &RoomId, action: Uuid) {
        while !self.closing.is_cancelled() && self.store.holds(Job::Purges) {
            let started = Instant::now();
            match self.commits.next_batch(room, action).await {
                Some(Ok(true)) => self.rest(started.elapsed()).await,
                Some(Ok(false)) | None => return,
                Some(Err(error)) => {
                    tracing::warn!(%room, %action, %error, "a batch of a purge failed and is repeated");
                    self.rest(PAUSE).await;
                    return;
                }
            }
        }
    }

    async fn rest(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.closing.cancelled() => {}
        }
    }
}
