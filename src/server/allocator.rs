//! Returns free memory to the system: after many handshakes at once, the C library keeps the freed pages for later use.

/// Returns freed heap pages to the system, with glibc's `malloc_trim`. Has no effect with another C library.
pub fn trim() {
    // SAFETY: `malloc_trim` takes no pointer, may be called from any thread, and leaves allocated memory alone.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}
