//! Accepts connections and serves HTTP/1.1 on them.

use super::overload::{Spare, refuse};
use crate::server::web::state::Site;
use crate::server::web::tls::Arriving;
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
use tokio::sync::{Notify, Semaphore};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Largest request header, in bytes.
const MAX_HEADER: usize = 16 * 1024;
/// After the system refused a connection (out of file descriptors), the next try waits this long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);
/// What was sent and is not taken for this long ends a connection: the longest an answer nobody reads is kept.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
/// Who is told at once that there is no room; others are hung up on.
const REFUSALS: usize = 256;
/// A connection that was accepted before the door closed has this long to ask for something.
const BEGUN_WITHIN: Duration = Duration::from_millis(500);

/// HTTP connections that may be told to finish together.
#[derive(Default)]
pub struct Open {
    connections: TaskTracker,
    finish: CancellationToken,
}

impl Open {
    /// Whether all were finished in time. Those that come after are counted anew.
    pub async fn finish(&mut self, within: Duration) -> bool {
        let Self { connections, finish } = std::mem::take(self);
        finish.cancel();
        connections.close();
        tokio::time::timeout(within, connections.wait()).await.is_ok()
    }
}

pub struct Door {
    pub listener: TcpListener,
    router: Router,
    pub open: Open,
    spare: Spare,
    /// HTTP connections there may be at once; one that became a socket is none any more.
    room: Arc<Semaphore>,
    /// Connections that are being told there is no room.
    refusals: Arc<Semaphore>,
    site: Site,
}

impl Door {
    pub fn new(listener: TcpListener, site: Site, router: Router) -> Self {
        Self {
            listener,
            router,
            open: Open::default(),
            spare: Spare::new(),
            room: Arc::new(Semaphore::new(site.config.web.max_http_connections)),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            site,
        }
    }

    pub async fn finish(&mut self, within: Duration) {
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
                refuse(stream).await;
                drop(place);
            });
        }
    }

    pub async fn admit(&mut self, accepted: std::io::Result<(TcpStream, SocketAddr)>) {
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
