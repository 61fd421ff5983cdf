//! One connection to the inner port: its packets carried out in their order, its replies in the same order, and nothing else
//! said on it, unless it is a worker's.

use super::decoder::{Arrived, Arriving, Share};
use super::pipeline::{self, Done, Pipeline};
use super::read_scheduler::Turn;
use crate::server::gateway::Gateway;
use crate::server::gatewayworker::commands::args::read_object;
use crate::server::gatewayworker::commands::outcome::Outcome;
use crate::server::gatewayworker::metrics::{self, Figures};
use crate::server::gatewayworker::protocol::opcode::{GATEWAY_CLIENT_CONNECT, PING, WORKER_CONNECT};
use crate::server::gatewayworker::protocol::packet::{self, Packet};
use crate::server::gatewayworker::secret_key::Secret;
use crate::server::gatewayworker::shutdown::{End, Ending, stopped};
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
const SHOWN_WITHIN: Duration = Duration::from_secs(3);
/// The rest of a large packet has this long: others may be waiting for its room.
const WHOLE_WITHIN: Duration = Duration::from_secs(15);
/// What is read of one connection before others that have said something are.
const TURN_BYTES: usize = 256 * 1024;
/// What was sent and is not taken for this long ends a connection.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// What all connections to the inner port share.
pub struct Inner {
    pub gateway: Gateway,
    pub here: SocketAddrV4,
    pub secret: Secret,
    pub workers: Workers,
    pub figures: Figures,
    /// For large packets, in KiB.
    pub large: Arc<Semaphore>,
    /// For lists, of which a few are made at once.
    pub lists: Arc<Semaphore>,
    /// How often workers are pinged; `None`: never.
    pub ping_every: Option<Duration>,
}

/// 200's and 202's JSON.
#[derive(Deserialize)]
struct Shown {
    secret_key: String,
    #[serde(default)]
    worker_key: String,
}

struct Connection {
    inner: Arc<Inner>,
    peer: SocketAddr,
    has_key: bool,
    worker: Option<Worker>,
    arriving: Arriving,
    under_way: Pipeline,
    /// Replies, and a worker's events.
    unsent: BytesMut,
    /// It takes no more: what would be written is dropped, what it asked for is done.
    is_deaf: bool,
    /// A reply is missing: those behind it would be taken for it.
    is_mute: bool,
    complained: bool,
}

/// Until the peer is done, or `stop`, after which what was read is still carried out.
pub async fn attend(inner: Arc<Inner>, stream: TcpStream, peer: SocketAddr, turn: Turn, stop: CancellationToken) {
    let connection = Connection {
        inner: inner.clone(),
        peer,
        has_key: inner.secret.is_empty(),
        worker: None,
        arriving: Arriving::new(inner.large.clone()),
        under_way: Pipeline::default(),
        unsent: BytesMut::new(),
        is_deaf: false,
        is_mute: false,
        complained: false,
    };
    let (why, log) = match connection.serve(stream, turn, stop).await {
        End::Theirs | End::Told => return,
        End::Unknown => ("key", "the key is wrong, or was not shown"),
        End::TooLong => ("packet_bytes", "a packet of more than 10 MiB"),
        End::NoRoom => ("large_packets", "too many large packets at once"),
        End::Halfway => ("half_packets", "the rest of a large packet did not come"),
        End::Unanswerable => ("odd", "a query that cannot be answered"),
        End::Replaced => return tracing::info!(%peer, "a worker's place was taken by another of its name"),
        End::Io(error) => return tracing::debug!(%error, %peer, "an inner connection"),
    };
    metrics::refused(why);
    if metrics::may_say() {
        tracing::warn!(%peer, "an inner connection was closed: {log}");
    }
}

