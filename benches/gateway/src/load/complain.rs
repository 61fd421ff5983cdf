//! Prints the first five errors, one line each: a server that refuses thousands of connections would fill a disk.

use std::sync::atomic::{AtomicU32, Ordering};

const AT_MOST: u32 = 5;
static SAID: AtomicU32 = AtomicU32::new(0);

pub fn complain(during: &str, what: &str) {
    if SAID.fetch_add(1, Ordering::Relaxed) < AT_MOST {
        let line: String = what.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
        eprintln!("{during}: {line}");
    }
}
