//! Serves until an order to leave, and leaves politely: stop accepting, say `bye`, finish what is in flight.

use super::accept::Door;
use crate::server::allocator;
use crate::server::control::ServerCommand;
use crate::server::web::state::Site;
use axum::Router;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// How long a data folder that the successor still holds is waited for before the next try.
const HOLD_AGAIN: Duration = Duration::from_millis(20);
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// What is in flight when another process takes over has this long.
const PAUSED_WITHIN: Duration = Duration::from_secs(5);

/// What was left undone when the time was over.
#[derive(Debug)]
pub struct Served {
    pub unfinished: bool,
}

/// Serves until an order to leave, and until everyone was seen off.
pub async fn serve(listener: TcpListener, site: Site, router: Router, mut orders: mpsc::Receiver<ServerCommand>) -> Served {
    let sweeping = TaskTracker::new();
    sweeping.spawn(sweep(site.clone()));
    let mut door = Door::new(listener, site.clone(), router);
    let slowly = loop {
        let order = tokio::select! {
            accepted = door.listener.accept() => {
                door.admit(accepted).await;
                continue;
            }
            order = orders.recv() => order,
        };
        match order {
            // Nobody is left to give orders: nobody is left to serve for.
            None => break false,
            Some(ServerCommand::Shutdown { gracefully }) => break gracefully,
            Some(ServerCommand::Pause { paused, taken_over }) => {
                site.open.send_replace(false);
                door.finish(PAUSED_WITHIN).await;
                site.store.release_lock();
                let _ = paused.send(());
                if taken_over.await.is_ok() {
                    break true;
                }
                tracing::error!("the successor did not serve: this process serves on");
                if let Err(error) = reacquire_lock(&site).await {
                    tracing::error!(%error, "the data folder is somebody else's: leaving");
                    break false;
                }
                site.open.send_replace(true);
            }
        }
    };

    site.leaving.cancel();
    let web = &site.config.web;
    let quickly = Duration::from_millis(web.drain_within_ms);
    let within = if slowly { Duration::from_millis(web.drain_slowly_ms) } else { quickly };
    tracing::info!(sockets = site.gateway.connection_count(), within_ms = within.as_millis(), "leaving");
    let Door { listener, mut open, .. } = door;
    // Attempts to connect are refused from here on, or another process's.
    drop(listener);
    let see_off = async {
        tokio::select! {
            () = site.gateway.drain(within) => {}
            // Whoever asks a second time is in a hurry.
            Some(ServerCommand::Shutdown { .. }) = orders.recv() => site.gateway.drain(quickly).await,
        }
    };
    let ((), finished) = tokio::join!(see_off, open.finish(quickly));
    site.0.handshakes.close();
    site.0.handshakes.wait().await;
    Served { unfinished: !finished }
}

/// A successor that failed may take a moment to end.
async fn reacquire_lock(site: &Site) -> Result<(), std::fs::TryLockError> {
    for _ in 0..50 {
        if site.store.reacquire_lock().is_ok() {
            return Ok(());
        }
        tokio::time::sleep(HOLD_AGAIN).await;
    }
    site.store.reacquire_lock()
}

/// Forgets what time has made worthless, beside the accepting of connections and never in its way.
async fn sweep(site: Site) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = site.leaving.cancelled() => return,
        }
        site.sweep();
        allocator::trim();
        if let Err(error) = site.accounts.sweep().await {
            tracing::warn!(%error, "expired sessions were not removed");
        }
    }
}
