//! The server for PHP: an unchanged GatewayClient, or an unchanged BusinessWorker, uses this node as a GatewayWorker gateway.
//!
//! GatewayWorker is a PHP framework of three kinds of processes. A *gateway* holds the sockets of the clients; this node
//! replaces it. *Register* is a service that knows the addresses of all gateways; this node runs one, on
//! `gateway.register_addr`. A *BusinessWorker* is a PHP process that receives the events of clients: connected, message,
//! disconnected. GatewayClient is the PHP library of web pages: it asks Register for the gateways, connects to the *inner
//! port* of each (`gateway.lan_addr`), and sends commands such as `sendToGroup`. BusinessWorkers connect there, too. The
//! *inner protocol* is the format of these packets (docs/protocol.md).
//!
//! This module translates only: the gateway carries out the commands.
//!
//! ```text
//!   GatewayClient, BusinessWorker
//!     ├─ lines of JSON ──> register                addresses of the gateways
//!     └─ packets ────────> inner ──> commands ──> server::gateway
//!                            └────── workers <── events of clients
//! ```
//!
//! `protocol` is the wire format, `acceptor` limits connections, `shutdown` holds the reasons and deadlines of closing.
//!
//! ```no_run
//! use roomcast::server::config::GatewaySettings;
//! use roomcast::server::gateway::Gateway;
//! use roomcast::server::gatewayworker::{GatewayWorkerServer, Listeners};
//! use std::net::TcpListener;
//! use tokio::sync::watch;
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = GatewaySettings::default();
//! let gateway = Gateway::start(settings.clone())?;
//! let listeners =
//!     Listeners { inner: TcpListener::bind(settings.lan_addr)?, register: TcpListener::bind(settings.register_addr)? };
//! listeners.inner.set_nonblocking(true)?;
//! listeners.register.set_nonblocking(true)?;
//! let (_nodes, other_nodes) = watch::channel(Vec::new());
//! let (server, events) = GatewayWorkerServer::new(&settings, gateway, other_nodes, 3000).ok_or("the gateway has a subscriber already")?;
//! let (_is_open, open) = watch::channel(true);
//! server.serve(events, listeners, open, CancellationToken::new()).await?;
//! # Ok(())
//! # }
//! ```

mod acceptor;
mod commands;
mod inner;
mod metrics;
mod protocol;
mod register;
mod secret_key;
mod shutdown;
mod strangers;
mod workers;

use crate::server::config::{GatewaySettings, Switch};
use crate::server::gateway::{EventReceiver, Gateway};
use acceptor::{AcceptPermit, Port, PortAcceptor};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use inner::connection::{InnerContext, serve_connection};
use inner::pipeline::Budgets;
use inner::read_scheduler::{ReadTicket, ReadyQueue};
use metrics::Metrics;
use register::server::Register;
use secret_key::SecretKey;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use strangers::Strangers;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::unconstrained;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workers::router::{NodeInfo, Workers};

/// Memory for large packets of all connections, and for the frames built from them, in KiB.
const LARGE_PACKET_BUDGET_KIB: usize = 512 * 1024;
/// List queries that run at the same time, of all connections.
const CONCURRENT_LISTS: usize = 4;
/// Connections that are accepted before the open connections are polled again.
const ACCEPT_BATCH: usize = 64;
/// A peer that vanished without closing is detected after 90 s.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(3);

/// The two listeners that PHP connects to, in non-blocking mode.
pub struct Listeners {
    /// Accepts commands, at the address in every client id.
    pub inner: std::net::TcpListener,
    /// Accepts requests for the addresses of the gateways.
    pub register: std::net::TcpListener,
}

/// The server before it listens; [`GatewayWorkerServer::serve`] runs it.
pub struct GatewayWorkerServer {
    inner: Arc<InnerContext>,
    register: Register,
    max_connections: usize,
}

impl GatewayWorkerServer {
    /// Creates the server, and the receiver of the gateway's events, which it forwards to workers. `other_nodes` are the inner
    /// addresses of the cluster's other nodes; `gateway_port` is the port that browsers connect to. Returns `None` if the gateway
    /// has a subscriber already.
    pub fn new(
        settings: &GatewaySettings,
        gateway: Gateway,
        other_nodes: watch::Receiver<Vec<SocketAddrV4>>,
        gateway_port: u16,
    ) -> Option<(Self, EventReceiver)> {
        let lan_addr = settings.lan_addr;
        let events = gateway.take_events()?;
        let secret_key = SecretKey::new(&settings.secret_key);
        // As GatewayWorker does it: connections within one machine need no pings.
        let ping_every = (*lan_addr.ip() != Ipv4Addr::LOCALHOST).then_some(Duration::from_millis(settings.ping_every_ms));
        let node = NodeInfo { lan_addr, gateway_port, expects_workers: settings.workers == Switch::On };
        let inner = InnerContext {
            workers: Workers::new(gateway.clone(), events.subscription(), node),
            gateway,
            lan_addr,
            secret_key: secret_key.clone(),
            metrics: Metrics::default(),
            large_packet_budget: Arc::new(Semaphore::new(LARGE_PACKET_BUDGET_KIB)),
            budgets: Budgets::new(CONCURRENT_LISTS),
            strangers: Strangers::new(settings.max_inner_connections),
            ping_every,
        };
        let max_connections = settings.max_inner_connections;
        ::metrics::gauge!("roomcast_php_connections_max").set(max_connections as f64);
        let register = Register::new(lan_addr, other_nodes, secret_key, max_connections);
        Some((Self { inner: Arc::new(inner), register, max_connections }, events))
    }

