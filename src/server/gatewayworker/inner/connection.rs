//! One connection to the inner port: its packets carried out in their order, its replies in the same order, and nothing else
//! said on it, unless it is a worker's.

use super::decoder::{MemoryPermit, PacketDecoder, Received};
use super::pipeline::{self, Completed, Pipeline};
use super::read_scheduler::ReadTicket;
use crate::server::gateway::Gateway;
use crate::server::gatewayworker::commands::args::read_object;
use crate::server::gatewayworker::commands::outcome::Outcome;
use crate::server::gatewayworker::metrics::{self, Metrics};
use crate::server::gatewayworker::protocol::opcode::{GATEWAY_CLIENT_CONNECT, PING, WORKER_CONNECT};
use crate::server::gatewayworker::protocol::packet::{self, Packet};
use crate::server::gatewayworker::secret_key::SecretKey;
use crate::server::gatewayworker::shutdown::{CloseReason, Closing, shutdown_deadline};
use crate::server::gatewayworker::workers::router::{Worker, Workers};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use serde::Deserialize;
use socket2::SockRef;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Events are taken up for a worker while no more than this waits to be written to it.
const UNWRITTEN_EVENT_BYTES: usize = 64 * 1024;
/// Replies that wait for a reader who does not take them: then nothing more is carried out for it.
const UNREAD_REPLY_BYTES: usize = 4 * 1024 * 1024;
/// Whoever has not shown the key by then goes: PHP says it with its first bytes.
const AUTH_TIMEOUT: Duration = Duration::from_secs(3);
/// The rest of a large packet has this long: others may be waiting for its room.
const LARGE_PACKET_TIMEOUT: Duration = Duration::from_secs(15);
/// What is read of one connection before others that have said something are.
const READ_SHARE_BYTES: usize = 256 * 1024;
/// What was sent and is not taken for this long ends a connection.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);

/// What all connections to the inner port share.
pub struct InnerContext {
    pub gateway: Gateway,
    pub lan_addr: SocketAddrV4,
    pub secret_key: SecretKey,
    pub workers: Workers,
    pub metrics: Metrics,
    /// For large packets, in KiB.
    pub large_packet_budget: Arc<Semaphore>,
    /// For lists, of which a few are made at once.
    pub lists: Arc<Semaphore>,
    /// How often workers are pinged; `None`: never.
    pub ping_every: Option<Duration>,
}

/// 200's and 202's JSON.
#[derive(Deserialize)]
struct Credentials {
    secret_key: String,
    #[serde(default)]
    worker_key: String,
}

struct Connection {
    inner: Arc<InnerContext>,
    peer: SocketAddr,
    is_authenticated: bool,
    worker: Option<Worker>,
    decoder: PacketDecoder,
    pipeline: Pipeline,
    /// Replies, and a worker's events.
    send_buf: BytesMut,
    /// It takes no more: what would be written is dropped, what it asked for is done.
    write_closed: bool,
    /// A reply is missing: those behind it would be taken for it.
    replies_aborted: bool,
    logged_bad_packet: bool,
}

/// Until the peer is done, or `stop`, after which what was read is still carried out.
pub async fn serve_connection(
    inner: Arc<InnerContext>,
    stream: TcpStream,
    peer: SocketAddr,
    ticket: ReadTicket,
    stop: CancellationToken,
) {
    let connection = Connection {
        inner: inner.clone(),
        peer,
        is_authenticated: inner.secret_key.is_empty(),
        worker: None,
        decoder: PacketDecoder::new(inner.large_packet_budget.clone()),
        pipeline: Pipeline::default(),
        send_buf: BytesMut::new(),
        write_closed: false,
        replies_aborted: false,
        logged_bad_packet: false,
    };
    let (reason, log) = match connection.serve(stream, ticket, stop).await {
        CloseReason::PeerClosed | CloseReason::Shutdown => return,
        CloseReason::Unauthorized => ("unauthorized", "the key is wrong, or was not shown"),
        CloseReason::PacketTooLong => ("packet_too_long", "a packet of more than 10 MiB"),
        CloseReason::LargePacketBudget => ("large_packet_budget", "too many large packets at once"),
        CloseReason::IncompletePacket => ("incomplete_packet", "the rest of a large packet did not come"),
        CloseReason::UnanswerableQuery => ("unanswerable_query", "a query that cannot be answered"),
        CloseReason::Replaced => return tracing::info!(%peer, "a worker's place was taken by another of its name"),
        CloseReason::Io(error) => return tracing::debug!(%error, %peer, "an inner connection"),
    };
    metrics::connection_rejected(reason);
    if metrics::within_log_rate_limit() {
        tracing::warn!(%peer, "an inner connection was closed: {log}");
    }
}