impl Connection {
    async fn serve(mut self, mut stream: TcpStream, turn: Turn, stop: CancellationToken) -> End {
        let (mut is_prepared, mut has_spoken) = (false, false);
        let (mut reads, mut writes) = stream.split();
        let shown_by = Instant::now() + SHOWN_WITHIN;
        let (mut whole_by, mut turn_bytes, mut turn_is_over) = (None, 0, false);
        let mut pings = pings(self.inner.ping_every);
        let mut over: Option<Ending> = None;
        loop {
            loop {
                if let Err(end) = self.take_up_what_arrived() {
                    self.arriving.clear();
                    over = Some(Ending::now(end));
                }
                // Begun at once: what others say after it must not be done before. What is done already makes room for more.
                let Some(done) = self.under_way.next_if_done() else { break };
                over = over.or(self.end(Some(done)).err().map(Ending::now));
            }
            // However it ends: what came before is carried out, and answered.
            if let Some(ending) = over.take_if(|ending| self.is_finished(&ending.end)) {
                return ending.end;
            }
            if !self.unsent.is_empty() && !std::mem::replace(&mut is_prepared, true) {
                prepare(reads.as_ref());
            }
            let (goes_on, has_room) = (over.is_none(), self.unsent.len() < UNWRITTEN_EVENT_BYTES);
            let may_begin = self.may_begin();
            let hears = goes_on || over.as_ref().is_some_and(|ending| matches!(ending.end, End::Told));
            whole_by = self.arriving.is_large().then(|| whole_by.unwrap_or_else(|| Instant::now() + WHOLE_WITHIN));
            // What was read is begun before anything that others say; but nobody waits for a list to be made, for something large, or
            // for replies to be taken.
            let is_behind = self.under_way.is_crowded() && self.arriving.len() > 0;
            if !is_behind && (turn_is_over || !goes_on || !may_begin) {
                (turn_bytes, turn_is_over) = (0, false);
                turn.leave();
            }
            if goes_on && may_begin {
                turn.watch(reads.as_ref());
            }
            let end = tokio::select! {
                () = turn.comes(), if goes_on && may_begin && !turn_is_over => {
                    has_spoken = true;
                    let read = reads.read_buf(self.arriving.buffer()).now_or_never();
                    turn_bytes += read.as_ref().and_then(|read| read.as_ref().ok()).copied().unwrap_or_default();
                    turn_is_over = read.is_none() || !self.arriving.is_full() || turn_bytes >= TURN_BYTES;
                    match read {
                        Some(Ok(0)) => Some(End::Theirs),
                        Some(Ok(_)) | None => None,
                        Some(Err(error)) => Some(End::Io(error)),
                    }
                }
                done = self.under_way.next(), if !self.under_way.is_empty() => self.end(done).err(),
                written = writes.write_buf(&mut self.unsent), if !self.unsent.is_empty() => written.err().map(|error| {
                    self.is_deaf = true;
                    End::Io(error)
                }),
                event = told(&mut self.worker, has_room), if hears => match event {
                    Some(event) => {
                        self.unsent.put_slice(&event);
                        None
                    }
                    None => {
                        self.worker = None;
                        Some(End::Replaced)
                    }
                },
                _ = pings.tick(), if goes_on && self.worker.is_some() && self.inner.ping_every.is_some() => {
                    self.ping();
                    None
                }
                () = tokio::time::sleep_until(shown_by), if goes_on && !self.has_key => Some(End::Unknown),
                () = tokio::time::sleep_until(whole_by.unwrap_or(shown_by)), if goes_on && whole_by.is_some() => Some(End::Halfway),
                () = stopped(&stop, has_spoken), if goes_on => {
                    // What it wrote before it could know.
                    while self.arriving.len() < pipeline::MAX_BYTES && matches!(reads.try_read_buf(self.arriving.buffer()), Ok(1..)) {}
                    Some(End::Told)
                }
                Some(()) = finished(&over, &stop) => return over.map_or(End::Told, |ending| ending.end),
            };
            if self.is_deaf {
                self.unsent.clear();
            }
            if self.unsent.is_empty() && self.unsent.capacity() > UNWRITTEN_EVENT_BYTES {
                self.unsent = BytesMut::new();
            }
            over = over.or(end.map(Ending::now));
        }
    }

    /// Nothing is left to do for it; the door's end is told of to a worker after all that happened before.
    fn is_finished(&self, end: &End) -> bool {
        let is_told = !matches!(end, End::Told) || self.worker.as_ref().is_none_or(Worker::was_told);
        is_told && self.under_way.is_empty() && self.unsent.is_empty()
    }

