//! The locks that [`super::mailbox`] is built on, by one name: `tests/mailbox.rs` puts loom's in their place.

pub use std::sync::{Mutex, MutexGuard, PoisonError};
