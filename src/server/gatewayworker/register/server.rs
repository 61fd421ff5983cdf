//! The Register service: gateways register their address, workers and GatewayClient receive the addresses of all gateways
//! (protocol.md, 2). A request is one line of JSON. A worker receives one line of JSON at once, and one at each change.

use super::request::RegisterRequest;
use crate::server::gatewayworker::metrics;
use crate::server::gatewayworker::protocol::packet::MAX_PACKET_BYTES;
use crate::server::gatewayworker::secret_key::SecretKey;
use crate::server::gatewayworker::shutdown::{DRAIN_TIMEOUT, ShutdownGrace};
use crate::server::gatewayworker::strangers::{Stranger, Strangers, displaced};
use bytes::BytesMut;
use indexmap::{IndexMap, IndexSet};
use serde_json::json;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A connection without a line within this is closed.
const FIRST_LINE_TIMEOUT: Duration = Duration::from_secs(10);
/// Address lists that a worker has not read, beyond which it is disconnected.
const MAX_UNREAD_UPDATES: usize = 1024;
/// A connection that does not accept a reply within this is closed.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a malformed line that are echoed in the error reply.
const ECHO_BYTES: usize = 1024;
/// Bytes of a line of an unauthenticated peer.
const UNAUTHENTICATED_LINE_BYTES: usize = 4096;
/// Unauthenticated peers that keep a connection open with `ping`.
const MAX_UNAUTHENTICATED_PINGS: usize = 100;
/// Bytes of unfinished lines, of all connections together.
const MAX_UNFINISHED_BYTES: usize = 32 * 1024 * 1024;
/// Bytes read at once.
const READ_BYTES: usize = 4 * 1024;

/// The service. Clones share the registrations.
#[derive(Clone)]
pub(crate) struct Register(Arc<Shared>);

struct Shared {
    lan_addr: SocketAddrV4,
    /// The other nodes of the cluster.
    nodes: watch::Receiver<Vec<SocketAddrV4>>,
    secret_key: SecretKey,
    registrations: Mutex<Registrations>,
    unfinished_bytes: AtomicUsize,
    /// Permits for unauthenticated peers that send `ping`: GatewayWorker keeps such connections open.
    unauthenticated_pings: Arc<Semaphore>,
    /// The peers that have not presented the key.
    strangers: Strangers,
}

/// Gateways and workers by connection.
#[derive(Default)]
struct Registrations {
    next_number: u64,
    /// The addresses of other gateways; several connections may register the same address.
    gateways: IndexMap<u64, String>,
    /// The workers that receive changes.
    workers: IndexMap<u64, mpsc::Sender<Arc<str>>>,
}

impl Register {
    /// A service whose list holds this node's `lan_addr` and the other `nodes`, for at most `max_connections` connections.
    pub(crate) fn new(
        lan_addr: SocketAddrV4,
        nodes: watch::Receiver<Vec<SocketAddrV4>>,
        secret_key: SecretKey,
        max_connections: usize,
    ) -> Self {
        Self(Arc::new(Shared {
            lan_addr,
            nodes,
            secret_key,
            registrations: Mutex::default(),
            unfinished_bytes: AtomicUsize::new(0),
            unauthenticated_pings: Arc::new(Semaphore::new(MAX_UNAUTHENTICATED_PINGS)),
            strangers: Strangers::new(max_connections),
        }))
    }

    /// Sends the list to all workers whenever the nodes of the cluster change. Returns when they change no more.
    pub(crate) async fn announce_nodes(&self) {
        let mut nodes = self.0.nodes.clone();
        while nodes.changed().await.is_ok() {
            self.broadcast(&mut self.registrations());
        }
    }

    /// Gives an accepted peer a place among those without the key; `None` without a key. Called in the order of accepting.
    pub(crate) fn admit(&self, peer: SocketAddr) -> Option<Stranger> {
        (!self.0.secret_key.is_empty()).then(|| self.0.strangers.admit(peer.ip()))
    }

    /// Serves a connection until the peer or a limit closes it, or `stop` is cancelled.
    pub(crate) async fn serve_connection(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        stranger: Option<Stranger>,
        stop: CancellationToken,
    ) {
        match RegisterConn::new(&self, peer.ip(), stranger).run(stream, &stop).await {
            Ok(None) => {}
            Ok(Some(reason)) => metrics::connection_rejected(reason),
            Err(error) => tracing::debug!(%error, %peer, "connection to Register closed"),
        }
    }

