//! Room for many sockets in one process.

/// As many open files as this process may have; as root more than the hard limit says. What is refused shows when a
/// socket cannot be opened.
pub fn raise_limit() {
    const WANTED: libc::rlim_t = 200_000;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid rlimit, and keep nothing of it.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        let more = libc::rlimit { rlim_cur: WANTED.max(limit.rlim_max), rlim_max: WANTED.max(limit.rlim_max) };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &more) != 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}
