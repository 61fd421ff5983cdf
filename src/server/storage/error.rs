//! The errors of storage: why a store could not be opened, and why an operation failed.

use super::PostgresProblem;
use std::path::PathBuf;
use std::sync::Arc;

/// Result of an operation on an open store.
pub type Result<T> = std::result::Result<T, StorageError>;

/// Why an operation on the store failed. Nothing was stored, except perhaps for [`Uncertain`](Self::Uncertain). Every write of a
/// failed batch gets a clone.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// The database cannot be written at the moment: full disk, lock timeout, read-only file. A retry may succeed.
    #[error("the database cannot be written now: {0}")]
    Busy(#[source] Arc<sqlx::Error>),
    /// The answer to a write was lost, and repeating it did not tell: it may be stored, also after this error. A message is
    /// sent again under its nonce.
    #[error("the database did not say whether it stored the write: {0}")]
    Uncertain(#[source] Arc<sqlx::Error>),
    /// The name of an account or of an API key is in use.
    #[error("the name is taken")]
    NameTaken,
    /// Any other database error, and a stored value that cannot be decoded.
    #[error("database: {0}")]
    Failed(#[source] Arc<sqlx::Error>),
}

impl StorageError {
    /// Whether a later try may succeed.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Uncertain(_))
    }
}

/// Why a store could not be opened. Each variant names the data folder or the PostgreSQL server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be created or its lock file cannot be opened.
    #[error("the data folder {path} cannot be used: {source}")]
    Folder {
        /// The data folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Another server holds the folder's lock.
    #[error("another roomcast already serves from the data folder {path}: stop it first, or choose another with --data-dir")]
    InUse {
        /// The data folder.
        path: PathBuf,
    },
    /// A command found a restore under way, and it did not end in time.
    #[error("the database in {path} is being replaced by a backup: try again when that has ended")]
    Restoring {
        /// The data folder.
        path: PathBuf,
    },
    /// A restore found commands that have the database open, and they did not end in time.
    #[error("a command, perhaps a backup, uses the database in {path}: try again when it has ended. Nothing was changed")]
    CommandsRun {
        /// The data folder.
        path: PathBuf,
    },
    /// The database file cannot be opened.
    #[error("the database in {path} cannot be opened: {source}")]
    Database {
        /// The data folder.
        path: PathBuf,
        /// The driver's error.
        source: sqlx::Error,
    },
    /// The database needs a newer server.
    #[error(
        "the database in {path} has schema {found}, which needs a newer roomcast; this one knows schema {known}. Use the newer \
         one, or put back the copy that it made beside the database"
    )]
    SchemaNewer {
        /// The data folder.
        path: PathBuf,
        /// Version of the database's schema.
        found: i64,
        /// Version that this program knows.
        known: i64,
    },
    /// A command met a database that the server has not migrated. Only the server migrates.
    #[error(
        "the database in {path} has schema {found}, and this roomcast needs schema {known}: start the server of this version \
         first, or `roomcast reload` the running one"
    )]
    SchemaOlder {
        /// The data folder.
        path: PathBuf,
        /// Version of the database's schema.
        found: i64,
        /// Version that this program needs.
        known: i64,
    },
    /// There is no space for the copy that precedes a migration.
    #[error(
        "the database in {path} is copied before its schema changes: the copy needs {needed} bytes, and {free} bytes are free. \
         Make space, then start again; nothing was changed"
    )]
    NoSpaceForCopy {
        /// The data folder.
        path: PathBuf,
        /// Size of the copy, in bytes.
        needed: u64,
        /// Free space, in bytes.
        free: u64,
    },
    /// The copy that precedes a migration failed.
    #[error("the database in {path} could not be copied before its schema changes; nothing was changed: {source}")]
    Copy {
        /// The data folder.
        path: PathBuf,
        /// The driver's or the system's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database could not be compared with the file `high-water`.
    #[error("the data folder {path} cannot be checked for an older copy of its database: {source}")]
    HighWater {
        /// The data folder.
        path: PathBuf,
        /// The failed query or write.
        source: StorageError,
    },
    /// A schema migration failed.
    #[error("the database in {path} cannot be brought up to date: {source}")]
    Migration {
        /// The data folder.
        path: PathBuf,
        /// The migration that failed, and its error.
        source: sqlx::migrate::MigrateError,
    },
    /// The PostgreSQL database cannot be opened.
    #[error("PostgreSQL {server}: {problem}")]
    Postgres {
        /// Server, database and role, without the password.
        server: String,
        /// The reason.
        problem: PostgresProblem,
    },
}

/// The error for a stored value that does not parse: corrupt data is reported and never replaced by a default.
pub(super) fn corrupt(value: impl std::fmt::Display) -> StorageError {
    StorageError::Failed(Arc::new(sqlx::Error::Decode(format!("a stored value is not valid: {value}").into())))
}
