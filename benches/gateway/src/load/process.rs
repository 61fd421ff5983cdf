//! CPU time and memory of the server's processes and all their children, from /proc.

use std::collections::HashSet;
use std::fs;

/// One kernel tick in seconds: USER_HZ, as programs see it, is always 100 on Linux.
const TICK: f64 = 0.01;

#[derive(Clone)]
pub struct Processes(Vec<u32>);

impl Processes {
    /// Collects the given processes and their present children.
    pub fn new(given: &[u32]) -> Self {
        let all: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, fields(pid)?.get(1)?.parse().ok()?)))
            .collect();
        let mut family: HashSet<u32> = given.iter().copied().collect();
        loop {
            let before = family.len();
            family.extend(all.iter().filter(|(_, parent)| family.contains(parent)).map(|(pid, _)| *pid).collect::<Vec<_>>());
            if family.len() == before {
                return Self(family.into_iter().collect());
            }
        }
    }

    /// Returns the CPU seconds in user and kernel mode so far.
    pub fn cpu(&self) -> f64 {
        let ticks = |pid| {
            let fields = fields(pid)?;
            Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
        };
        self.0.iter().filter_map(|pid| ticks(*pid)).sum::<f64>() * TICK
    }

    /// Returns the proportional set size in bytes: shared memory counts in proportion.
    pub fn pss(&self) -> f64 {
        let of = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            text.lines().find_map(|line| line.strip_prefix("Pss:"))?.trim().strip_suffix(" kB")?.parse::<f64>().ok()
        };
        self.0.iter().filter_map(of).sum::<f64>() * 1024.0
    }
}

/// Returns the CPU seconds so far of a process and of all its children, those that have ended included.
pub fn family_cpu(root: u32) -> f64 {
    let ended = |at: usize| fields(root)?.get(at)?.parse::<f64>().ok();
    Processes::new(&[root]).cpu() + (ended(13).unwrap_or(0.0) + ended(14).unwrap_or(0.0)) * TICK
}

/// Ends a process at once, as `kill -9` does.
pub fn kill(pid: u32) -> Result<(), String> {
    // SAFETY: kill(2) takes two numbers.
    let done = unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
    if done == 0 { Ok(()) } else { Err(format!("kill {pid}: {}", std::io::Error::last_os_error())) }
}

/// Returns the fields of /proc/PID/stat after the name, which may contain blanks: state 0, parent 1, utime 11, stime 12,
/// and those of ended children, 13 and 14.
fn fields(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(Into::into).collect())
}

/// Returns the CPU seconds of this client, to check that it was not the bottleneck.
pub fn own_cpu() -> f64 {
    Processes(vec![std::process::id()]).cpu()
}