    /// Serves both ports until `closed` is cancelled. While `open` is false, another process may be serving: open connections are
    /// drained and closed, new ones wait in the accept backlog. Returns an error if a listener cannot be used.
    pub async fn serve(
        self,
        mut events: EventReceiver,
        listeners: Listeners,
        open: watch::Receiver<bool>,
        closed: CancellationToken,
    ) -> io::Result<()> {
        // Accepted connections inherit the option.
        for listener in [&listeners.inner, &listeners.register] {
            SockRef::from(listener).set_tcp_keepalive(&KEEPALIVE)?;
        }
        let inner = TcpListener::from_std(listeners.inner)?;
        let register = TcpListener::from_std(listeners.register)?;
        let (subscription, drained) = (events.subscription(), CancellationToken::new());
        tokio::select! {
            // Runs until one of the other branches completes.
            () = self.inner.workers.forward(&mut events, open.clone()) => {}
            () = self.serve_both(&inner, &register, open, &drained) => {}
            () = async {
                self.register.announce_nodes().await;
                std::future::pending().await
            } => {}
            // Workers receive the disconnect event of every drained client before their connections close.
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
        drained: &CancellationToken,
    ) {
        while !drained.is_cancelled() {
            let stop = drained.child_token();
            let served = async { tokio::join!(self.serve_inner(inner, &stop), self.serve_register(register, &stop)) };
            let stop_when_paused = async {
                until(&mut open, false, drained).await;
                stop.cancel();
            };
            tokio::join!(served, stop_when_paused);
            until(&mut open, true, drained).await;
        }
    }

    /// Serves the inner port in one task, so that packets are dispatched in the order in which they arrive, also across
    /// connections. GatewayClient opens a connection for each call, and expects `joinGroup` to be done before the
    /// `sendToGroup` behind it. Connections are `unconstrained`: tokio's cooperative yield would reverse their order.
    async fn serve_inner(&self, listener: &TcpListener, stop: &CancellationToken) {
        let (mut connections, queue) = (FuturesUnordered::new(), ReadyQueue::default());
        let mut acceptor = PortAcceptor::new(Port::Inner, self.max_connections);
        while !stop.is_cancelled() || !connections.is_empty() {
            tokio::select! {
                accepted = acceptor.accept(listener), if !stop.is_cancelled() => {
                    // Accept those in the backlog, too: their packets arrived before the packets that are read from now on.
                    let waiting = std::iter::from_fn(|| acceptor.accept(listener).now_or_never());
                    for accepted in std::iter::once(accepted).chain(waiting.take(ACCEPT_BATCH)) {
                        connections.push(self.serve_inner_connection(accepted, &queue, stop));
                    }
                }
                _ = connections.next(), if !connections.is_empty() => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                // No branch is enabled: `stop` was cancelled after the loop condition was checked.
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
        let stranger = self.inner.admit(peer);
        let served = unconstrained(serve_connection(self.inner.clone(), stream, peer, stranger, ticket, stop.clone()));
        async move {
            // All connections share a task; a panic of one must not end the others.
            if AssertUnwindSafe(served).catch_unwind().await.is_err() {
                tracing::error!(%peer, "inner connection closed: panic");
            }
            drop(permit);
        }
    }

    async fn serve_register(&self, listener: &TcpListener, stop: &CancellationToken) {
        let connections = TaskTracker::new();
        let mut acceptor = PortAcceptor::new(Port::Register, self.max_connections);
        loop {
            let (stream, peer, permit) = tokio::select! {
                accepted = acceptor.accept(listener) => accepted,
                () = stop.cancelled() => break,
            };
            let served = self.register.clone().serve_connection(stream, peer, self.register.admit(peer), stop.clone());
            connections.spawn(async move {
                served.await;
                drop(permit);
            });
        }
        connections.close();
        connections.wait().await;
    }
}

/// Waits until `open` is `wanted`, or `closed` is cancelled.
async fn until(open: &mut watch::Receiver<bool>, wanted: bool, closed: &CancellationToken) {
    tokio::select! {
        Ok(_) = open.wait_for(|open| *open == wanted) => {}
        () = closed.cancelled() => {}
    }
}