    fn take_up_what_arrived(&mut self) -> Result<(), End> {
        while self.may_begin() {
            match self.arriving.next(self.has_key)? {
                Some(Arrived::Packet(packet, share)) => self.take_up(packet, share)?,
                Some(Arrived::Odd(what)) => self.complain(0, what),
                None => break,
            }
        }
        Ok(())
    }

    fn may_begin(&self) -> bool {
        self.under_way.has_room() && self.unsent.len() < UNREAD_REPLY_BYTES
    }

    fn take_up(&mut self, packet: Packet, share: Option<Share>) -> Result<(), End> {
        self.inner.figures.command(packet.command);
        if matches!(packet.command, WORKER_CONNECT | GATEWAY_CLIENT_CONNECT) {
            return self.introduce(&packet);
        }
        self.under_way.begin(self.inner.gateway.clone(), self.inner.here, &self.inner.lists, packet, share);
        Ok(())
    }

    /// Who shows a key shows the right one, also where none is asked for. Nothing is answered.
    fn introduce(&mut self, packet: &Packet) -> Result<(), End> {
        let shown: Shown = read_object(&packet.body).map_err(|_| End::Unknown)?;
        if !self.inner.secret.is(&shown.secret_key) {
            return Err(End::Unknown);
        }
        self.has_key = true;
        if packet.command == WORKER_CONNECT {
            let name = format!("{}:{}", self.peer.ip(), shown.worker_key);
            tracing::info!(worker = name, "a worker came");
            // The one it may have been before ends first.
            self.worker = None;
            self.worker = Some(self.inner.workers.join(name));
        }
        Ok(())
    }

    /// What became of the first of those under way, and of whichever are done behind it.
    fn end(&mut self, mut done: Option<Done>) -> Result<(), End> {
        while let Some(Done { command, outcome, .. }) = done {
            match outcome {
                Ok(Outcome::Reply(_)) if self.is_mute => {}
                Ok(Outcome::Reply(reply)) => {
                    self.unsent.put_u32(u32::try_from(reply.len()).map_err(|_| End::Unanswerable)?);
                    self.unsent.put_slice(&reply);
                }
                Ok(Outcome::Done) => {}
                Ok(Outcome::Stale) => self.inner.figures.stale(),
                Err(odd) if odd.ends(command) => {
                    self.is_mute = true;
                    return Err(End::Unanswerable);
                }
                Err(odd) => self.complain(command, &odd.to_string()),
            }
            done = self.under_way.next_if_done();
        }
        Ok(())
    }

    fn ping(&mut self) {
        let nowhere = SocketAddrV4::new([0; 4].into(), 0);
        let ping = packet::Event {
            command: PING,
            local: nowhere,
            client: nowhere,
            connection: 0,
            flag: packet::PLAIN,
            gateway_port: 0,
            ext: b"",
            body: b"",
        };
        if self.unsent.is_empty() {
            ping.write(&mut self.unsent);
        }
    }

    /// Once a connection in the log, and once a second of all; each time in the figures.
    fn complain(&mut self, command: u8, what: &str) {
        self.inner.figures.odd();
        if !self.complained && metrics::may_say() {
            self.complained = true;
            tracing::warn!(peer = %self.peer, command, "an inner packet was passed over: {what}; further ones are only counted");
        }
    }
}

/// For whoever is answered; most connections carry a command and end.
fn prepare(stream: &TcpStream) {
    // An answer is small and waited for.
    let prepared = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_user_timeout(Some(TAKEN_WITHIN)));
    if let Err(error) = prepared {
        tracing::debug!(%error, "an inner connection");
    }
}

/// The next event, where there is room for one; `None`: another worker of its name came. Never, where there is no worker.
async fn told(worker: &mut Option<Worker>, has_room: bool) -> Option<Bytes> {
    let Some(worker) = worker else { return std::future::pending().await };
    let replaced = worker.replaced();
    tokio::select! {
        biased;
        () = replaced.cancelled() => None,
        event = worker.next(), if has_room => Some(event),
    }
}

async fn finished(over: &Option<Ending>, stop: &CancellationToken) -> Option<()> {
    over.as_ref()?.finished(stop).await;
    Some(())
}

fn pings(every: Option<Duration>) -> Interval {
    let every = every.unwrap_or(Duration::from_secs(3600));
    let mut pings = tokio::time::interval_at(Instant::now() + every, every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}
