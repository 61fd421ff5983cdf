//! The life of the site's listener: serve, pause for a takeover, drain, shut down.

use super::accept::HttpAcceptor;
use crate::server::allocator;
use crate::server::control::ServerCommand;
use crate::server::storage::DataDirLock;
use crate::server::web::news::follow_news;
use crate::server::web::state::AppState;
use crate::server::web::store_watch::watch_store;
use axum::Router;
use std::error::Error;
use std::fs::TryLockError;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// Pause between two attempts to lock the data folder again. A new process that failed holds the lock until it has exited.
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(20);
/// Attempts, so 1 s in all.
const LOCK_ATTEMPTS: u32 = 50;
/// Interval of the maintenance task.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// Time that requests in flight have when another process takes over: nobody is served meanwhile. Later ones get 503 `busy`.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(1);

/// Result of [`serve`].
#[derive(Debug)]
pub struct ServeOutcome {
    /// Requests were still running when `web.drain_within_ms` was over, and were answered `busy`.
    pub requests_cut_off: bool,
}

/// Result of a pause for a takeover.
enum TakeoverOutcome {
    /// The new process serves; `restored`: from another database.
    Completed { restored: bool },
    /// The new process failed, and this one has the data folder again.
    Failed,
    /// The new process failed, and the data folder is locked by another process.
    DataFolderLost,
}

/// Serves HTTP on `listener` until a shutdown command or a completed takeover, and returns when all connections are drained.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    router: Router,
    mut commands: mpsc::Receiver<ServerCommand>,
) -> ServeOutcome {
    let maintenance = TaskTracker::new();
    maintenance.spawn(sweep(state.clone()));
    maintenance.spawn(watch_store(state.clone()));
    maintenance.spawn(follow_news(state.clone()));
    let mut acceptor = HttpAcceptor::new(listener, state.clone(), router);
    let gracefully = accept_until_shutdown(&mut acceptor, &state, &mut commands).await;
    shut_down(acceptor, &state, &mut commands, gracefully).await
}

/// Returns whether the shutdown is a graceful one.
async fn accept_until_shutdown(
    acceptor: &mut HttpAcceptor,
    state: &AppState,
    commands: &mut mpsc::Receiver<ServerCommand>,
) -> bool {
    loop {
        let command = tokio::select! {
            accepted = acceptor.listener.accept() => {
                acceptor.handle_accepted(accepted).await;
                continue;
            }
            command = commands.recv() => command,
        };
        match command {
            // All senders are gone, the signal handler among them: nothing could stop this server later.
            None => return false,
            Some(ServerCommand::Shutdown { gracefully }) => return gracefully,
            Some(ServerCommand::Pause { paused, restores, taken_over }) => {
                match pause(acceptor, state, paused, restores, taken_over).await {
                    // After a restore the pages here show a history that has ended: they are not kept for long.
                    TakeoverOutcome::Completed { restored } => return !restored,
                    TakeoverOutcome::Failed => {}
                    TakeoverOutcome::DataFolderLost => return false,
                }
            }
        }
    }
}

/// Finishes the requests in flight and releases the data folder, and for a restore the database as well. Connections wait in the
/// backlog until the new process accepts them, or this one does again.
async fn pause(
    acceptor: &mut HttpAcceptor,
    state: &AppState,
    paused: oneshot::Sender<()>,
    restores: bool,
    taken_over: oneshot::Receiver<()>,
) -> TakeoverOutcome {
    state.accepting.send_replace(false);
    if !acceptor.open_connections.finish(HANDOVER_TIMEOUT).await {
        tracing::warn!(timeout = ?HANDOVER_TIMEOUT, "requests answered busy: they took longer than a takeover waits");
    }
    if let Err(error) = hand_over(state, restores).await {
        tracing::error!(%error, "takeover refused: the database is in use");
        state.store.resume_writes().await;
        state.accepting.send_replace(true);
        return TakeoverOutcome::Failed;
    }
    let _ = paused.send(());
    if taken_over.await.is_ok() {
        if let Err(error) = state.store.leave_to_successor() {
            tracing::warn!(%error, "the files beside the former database could not be removed");
        }
        return TakeoverOutcome::Completed { restored: restores };
    }
    tracing::error!("takeover failed: the new process does not serve, so this one continues");
    if let Err(error) = reacquire_lock(&state.data_dir).await {
        tracing::error!(%error, "could not lock the data folder again: shutting down");
        return TakeoverOutcome::DataFolderLost;
    }
    if let Err(error) = state.store.take_restore_back().await {
        tracing::error!(%error, "could not take the former database back: shutting down");
        return TakeoverOutcome::DataFolderLost;
    }
    state.store.resume_writes().await;
    state.accepting.send_replace(true);
    TakeoverOutcome::Failed
}

/// Closes the listener, drains sockets and requests side by side, and waits for handshakes on their way to the gateway.
async fn shut_down(
    acceptor: HttpAcceptor,
    state: &AppState,
    commands: &mut mpsc::Receiver<ServerCommand>,
    gracefully: bool,
) -> ServeOutcome {
    state.shutdown.cancel();
    let web = &state.config.web;
    let drain_within = Duration::from_millis(web.drain_within_ms);
    let socket_drain = if gracefully { Duration::from_millis(web.drain_slowly_ms) } else { drain_within };
    tracing::info!(sockets = state.gateway.connection_count(), within_ms = socket_drain.as_millis(), "shutting down");
    let HttpAcceptor { listener, mut open_connections, .. } = acceptor;
    // From here on the kernel refuses new connections, or the process that took over accepts them.
    drop(listener);
    let drain_sockets = async {
        tokio::select! {
            () = state.gateway.drain(socket_drain) => {}
            // A second shutdown command shortens the drain.
            Some(ServerCommand::Shutdown { .. }) = commands.recv() => state.gateway.drain(drain_within).await,
        }
    };
    let ((), finished) = tokio::join!(drain_sockets, open_connections.finish(drain_within));
    state.handshakes.close();
    state.handshakes.wait().await;
    ServeOutcome { requests_cut_off: !finished }
}

/// Completes the writes under way, for a restore the reads as well, and releases the data folder.
async fn hand_over(state: &AppState, restores: bool) -> Result<(), Box<dyn Error + Send + Sync>> {
    if restores {
        state.store.stop_for_restore().await?;
    } else {
        state.store.stop_writes().await?;
    }
    Ok(state.data_dir.release()?)
}

async fn reacquire_lock(data_dir: &DataDirLock) -> Result<(), TryLockError> {
    for _ in 0..LOCK_ATTEMPTS {
        if data_dir.reacquire().is_ok() {
            return Ok(());
        }
        tokio::time::sleep(LOCK_RETRY_DELAY).await;
    }
    data_dir.reacquire()
}

/// Maintenance until shutdown, in a task of its own so that it never delays accepting: rate limiters, metrics, certificate,
/// free memory, expired sessions.
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
            tracing::warn!(%error, "could not remove expired sessions");
        }
    }
}
