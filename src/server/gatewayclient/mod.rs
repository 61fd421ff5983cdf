//! Another door: PHP's. GatewayWorker's Register and inner protocol, so that an unchanged GatewayClient or BusinessWorker finds
//! this node and calls it (DESIGN.md 3.4). It decides nothing, it translates: what a packet asks for is done by the gateway.

mod carry_out;
mod command;
mod connection;
mod events;
mod figures;
mod line;
mod message;
mod names;
mod packet;
mod queries;
mod query_string;
mod register;
mod secret;
mod workers;

use crate::server::config::Gateway as Settings;
use crate::server::gateway::{Events, Gateway};
use connection::{Inner, attend};
use figures::Figures;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use register::Register;
use secret::Secret;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workers::Workers;

/// KiB of large packets that may be arriving at once.
const LARGE_KIB: usize = 256 * 1024;
/// After the system refused a connection, the next try waits this long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);

/// The two addresses PHP knows, opened.
pub struct Listeners {
    /// In every client_id.
    pub inner: std::net::TcpListener,
    pub register: std::net::TcpListener,
}

/// The door as it is built; [`Door::serve`] opens it.
pub struct Door {
    inner: Arc<Inner>,
    register: Register,
    gateway_port: u16,
    room: [Arc<Semaphore>; 2],
}

impl Door {
    /// `here` is the address others call, `gateway_port` the one that browsers do.
    /// With what happens to its connections, which workers are told. `None`: another one listens to this gateway.
    pub fn new(settings: &Settings, gateway: Gateway, here: SocketAddrV4, gateway_port: u16) -> Option<(Self, Events)> {
        let happens = gateway.listen()?;
        let secret = Secret::new(&settings.secret_key);
        // As the original does it: on one machine a link does not need to be kept awake.
        let ping_every = (*here.ip() != Ipv4Addr::LOCALHOST).then_some(Duration::from_millis(settings.ping_every_ms));
        let inner = Inner {
            gateway,
            here,
            secret: secret.clone(),
            workers: Workers::new(happens.attention()),
            figures: Figures::default(),
            large: Arc::new(Semaphore::new(LARGE_KIB)),
            ping_every,
        };
        let max_connections = settings.max_inner_connections;
        let room = [(); 2].map(|()| Arc::new(Semaphore::new(max_connections)));
        metrics::gauge!("roomcast_php_connections_max").set(max_connections as f64);
        let register = Register::new(here, secret);
        Some((Self { inner: Arc::new(inner), register, gateway_port, room }, happens))
    }

    /// Until `closed`. While `open` is false, another process may be serving: whoever is connected is seen off, and whoever
    /// comes waits in the system's queue.
    pub async fn serve(
        self,
        mut happens: Events,
        listeners: Listeners,
        open: watch::Receiver<bool>,
        closed: CancellationToken,
    ) -> io::Result<()> {
        let inner = TcpListener::from_std(listeners.inner)?;
        let register = TcpListener::from_std(listeners.register)?;
        tokio::select! {
            // Until it is dropped with the door.
            () = self.inner.workers.pass_on(&mut happens, self.inner.here, self.gateway_port) => {}
            () = self.serve_both(&inner, &register, open, closed) => {}
        }
        Ok(())
    }

    async fn serve_both(
        &self,
        inner: &TcpListener,
        register: &TcpListener,
        mut open: watch::Receiver<bool>,
        closed: CancellationToken,
    ) {
        while !closed.is_cancelled() {
            let stop = closed.child_token();
            let served = async { tokio::join!(self.serve_inner(inner, &stop), self.serve_register(register, &stop)) };
            let see_off = async {
                until(&mut open, false, &closed).await;
                stop.cancel();
            };
            tokio::join!(served, see_off);
            until(&mut open, true, &closed).await;
        }
    }

    /// All in one task, as PHP's gateway is one process: what arrives first is begun first, also on different connections.
    /// GatewayClient opens one for each call, and expects `joinGroup` to be done before the `sendToGroup` behind it.
    async fn serve_inner(&self, listener: &TcpListener, stop: &CancellationToken) {
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if !stop.is_cancelled() => match self.admit(accepted, Port::Inner) {
                    Ok(Some((stream, peer, room))) => {
                        let attended = attend(self.inner.clone(), stream, peer, stop.clone());
                        connections.push(async move {
                            attended.await;
                            drop(room);
                        });
                    }
                    Ok(None) => {}
                    // Not in the way of those who are here.
                    Err(()) => tokio::select! {
                        () = tokio::time::sleep(ACCEPT_AGAIN) => {}
                        _ = connections.next(), if !connections.is_empty() => {}
                    },
                },
                _ = connections.next(), if !connections.is_empty() => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
            }
            if stop.is_cancelled() && connections.is_empty() {
                return;
            }
        }
    }

    async fn serve_register(&self, listener: &TcpListener, stop: &CancellationToken) {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match self.admit(accepted, Port::Register) {
                Ok(Some((stream, peer, room))) => {
                    let attended = self.register.clone().attend(stream, peer, stop.clone());
                    connections.spawn(async move {
                        attended.await;
                        drop(room);
                    });
                }
                Ok(None) => {}
                Err(()) => tokio::time::sleep(ACCEPT_AGAIN).await,
            }
        }
        connections.close();
        connections.wait().await;
    }

    /// `None`: there is no room, and it was hung up on.
    fn admit(
        &self,
        accepted: io::Result<(TcpStream, SocketAddr)>,
        port: Port,
    ) -> Result<Option<(TcpStream, SocketAddr, Place)>, ()> {
        let (stream, peer) = accepted.map_err(|error| tracing::warn!(%error, "a connection could not be accepted"))?;
        match self.room[port as usize].clone().try_acquire_owned() {
            Ok(room) => Ok(Some((stream, peer, Place::new(port, room)))),
            Err(_) => {
                self.inner.figures.refused("connections");
                tracing::warn!(%peer, "gateway.max_inner_connections are open: one more was hung up on");
                Ok(None)
            }
        }
    }
}

/// A connection's place, given up when it is dropped.
struct Place {
    port: Port,
    _room: OwnedSemaphorePermit,
}

#[derive(Clone, Copy)]
enum Port {
    Inner,
    Register,
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
    fn connections(self) -> metrics::Gauge {
        metrics::gauge!("roomcast_php_connections", "port" => match self {
            Self::Inner => "inner",
            Self::Register => "register",
        })
    }
}

/// Or until it is over.
async fn until(open: &mut watch::Receiver<bool>, wanted: bool, closed: &CancellationToken) {
    tokio::select! {
        Ok(_) = open.wait_for(|open| *open == wanted) => {}
        () = closed.cancelled() => {}
    }
}
