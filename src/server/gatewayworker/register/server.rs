//! GatewayWorker's Register: gateways say where they are, workers and GatewayClient are told where all are (protocol.md, 2). A
//! line of JSON in; a line of JSON to those who asked, now and whenever the list changes.

use super::request::Request;
use crate::server::gatewayworker::metrics;
use crate::server::gatewayworker::protocol::packet::MAX_PACKET_BYTES;
use crate::server::gatewayworker::secret_key::SecretKey;
use crate::server::gatewayworker::shutdown::{DRAIN_TIMEOUT, shutdown_deadline};
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Whoever has not said a line by then goes.
const FIRST_LINE_TIMEOUT: Duration = Duration::from_secs(10);
/// Lists a worker may leave unread before it is given up.
const MAX_UNREAD_UPDATES: usize = 1024;
/// A list that is not taken within this ends the connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Of a line that is no request, this much is said back.
const ECHO_BYTES: usize = 1024;
/// Who has not shown the key may say a line of so many bytes, and so many of them may stay by saying `ping`.
const UNAUTHENTICATED_LINE_BYTES: usize = 4096;
const MAX_UNAUTHENTICATED_PINGS: usize = 100;
/// Bytes of unfinished lines that all connections may hold together.
const MAX_UNFINISHED_BYTES: usize = 32 * 1024 * 1024;
const READ_BYTES: usize = 4 * 1024;

#[derive(Clone)]
pub struct Register(Arc<Shared>);

struct Shared {
    lan_addr: SocketAddrV4,
    secret_key: SecretKey,
    registrations: Mutex<Registrations>,
    unfinished_bytes: AtomicUsize,
    /// For who pings and does not show the key: the original lets them stay.
    unauthenticated_ping: Arc<Semaphore>,
}

/// By connection.
#[derive(Default)]
struct Registrations {
    next: u64,
    /// Other gateways; one may say its address twice.
    gateways: IndexMap<u64, String>,
    /// Whoever is told of changes.
    workers: IndexMap<u64, mpsc::Sender<Arc<str>>>,
}

impl Register {
    pub fn new(lan_addr: SocketAddrV4, secret_key: SecretKey) -> Self {
        Self(Arc::new(Shared {
            lan_addr,
            secret_key,
            registrations: Mutex::default(),
            unfinished_bytes: AtomicUsize::new(0),
            unauthenticated_ping: Arc::new(Semaphore::new(MAX_UNAUTHENTICATED_PINGS)),
        }))
    }

    pub async fn serve_connection(self, stream: TcpStream, peer: SocketAddr, stop: CancellationToken) {
        match RegisterConn::new(&self, peer.ip()).run(stream, &stop).await {
            Ok(None) => {}
            Ok(Some(bound)) => metrics::connection_rejected(bound),
            Err(error) => tracing::debug!(%error, %peer, "a connection to Register"),
        }
    }

    /// This node's address, and every other gateway's once.
    fn list(&self, registrations: &Registrations) -> Arc<str> {
        let lan_addr = self.0.lan_addr.to_string();
        let addresses: IndexSet<_> = [&lan_addr].into_iter().chain(registrations.gateways.values()).collect();
        let addresses: Vec<_> = addresses.into_iter().collect();
        // By hand, for the order of the original.
        format!("{{\"event\":\"broadcast_addresses\",\"addresses\":{}}}\n", json!(addresses)).into()
    }

    /// Also where the list is what it was: a gateway came or went.
    fn announce(&self, registrations: &mut Registrations) {
        let list = self.list(registrations);
        // One that reads nothing is given up: its connection ends with its sender.
        registrations.workers.retain(|_, worker| worker.try_send(list.clone()).is_ok());
    }

    fn registrations(&self) -> MutexGuard<'_, Registrations> {
        self.0.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection.
struct RegisterConn<'a> {
    register: &'a Register,
    address: IpAddr,
    number: u64,
    in_buf: BytesMut,
    /// How far it was looked for the end of a line.
    scan_from: usize,
    is_authenticated: bool,
    unauthenticated_ping: Option<OwnedSemaphorePermit>,
    /// Of `arrived`, what is counted among all.
    counted_bytes: usize,
    updates: Option<mpsc::Receiver<Arc<str>>>,
    out_buf: Vec<u8>,
}

