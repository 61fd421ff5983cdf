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

use crate::server::config::GatewaySettings;
use crate::server::gateway::{EventReceiver, Gateway};
use acceptor::{AcceptPermit, Acceptor, Port};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use inner::connection::{InnerContext, serve_connection};
use inner::read_scheduler::{ReadTicket, ReadyQueue};
use metrics::Metrics;
use register::server::Register;
use secret_key::SecretKey;
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
const LARGE_PACKET_BUDGET_KIB: usize = 512 * 1024;
/// Lists that are made at once, of all connections.
const CONCURRENT_LISTS: usize = 4;
/// Connections that are accepted before those that are here are looked at again.
const ACCEPT_BATCH: usize = 64;
/// A peer whose machine is gone without a word is noticed after a minute and a half.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(3);

/// The two addresses PHP knows, opened.
pub struct Listeners {
    /// In every client_id.
    pub inner: std::net::TcpListener,
    pub register: std::net::TcpListener,
}

/// The door as it is built; [`GatewayWorkerServer::serve`] opens it.
pub struct GatewayWorkerServer {
    inner: Arc<InnerContext>,
    register: Register,
    gateway_port: u16,
    max_connections: usize,
}

impl GatewayWorkerServer {
    /// The door, and what happens to the gateway's connections, which it tells workers; `gateway_port` is the one that browsers
    /// call. `None`: the gateway is listened to already.
    pub fn new(settings: &GatewaySettings, gateway: Gateway, gateway_port: u16) -> Option<(Self, EventReceiver)> {
        let lan_addr = settings.lan_addr;
        let events = gateway.listen()?;
        let secret_key = SecretKey::new(&settings.secret_key);
        // As the original does it: on one machine a link does not need to be kept awake.
        let ping_every = (*lan_addr.ip() != Ipv4Addr::LOCALHOST).then_some(Duration::from_millis(settings.ping_every_ms));
        let inner = InnerContext {
            gateway,
            lan_addr,
            secret_key: secret_key.clone(),
            workers: Workers::new(events.subscription()),
            metrics: Metrics::default(),
            large_packet_budget: Arc::new(Semaphore::new(LARGE_PACKET_BUDGET_KIB)),
            lists: Arc::new(Semaphore::new(CONCURRENT_LISTS)),
            ping_every,
        };
        let max_connections = settings.max_inner_connections;
        ::metrics::gauge!("roomcast_php_connections_max").set(max_connections as f64);
        let register = Register::new(lan_addr, secret_key);
        Some((Self { inner: Arc::new(inner), register, gateway_port, max_connections }, events))
    }

    /// Until `closed`. While `open` is false, another process may be serving: whoever is connected is seen off, and whoever
    /// comes waits in the system's queue.
    pub async fn serve(
        self,
        mut events: EventReceiver,
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
        let (subscription, drained) = (events.subscription(), CancellationToken::new());
        tokio::select! {
            // It has no end of its own: it goes on until the others are done.
            () = self.inner.workers.forward(&mut events, self.inner.lan_addr, self.gateway_port) => {}
            () = self.serve_both(&inner, &register, open, &drained) => {}
            // Workers are told of everyone whom the node saw off, and then that it is over.
            () = async {
                closed.cancelled().await;
                subscription.drained().await;
                drained.cancel();
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
            let stop_when_paused = async {
                until(&mut open, false, closed).await;
                stop.cancel();
            };
            tokio::join!(served, stop_when_paused);
            until(&mut open, true, closed).await;
        }
    }

    /// All in one task, as PHP's gateway is one process: what arrives first is begun first, also on different connections.
    /// GatewayClient opens one for each call, and expects `joinGroup` to be done before the `sendToGroup` behind it. (So they are
    /// unconstrained: who is made to pause by tokio's cooperative budget goes on in the opposite order.)
    async fn serve_inner(&self, listener: &TcpListener, stop: &CancellationToken) {
        let (mut connections, queue) = (FuturesUnordered::new(), ReadyQueue::default());
        let mut acceptor = Acceptor::new(Port::Inner, self.max_connections);
        while !stop.is_cancelled() || !connections.is_empty() {
            tokio::select! {
                accepted = acceptor.accept(listener), if !stop.is_cancelled() => {
                    // And whoever else waits at the door: what they say came before what others say from now on.
                    let waiting = std::iter::from_fn(|| acceptor.accept(listener).now_or_never());
                    for accepted in std::iter::once(accepted).chain(waiting.take(ACCEPT_BATCH)) {
                        connections.push(self.serve_inner_connection(accepted, &queue, stop));
                    }
                }
                _ = connections.next(), if !connections.is_empty() => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                // `stop` came between the loop's look at it and this one.
                else => {}
            }
        }
    }

    fn serve_inner_connection(
        &self,
        (stream, peer, permit): (TcpStream, SocketAddr, AcceptPermit),
        queue: &ReadyQueue,
        stop: &CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let ticket = ReadTicket::new(queue);
        unconstrained(async { ticket.watch(&stream) }).now_or_never();
        let served = unconstrained(serve_connection(self.inner.clone(), stream, peer, ticket, stop.clone()));
        async move {
            // They share a task: one that panics must not take the others with it.
            if AssertUnwindSafe(served).catch_unwind().await.is_err() {
                tracing::error!(%peer, "an inner connection panicked: it is closed");
            }
            drop(permit);
        }
    }

    async fn serve_register(&self, listener: &TcpListener, stop: &CancellationToken) {
        let connections = TaskTracker::new();
        let mut acceptor = Acceptor::new(Port::Register, self.max_connections);
        loop {
            let (stream, peer, permit) = tokio::select! {
                accepted = acceptor.accept(listener) => accepted,
                () = stop.cancelled() => break,
            };
            let served = self.register.clone().serve_connection(stream, peer, stop.clone());
            connections.spawn(async move {
                served.await;
                drop(permit);
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
