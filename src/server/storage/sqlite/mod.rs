//! The store in an SQLite file of the data folder. Reads run in parallel; writes run one after the other, on one connection.
//! Messages and guests share the transactions of the [`writer`] task; other writes have one each, between its batches.

mod act;
mod api_keys;
mod append;
mod arrivals;
mod backup;
mod copy;
mod devices;
mod high_water;
mod last_messages;
mod messages;
mod moderation;
pub(super) mod moving;
mod open;
mod people;
mod personal_data;
mod persons;
mod raw;
mod restore;
mod rooms;
mod schema;
mod sessions;
mod stop;
mod swap;
mod sweep;
mod sweep_moderation;
mod writer;

pub(super) use act::SqliteAct;
pub use backup::{Backup, BackupError, back_up};
pub use copy::CopyError;
pub(super) use open::SqliteStore;
pub use restore::{RestoreError, Staged, await_commands, former_database, put_backup_in_place, settle_restore, stage_backup};

use super::error::corrupt;
use super::raw_rows::{from_sql, to_sql};
use super::{Result, StorageError};
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;

/// SQLite's primary result codes that may pass: BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN.
const TRANSIENT: [i32; 6] = [5, 6, 8, 10, 13, 14];

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<i32>().ok());
        match code {
            Some(code) if TRANSIENT.contains(&(code & 0xff)) => Self::Busy(error.into()),
            _ if matches!(error, sqlx::Error::PoolTimedOut) => Self::Busy(error.into()),
            _ => Self::Failed(error.into()),
        }
    }
}

/// Returns the connection to the pool, or closes it after a failed transaction: SQLite rolls back by itself when a write
/// fails, and the driver's record of the transaction is wrong from then on.
fn finish<T>(mut connection: PoolConnection<Sqlite>, result: Result<T>) -> Result<T> {
    if result.is_err() {
        connection.close_on_drop();
    }
    result
}
