//! The store in a PostgreSQL database, in its schema `roomcast`. Several servers may have it open; each change is one statement
//! or one transaction. Every query runs through a [`Pool`](pool::Pool), which limits its time.

mod api_keys;
mod append;
mod arrivals;
mod devices;
mod error;
mod identity;
mod keeper;
mod messages;
pub(super) mod moving;
mod open;
mod people;
mod pool;
mod problem;
mod rooms;
mod schema;
mod sessions;
mod settings;
mod sweep;

pub(super) use open::PostgresStore;
pub use problem::PostgresProblem;

use super::Result;
use super::error::corrupt;

/// Times and counts are u64 in Rust and bigint (i64) in PostgreSQL. A value above `i64::MAX` is stored as that.
fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The inverse of [`to_sql`]. A negative value is corrupt.
fn from_sql(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(corrupt)
}