impl Connection {
    async fn serve(mut self, mut stream: TcpStream, ticket: ReadTicket, stop: CancellationToken) -> CloseReason {
        let (mut options_set, mut has_sent) = (false, false);
        let (mut reads, mut writes) = stream.split();
        let authenticated_by = Instant::now() + AUTH_TIMEOUT;
        let (mut large_packet_by, mut share_bytes, mut share_is_over) = (None, 0, false);
        let mut pings = pings(self.inner.ping_every);
        let mut closing: Option<Closing> = None;
        loop {
            loop {
                if let Err(end) = self.dispatch_buffered() {
                    self.decoder.clear();
                    closing = Some(Closing::new(end));
                }
                // Begun at once: what others say after it must not be done before. What is done already makes room for more.
                let Some(done) = self.pipeline.try_next_completed() else { break };
                closing = closing.or(self.queue_replies(Some(done)).err().map(Closing::new));
            }
            // However it ends: what came before is carried out, and answered.
            if let Some(closing) = closing.take_if(|closing| self.is_finished(&closing.reason)) {
                return closing.reason;
            }
            if !self.send_buf.is_empty() && !std::mem::replace(&mut options_set, true) {
                set_socket_options(reads.as_ref());
            }
            let (goes_on, has_room) = (closing.is_none(), self.send_buf.len() < UNWRITTEN_EVENT_BYTES);
            let can_dispatch = self.can_dispatch();
            let hears = goes_on || closing.as_ref().is_some_and(|closing| matches!(closing.reason, CloseReason::Shutdown));
            large_packet_by =
                self.decoder.has_large_packet().then(|| large_packet_by.unwrap_or_else(|| Instant::now() + LARGE_PACKET_TIMEOUT));
            // What was read is begun before anything that others say; but nobody waits for a list to be made, for something large, or
            // for replies to be taken.
            let is_behind = self.pipeline.is_at_command_limit() && self.decoder.len() > 0;
            if !is_behind && (share_is_over || !goes_on || !can_dispatch) {
                (share_bytes, share_is_over) = (0, false);
                ticket.leave();
            }
            if goes_on && can_dispatch {
                ticket.watch(reads.as_ref());
            }
            let end = tokio::select! {
                () = ticket.at_front(), if goes_on && can_dispatch && !share_is_over => {
                    has_sent = true;
                    let read = reads.read_buf(self.decoder.buffer()).now_or_never();
                    share_bytes += read.as_ref().and_then(|read| read.as_ref().ok()).copied().unwrap_or_default();
                    share_is_over = read.is_none() || !self.decoder.filled_buffer() || share_bytes >= READ_SHARE_BYTES;
                    match read {
                        Some(Ok(0)) => Some(CloseReason::PeerClosed),
                        Some(Ok(_)) | None => None,
                        Some(Err(error)) => Some(CloseReason::Io(error)),
                    }
                }
                done = self.pipeline.next_completed(), if !self.pipeline.is_empty() => self.queue_replies(done).err(),
                written = writes.write_buf(&mut self.send_buf), if !self.send_buf.is_empty() => written.err().map(|error| {
                    self.write_closed = true;
                    CloseReason::Io(error)
                }),
                event = next_event(&mut self.worker, has_room), if hears => match event {
                    Some(event) => {
                        self.send_buf.put_slice(&event);
                        None
                    }
                    None => {
                        self.worker = None;
                        Some(CloseReason::Replaced)
                    }
                },
                _ = pings.tick(), if goes_on && self.worker.is_some() && self.inner.ping_every.is_some() => {
                    self.ping();
                    None
                }
                () = tokio::time::sleep_until(authenticated_by), if goes_on && !self.is_authenticated => Some(CloseReason::Unauthorized),
                () = tokio::time::sleep_until(large_packet_by.unwrap_or(authenticated_by)), if goes_on && large_packet_by.is_some() => Some(CloseReason::IncompletePacket),
                () = shutdown_deadline(&stop, has_sent), if goes_on => {
                    // What it wrote before it could know.
                    while self.decoder.len() < pipeline::MAX_BYTES && matches!(reads.try_read_buf(self.decoder.buffer()), Ok(1..)) {}
                    Some(CloseReason::Shutdown)
                }
                Some(()) = finished(&closing, &stop) => return closing.map_or(CloseReason::Shutdown, |closing| closing.reason),
            };
            if self.write_closed {
                self.send_buf.clear();
            }
            if self.send_buf.is_empty() && self.send_buf.capacity() > UNWRITTEN_EVENT_BYTES {
                self.send_buf = BytesMut::new();
            }
            closing = closing.or(end.map(Closing::new));
        }
    }

    /// Nothing is left to do for it; the door's end is told of to a worker after all that happened before.
    fn is_finished(&self, end: &CloseReason) -> bool {
        let is_told = !matches!(end, CloseReason::Shutdown) || self.worker.as_ref().is_none_or(Worker::is_drained);
        is_told && self.pipeline.is_empty() && self.send_buf.is_empty()
    }

