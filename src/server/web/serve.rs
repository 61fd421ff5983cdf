//! Accepts connections, serves HTTP/1.1 on them, and leaves politely: stop accepting, say `bye`, finish what is in flight.

use super::stream::Arriving;
use super::{Site, spare, spare::Spare};
use crate::server::allocator;
use crate::server::control::ServerCommand;
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Largest request header, in bytes.
const MAX_HEADER: usize = 16 * 1024;
/// After the system refused a connection (out of file descriptors), the next try waits this long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// What was sent and is not taken for this long ends a connection: the longest an answer nobody reads is kept.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
/// Who is told at once that there is no room; others are hung up on.
const REFUSALS: usize = 256;
/// A connection that was accepted before the door closed has this long to ask for something.
const BEGUN_WITHIN: Duration = Duration::from_millis(500);
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
    let mut door = Door {
        listener,
        router,
        open: Open::default(),
        spare: Spare::new(),
        room: room(&site),
        refusals: Arc::new(Semaphore::new(REFUSALS)),
        site: site.clone(),
    };
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
                site.store.let_go();
                let _ = paused.send(());
                if taken_over.await.is_ok() {
                    break true;
                }
                tracing::error!("the successor did not serve: this process serves on");
                if let Err(error) = hold_again(&site).await {
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
async fn hold_again(site: &Site) -> Result<(), std::fs::TryLockError> {
    for _ in 0..50 {
        if site.store.hold_again().is_ok() {
            return Ok(());
        }
        tokio::time::sleep(ACCEPT_AGAIN).await;
    }
    site.store.hold_again()
}

fn room(site: &Site) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(site.config.web.max_http_connections))
}

/// HTTP connections that may be told to finish together.
#[derive(Default)]
struct Open {
    connections: TaskTracker,
    finish: CancellationToken,
}

impl Open {
    /// Whether all were finished in time. Those that come after are counted anew.
    async fn finish(&mut self, within: Duration) -> bool {
        let Self { connections, finish } = std::mem::take(self);
        finish.cancel();
        connections.close();
        tokio::time::timeout(within, connections.wait()).await.is_ok()
    }
}

struct Door {
    listener: TcpListener,
    router: Router,
    open: Open,
    spare: Spare,
    /// HTTP connections there may be at once; one that became a socket is none any more.
    room: Arc<Semaphore>,
    /// Connections that are being told there is no room.
    refusals: Arc<Semaphore>,
    site: Site,
}

impl Door {
    async fn finish(&mut self, within: Duration) {
        if !self.open.finish(within).await {
            tracing::warn!("some requests were cut off: they took longer than the handing over may");
        }
    }

    /// Beside the accepting, or whoever reads slowly would be in everyone's way; and not without end.
    fn refuse(&self, stream: TcpStream) {
        if self.site.encryption.is_none()
            && let Ok(place) = self.refusals.clone().try_acquire_owned()
        {
            self.open.connections.spawn(async move {
                spare::refuse(stream).await;
                drop(place);
            });
        }
    }

    async fn admit(&mut self, accepted: std::io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => match self.room.clone().try_acquire_owned() {
                Ok(room) => {
                    if let Err(error) = prepare(&stream, &self.site) {
                        tracing::debug!(%error, "a new connection");
                    }
                    let (site, router, finish) = (self.site.clone(), self.router.clone(), self.open.finish.clone());
                    self.open.connections.spawn(async move {
                        converse(stream, peer, &site, router, finish).await;
                        drop(room);
                    });
                }
                Err(_) => self.refuse(stream),
            },
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                self.spare.refuse_one(&self.listener).await;
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

fn prepare(stream: &TcpStream, site: &Site) -> std::io::Result<()> {
    // A push is small and wanted now.
    stream.set_nodelay(true)?;
    let slow_after = Duration::from_millis(site.config.gateway.slow_after_ms);
    SockRef::from(stream).set_tcp_user_timeout(Some(TAKEN_WITHIN.max(slow_after * 2)))
}

async fn converse(stream: TcpStream, peer: SocketAddr, site: &Site, router: Router, finish: CancellationToken) {
    let read_within = Duration::from_millis(site.config.web.read_within_ms);
    let arriving: Arriving = match &site.encryption {
        None => Either::Left(stream),
        Some(encryption) => match tokio::time::timeout(read_within, encryption.accept(stream)).await {
            Ok(Ok(encrypted)) => Either::Right(encrypted),
            Ok(Err(error)) => return tracing::debug!(%error, "no TLS"),
            Err(_) => return,
        },
    };
    let begun = Arc::new(Notify::new());
    let begins = begun.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        begins.notify_one();
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(read_within)
        .max_buf_size(MAX_HEADER)
        .serve_connection(TokioIo::new(arriving), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = finish.cancelled() => {
            // Who has only just connected is not cut off: hyper would close what has not said a word yet.
            tokio::select! {
                served = &mut connection => served,
                () = async { _ = tokio::time::timeout(BEGUN_WITHIN, begun.notified()).await } => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    // Whatever goes wrong on one connection is the client's affair: it went away, or was no HTTP.
    if let Err(error) = served {
        tracing::debug!(%error, "connection");
    }
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
