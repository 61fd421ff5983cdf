//! The meaning of PostgreSQL's errors: whether something was stored, and whether a retry may succeed.

use crate::server::storage::StorageError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// The meaning of a lost answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lost {
    /// Nothing is stored: the query reads, or its transaction was not committed yet.
    NotStored,
    /// The statement commits by itself, so it may be stored.
    MayBeStored,
}

/// Codes and classes of codes that may pass: connection, resources, lock and statement timeouts, a server that starts or stops,
/// serialization failure, deadlock, a read-only server, a server in recovery.
const TRANSIENT: [&str; 9] = ["08", "53", "55000", "55P03", "57", "40001", "40P01", "25006", "25P03"];
/// Unique indexes on the names that people and operators choose.
const NAMES: [&str; 3] = ["people_account_key", "api_keys_pkey", "api_keys_name"];
/// Unique indexes on the nonces of acts: another transaction was first, and the same act again finds its row.
const NONCES: [&str; 1] = ["actions_nonce"];

/// Returns the error of a query. Only an ERROR of the server is a certain no; after a FATAL the answer is lost.
pub(super) fn storage_error(error: sqlx::Error, lost: Lost) -> StorageError {
    if is_lost(&error) {
        return match lost {
            Lost::NotStored => StorageError::Busy(error.into()),
            Lost::MayBeStored => StorageError::Uncertain(error.into()),
        };
    }
    let Some(database) = database_error(&error) else { return StorageError::Failed(error.into()) };
    if is_transient(&error) {
        return StorageError::Busy(error.into());
    }
    match database.constraint() {
        Some(name) if NAMES.contains(&name) => StorageError::NameTaken,
        Some(name) if NONCES.contains(&name) => StorageError::Busy(error.into()),
        _ => StorageError::Failed(error.into()),
    }
}

/// Whether the connection cannot be used any more, and the answer of its query is lost.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        _ => database_error(error).is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
    }
}

/// Whether the server's error may pass.
pub(super) fn is_transient(error: &sqlx::Error) -> bool {
    database_error(error).is_some_and(|error| TRANSIENT.iter().any(|code| error.code().starts_with(code)))
}

/// Whether the server takes no writes any more, as after a change of roles in a failover.
pub(super) fn is_read_only(error: &sqlx::Error) -> bool {
    database_error(error).is_some_and(|error| matches!(error.code(), "25006" | "55000"))
}

/// Whether the server chose this transaction to end a deadlock or a conflict. The same again may succeed at once.
pub(super) fn is_conflict(error: &sqlx::Error) -> bool {
    database_error(error).is_some_and(|error| matches!(error.code(), "40001" | "40P01"))
}

pub(super) fn database_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// The error of a query without an answer in time.
pub(super) fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time"))
}