    /// The line with this node's address, and the address of each other node and gateway once.
    fn list(&self, registrations: &Registrations) -> Arc<str> {
        let nodes: Vec<_> = [self.0.lan_addr].iter().chain(&*self.0.nodes.borrow()).map(ToString::to_string).collect();
        let addresses: IndexSet<_> = nodes.iter().chain(registrations.gateways.values()).collect();
        let addresses: Vec<_> = addresses.into_iter().collect();
        // Formatted here to keep the order of GatewayWorker's keys.
        format!("{{\"event\":\"broadcast_addresses\",\"addresses\":{}}}\n", json!(addresses)).into()
    }

    /// Sends the list to all workers after a gateway connected or disconnected, even if the list is unchanged.
    fn broadcast(&self, registrations: &mut Registrations) {
        let list = self.list(registrations);
        // A worker that does not read loses its sender, and its connection closes.
        registrations.workers.retain(|_, worker| worker.try_send(list.clone()).is_ok());
    }

    fn registrations(&self) -> MutexGuard<'_, Registrations> {
        self.0.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection to Register.
struct RegisterConn<'a> {
    register: &'a Register,
    address: IpAddr,
    number: u64,
    in_buf: BytesMut,
    /// The first byte of `in_buf` that was not searched for a line end.
    scan_from: usize,
    is_authenticated: bool,
    /// The peer's place until it presents the key; `None` afterwards, or without a key.
    stranger: Option<Stranger>,
    /// Held by an unauthenticated peer that sent `ping`.
    ping_permit: Option<OwnedSemaphorePermit>,
    /// Bytes of `in_buf` that are counted in `unfinished_bytes`.
    counted_bytes: usize,
    /// Address lists to send, if the peer is a worker.
    updates: Option<mpsc::Receiver<Arc<str>>>,
    out_buf: Vec<u8>,
}

impl<'a> RegisterConn<'a> {
    fn new(register: &'a Register, address: IpAddr, stranger: Option<Stranger>) -> Self {
        let mut registrations = register.registrations();
        let number = registrations.next_number;
        registrations.next_number += 1;
        drop(registrations);
        Self {
            register,
            address,
            number,
            in_buf: BytesMut::new(),
            scan_from: 0,
            is_authenticated: register.0.secret_key.is_empty(),
            stranger,
            ping_permit: None,
            counted_bytes: 0,
            updates: None,
            out_buf: Vec::new(),
        }
    }

