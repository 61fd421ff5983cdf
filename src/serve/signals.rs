//! SIGTERM and SIGINT as commands to the server.

use roomcast::server::control::ServerCommand;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Returns a task that sends a shutdown command for every SIGTERM and SIGINT, until the server has dropped its receiver. The
/// signals are caught from this call on, not from the first poll.
pub(super) fn shutdown_on_signal(commands: mpsc::Sender<ServerCommand>) -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if commands.send(ServerCommand::Shutdown { gracefully: false }).await.is_err() {
                return;
            }
        }
    })
}
