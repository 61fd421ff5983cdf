//! Accepts connections, serves HTTP/1.1 on them, and leaves politely: stop accepting, say `bye`, finish what is in flight.

use super::Site;
use super::stream::Arriving;
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Largest request header, in bytes.
const MAX_HEADER: usize = 16 * 1024;
/// After the system refused a connection (out of file descriptors), the next try waits this long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// What was left undone when the time was over.
#[derive(Debug)]
pub struct Served {
    pub unfinished: bool,
}

/// Serves until `leave` resolves and everyone was seen off.
pub async fn serve(listener: TcpListener, site: Site, router: Router, leave: impl Future<Output = ()>) -> Served {
    let connections = TaskTracker::new();
    connections.spawn(sweep(site.clone()));
    let mut leave = std::pin::pin!(leave);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => converse(stream, peer, &site, &router, &connections),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            },
            () = &mut leave => break,
        }
    }

    drop(listener);
    connections.close();
    site.leaving.cancel();
    let within = Duration::from_millis(site.config.web.drain_within_ms);
    tracing::info!(sockets = site.gateway.connection_count(), within_ms = within.as_millis(), "leaving");
    let (_, finished) = tokio::join!(site.gateway.drain(within), tokio::time::timeout(within, connections.wait()));
    Served { unfinished: finished.is_err() }
}

fn converse(stream: TcpStream, peer: std::net::SocketAddr, site: &Site, router: &Router, connections: &TaskTracker) {
    // A push is small and wanted now.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay");
    }
    let router = router.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(site.config.web.read_within_ms))
        .max_buf_size(MAX_HEADER)
        .serve_connection(TokioIo::new(Arriving::Left(stream)), service)
        .with_upgrades();
    let leaving = site.leaving.clone();
    connections.spawn(async move {
        let mut connection = std::pin::pin!(connection);
        let served = tokio::select! {
            served = &mut connection => served,
            () = leaving.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        // Whatever goes wrong on one connection is the client's affair: it went away, or was no HTTP.
        if let Err(error) = served {
            tracing::debug!(%error, "connection");
        }
    });
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
        if let Err(error) = site.accounts.sweep().await {
            tracing::warn!(%error, "expired sessions were not removed");
        }
    }
}