impl<'a> RegisterConn<'a> {
    fn new(register: &'a Register, address: IpAddr) -> Self {
        let mut registrations = register.registrations();
        let number = registrations.next;
        registrations.next += 1;
        drop(registrations);
        Self {
            register,
            address,
            number,
            in_buf: BytesMut::new(),
            scan_from: 0,
            is_authenticated: register.0.secret_key.is_empty(),
            unauthenticated_ping: None,
            counted_bytes: 0,
            updates: None,
            out_buf: Vec::new(),
        }
    }

    /// Until it ends: `Some` tells the bound that ended it.
    async fn run(mut self, mut stream: TcpStream, stop: &CancellationToken) -> io::Result<Option<&'static str>> {
        let (mut reads, mut writes) = stream.split();
        let (mut has_sent, first_line_by) = (false, Instant::now() + FIRST_LINE_TIMEOUT);
        loop {
            self.in_buf.reserve(READ_BYTES);
            let ended = tokio::select! {
                read = reads.read_buf(&mut self.in_buf) => read? == 0,
                list = next_update(&mut self.updates) => {
                    match list {
                        Some(list) => self.out_buf.extend_from_slice(list.as_bytes()),
                        None => return Ok(Some("register_limit")),
                    }
                    false
                }
                () = tokio::time::sleep_until(first_line_by), if !has_sent => return Ok(Some("register_timeout")),
                () = shutdown_deadline(stop, has_sent) => return Ok(None),
            };
            let goes_on = self.take_lines(&mut has_sent) && !ended;
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
            if !goes_on {
                return Ok(None);
            }
            if !self.is_within_limits() {
                return Ok(Some("register_limit"));
            }
        }
    }

    /// Whether it may go on.
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

    fn handle_line(&mut self, line: &[u8]) -> bool {
        match Request::read(line, |key| self.register.0.secret_key.matches(key)) {
            Request::Gateway { address } => {
                tracing::info!(address, "another gateway came to Register");
                let mut registrations = self.register.registrations();
                (self.is_authenticated, self.unauthenticated_ping) = (true, None);
                registrations.workers.shift_remove(&self.number);
                registrations.gateways.insert(self.number, address);
                self.updates = None;
                self.register.announce(&mut registrations);
            }
            Request::Worker => {
                let mut registrations = self.register.registrations();
                (self.is_authenticated, self.unauthenticated_ping) = (true, None);
                let (to, from) = mpsc::channel(MAX_UNREAD_UPDATES);
                self.out_buf.extend_from_slice(self.register.list(&registrations).as_bytes());
                registrations.workers.insert(self.number, to);
                self.updates = Some(from);
            }
            Request::Ping if self.is_authenticated || self.unauthenticated_ping.is_some() => {}
            Request::Ping => {
                self.unauthenticated_ping = self.register.0.unauthenticated_ping.clone().try_acquire_owned().ok();
                if self.unauthenticated_ping.is_none() {
                    metrics::connection_rejected("unauthenticated_pings");
                    return false;
                }
            }
            Request::Rejected => {
                metrics::connection_rejected("register_request_rejected");
                if metrics::within_log_rate_limit() {
                    tracing::warn!(peer = %self.address, "Register refused a line: another secret key, or a request it does not know");
                }
                return false;
            }
            Request::Malformed => {
                metrics::connection_rejected("register_request_rejected");
                let echo = String::from_utf8_lossy(&line[..line.len().min(ECHO_BYTES)]);
                // The original's own words, which programs may look for.
                let words = format!(
                    "Bad request for Register service. Request info(IP:{}, Request Buffer:{echo}). See \
                     http://doc2.workerman.net/register-auth-timeout.html\n",
                    self.address,
                );
                self.out_buf.extend_from_slice(words.as_bytes());
                return false;
            }
        }
        true
    }

    /// Is the unfinished line within its bounds?
    fn is_within_limits(&mut self) -> bool {
        let all = &self.register.0.unfinished_bytes;
        let (before, now) = (std::mem::replace(&mut self.counted_bytes, self.in_buf.len()), self.in_buf.len());
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
            self.register.announce(&mut registrations);
        }
    }
}

/// Never, for who did not ask.
async fn next_update(lists: &mut Option<mpsc::Receiver<Arc<str>>>) -> Option<Arc<str>> {
    match lists {
        Some(lists) => lists.recv().await,
        None => std::future::pending().await,
    }
}
