//! The errors of storage: why a store could not be opened, and why an operation failed.

use std::path::PathBuf;

/// Result of an operation on an open store.
pub type Result<T> = std::result::Result<T, StorageError>;

/// Why an operation on the store failed. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The database cannot be written at the moment: full disk, lock timeout, read-only file. A retry may succeed.
    #[error("the database cannot be written now: {0}")]
    Busy(#[source] sqlx::Error),
    /// The name of an account or of an API key is in use.
    #[error("the name is taken")]
    NameTaken,
    /// Any other database error, and a stored value that cannot be decoded.
    #[error("database: {0}")]
    Failed(#[source] sqlx::Error),
}

/// Why a store could not be opened. Each variant names the data folder.
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
    /// The database file cannot be opened.
    #[error("the database in {path} cannot be opened: {source}")]
    Database {
        /// The data folder.
        path: PathBuf,
        /// The driver's error.
        source: sqlx::Error,
    },
    /// A schema migration failed.
    #[error("the database in {path} cannot be brought up to date: {source}")]
    Migration {
        /// The data folder.
        path: PathBuf,
        /// The migration that failed, and its error.
        source: sqlx::migrate::MigrateError,
    },
}

/// The error for a stored value that does not parse: corrupt data is reported and never replaced by a default.
pub(super) fn corrupt(value: impl std::fmt::Display) -> StorageError {
    StorageError::Failed(sqlx::Error::Decode(format!("a stored value is not valid: {value}").into()))
}
