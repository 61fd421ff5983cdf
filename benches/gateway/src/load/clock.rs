//! The clock of all times in the load client: ns since its start.

use std::sync::OnceLock;
use std::time::Instant;

pub fn now() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    BEGAN.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

pub const SECOND: u64 = 1_000_000_000;
pub const MS: u64 = 1_000_000;