    /// Serves the connection. Returns the reason if a limit closes it.
    async fn run(mut self, mut stream: TcpStream, stop: &CancellationToken) -> io::Result<Option<&'static str>> {
        let (mut reads, mut writes) = stream.split();
        let (mut has_sent, first_line_by) = (false, Instant::now() + FIRST_LINE_TIMEOUT);
        let mut grace = ShutdownGrace::default();
        loop {
            self.in_buf.reserve(READ_BYTES);
            let ended = tokio::select! {
                read = reads.read_buf(&mut self.in_buf) => read? == 0,
                list = next_update(&mut self.updates) => {
                    match list {
                        Some(list) => self.out_buf.extend_from_slice(list.as_bytes()),
                        None => return Ok(Some("register_unread_lists")),
                    }
                    false
                }
                () = tokio::time::sleep_until(first_line_by), if !has_sent => return Ok(Some("register_timeout")),
                () = displaced(self.stranger.as_ref()) => return Ok(Some("without_key")),
                () = grace.over(stop, has_sent) => return Ok(None),
            };
            let stays_open = self.take_lines(&mut has_sent) && !ended;
            if !self.out_buf.is_empty() {
                tokio::select! {
                    written = tokio::time::timeout(WRITE_TIMEOUT, writes.write_all(&self.out_buf)) => {
                        written.map_err(|_| io::ErrorKind::TimedOut)??;
                    }
                    () = async {
                        stop.cancelled().await;
                        tokio::time::sleep(DRAIN_TIMEOUT).await;
                    } => return Ok(None),
                }
                self.out_buf = Vec::new();
            }
            if !stays_open {
                return Ok(None);
            }
            if !self.is_within_limits() {
                return Ok(Some("register_line_too_long"));
            }
        }
    }

    /// Handles the complete lines. Returns false if the connection must close.
    fn take_lines(&mut self, has_sent: &mut bool) -> bool {
        while let Some(end) = self.in_buf[self.scan_from..].iter().position(|byte| *byte == b'\n') {
            let line = self.in_buf.split_to(self.scan_from + end + 1);
            self.scan_from = 0;
            let length = line.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
            *has_sent = true;
            if !self.handle_line(&line[..length]) {
                return false;
            }
        }
        self.scan_from = self.in_buf.len();
        true
    }

    /// Handles one request. Returns false if the connection must close.
    fn handle_line(&mut self, line: &[u8]) -> bool {
        match RegisterRequest::read(line, |key| self.register.0.secret_key.matches(key)) {
            RegisterRequest::Gateway { address } => {
                tracing::info!(address, "another gateway registered");
                let mut registrations = self.register.registrations();
                (self.is_authenticated, self.stranger, self.ping_permit) = (true, None, None);
                registrations.workers.shift_remove(&self.number);
                registrations.gateways.insert(self.number, address);
                self.updates = None;
                self.register.broadcast(&mut registrations);
            }
            RegisterRequest::Worker => {
                let mut registrations = self.register.registrations();
                (self.is_authenticated, self.stranger, self.ping_permit) = (true, None, None);
                let (sender, updates) = mpsc::channel(MAX_UNREAD_UPDATES);
                self.out_buf.extend_from_slice(self.register.list(&registrations).as_bytes());
                registrations.workers.insert(self.number, sender);
                self.updates = Some(updates);
            }
            RegisterRequest::Ping if self.is_authenticated || self.ping_permit.is_some() => {}
            RegisterRequest::Ping => {
                self.ping_permit = self.register.0.unauthenticated_pings.clone().try_acquire_owned().ok();
                if self.ping_permit.is_none() {
                    metrics::connection_rejected("unauthenticated_pings");
                    return false;
                }
            }
            RegisterRequest::Rejected => {
                metrics::connection_rejected("register_request_rejected");
                if metrics::within_log_rate_limit() {
                    tracing::warn!(peer = %self.address, "Register request rejected: gateway.secret_key differs, or the event is unknown");
                }
                return false;
            }
            RegisterRequest::Malformed => {
                metrics::connection_rejected("register_request_rejected");
                let echo = String::from_utf8_lossy(&line[..line.len().min(ECHO_BYTES)]);
                // GatewayWorker's own text, which programs may search for.
                let text = format!(
                    "Bad request for Register service. Request info(IP:{}, Request Buffer:{echo}). See \
                     http://doc2.workerman.net/register-auth-timeout.html\n",
                    self.address,
                );
                self.out_buf.extend_from_slice(text.as_bytes());
                return false;
            }
        }
        true
    }

    /// Counts the unfinished line, and returns true if it is within its limits.
    fn is_within_limits(&mut self) -> bool {
        let all = &self.register.0.unfinished_bytes;
        let now = self.in_buf.len();
        let before = std::mem::replace(&mut self.counted_bytes, now);
        all.fetch_sub(before, Ordering::Relaxed);
        all.fetch_add(now, Ordering::Relaxed) + now <= MAX_UNFINISHED_BYTES
            && now <= if self.is_authenticated { MAX_PACKET_BYTES } else { UNAUTHENTICATED_LINE_BYTES }
    }
}

impl Drop for RegisterConn<'_> {
    fn drop(&mut self) {
        self.register.0.unfinished_bytes.fetch_sub(self.counted_bytes, Ordering::Relaxed);
        let mut registrations = self.register.registrations();
        registrations.workers.shift_remove(&self.number);
        if registrations.gateways.shift_remove(&self.number).is_some() {
            self.register.broadcast(&mut registrations);
        }
    }
}

/// Waits for the next address list; forever, if the peer is not a worker.
async fn next_update(lists: &mut Option<mpsc::Receiver<Arc<str>>>) -> Option<Arc<str>> {
    match lists {
        Some(lists) => lists.recv().await,
        None => std::future::pending().await,
    }
}
