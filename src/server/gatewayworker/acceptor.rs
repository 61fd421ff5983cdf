//! How many connections there may be at a port, and who is let in.
//!
//! GatewayClient connects, writes and closes for each call: where many come at once they wait in the system's queue until
//! there is a place, since what they wrote must be carried out. Only who finds no place for long is hung up on.

use super::metrics;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// So long is waited for a place; then whoever comes is hung up on until there is one again.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(2);
/// After the system refused a connection, the next try waits this long.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy)]
pub enum Port {
    Inner,
    Register,
}

pub struct Acceptor {
    port: Port,
    permits: Arc<Semaphore>,
    /// For the next one who comes.
    reserved: Option<OwnedSemaphorePermit>,
    full_since: Option<Instant>,
}

/// A connection's place, given up when it is dropped.
pub struct AcceptPermit {
    port: Port,
    _permit: OwnedSemaphorePermit,
}

impl Acceptor {
    pub fn new(port: Port, count: usize) -> Self {
        Self { port, permits: Arc::new(Semaphore::new(count)), reserved: None, full_since: None }
    }

    /// The next one who is let in. Nobody is lost when it is dropped before.
    pub async fn accept(&mut self, listener: &TcpListener) -> (TcpStream, SocketAddr, AcceptPermit) {
        loop {
            self.reserve_permit().await;
            match listener.accept().await {
                Ok((stream, peer)) => match self.reserved.take() {
                    Some(permit) => return (stream, peer, AcceptPermit::new(self.port, permit)),
                    None => self.reject(peer),
                },
                Err(error) => {
                    if metrics::within_log_rate_limit() {
                        tracing::warn!(%error, "a connection could not be accepted");
                    }
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }

    /// Without one, it was waited for long enough.
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
            tracing::warn!(%peer, "gateway.max_inner_connections are open: one more was hung up on");
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
