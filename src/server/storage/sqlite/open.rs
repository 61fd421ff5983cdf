//! Opening the SQLite file: connections, migrations, and facts about the installation.

use crate::server::config::StorageSettings as Settings;
use crate::server::storage::data_dir::{self, DataDirLock};
use crate::server::storage::{OpenError, Result};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool};
use std::fs::TryLockError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Connections that read; they run in parallel.
const READERS: u32 = 4;
/// Time for the pool beyond the database's own lock timeout, so that SQLite's error comes first.
const POOL_TIMEOUT_EXTRA_MS: u64 = 500;

/// An open SQLite store. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct SqliteStore {
    pub(super) readers: SqlitePool,
    pub(super) writer: SqlitePool,
    /// One connection that reads for the commit task, so that a send never waits behind the pages' reads.
    pub(super) commit_reader: SqlitePool,
    /// `None` beside a running server.
    lock: Option<Arc<DataDirLock>>,
    /// The only connection that writes, while another process has the lock: every write of this process fails as busy.
    held_writer: Arc<Mutex<Option<PoolConnection<Sqlite>>>>,
}

impl SqliteStore {
    /// Takes the data folder's lock and opens the database in it.
    pub(crate) async fn open(settings: &Settings) -> std::result::Result<Self, OpenError> {
        data_dir::create(&settings.data_dir)?;
        let lock = DataDirLock::acquire(&settings.data_dir)?;
        Self::connect(settings, Some(Arc::new(lock))).await
    }

    /// Opens the database without the lock: SQLite itself keeps a server and a command apart.
    pub(crate) async fn open_unlocked(settings: &Settings) -> std::result::Result<Self, OpenError> {
        data_dir::create(&settings.data_dir)?;
        Self::connect(settings, None).await
    }

    async fn connect(settings: &Settings, lock: Option<Arc<DataDirLock>>) -> std::result::Result<Self, OpenError> {
        let path = settings.data_dir.clone();
        // FULL: an accepted message survives a power cut. The group commit shares the cost of the fsync.
        let options = SqliteConnectOptions::new()
            .filename(path.join("roomcast.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_millis(settings.busy_within_ms));
        let within = Duration::from_millis(settings.busy_within_ms + POOL_TIMEOUT_EXTRA_MS);
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections).acquire_timeout(within);
        let database = |source| OpenError::Database { path: path.clone(), source };
        let writer = pool(1).connect_with(options.clone()).await.map_err(database)?;
        sqlx::migrate!("src/server/storage/sqlite/migrations")
            .run(&writer)
            .await
            .map_err(|source| OpenError::Migration { path: path.clone(), source })?;
        let options = options.read_only(true);
        let commit_reader = pool(1).connect_lazy_with(options.clone());
        let readers = pool(READERS).connect_with(options).await.map_err(database)?;
        Ok(Self { readers, writer, commit_reader, lock, held_writer: Arc::default() })
    }

    /// Waits for the write that is under way, and keeps the connection that writes. Fails if it is not free in time.
    pub(crate) async fn release_lock(&self) -> std::io::Result<()> {
        let Some(lock) = &self.lock else { return Ok(()) };
        let writer = self.writer.acquire().await.map_err(std::io::Error::other)?;
        *self.held_writer() = Some(writer);
        lock.release()
    }

    pub(crate) fn reacquire_lock(&self) -> std::result::Result<(), TryLockError> {
        self.lock.as_ref().map_or(Ok(()), |lock| lock.reacquire())?;
        drop(self.held_writer().take());
        Ok(())
    }

    /// Closing the last connection checkpoints the write-ahead log into the database file.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.commit_reader.close().await;
        // From the call on no write gets the connection; the pool waits for the one that is held.
        let closed = self.writer.close();
        drop(self.held_writer().take());
        closed.await;
    }

    fn held_writer(&self) -> MutexGuard<'_, Option<PoolConnection<Sqlite>>> {
        self.held_writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn fact(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let row = sqlx::query!("SELECT value FROM facts WHERE name = ?", name).fetch_optional(&self.readers).await?;
        Ok(row.map(|row| row.value))
    }

    pub(crate) async fn set_fact(&self, name: &str, value: &[u8]) -> Result<()> {
        sqlx::query!("INSERT INTO facts (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2", name, value)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        sqlx::query_scalar!("SELECT 1 AS \"one!: i64\"").fetch_one(&self.readers).await?;
        Ok(())
    }
}
