//! The file `high-water` beside the database: the number of write batches and acts that the database had at least. It tells a
//! database from an earlier copy of itself, which would give seqs and revs a second time.
//!
//! The number is written after the commit that it counts, so the file may lag behind the database and never leads.

use super::to_sql;
use crate::server::storage::data_dir::DataDirLock;
use crate::server::storage::{OpenNotice, Result};
use sqlx::{Connection, SqliteConnection};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Name of the file in the data folder. A backup leaves it out.
const FILE: &str = "high-water";
/// Time between two writes of the file.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// Writes the file while this process holds the data folder's lock.
pub(super) struct HighWater {
    folder: PathBuf,
    lock: Option<DataDirLock>,
    /// The newest number, and the one that was written last.
    commits: u64,
    written: u64,
    next_write: Instant,
    /// The write under way. It is on a blocking thread, so that the writer task does not wait for the disk.
    writing: Option<JoinHandle<()>>,
}

impl HighWater {
    /// `lock` is `None` beside a running server, which then writes the file.
    pub(super) fn new(folder: &Path, lock: Option<DataDirLock>) -> Self {
        Self { folder: folder.into(), lock, commits: 0, written: 0, next_write: Instant::now(), writing: None }
    }

    /// Notes the number of a commit, and writes it if the last write was a second ago. Batches and acts are noted in any order.
    pub(super) fn note(&mut self, commits: u64) {
        self.commits = self.commits.max(commits);
        if Instant::now() >= self.next_write {
            self.write();
        }
    }

    /// Resolves when a noted number should be written; never, if none is.
    pub(super) async fn due(&self) {
        if self.commits == self.written || self.lock.is_none() {
            return std::future::pending().await;
        }
        tokio::time::sleep_until(self.next_write).await;
    }

    /// Writes the newest number, unless a write is under way or another process serves.
    pub(super) fn write(&mut self) {
        self.next_write = Instant::now() + WRITE_EVERY;
        let is_serving = self.lock.as_ref().is_some_and(DataDirLock::is_held);
        if self.commits == self.written || !is_serving || self.writing.as_ref().is_some_and(|write| !write.is_finished()) {
            return;
        }
        let (folder, commits) = (self.folder.clone(), self.commits);
        self.written = commits;
        // A failed write leaves the earlier number, which lags.
        self.writing = Some(tokio::task::spawn_blocking(move || _ = store(&folder, commits)));
    }

    /// Writes the newest number and waits until it is on the disk.
    pub(super) async fn flush(&mut self) {
        for _ in 0..2 {
            if let Some(writing) = self.writing.take() {
                let _ = writing.await;
            }
            self.write();
        }
    }
}

/// Compares the database with the file, gives every room a new epoch if the database is an earlier copy, and writes the file.
/// A database that no write batch has used needs no file.
pub(super) async fn check(folder: &Path, connection: &mut SqliteConnection) -> Result<Option<OpenNotice>> {
    let commits = commits(connection).await?;
    let high_water = load(folder);
    let is_put_back = high_water.map_or(commits > 0, |seen| seen > commits);
    let notice = if is_put_back {
        Some(OpenNotice::NewEpochs { rooms: new_epochs(connection).await?, commits, high_water })
    } else {
        None
    };
    // Before the first commit of this process: a kill after it must find the file.
    store(folder, commits).map_err(|error| super::StorageError::Busy(Arc::new(sqlx::Error::Io(error))))?;
    Ok(notice)
}

/// Returns the number of write batches and acts that the database contains.
pub(super) async fn commits(connection: &mut SqliteConnection) -> Result<u64> {
    let commits = sqlx::query_scalar!(
        r#"SELECT coalesce(max(CAST(value AS INTEGER)), 0) AS "commits!: i64" FROM facts WHERE name = 'commits'"#
    );
    super::from_sql(commits.fetch_one(connection).await?)
}

/// Counts a batch or an act in its own transaction and returns the new number.
pub(super) async fn count_commit(connection: &mut SqliteConnection) -> Result<u64> {
    let commits = sqlx::query_scalar!(
        r#"UPDATE facts SET value = CAST(CAST(CAST(value AS INTEGER) + 1 AS TEXT) AS BLOB) WHERE name = 'commits'
        RETURNING CAST(value AS INTEGER) AS "commits!: i64""#
    );
    super::from_sql(commits.fetch_one(connection).await?)
}

/// Gives every room a new epoch and returns the number of rooms.
pub(super) async fn new_epochs(connection: &mut SqliteConnection) -> Result<u64> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let renewed = sqlx::query!("UPDATE rooms SET epoch = lower(hex(randomblob(16)))").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(renewed.rows_affected())
}

/// Returns the number in the file; `None` if there is no file or it holds no number.
fn load(folder: &Path) -> Option<u64> {
    std::fs::read_to_string(folder.join(FILE)).ok()?.trim().parse().ok()
}

/// Replaces the file in one step, so that a crash leaves the old number or the new one.
pub(super) fn store(folder: &Path, commits: u64) -> io::Result<()> {
    let part = folder.join("high-water.part");
    let mut file = File::create(&part)?;
    writeln!(file, "{}", to_sql(commits))?;
    file.sync_data()?;
    std::fs::rename(part, folder.join(FILE))?;
    File::open(folder)?.sync_all()
}
