//! Accepts TCP connections and serves HTTP/1.1 on each, within the limits of `http_limits`.

use super::counted_body::CountedBody;
use super::http_limits::{HttpLimit, HttpLimits, HttpPermit};
use super::overload::{ReservedFd, refuse};
use crate::domain::{lang::Lang, refusal::Refusal};
use crate::server::web::middleware::client_addr::Client;
use crate::server::web::middleware::error_response::refusal_response;
use crate::server::web::state::AppState;
use crate::server::web::tls::ClientStream;
use crate::server::web::ws_upgrade::HandoverSlot;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::header;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Longest request line with headers, in bytes; also the read buffer's limit.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Pause after a failed accept. The usual cause is that the process has no file descriptors left.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(20);
/// The kernel resets a connection whose peer acknowledges nothing for this long, so a response that is not read is kept for
/// 60 s at most. `gateway.slow_after_ms` raises it, as sockets keep the option.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections that get a 503 at the same time; further ones are closed without a response.
const MAX_CONCURRENT_REFUSALS: usize = 256;
/// Grace period for a connection whose place was taken: to write the rest of a response, which is in hyper's buffer.
const END_GRACE: Duration = Duration::from_secs(1);
/// `retry_after_ms` for a client that is at its share behind a proxy.
const REQUEST_LIMIT_RETRY_MS: u64 = 1_000;
/// Grace period at shutdown for a connection that has not sent a request yet.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(500);

/// The open HTTP connections, which can be finished together.
#[derive(Default)]
pub(super) struct OpenConnections {
    connections: TaskTracker,
    finish: CancellationToken,
    /// Cancelled when requests have had their time.
    cut_off: CancellationToken,
}

impl OpenConnections {
    /// Ends keep-alive on all connections and waits for their requests. Returns false if some took longer than `timeout`: these
    /// are dropped and answered with 503 `busy`, so that they change nothing later. Connections accepted afterwards are tracked
    /// anew.
    pub(super) async fn finish(&mut self, timeout: Duration) -> bool {
        let Self { connections, finish, cut_off } = std::mem::take(self);
        finish.cancel();
        connections.close();
        let is_finished = tokio::time::timeout(timeout, connections.wait()).await.is_ok();
        cut_off.cancel();
        is_finished
    }
}

/// The listener and the connections that it accepted.
pub(super) struct HttpAcceptor {
    /// The site's listener.
    pub listener: TcpListener,
    router: Router,
    /// Connections that were accepted and have not ended.
    pub open_connections: OpenConnections,
    reserved_fd: ReservedFd,
    /// One permit per HTTP connection. An upgrade to a WebSocket returns it.
    limits: Arc<HttpLimits>,
    /// One permit per 503 being written.
    refusal_permits: Arc<Semaphore>,
    state: AppState,
}

impl HttpAcceptor {
    /// Takes over the listener and accepts nothing yet.
    pub(super) fn new(listener: TcpListener, state: AppState, router: Router) -> Self {
        Self {
            listener,
            router,
            open_connections: OpenConnections::default(),
            reserved_fd: ReservedFd::new(),
            limits: HttpLimits::new(&state.config.web),
            refusal_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_REFUSALS)),
            state,
        }
    }

    /// Serves an accepted connection in a task of its own. Beyond the limits of connections it gets a 503, and after a failed
    /// accept the next connection in the backlog does.
    pub(super) async fn handle_accepted(&mut self, accepted: std::io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => match self.limits.accept(peer.ip(), Instant::now()) {
                Ok(permit) => {
                    if let Err(error) = set_socket_options(&stream, &self.state) {
                        tracing::debug!(%error, "could not set socket options");
                    }
                    let (state, router, all) = (self.state.clone(), self.router.clone(), self.limits.clone());
                    let OpenConnections { connections, finish, cut_off } = &self.open_connections;
                    let (finish, cut_off) = (finish.clone(), cut_off.clone());
                    connections.spawn(async move {
                        let limits = Limits { permit: Arc::new(permit), all, cut_off };
                        serve_connection(stream, peer, &state, router, limits, finish).await;
                    });
                }
                Err(limit) => self.refuse(stream, limit),
            },
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
                    // Its descriptor is free for the connection after the one that is refused.
                    self.limits.end_one_idle(Instant::now());
                }
                self.reserved_fd.refuse_next(&self.listener).await;
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }

    /// Writes the 503 in a task of its own, so that slow readers cannot block accept. Over TLS the connection is only
    /// closed: a handshake would cost more than the response.
    fn refuse(&self, stream: TcpStream, limit: HttpLimit) {
        metrics::counter!("roomcast_connections_refused_total", "limit" => limit.label()).increment(1);
        if self.state.tls.is_none()
            && let Ok(permit) = self.refusal_permits.clone().try_acquire_owned()
        {
            self.open_connections.connections.spawn(async move {
                refuse(stream).await;
                drop(permit);
            });
        }
    }
}

