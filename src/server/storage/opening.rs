//! The part of the contract that opens a store, hands it over to a successor process, and closes it.

use super::postgres::{PostgresStore, Sharing};
use super::sqlite::SqliteStore;
use super::store::on_store;
use super::{DataDirLock, OpenError, OpenNotice, Result, Store, StoreStatus};
use crate::server::config::StorageSettings as Settings;
use tokio::sync::watch;

impl Store {
    /// Takes the data folder's lock and opens the store for a server: see [`Store::open_locked`].
    pub async fn open(settings: &Settings) -> std::result::Result<Self, OpenError> {
        Self::open_locked(settings, DataDirLock::acquire(&settings.data_dir)?).await
    }

    /// Opens the store for a server that holds the data folder: creates what is missing and runs the migrations. The store keeps
    /// a clone of the lock until it is dropped.
    pub async fn open_locked(settings: &Settings, lock: DataDirLock) -> std::result::Result<Self, OpenError> {
        if settings.url.is_empty() {
            SqliteStore::open(settings, lock).await.map(Self::Sqlite)
        } else {
            PostgresStore::open(settings, lock, Sharing::Alone).await.map(Self::Postgres)
        }
    }

    /// The same for a node of a cluster: other nodes may serve from the database, and no server that is not in the cluster.
    pub async fn open_in_cluster(settings: &Settings, lock: DataDirLock) -> std::result::Result<Self, OpenError> {
        PostgresStore::open(settings, lock, Sharing::Cluster).await.map(Self::Postgres)
    }

    /// Opens the store for the command line, beside a running server: without the data folder's lock. Fails if the schema is
    /// older than this program's, since only the server migrates.
    pub async fn open_unlocked(settings: &Settings) -> std::result::Result<Self, OpenError> {
        if settings.url.is_empty() {
            SqliteStore::open_unlocked(settings).await.map(Self::Sqlite)
        } else {
            PostgresStore::open_unlocked(settings).await.map(Self::Postgres)
        }
    }

    /// Opens the first room of a new installation, once, also if several nodes start at the same time. One whose operator deleted all
    /// rooms stays without any.
    pub async fn open_first_room(&self, title: &str, now: u64) -> Result<()> {
        if !self.rooms(1).await?.is_empty() || self.has_numbered_rooms().await? {
            return Ok(());
        }
        match self {
            Self::Sqlite(store) => store.open_room(title, None, None, now).await.map(|_| ()),
            Self::Postgres(store) => store.open_first_room(title, now).await,
        }
    }

    /// Returns the facts about opening that the operator should know.
    pub fn notices(&self) -> &[OpenNotice] {
        on_store!(self.notices())
    }

    /// Completes the writes that are under way, so that a successor process may serve. Until [`Store::resume_writes`] every write
    /// fails as [`StorageError::Busy`](super::StorageError::Busy). Fails if they are not completed in time.
    pub async fn stop_writes(&self) -> Result<()> {
        on_store!(self.stop_writes().await)
    }

    /// Lets this process write again after [`Store::stop_writes`]. It must hold the data folder's lock.
    pub async fn resume_writes(&self) {
        on_store!(self.resume_writes().await)
    }

    /// Closes all connections to the database.
    pub async fn close(&self) {
        on_store!(self.close().await)
    }

    /// Reads a trivial value, for `/readyz`. Fails while the database cannot be read.
    pub async fn ping(&self) -> Result<()> {
        on_store!(self.ping().await)
    }

    /// Returns what the store sees of its database every second, and each change of it. `None` for a database in the data folder,
    /// which has neither a network nor other servers.
    pub fn status(&self) -> Option<watch::Receiver<StoreStatus>> {
        on_store!(self.status())
    }

    /// Whether this process is the one that serves. If not, nothing may be written: another process serves.
    pub fn is_serving(&self) -> bool {
        on_store!(self.is_serving())
    }
}
