//! Accepts connections of a port, up to a limit.
//!
//! GatewayClient connects, writes and closes for each call, and its commands must be carried out: connections beyond the limit
//! wait in the accept backlog. Only when no permit becomes free within the timeout is a connection accepted and closed.

use super::metrics;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Time to wait for a permit. After it, connections are closed until a permit is free again.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Delay before the next attempt after the system refused to accept.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(20);

/// A port of this module.
#[derive(Clone, Copy)]
pub(super) enum Port {
    /// Commands of GatewayClient and BusinessWorkers.
    Inner,
    /// The addresses of all gateways.
    Register,
}

/// Accepts the connections of one port.
pub(super) struct PortAcceptor {
    port: Port,
    permits: Arc<Semaphore>,
    /// The permit of the next connection.
    reserved: Option<OwnedSemaphorePermit>,
    /// Since when no permit was free.
    full_since: Option<Instant>,
}

/// Counts one open connection; released when it is dropped.
pub(super) struct AcceptPermit {
    port: Port,
    _permit: OwnedSemaphorePermit,
}

impl PortAcceptor {
    /// An acceptor of at most `count` open connections.
    pub(super) fn new(port: Port, count: usize) -> Self {
        Self { port, permits: Arc::new(Semaphore::new(count)), reserved: None, full_since: None }
    }

    /// Accepts the next connection within the limit. No connection is lost when the future is dropped.
    pub(super) async fn accept(&mut self, listener: &TcpListener) -> (TcpStream, SocketAddr, AcceptPermit) {
        loop {
            self.reserve_permit().await;
            match listener.accept().await {
                Ok((stream, peer)) => match self.reserved.take() {
                    Some(permit) => return (stream, peer, AcceptPermit::new(self.port, permit)),
                    None => self.reject(peer),
                },
                Err(error) => {
                    if metrics::within_log_rate_limit() {
                        tracing::warn!(%error, "could not accept a connection");
                    }
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }

    /// Waits for a permit. `reserved` is `None` after the timeout.
    async fn reserve_permit(&mut self) {
        if self.reserved.is_some() {
            return;
        }
        self.reserved = self.permits.clone().try_acquire_owned().ok();
        if self.reserved.is_none() {
            let since = *self.full_since.get_or_insert_with(Instant::now);
            let free = tokio::time::timeout_at(since + ACCEPT_TIMEOUT, self.permits.clone().acquire_owned()).await;
            self.reserved = free.ok().and_then(Result::ok);
        }
        if self.reserved.is_some() {
            self.full_since = None;
        }
    }

    fn reject(&self, peer: SocketAddr) {
        metrics::connection_rejected("max_connections");
        if metrics::within_log_rate_limit() {
            tracing::warn!(%peer, "connection closed: gateway.max_inner_connections are open");
        }
    }
}

impl AcceptPermit {
    fn new(port: Port, permit: OwnedSemaphorePermit) -> Self {
        port.connections().increment(1.0);
        Self { port, _permit: permit }
    }
}

impl Drop for AcceptPermit {
    fn drop(&mut self) {
        self.port.connections().decrement(1.0);
    }
}

impl Port {
    fn connections(self) -> ::metrics::Gauge {
        let port = match self {
            Self::Inner => "inner",
            Self::Register => "register",
        };
        ::metrics::gauge!("roomcast_php_connections", "port" => port)
    }
}
