//! Serves until an order to leave, and leaves politely: stop accepting, say `bye`, finish what is in flight.

use super::accept::Acceptor;
use crate::server::allocator;
use crate::server::control::ServerCommand;
use crate::server::web::state::AppState;
use axum::Router;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// How long a data folder that the successor still holds is waited for before the next try.
const DATA_DIR_RETRY_DELAY: Duration = Duration::from_millis(20);
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// What is in flight when another process takes over has this long.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// What was left undone when the time was over.
#[derive(Debug)]
pub struct ServeOutcome {
    pub requests_cut_off: bool,
}

/// Serves until an order to leave, and until everyone was seen off.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    router: Router,
    mut commands: mpsc::Receiver<ServerCommand>,
) -> ServeOutcome {
    let sweeping = TaskTracker::new();
    sweeping.spawn(sweep(state.clone()));
    let mut acceptor = Acceptor::new(listener, state.clone(), router);
    let gracefully = loop {
        let command = tokio::select! {
            accepted = acceptor.listener.accept() => {
                acceptor.handle_accepted(accepted).await;
                continue;
            }
            command = commands.recv() => command,
        };
        match command {
            // Nobody is left to give orders: nobody is left to serve for.
            None => break false,
            Some(ServerCommand::Shutdown { gracefully }) => break gracefully,
            Some(ServerCommand::Pause { paused, taken_over }) => {
                state.accepting.send_replace(false);
                acceptor.finish(HANDOVER_TIMEOUT).await;
                state.store.release_lock();
                let _ = paused.send(());
                if taken_over.await.is_ok() {
                    break true;
                }
                tracing::error!("the successor did not serve: this process serves on");
                if let Err(error) = reacquire_lock(&state).await {
                    tracing::error!(%error, "the data folder is somebody else's: leaving");
                    break false;
                }
                state.accepting.send_replace(true);
            }
        }
    };

    state.shutdown.cancel();
    let web = &state.config.web;
    let drain_within = Duration::from_millis(web.drain_within_ms);
    let socket_drain = if gracefully { Duration::from_millis(web.drain_slowly_ms) } else { drain_within };
    tracing::info!(sockets = state.gateway.connection_count(), within_ms = socket_drain.as_millis(), "leaving");
    let Acceptor { listener, mut open_connections, .. } = acceptor;
    // Attempts to connect are refused from here on, or another process's.
    drop(listener);
    let drain_sockets = async {
        tokio::select! {
            () = state.gateway.drain(socket_drain) => {}
            // Whoever asks a second time is in a hurry.
            Some(ServerCommand::Shutdown { .. }) = commands.recv() => state.gateway.drain(drain_within).await,
        }
    };
    let ((), finished) = tokio::join!(drain_sockets, open_connections.finish(drain_within));
    state.handshakes.close();
    state.handshakes.wait().await;
    ServeOutcome { requests_cut_off: !finished }
}

/// A successor that failed may take a moment to end.
async fn reacquire_lock(state: &AppState) -> Result<(), std::fs::TryLockError> {
    for _ in 0..50 {
        if state.store.reacquire_lock().is_ok() {
            return Ok(());
        }
        tokio::time::sleep(DATA_DIR_RETRY_DELAY).await;
    }
    state.store.reacquire_lock()
}

/// Forgets what time has made worthless, beside the accepting of connections and never in its way.
async fn sweep(state: AppState) {
    let mut tick = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = state.shutdown.cancelled() => return,
        }
        state.sweep();
        allocator::trim();
        if let Err(error) = state.accounts.sweep().await {
            tracing::warn!(%error, "expired sessions were not removed");
        }
    }
}
