//! GatewayWorker's Register: gateways say where they are, workers and GatewayClient are told where all are (protocol.md, 2). A
//! line of JSON in; a line of JSON to those who asked, now and whenever the list changes.

use super::request::Request;
use crate::server::gatewayworker::metrics;
use crate::server::gatewayworker::protocol::packet::MAX_PACKET;
use crate::server::gatewayworker::secret_key::Secret;
use crate::server::gatewayworker::shutdown::{FINISHED_WITHIN, stopped};
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
const SAID_WITHIN: Duration = Duration::from_secs(10);
/// Lists a worker may leave unread before it is given up.
const UNREAD_LISTS: usize = 1024;
/// A list that is not taken within this ends the connection.
const WRITTEN_WITHIN: Duration = Duration::from_secs(30);
/// Of a line that is no request, this much is said back.
const ECHO_BYTES: usize = 1024;
/// Who has not shown the key may say a line of so many bytes, and so many of them may stay by saying `ping`.
const STRANGER_LINE_BYTES: usize = 4096;
const MAX_STRANGERS: usize = 100;
/// Bytes of unfinished lines that all connections may hold together.
const UNFINISHED_BYTES: usize = 32 * 1024 * 1024;
const READ_BYTES: usize = 4 * 1024;

#[derive(Clone)]
pub struct Register(Arc<Shared>);

struct Shared {
    here: SocketAddrV4,
    secret: Secret,
    known: Mutex<Known>,
    unfinished_bytes: AtomicUsize,
    /// For who pings and does not show the key: the original lets them stay.
    unknown: Arc<Semaphore>,
}

/// By connection.
#[derive(Default)]
struct Known {
    next: u64,
    /// Other gateways; one may say its address twice.
    gateways: IndexMap<u64, String>,
    /// Whoever is told of changes.
    workers: IndexMap<u64, mpsc::Sender<Arc<str>>>,
}

impl Register {
    pub fn new(here: SocketAddrV4, secret: Secret) -> Self {
        Self(Arc::new(Shared {
            here,
            secret,
            known: Mutex::default(),
            unfinished_bytes: AtomicUsize::new(0),
            unknown: Arc::new(Semaphore::new(MAX_STRANGERS)),
        }))
    }

    pub async fn attend(self, stream: TcpStream, peer: SocketAddr, stop: CancellationToken) {
        match Guest::new(&self, peer.ip()).converse(stream, &stop).await {
            Ok(None) => {}
            Ok(Some(bound)) => metrics::refused(bound),
            Err(error) => tracing::debug!(%error, %peer, "a connection to Register"),
        }
    }

    /// This node's address, and every other gateway's once.
    fn list(&self, known: &Known) -> Arc<str> {
        let here = self.0.here.to_string();
        let addresses: IndexSet<_> = [&here].into_iter().chain(known.gateways.values()).collect();
        let addresses: Vec<_> = addresses.into_iter().collect();
        // By hand, for the order of the original.
        format!("{{\"event\":\"broadcast_addresses\",\"addresses\":{}}}\n", json!(addresses)).into()
    }

    /// Also where the list is what it was: a gateway came or went.
    fn announce(&self, known: &mut Known) {
        let list = self.list(known);
        // One that reads nothing is given up: its connection ends with its sender.
        known.workers.retain(|_, worker| worker.try_send(list.clone()).is_ok());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection.
struct Guest<'a> {
    register: &'a Register,
    address: IpAddr,
    number: u64,
    arrived: BytesMut,
    /// How far it was looked for the end of a line.
    looked: usize,
    has_key: bool,
    unknown: Option<OwnedSemaphorePermit>,
    /// Of `arrived`, what is counted among all.
    counted: usize,
    told: Option<mpsc::Receiver<Arc<str>>>,
    to_say: Vec<u8>,
}

impl<'a> Guest<'a> {
    fn new(register: &'a Register, address: IpAddr) -> Self {
        let mut known = register.known();
        let number = known.next;
        known.next += 1;
        drop(known);
        Self {
            register,
            address,
            number,
            arrived: BytesMut::new(),
            looked: 0,
            has_key: register.0.secret.is_empty(),
            unknown: None,
            counted: 0,
            told: None,
            to_say: Vec::new(),
        }
    }

