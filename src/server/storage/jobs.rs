//! Work that one node of a cluster does: the holder of the job's lease. PostgreSQL gives a lease to one node at a time, and to the
//! next one within 5 s after the holder died or lost the store. With the database in the data folder this process has every job.
//! Two holders for a moment do no harm: each act is guarded by its row.

use super::Store;
use std::time::Duration;
use tokio::time::sleep;

/// A job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Job {
    /// Removes old messages, rooms, guests and news.
    Retention,
    /// Removes ended rows of moderation, and logs the heads of the audit log.
    Moderation,
    /// Blanks and restores the rows of large purges.
    Purges,
    /// Removes expired sessions and turns.
    Sessions,
}

impl Job {
    /// Every job.
    pub const ALL: [Self; 4] = [Self::Retention, Self::Moderation, Self::Purges, Self::Sessions];
}

/// Time between two looks at a lease that is not to be had, or may be lost.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Store {
    /// Returns whether this process has the job now.
    pub fn holds(&self, job: Job) -> bool {
        match self {
            Self::Sqlite(store) => store.is_serving(),
            Self::Postgres(store) => store.holds(job),
        }
    }

    /// Waits until this process has the job.
    pub async fn take(&self, job: Job) {
        while !self.holds(job) {
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until this process has the job no more.
    pub async fn lose(&self, job: Job) {
        while self.holds(job) {
            sleep(LOOK_EVERY).await;
        }
    }
}
