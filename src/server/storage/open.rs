//! Opening the data folder: one server at a time, migrated before anything reads.

use super::{Result, StorageError};
use crate::server::config::StorageSettings as Settings;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the data folder {path} cannot be used: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("another roomcast already serves from the data folder {path}: stop it first, or choose another with --data-dir")]
    InUse { path: PathBuf },
    #[error("the database in {path} cannot be opened: {source}")]
    Database { path: PathBuf, source: sqlx::Error },
    #[error("the database in {path} cannot be brought up to date: {source}")]
    Migration { path: PathBuf, source: sqlx::migrate::MigrateError },
}

/// The embedded database. Cheap to clone. Reads run side by side; writes are one after the other, on one connection.
#[derive(Clone)]
pub struct Store {
    pub(super) readers: SqlitePool,
    pub(super) writer: SqlitePool,
    /// Held as long as the server serves; the system lets go of it however the process ends.
    lock: Option<Arc<File>>,
}

impl Store {
    /// For the server: refuses a folder that another server holds.
    pub async fn open(settings: &Settings) -> std::result::Result<Self, OpenError> {
        let path = settings.data_dir.clone();
        create_folder(&path)?;
        let folder = |source| OpenError::Folder { path: path.clone(), source };
        let lock = File::options().create(true).truncate(false).write(true).open(path.join("roomcast.lock")).map_err(folder)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path }),
            Err(TryLockError::Error(source)) => return Err(OpenError::Folder { path, source }),
        }
        Self::connect(settings, Some(Arc::new(lock))).await
    }

    /// For the command line beside a running server: takes no lock; SQLite keeps the two apart.
    pub async fn open_beside(settings: &Settings) -> std::result::Result<Self, OpenError> {
        create_folder(&settings.data_dir)?;
        Self::connect(settings, None).await
    }

    async fn connect(settings: &Settings, lock: Option<Arc<File>>) -> std::result::Result<Self, OpenError> {
        let path = settings.data_dir.clone();
        // FULL: a message that was accepted survives a power cut, too. The group commit makes it affordable.
        let options = SqliteConnectOptions::new()
            .filename(path.join("roomcast.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_millis(settings.busy_within_ms));
        let within = Duration::from_millis(settings.busy_within_ms + 500);
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections).acquire_timeout(within);
        let database = |source| OpenError::Database { path: path.clone(), source };
        let writer = pool(1).connect_with(options.clone()).await.map_err(database)?;
        sqlx::migrate!("src/server/storage/migrations")
            .run(&writer)
            .await
            .map_err(|source| OpenError::Migration { path: path.clone(), source })?;
        let readers = pool(4).connect_with(options.read_only(true)).await.map_err(database)?;
        Ok(Self { readers, writer, lock })
    }

    /// Lets another process serve from the folder. Nothing may be written until [`Store::hold_again`].
    pub fn let_go(&self) {
        if let Some(lock) = &self.lock
            && let Err(error) = lock.unlock()
        {
            tracing::error!(%error, "the data folder could not be let go of");
        }
    }

    /// An error: another process serves from it.
    pub fn hold_again(&self) -> std::result::Result<(), TryLockError> {
        self.lock.as_ref().map_or(Ok(()), |lock| lock.try_lock())
    }

    /// Moves the log into the database file and lets go of both.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    pub async fn fact(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let row = sqlx::query!("SELECT value FROM facts WHERE name = ?", name).fetch_optional(&self.readers).await?;
        Ok(row.map(|row| row.value))
    }

    pub async fn set_fact(&self, name: &str, value: &[u8]) -> Result<()> {
        sqlx::query!("INSERT INTO facts (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2", name, value)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Can it be read? For `/readyz`.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query_scalar!("SELECT 1 AS \"one!: i64\"").fetch_one(&self.readers).await?;
        Ok(())
    }
}

fn create_folder(path: &Path) -> std::result::Result<(), OpenError> {
    std::fs::create_dir_all(path).map_err(|source| OpenError::Folder { path: path.into(), source })
}

/// Unix ms and counts are u64 above and INTEGER below; neither reaches the sign bit.
pub(super) fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn from_sql(value: i64) -> std::result::Result<u64, StorageError> {
    u64::try_from(value).map_err(super::broken)
}