    /// Until it ends: `Some` tells the bound that ended it.
    async fn converse(mut self, mut stream: TcpStream, stop: &CancellationToken) -> io::Result<Option<&'static str>> {
        let (mut reads, mut writes) = stream.split();
        let (mut said, said_by) = (false, Instant::now() + SAID_WITHIN);
        loop {
            self.arrived.reserve(READ_BYTES);
            let ended = tokio::select! {
                read = reads.read_buf(&mut self.arrived) => read? == 0,
                list = told(&mut self.told) => {
                    match list {
                        Some(list) => self.to_say.extend_from_slice(list.as_bytes()),
                        None => return Ok(Some("unread_lists")),
                    }
                    false
                }
                () = tokio::time::sleep_until(said_by), if !said => return Ok(Some("silent")),
                () = stopped(stop, said) => return Ok(None),
            };
            let goes_on = self.take_lines(&mut said) && !ended;
            if !self.to_say.is_empty() {
                tokio::select! {
                    written = tokio::time::timeout(WRITTEN_WITHIN, writes.write_all(&self.to_say)) => {
                        written.map_err(|_| io::ErrorKind::TimedOut)??;
                    }
                    () = async {
                        stop.cancelled().await;
                        tokio::time::sleep(FINISHED_WITHIN).await;
                    } => return Ok(None),
                }
                self.to_say = Vec::new();
            }
            if !goes_on {
                return Ok(None);
            }
            if !self.is_bounded() {
                return Ok(Some("line_bytes"));
            }
        }
    }

    /// Whether it may go on.
    fn take_lines(&mut self, said: &mut bool) -> bool {
        while let Some(end) = self.arrived[self.looked..].iter().position(|byte| *byte == b'\n') {
            let line = self.arrived.split_to(self.looked + end + 1);
            self.looked = 0;
            let length = line.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
            *said = true;
            if !self.answer(&line[..length]) {
                return false;
            }
        }
        self.looked = self.arrived.len();
        true
    }

    fn answer(&mut self, line: &[u8]) -> bool {
        match Request::read(line, |key| self.register.0.secret.is(key)) {
            Request::Gateway { address } => {
                tracing::info!(address, "another gateway came to Register");
                let mut known = self.register.known();
                (self.has_key, self.unknown) = (true, None);
                known.workers.shift_remove(&self.number);
                known.gateways.insert(self.number, address);
                self.told = None;
                self.register.announce(&mut known);
            }
            Request::Worker => {
                let mut known = self.register.known();
                (self.has_key, self.unknown) = (true, None);
                let (to, from) = mpsc::channel(UNREAD_LISTS);
                self.to_say.extend_from_slice(self.register.list(&known).as_bytes());
                known.workers.insert(self.number, to);
                self.told = Some(from);
            }
            Request::Ping if self.has_key || self.unknown.is_some() => {}
            Request::Ping => {
                self.unknown = self.register.0.unknown.clone().try_acquire_owned().ok();
                if self.unknown.is_none() {
                    metrics::refused("strangers");
                    return false;
                }
            }
            Request::Refused => {
                metrics::refused("register");
                if metrics::may_say() {
                    tracing::warn!(peer = %self.address, "Register refused a line: another secret key, or a request it does not know");
                }
                return false;
            }
            Request::Nonsense => {
                metrics::refused("register");
                let echo = String::from_utf8_lossy(&line[..line.len().min(ECHO_BYTES)]);
                // The original's own words, which programs may look for.
                let words = format!(
                    "Bad request for Register service. Request info(IP:{}, Request Buffer:{echo}). See \
                     http://doc2.workerman.net/register-auth-timeout.html\n",
                    self.address,
                );
                self.to_say.extend_from_slice(words.as_bytes());
                return false;
            }
        }
        true
    }

    /// Is the unfinished line within its bounds?
    fn is_bounded(&mut self) -> bool {
        let all = &self.register.0.unfinished_bytes;
        let (before, now) = (std::mem::replace(&mut self.counted, self.arrived.len()), self.arrived.len());
        all.fetch_sub(before, Ordering::Relaxed);
        all.fetch_add(now, Ordering::Relaxed) + now <= UNFINISHED_BYTES
            && now <= if self.has_key { MAX_PACKET } else { STRANGER_LINE_BYTES }
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.register.0.unfinished_bytes.fetch_sub(self.counted, Ordering::Relaxed);
        let mut known = self.register.known();
        known.workers.shift_remove(&self.number);
        if known.gateways.shift_remove(&self.number).is_some() {
            self.register.announce(&mut known);
        }
    }
}

/// Never, for who did not ask.
async fn told(lists: &mut Option<mpsc::Receiver<Arc<str>>>) -> Option<Arc<str>> {
    match lists {
        Some(lists) => lists.recv().await,
        None => std::future::pending().await,
    }
}
