//! Opening the SQLite file: connections, migrations, and facts about the installation.

use super::high_water::{self, HighWater};
use super::schema;
use super::stop::Held;
use super::writer::Writes;
use crate::server::config::StorageSettings as Settings;
use crate::server::storage::commands_lock::CommandsLock;
use crate::server::storage::data_dir::{self, DataDirLock};
use crate::server::storage::{OpenError, OpenNotice, Result, StorageError, StoreStatus};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// Name of the database in the data folder.
pub(super) const FILE: &str = "roomcast.db";
/// Connections that read; they run in parallel.
pub(super) const READERS: u32 = 4;
/// Time for the pool beyond the database's own lock timeout, so that SQLite's error comes first.
const POOL_TIMEOUT_EXTRA_MS: u64 = 500;

/// An open SQLite store. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct SqliteStore {
    pub(super) readers: SqlitePool,
    pub(super) writer: SqlitePool,
    /// One connection that reads for the commit task, so that a send never waits behind the pages' reads.
    pub(super) commit_reader: SqlitePool,
    pub(super) writes: Writes,
    /// `None` beside a running server.
    lock: Option<DataDirLock>,
    /// The data folder.
    pub(super) folder: Arc<Path>,
    /// The connections that are kept back while the store is stopped.
    pub(super) held: Arc<Mutex<Option<Held>>>,
    /// A command's hold on the database file.
    _commands: Option<Arc<CommandsLock>>,
    notices: Arc<[OpenNotice]>,
}

impl SqliteStore {
    /// Opens the database in the folder of `lock` and brings its schema up to date.
    pub(crate) async fn open(settings: &Settings, lock: DataDirLock) -> std::result::Result<Self, OpenError> {
        let folder = &settings.data_dir;
        let writer = connect_writer(settings).await?;
        let mut notices: Vec<_> = schema::migrate(&writer, folder).await?.into_iter().collect();
        notices.extend(check_high_water(&writer, folder).await?);
        Self::finish(settings, writer, Some(lock), notices).await
    }

    /// Opens the database without the lock: SQLite itself keeps a server and a command apart. Fails if the schema is older
    /// than this program's. In a folder without a database a command makes a new one, as the server would.
    pub(crate) async fn open_unlocked(settings: &Settings) -> std::result::Result<Self, OpenError> {
        let folder = &settings.data_dir;
        data_dir::create(folder)?;
        let commands = CommandsLock::shared(folder).await?;
        if !folder.join(FILE).exists() {
            // The lock ends with the block: the command then goes on beside whichever server starts.
            let _lock = DataDirLock::acquire(folder)?;
            let writer = connect_writer(settings).await?;
            schema::migrate(&writer, folder).await?;
            writer.close().await;
        }
        let writer = connect_writer(settings).await?;
        let mut connection = writer.acquire().await.map_err(|source| OpenError::Database { path: folder.into(), source })?;
        schema::check(&mut connection, folder).await?;
        drop(connection);
        let store = Self::finish(settings, writer, None, vec![]).await?;
        Ok(Self { _commands: Some(Arc::new(commands)), ..store })
    }

    /// Opens the readers and starts the writer task.
    async fn finish(
        settings: &Settings,
        writer: SqlitePool,
        lock: Option<DataDirLock>,
        notices: Vec<OpenNotice>,
    ) -> std::result::Result<Self, OpenError> {
        let reading = options(settings).read_only(true);
        let commit_reader = pool(settings, 1).connect_lazy_with(reading.clone());
        let readers = pool(settings, READERS).connect_with(reading).await;
        let readers = readers.map_err(|source| OpenError::Database { path: settings.data_dir.clone(), source })?;
        let high_water = HighWater::new(&settings.data_dir, lock.clone());
        let writes = Writes::start(writer.clone(), Duration::from_millis(settings.busy_within_ms), high_water);
        let (folder, notices) = (settings.data_dir.as_path().into(), notices.into());
        Ok(Self { readers, writer, commit_reader, writes, lock, folder, held: Arc::default(), _commands: None, notices })
    }

    pub(crate) fn notices(&self) -> &[OpenNotice] {
        &self.notices
    }

    pub(crate) fn status(&self) -> Option<watch::Receiver<StoreStatus>> {
        None
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.lock.as_ref().is_some_and(DataDirLock::is_held)
    }

    /// Closing the last connection checkpoints the write-ahead log into the database file.
    pub(crate) async fn close(&self) {
        self.writes.close().await;
        // From the calls on nobody gets a connection; the pools wait for those that are held.
        let (readers, commit_reader, writer) = (self.readers.close(), self.commit_reader.close(), self.writer.close());
        drop(self.held().take());
        readers.await;
        commit_reader.await;
        writer.await;
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

    pub(crate) async fn fact_or_set(&self, name: &str, value: &[u8]) -> Result<Vec<u8>> {
        let stored = sqlx::query_scalar!(
            "INSERT INTO facts (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET name = name RETURNING value",
            name,
            value
        );
        Ok(stored.fetch_one(&self.writer).await?)
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        sqlx::query_scalar!("SELECT 1 AS \"one!: i64\"").fetch_one(&self.readers).await?;
        Ok(())
    }
}

fn options(settings: &Settings) -> SqliteConnectOptions {
    // FULL: an accepted message survives a power cut. The group commit shares the cost of the fsync.
    SqliteConnectOptions::new()
        .filename(settings.data_dir.join(FILE))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // A deleted text is overwritten in the file, not only unlinked.
        .pragma("secure_delete", "ON")
        .busy_timeout(Duration::from_millis(settings.busy_within_ms))
}

fn pool(settings: &Settings, connections: u32) -> SqlitePoolOptions {
    let within = Duration::from_millis(settings.busy_within_ms + POOL_TIMEOUT_EXTRA_MS);
    SqlitePoolOptions::new().max_connections(connections).acquire_timeout(within)
}

async fn connect_writer(settings: &Settings) -> std::result::Result<SqlitePool, OpenError> {
    let connected = pool(settings, 1).connect_with(options(settings)).await;
    connected.map_err(|source| OpenError::Database { path: settings.data_dir.clone(), source })
}

/// Compares the database with the file `high-water`; see [`high_water::check`].
async fn check_high_water(writer: &SqlitePool, folder: &Path) -> std::result::Result<Option<OpenNotice>, OpenError> {
    let checked = async {
        let mut connection = writer.acquire().await?;
        high_water::check(folder, &mut connection).await
    };
    checked.await.map_err(|error: StorageError| OpenError::HighWater { path: folder.into(), source: error })
}
