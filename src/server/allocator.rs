//! Memory that is free but still held: a crowd's handshakes leave the allocator with pages it keeps for the next crowd.

/// Gives it back to the system. Where the C library has no word for it, nothing happens.
pub fn trim() {
    // SAFETY: takes no pointer and touches nothing that is in use.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}
