//! A transaction that stays open between its queries, for the acts of moderation. A query without an answer closes its connection;
//! one that is dropped is rolled back by a task, which holds its place in the pool, so that the pool's end waits for it.

use super::error::{Lost, is_lost, no_answer};
use super::pool::{Lease, Pool, busy};
use crate::server::storage::{Result, StorageError};
use sqlx::{PgConnection, raw_sql};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

/// Attempts to begin: the first connection may have broken while it was idle.
const ATTEMPTS: u32 = 2;

/// An open transaction.
pub(super) struct OpenTransaction {
    pool: Pool,
    /// `None` during a query, and after a lost answer: a caller that is gone leaves no connection that is in use.
    lease: Option<Lease>,
    /// A query failed, so PostgreSQL answers COMMIT with a rollback.
    has_failed: bool,
}

impl OpenTransaction {
    /// Begins. Nothing is stored if it fails.
    pub(super) async fn begin(pool: &Pool) -> Result<Self> {
        let deadline = pool.deadline();
        let mut attempts = 1;
        loop {
            let mut lease = pool.lease(deadline).await?;
            match statement(&mut lease.connection, "BEGIN", deadline).await {
                Ok(()) => return Ok(Self { pool: pool.clone(), lease: Some(lease), has_failed: false }),
                Err(error) => {
                    drop(lease);
                    let error = pool.failed(error, Lost::NotStored);
                    if attempts == ATTEMPTS || Instant::now() >= deadline {
                        return Err(error);
                    }
                    attempts += 1;
                }
            }
        }
    }

    /// Runs a query within the pool's time limit.
    pub(super) async fn run<T>(&mut self, query: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> Result<T> {
        let mut lease = self.lease.take().ok_or_else(|| busy(sqlx::Error::WorkerCrashed))?;
        let ran = timeout_at(self.pool.deadline(), query(&mut lease.connection)).await.unwrap_or_else(|_| Err(no_answer()));
        if ran.as_ref().map_or_else(|error| !is_lost(error), |_| true) {
            self.lease = Some(lease);
        }
        self.has_failed |= ran.is_err();
        ran.map_err(|error| self.pool.failed(error, Lost::NotStored))
    }

    /// Commits. After a query that failed it fails, and stores nothing.
    pub(super) async fn commit(mut self) -> Result<()> {
        if self.has_failed {
            return Err(StorageError::Failed(sqlx::Error::Protocol("a commit after a failed query".into()).into()));
        }
        let mut lease = self.lease.take().ok_or_else(|| busy(sqlx::Error::WorkerCrashed))?;
        let deadline = self.pool.deadline();
        match statement(&mut lease.connection, "COMMIT", deadline).await {
            Ok(()) => {
                self.pool.give_back(lease);
                Ok(())
            }
            Err(error) => Err(self.pool.failed(error, Lost::MayBeStored)),
        }
    }
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        // Without a runtime the connection closes, which rolls back, too.
        let (Some(mut lease), Ok(runtime)) = (self.lease.take(), Handle::try_current()) else { return };
        let pool = self.pool.clone();
        runtime.spawn(async move {
            if statement(&mut lease.connection, "ROLLBACK", pool.deadline()).await.is_ok() {
                pool.give_back(lease);
            }
        });
    }
}

async fn statement(connection: &mut PgConnection, statement: &'static str, deadline: Instant) -> sqlx::Result<()> {
    let ran = timeout_at(deadline, raw_sql(statement).execute(connection)).await;
    ran.unwrap_or_else(|_| Err(no_answer())).map(|_| ())
}