fn set_socket_options(stream: &TcpStream, state: &AppState) -> std::io::Result<()> {
    // Pushes are small and must not wait for Nagle's algorithm.
    stream.set_nodelay(true)?;
    let slow_after = Duration::from_millis(state.config.gateway.slow_after_ms);
    SockRef::from(stream).set_tcp_user_timeout(Some(TCP_USER_TIMEOUT.max(slow_after * 2)))
}

/// The limits of the node, and one connection's place in them.
struct Limits {
    permit: Arc<HttpPermit>,
    all: Arc<HttpLimits>,
    /// Cancelled when requests have had their time: those that still run are answered with 503 `busy`.
    cut_off: CancellationToken,
}

/// Serves one connection until it closes, is upgraded, another takes its place, or `finish` is cancelled and its last request is
/// answered.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    state: &AppState,
    router: Router,
    limits: Limits,
    finish: CancellationToken,
) {
    let permit = limits.permit.clone();
    let read_timeout = Duration::from_millis(state.config.web.read_within_ms);
    let Some(stream) = encrypt(stream, state, &permit).await else { return };
    let accepted_handshake = HandoverSlot::default();
    let handover_slot = accepted_handshake.clone();
    let first_request = Arc::new(Notify::new());
    let notify_first_request = first_request.clone();
    let limits = Arc::new(limits);
    let service = service_fn(move |request: Request<Incoming>| {
        notify_first_request.notify_one();
        respond(request.map(Body::new), peer, state.clone(), router.clone(), limits.clone(), handover_slot.clone())
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(read_timeout)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let served = tokio::select! {
        served = &mut connection => served,
        has_grace = permit.ended() => {
            if !has_grace {
                return;
            }
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            match tokio::time::timeout(END_GRACE, &mut connection).await {
                Ok(served) => served,
                Err(_) => return,
            }
        }
        () = finish.cancelled() => {
            // hyper's graceful shutdown closes a connection that has not sent a request: wait for one first.
            tokio::select! {
                served = &mut connection => served,
                () = async { _ = tokio::time::timeout(FIRST_REQUEST_GRACE, first_request.notified()).await } => {
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                    (&mut connection).await
                }
            }
        }
    };
    // Usual causes are the client's: it disconnected, or sent something else than HTTP.
    if let Err(error) = served {
        tracing::debug!(%error, "connection failed");
    } else if let Some(handover) = accepted_handshake.take() {
        // The service, and with it the connection's place, goes before the gateway serves the stream.
        let Parts { io, read_buf, .. } = connection.into_parts();
        drop(permit);
        state.handshakes.track_future(handover.complete(state, io.into_inner(), read_buf)).await;
    }
}

/// Does the TLS handshake, if the server has a certificate. Returns `None` if it fails or takes longer than
/// `web.read_within_ms`, or if another connection takes the place.
async fn encrypt(stream: TcpStream, state: &AppState, permit: &HttpPermit) -> Option<ClientStream> {
    let Some(tls) = &state.tls else { return Some(Either::Left(stream)) };
    let timeout = Duration::from_millis(state.config.web.read_within_ms);
    tokio::select! {
        accepted = tokio::time::timeout(timeout, tls.accept(stream)) => match accepted.ok()? {
            Ok(encrypted) => Some(Either::Right(encrypted)),
            Err(error) => {
                tracing::debug!(%error, "TLS handshake failed");
                None
            }
        },
        _ = permit.ended() => None,
    }
}

/// Answers one request. Behind a trusted proxy it counts against the share of its client; a health check never does.
async fn respond(
    mut request: Request,
    peer: SocketAddr,
    state: AppState,
    router: Router,
    limits: Arc<Limits>,
    handover_slot: HandoverSlot,
) -> Result<Response, Infallible> {
    let in_progress = limits.permit.request();
    let forwarded = if request.uri().path() == "/healthz" {
        Ok(None)
    } else {
        let client = Client::of(peer.ip(), request.headers(), &state.config.web);
        let address = client.addr;
        request.extensions_mut().insert(client);
        limits.all.forwarded(peer.ip(), address)
    };
    let response = match forwarded {
        Ok(permit) => {
            request.extensions_mut().insert(ConnectInfo(peer));
            if request.headers().contains_key(header::UPGRADE) {
                request.extensions_mut().insert(handover_slot);
            }
            let response = tokio::select! {
                biased;
                response = router.oneshot(request) => response?,
                () = limits.cut_off.cancelled() => refusal_response(&Refusal::Busy, Lang::default()),
            };
            drop(permit);
            response
        }
        Err(limit) => {
            metrics::counter!("roomcast_http_requests_refused_total", "limit" => limit.label()).increment(1);
            let refusal = match limit {
                HttpLimit::Address => Refusal::TooFast { retry_after_ms: REQUEST_LIMIT_RETRY_MS },
                HttpLimit::Node => Refusal::Busy,
            };
            refusal_response(&refusal, Lang::default())
        }
    };
    in_progress.writes(Instant::now());
    Ok(response.map(|body| Body::new(CountedBody::new(body, in_progress))))
}
