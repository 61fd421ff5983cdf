//! The store in a PostgreSQL database, in its schema `roomcast`. Several servers may have it open; each change is one statement
//! or one transaction. Every query runs through a [`Pool`](pool::Pool), which limits its time.

mod act;
mod api_keys;
mod append;
mod arrivals;
mod devices;
mod error;
mod identity;
mod keeper;
mod leases;
mod lock;
mod messages;
mod moderation;
pub(super) mod moving;
mod news;
mod nodes;
mod open;
mod people;
mod person_of_room;
mod personal_data;
mod pool;
mod problem;
mod raw;
mod rooms;
mod schema;
mod sessions;
mod settings;
mod short_lived;
mod sweep;
mod sweep_moderation;
mod transaction;

pub(super) use act::PostgresAct;
pub(super) use lock::Sharing;
pub(super) use open::PostgresStore;
pub use problem::PostgresProblem;

use super::error::corrupt;
use super::raw_rows::{from_sql, to_sql};
