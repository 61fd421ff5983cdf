//! The lock of the servers that serve from a database: one that is alone has it for itself, the nodes of a cluster share it.

use super::error::no_answer;
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::Duration;
use tokio::time::timeout;

/// The advisory lock of the servers that serve: "roomcast" in ASCII. PostgreSQL keeps such locks apart by database.
const LOCK: i64 = 0x726f_6f6d_6361_7374;
/// Time of one look at the database.
pub(super) const LOOK_WITHIN: Duration = Duration::from_millis(1_500);

/// The servers that may serve from the database at the same time. One that is alone and a cluster exclude each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::server::storage) enum Sharing {
    /// One.
    Alone,
    /// The nodes of a cluster.
    Cluster,
}

/// Takes the lock until the session ends, unless another server holds it.
pub(super) async fn try_lock(connection: &mut PgConnection, sharing: Sharing) -> sqlx::Result<bool> {
    call("pg_try_advisory_lock", connection, sharing).await
}

/// Whether the lock is to be had. It is given back at once, so that its former holder finds it free.
pub(super) async fn is_free(connection: &mut PgConnection, sharing: Sharing) -> sqlx::Result<bool> {
    call("pg_try_advisory_xact_lock", connection, sharing).await
}

async fn call(function: &str, connection: &mut PgConnection, sharing: Sharing) -> sqlx::Result<bool> {
    let mode = if sharing == Sharing::Cluster { "_shared" } else { "" };
    let call = AssertSqlSafe(format!("SELECT {function}{mode}($1)"));
    let called = sqlx::query_scalar::<_, bool>(call).bind(LOCK).fetch_one(connection);
    timeout(LOOK_WITHIN, called).await.unwrap_or_else(|_| Err(no_answer()))
}
