//! Accepts connections and serves HTTP/1.1 on them.

use super::overload::{ReservedFd, refuse};
use crate::server::web::state::AppState;
use crate::server::web::tls::ClientStream;
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
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// After the system refused a connection (out of file descriptors), the next try waits this long.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(20);
/// What was sent and is not taken for this long ends a connection: the longest an answer nobody reads is kept.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);
/// Who is told at once that there is no room; others are hung up on.
const MAX_CONCURRENT_REFUSALS: usize = 256;
/// A connection that was accepted before the door closed has this long to ask for something.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(500);

/// HTTP connections that may be told to finish together.
#[derive(Default)]
pub struct OpenConnections {
    connections: TaskTracker,
    finish: CancellationToken,
}

impl OpenConnections {
    /// Whether all were finished in time. Those that come after are counted anew.
    pub async fn finish(&mut self, within: Duration) -> bool {
        let Self { connections, finish } = std::mem::take(self);
        finish.cancel();
        connections.close();
        tokio::time::timeout(within, connections.wait()).await.is_ok()
    }
}

pub struct Acceptor {
    pub listener: TcpListener,
    router: Router,
    pub open_connections: OpenConnections,
    reserved_fd: ReservedFd,
    /// HTTP connections there may be at once; one that became a socket is none any more.
    connection_permits: Arc<Semaphore>,
    /// Connections that are being told there is no room.
    refusal_permits: Arc<Semaphore>,
    state: AppState,
}

impl Acceptor {
    pub fn new(listener: TcpListener, state: AppState, router: Router) -> Self {
        Self {
            listener,
            router,
            open_connections: OpenConnections::default(),
            reserved_fd: ReservedFd::new(),
            connection_permits: Arc::new(Semaphore::new(state.config.web.max_http_connections)),
            refusal_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_REFUSALS)),
            state,
        }
    }

    pub async fn finish(&mut self, within: Duration) {
        if !self.open_connections.finish(within).await {
            tracing::warn!("some requests were cut off: they took longer than the handing over may");
        }
    }

    /// Beside the accepting, or whoever reads slowly would be in everyone's way; and not without end.
    fn refuse(&self, stream: TcpStream) {
        if self.state.tls.is_none()
            && let Ok(permit) = self.refusal_permits.clone().try_acquire_owned()
        {
            self.open_connections.connections.spawn(async move {
                refuse(stream).await;
                drop(permit);
            });
        }
    }

    pub async fn handle_accepted(&mut self, accepted: std::io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => match self.connection_permits.clone().try_acquire_owned() {
                Ok(permit) => {
                    if let Err(error) = set_socket_options(&stream, &self.state) {
                        tracing::debug!(%error, "a new connection");
                    }
                    let (state, router, finish) = (self.state.clone(), self.router.clone(), self.open_connections.finish.clone());
                    self.open_connections.connections.spawn(async move {
                        serve_connection(stream, peer, &state, router, finish).await;
                        drop(permit);
                    });
                }
                Err(_) => self.refuse(stream),
            },
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                self.reserved_fd.refuse_next(&self.listener).await;
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

fn set_socket_options(stream: &TcpStream, state: &AppState) -> std::io::Result<()> {
    // A push is small and wanted now.
    stream.set_nodelay(true)?;
    let slow_after = Duration::from_millis(state.config.gateway.slow_after_ms);
    SockRef::from(stream).set_tcp_user_timeout(Some(TCP_USER_TIMEOUT.max(slow_after * 2)))
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, state: &AppState, router: Router, finish: CancellationToken) {
    let read_within = Duration::from_millis(state.config.web.read_within_ms);
    let client_stream: ClientStream = match &state.tls {
        None => Either::Left(stream),
        Some(tls) => match tokio::time::timeout(read_within, tls.accept(stream)).await {
            Ok(Ok(encrypted)) => Either::Right(encrypted),
            Ok(Err(error)) => return tracing::debug!(%error, "no TLS"),
            Err(_) => return,
        },
    };
    let first_request = Arc::new(Notify::new());
    let notify_first_request = first_request.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        notify_first_request.notify_one();
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(read_within)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(client_stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = finish.cancelled() => {
            // Who has only just connected is not cut off: hyper would close what has not said a word yet.
            tokio::select! {
                served = &mut connection => served,
                () = async { _ = tokio::time::timeout(FIRST_REQUEST_GRACE, first_request.notified()).await } => {
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
