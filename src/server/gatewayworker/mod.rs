//! Another door: PHP's. GatewayWorker's Register and inner protocol, so that an unchanged GatewayClient or BusinessWorker finds
//! this node and calls it (docs/protocol.md). It decides nothing, it translates: what a packet asks for is done by the gateway.

mod acceptor;
mod commands;
mod inner;
mod metrics;
mod protocol;
mod register;
mod secret_key;
mod shutdown;
mod workers;

use crate::server::config::GatewaySettings as Settings;
use crate::server::gateway::{EventReceiver, Gateway};
use acceptor::{Place, Places, Port};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use inner::connection::{Inner, attend};
use inner::read_scheduler::{Row, Turn};
use metrics::Figures;
use register::server::Register;
use secret_key::Secret;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::unconstrained;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workers::router::Workers;

/// KiB that large packets and what is made of them may hold at once.
const LARGE_KIB: usize = 512 * 1024;
/// Lists that are made at once, of all connections.
const LISTS: usize = 4;
/// Connections that are accepted before those that are here are looked at again.
const ACCEPTED_AT_ONCE: usize = 64;
/// A peer whose machine is gone without a word is noticed after a minute and a half.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(3);

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
    max_connections: usize,
}

impl Door {
    /// The door, and what happens to the gateway's connections, which it tells workers; `gateway_port` is the one that browsers
    /// call. `None`: the gateway is listened to already.
    pub fn new(settings: &Settings, gateway: Gateway, gateway_port: u16) -> Option<(Self, EventReceiver)> {
        let here = settings.lan_addr;
        let happens = gateway.listen()?;
        let secret = Secret::new(&settings.secret_key);
        // As the original does it: on one machine a link does not need to be kept awake.
        let ping_every = (*here.ip() != Ipv4Addr::LOCALHOST).then_some(Duration::from_millis(settings.ping_every_ms));
        let inner = Inner {
            gateway,
            here,
            secret: secret.clone(),
            workers: Workers::new(happens.subscription()),
            figures: Figures::default(),
            large: Arc::new(Semaphore::new(LARGE_KIB)),
            lists: Arc::new(Semaphore::new(LISTS)),
            ping_every,
        };
        let max_connections = settings.max_inner_connections;
        ::metrics::gauge!("roomcast_php_connections_max").set(max_connections as f64);
        let register = Register::new(here, secret);
        Some((Self { inner: Arc::new(inner), register, gateway_port, max_connections }, happens))
    }

    /// Until `closed`. While `open` is false, another process may be serving: whoever is connected is seen off, and whoever
    /// comes waits in the system's queue.
    pub async fn serve(
        self,
        mut happens: EventReceiver,
        listeners: Listeners,
        open: watch::Receiver<bool>,
        closed: CancellationToken,
    ) -> io::Result<()> {
        // Whoever is accepted inherits it.
        for listener in [&listeners.inner, &listeners.register] {
            SockRef::from(listener).set_tcp_keepalive(&KEEPALIVE)?;
        }
        let inner = TcpListener::from_std(listeners.inner)?;
        let register = TcpListener::from_std(listeners.register)?;
        let (subscription, over) = (happens.subscription(), CancellationToken::new());
        tokio::select! {
            // It has no end of its own: it goes on until the others are done.
            () = self.inner.workers.pass_on(&mut happens, self.inner.here, self.gateway_port) => {}
            () = self.serve_both(&inner, &register, open, &over) => {}
            // Workers are told of everyone whom the node saw off, and then that it is over.
            () = async {
                closed.cancelled().await;
                subscription.drained().await;
                over.cancel();
                std::future::pending().await
            } => {}
        }
        Ok(())
    }

    async fn serve_both(
        &self,
        inner: &TcpListener,
        register: &TcpListener,
        mut open: watch::Receiver<bool>,
        closed: &CancellationToken,
    ) {
        while !closed.is_cancelled() {
            let stop = closed.child_token();
            let served = async { tokio::join!(self.serve_inner(inner, &stop), self.serve_register(register, &stop)) };
            let see_off = async {
                until(&mut open, false, closed).await;
                stop.cancel();
            };
            tokio::join!(served, see_off);
            until(&mut open, true, closed).await;
        }
    }

    /// All in one task, as PHP's gateway is one process: what arrives first is begun first, also on different connections.
    /// GatewayClient opens one for each call, and expects `joinGroup` to be done before the `sendToGroup` behind it. (So they are
    /// unconstrained: who is made to pause by tokio's cooperative budget goes on in the opposite order.)
    async fn serve_inner(&self, listener: &TcpListener, stop: &CancellationToken) {
        let (mut connections, row) = (FuturesUnordered::new(), Row::default());
        let mut places = Places::new(Port::Inner, self.max_connections);
        while !stop.is_cancelled() || !connections.is_empty() {
            tokio::select! {
                accepted = places.next(listener), if !stop.is_cancelled() => {
                    // And whoever else waits at the door: what they say came before what others say from now on.
                    let others = std::iter::from_fn(|| places.next(listener).now_or_never());
                    for accepted in std::iter::once(accepted).chain(others.take(ACCEPTED_AT_ONCE)) {
                        connections.push(self.let_in(accepted, &row, stop));
                    }
                }
                _ = connections.next(), if !connections.is_empty() => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                // `stop` came between the loop's look at it and this one.
                else => {}
            }
        }
    }

    fn let_in(
        &self,
        (stream, peer, place): (TcpStream, SocketAddr, Place),
        row: &Row,
        stop: &CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let turn = Turn::new(row);
        unconstrained(async { turn.watch(&stream) }).now_or_never();
        let attended = unconstrained(attend(self.inner.clone(), stream, peer, turn, stop.clone()));
        async move {
            // They share a task: one that panics must not take the others with it.
            if AssertUnwindSafe(attended).catch_unwind().await.is_err() {
                tracing::error!(%peer, "an inner connection panicked: it is closed");
            }
            drop(place);
        }
    }

    async fn serve_register(&self, listener: &TcpListener, stop: &CancellationToken) {
        let connections = TaskTracker::new();
        let mut places = Places::new(Port::Register, self.max_connections);
        loop {
            let (stream, peer, place) = tokio::select! {
                accepted = places.next(listener) => accepted,
                () = stop.cancelled() => break,
            };
            let attended = self.register.clone().attend(stream, peer, stop.clone());
            connections.spawn(async move {
                attended.await;
                drop(place);
            });
        }
        connections.close();
        connections.wait().await;
    }
}

/// Or until it is over.
async fn until(open: &mut watch::Receiver<bool>, wanted: bool, closed: &CancellationToken) {
    tokio::select! {
        Ok(_) = open.wait_for(|open| *open == wanted) => {}
        () = closed.cancelled() => {}
    }
}
