//! Raises the limit of open files, so that one process can hold many sockets.

/// Raises the limit of open files to 200,000, or without root to the hard limit. A failure is not reported: opening a socket
/// fails then.
pub fn raise_limit() {
    const WANTED: libc::rlim_t = 200_000;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls receive a valid rlimit and do not keep the pointer.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        let more = libc::rlimit { rlim_cur: WANTED.max(limit.rlim_max), rlim_max: WANTED.max(limit.rlim_max) };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &more) != 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}
