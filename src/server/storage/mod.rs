//! Floor 2: what was said, by whom. SQLite in the data folder; rows live here and nowhere else. Answers typed errors and
//! logs nothing: who decides what a failure means is above.

mod api_keys;
mod messages;
mod open;
mod people;
mod rooms;
mod sessions;

pub use api_keys::ApiKeyRow;
pub use messages::{Appended, NewMessage};
pub use open::{OpenError, Store};
pub use people::{NewPerson, PersonRow};
pub use rooms::RoomRow;
pub use sessions::SessionRow;

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Full disk, lock held too long, file gone read-only: nothing was stored, and it may work again by itself.
    #[error("the database cannot be written now: {0}")]
    Busy(#[source] sqlx::Error),
    /// The name, of an account or a key, is somebody's.
    #[error("the name is taken")]
    NameTaken,
    #[error("database: {0}")]
    Failed(#[source] sqlx::Error),
}

/// SQLite's primary result codes that pass: BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN.
const PASSING: [i32; 6] = [5, 6, 8, 10, 13, 14];

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<i32>().ok());
        match code {
            Some(code) if PASSING.contains(&(code & 0xff)) => Self::Busy(error),
            _ if matches!(error, sqlx::Error::PoolTimedOut) => Self::Busy(error),
            _ => Self::Failed(error),
        }
    }
}

pub type Result<T> = std::result::Result<T, StorageError>;

/// A value of ours that the database gave back broken: a failure, never a default.
fn broken(what: impl std::fmt::Display) -> StorageError {
    StorageError::Failed(sqlx::Error::Decode(format!("a stored value is not valid: {what}").into()))
}

/// After a failed transaction its connection is given up: SQLite rolls back by itself when a write fails, and what the
/// driver believes of the transaction is not true any more.
fn settled<T>(mut connection: PoolConnection<Sqlite>, result: Result<T>) -> Result<T> {
    if result.is_err() {
        connection.close_on_drop();
    }
    result
}
