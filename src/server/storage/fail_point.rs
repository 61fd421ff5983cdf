//! Ends the process at a named step, for the tests of crashes.

/// Kills this process, as `kill -9` does, if `ROOMCAST_FAIL_AT` names the step. A release build never does.
pub fn fail_point(step: &str) {
    if cfg!(debug_assertions) && std::env::var_os("ROOMCAST_FAIL_AT").is_some_and(|at| at == step) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