    fn dispatch_buffered(&mut self) -> Result<(), CloseReason> {
        while self.can_dispatch() {
            match self.decoder.decode(self.is_authenticated)? {
                Some(Received::Packet(packet, memory)) => self.dispatch(packet, memory)?,
                Some(Received::Malformed(what)) => self.reject_packet(0, what),
                None => break,
            }
        }
        Ok(())
    }

    fn can_dispatch(&self) -> bool {
        self.pipeline.can_start() && self.send_buf.len() < UNREAD_REPLY_BYTES
    }

    fn dispatch(&mut self, packet: Packet, memory: Option<MemoryPermit>) -> Result<(), CloseReason> {
        self.inner.metrics.command(packet.command);
        if matches!(packet.command, WORKER_CONNECT | GATEWAY_CLIENT_CONNECT) {
            return self.authenticate(&packet);
        }
        self.pipeline.start(self.inner.gateway.clone(), self.inner.lan_addr, &self.inner.lists, packet, memory);
        Ok(())
    }

    /// Who shows a key shows the right one, also where none is asked for. Nothing is answered.
    fn authenticate(&mut self, packet: &Packet) -> Result<(), CloseReason> {
        let shown: Credentials = read_object(&packet.body).map_err(|_| CloseReason::Unauthorized)?;
        if !self.inner.secret_key.matches(&shown.secret_key) {
            return Err(CloseReason::Unauthorized);
        }
        self.is_authenticated = true;
        if packet.command == WORKER_CONNECT {
            let name = format!("{}:{}", self.peer.ip(), shown.worker_key);
            tracing::info!(worker = name, "a worker came");
            // The one it may have been before ends first.
            self.worker = None;
            self.worker = Some(self.inner.workers.connect(name));
        }
        Ok(())
    }

    /// What became of the first of those under way, and of whichever are done behind it.
    fn queue_replies(&mut self, mut done: Option<Completed>) -> Result<(), CloseReason> {
        while let Some(Completed { command, outcome, .. }) = done {
            match outcome {
                Ok(Outcome::Reply(_)) if self.replies_aborted => {}
                Ok(Outcome::Reply(reply)) => {
                    self.send_buf.put_u32(u32::try_from(reply.len()).map_err(|_| CloseReason::UnanswerableQuery)?);
                    self.send_buf.put_slice(&reply);
                }
                Ok(Outcome::Done) => {}
                Ok(Outcome::ClientNotFound) => self.inner.metrics.client_not_found(),
                Err(odd) if odd.closes_connection(command) => {
                    self.replies_aborted = true;
                    return Err(CloseReason::UnanswerableQuery);
                }
                Err(odd) => self.reject_packet(command, &odd.to_string()),
            }
            done = self.pipeline.try_next_completed();
        }
        Ok(())
    }

    fn ping(&mut self) {
        let nowhere = SocketAddrV4::new([0; 4].into(), 0);
        let ping = packet::WorkerPacket {
            command: PING,
            local: nowhere,
            client: nowhere,
            connection: 0,
            flag: packet::PLAIN,
            gateway_port: 0,
            ext: b"",
            body: b"",
        };
        if self.send_buf.is_empty() {
            ping.write(&mut self.send_buf);
        }
    }

    /// Once a connection in the log, and once a second of all; each time in the figures.
    fn reject_packet(&mut self, command: u8, what: &str) {
        self.inner.metrics.packet_rejected();
        if !self.logged_bad_packet && metrics::within_log_rate_limit() {
            self.logged_bad_packet = true;
            tracing::warn!(peer = %self.peer, command, "an inner packet was passed closing: {what}; further ones are only counted");
        }
    }
}

/// For whoever is answered; most connections carry a command and end.
fn set_socket_options(stream: &TcpStream) {
    // An answer is small and waited for.
    let prepared = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_user_timeout(Some(TCP_USER_TIMEOUT)));
    if let Err(error) = prepared {
        tracing::debug!(%error, "an inner connection");
    }
}

/// The next event, where there is room for one; `None`: another worker of its name came. Never, where there is no worker.
async fn next_event(worker: &mut Option<Worker>, has_room: bool) -> Option<Bytes> {
    let Some(worker) = worker else { return std::future::pending().await };
    let replaced = worker.replaced();
    tokio::select! {
        biased;
        () = replaced.cancelled() => None,
        event = worker.next_event(), if has_room => Some(event),
    }
}

async fn finished(closing: &Option<Closing>, stop: &CancellationToken) -> Option<()> {
    closing.as_ref()?.drain_timeout(stop).await;
    Some(())
}

fn pings(every: Option<Duration>) -> Interval {
    let every = every.unwrap_or(Duration::from_secs(3600));
    let mut pings = tokio::time::interval_at(Instant::now() + every, every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}
