//! The locks of [`super::mailbox`]: `tests/mailbox.rs` substitutes loom's types for them.

pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
