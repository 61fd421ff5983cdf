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
const WAITED: Duration = Duration::from_secs(2);
/// After the system refused a connection, the next try waits this long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);

#[derive(Clone, Copy)]
pub enum Port {
    Inner,
    Register,
}

pub struct Places {
    port: Port,
    room: Arc<Semaphore>,
    /// For the next one who comes.
    kept: Option<OwnedSemaphorePermit>,
    full_since: Option<Instant>,
}

/// A connection's place, given up when it is dropped.
pub struct Place {
    port: Port,
    _room: OwnedSemaphorePermit,
}

impl Places {
    pub fn new(port: Port, count: usize) -> Self {
        Self { port, room: Arc::new(Semaphore::new(count)), kept: None, full_since: None }
    }

    /// The next one who is let in. Nobody is lost when it is dropped before.
    pub async fn next(&mut self, listener: &TcpListener) -> (TcpStream, SocketAddr, Place) {
        loop {
            self.keep_one().await;
            match listener.accept().await {
                Ok((stream, peer)) => match self.kept.take() {
                    Some(room) => return (stream, peer, Place::new(self.port, room)),
                    None => self.hang_up(peer),
                },
                Err(error) => {
                    if metrics::may_say() {
                        tracing::warn!(%error, "a connection could not be accepted");
                    }
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }

    /// Without one, it was waited for long enough.
    async fn keep_one(&mut self) {
        if self.kept.is_some() {
            return;
        }
        self.kept = self.room.clone().try_acquire_owned().ok();
        if self.kept.is_none() {
            let since = *self.full_since.get_or_insert_with(Instant::now);
            let free = tokio::time::timeout_at(since + WAITED, self.room.clone().acquire_owned()).await;
            self.kept = free.ok().and_then(Result::ok);
        }
        if self.kept.is_some() {
            self.full_since = None;
        }
    }

    fn hang_up(&self, peer: SocketAddr) {
        metrics::refused("connections");
        if metrics::may_say() {
            tracing::warn!(%peer, "gateway.max_inner_connections are open: one more was hung up on");
        }
    }
}

impl Place {
    fn new(port: Port, room: OwnedSemaphorePermit) -> Self {
        port.connections().increment(1.0);
        Self { port, _room: room }
    }
}

impl Drop for Place {
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
