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

use super::error::corrupt;
use super::raw_rows::{from_sql, to_sql};
