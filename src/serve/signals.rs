//! The signals that end the server, as commands to it: SIGTERM, SIGINT, SIGHUP (the terminal was closed) and SIGQUIT.

use roomcast::server::control::ServerCommand;
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Signals of a terminal, of a supervisor and of a log rotation. Each of them drains the server.
const SHUTDOWN_SIGNALS: [SignalKind; 4] =
    [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()];

/// Returns a task that sends a shutdown command for each of [`SHUTDOWN_SIGNALS`], until the server has dropped its receiver. The
/// signals are caught from this call on, not from the first poll. A signal that was ignored when the process began, as SIGHUP
/// is under `nohup`, stays ignored.
pub(super) fn shutdown_on_signal(commands: mpsc::Sender<ServerCommand>) -> io::Result<impl Future<Output = ()>> {
    // Before the first handler is installed.
    let ignored = ignored_signals(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
    let is_ignored = |kind: &SignalKind| ignored >> (kind.as_raw_value() - 1) & 1 == 1;
    let caught = SHUTDOWN_SIGNALS.into_iter().filter(|kind| !is_ignored(kind)).map(signal);
    let mut caught = caught.collect::<io::Result<Vec<_>>>()?;
    Ok(async move {
        loop {
            any(&mut caught).await;
            if commands.send(ServerCommand::Shutdown { gracefully: false }).await.is_err() {
                return;
            }
        }
    })
}

/// Waits for the next signal of any kind; forever if none is caught.
async fn any(signals: &mut [Signal]) {
    poll_fn(|cx| {
        let is_ready = signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
        if is_ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Returns the mask of ignored signals in Linux' `/proc/self/status`: bit n-1 is signal n. 0 without such a file.
fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f24_the_mask_of_ignored_signals_is_read() {
        assert_eq!(
            ignored_signals("Name:\troomcast\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t1\n"),
            0x1001
        );
        assert_eq!((ignored_signals(""), ignored_signals("SigIgn:\tx")), (0, 0));
    }
}
