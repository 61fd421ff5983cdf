//! One connection to the inner port. Its packets are dispatched in their order, its replies are sent in the same order, and
//! nothing else is sent on it, except the events and pings of a BusinessWorker.
//!
//! A connection is a state machine. It is [`Phase::Serving`] until a [`CloseReason`] arises; then it is [`Phase::Closing`]: it
//! reads no more, completes the commands that it has read, and sends their replies, within the drain timeout.

use super::decoder::{MemoryPermit, Received};
use super::pipeline::{Budgets, Completed, Pipeline};
use super::read_scheduler::ReadTicket;
use super::reader::Reader;
use super::worker_link::{WorkerInput, WorkerLink, ping};
use super::writer::{MAX_UNWRITTEN_EVENT_BYTES, Writer};
use crate::server::gateway::Gateway;
use crate::server::gatewayworker::commands::args::read_object;
use crate::server::gatewayworker::commands::dispatch::Caller;
use crate::server::gatewayworker::commands::outcome::CommandOutcome;
use crate::server::gatewayworker::metrics::{self, Metrics};
use crate::server::gatewayworker::protocol::opcode::{GATEWAY_CLIENT_CONNECT, WORKER_CONNECT};
use crate::server::gatewayworker::protocol::packet::Packet;
use crate::server::gatewayworker::secret_key::SecretKey;
use crate::server::gatewayworker::shutdown::{CloseReason, PendingClose, ShutdownGrace};
use crate::server::gatewayworker::strangers::{Stranger, Strangers, displaced};
use crate::server::gatewayworker::workers::router::Workers;
use serde::Deserialize;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Shared by all connections to the inner port.
pub(crate) struct InnerContext {
    /// Carries out the commands.
    pub gateway: Gateway,
    /// This node's address in every client id.
    pub lan_addr: SocketAddrV4,
    /// The key that a peer must present first.
    pub secret_key: SecretKey,
    /// The connected BusinessWorkers.
    pub workers: Workers,
    /// Counters of commands and packets.
    pub metrics: Metrics,
    /// Memory for large packets, in KiB.
    pub large_packet_budget: Arc<Semaphore>,
    /// List queries at the same time, and memory for long replies.
    pub budgets: Budgets,
    /// The peers that have not presented the key.
    pub strangers: Strangers,
    /// The interval between pings to workers; `None` if they are not pinged.
    pub ping_every: Option<Duration>,
}

/// The JSON body of `WORKER_CONNECT` (200) and `GATEWAY_CLIENT_CONNECT` (202).
#[derive(Deserialize)]
struct Credentials {
    secret_key: String,
    #[serde(default)]
    worker_key: String,
}

/// The state of a connection.
enum Phase {
    /// Reads packets, and dispatches them.
    Serving,
    /// Completes commands and sends their replies until the deadline.
    Closing(PendingClose),
}

/// The inputs of the state machine.
enum Input {
    /// The connection is at the front of the read queue.
    Readable,
    Completed(Completed),
    Written(io::Result<()>),
    Worker(WorkerInput),
    TimedOut(CloseReason),
    Shutdown,
    DrainTimedOut,
}

struct InnerConnection<'a> {
    context: Arc<InnerContext>,
    peer: SocketAddr,
    /// The peer's place until it presents the key; `None` afterwards, or without a key.
    stranger: Option<Stranger>,
    phase: Phase,
    reader: Reader<'a>,
    pipeline: Pipeline,
    writer: Writer<'a>,
    worker: WorkerLink,
    grace: ShutdownGrace,
    logged_bad_packet: bool,
}

/// Serves a connection until the peer closes it, an error or a timeout closes it, or `stop` is cancelled and the packets that
/// were received before are carried out.
pub(crate) async fn serve_connection(
    context: Arc<InnerContext>,
    mut stream: TcpStream,
    peer: SocketAddr,
    stranger: Option<Stranger>,
    ticket: ReadTicket,
    stop: CancellationToken,
) {
    let (reads, writes) = stream.split();
    let connection = InnerConnection {
        stranger,
        phase: Phase::Serving,
        reader: Reader::new(reads, ticket, context.large_packet_budget.clone(), context.secret_key.is_empty()),
        pipeline: Pipeline::default(),
        writer: Writer::new(writes),
        worker: WorkerLink::new(context.ping_every),
        grace: ShutdownGrace::default(),
        logged_bad_packet: false,
        context,
        peer,
    };
    let reason = connection.run(&stop).await;
    match &reason {
        CloseReason::Replaced => tracing::info!(%peer, "worker connection closed: another worker of the same name connected"),
        CloseReason::Io(error) => tracing::debug!(%error, %peer, "inner connection closed"),
        _ => {}
    }
    if let Some((label, cause)) = reason.rejection() {
        metrics::connection_rejected(label);
        if metrics::within_log_rate_limit() {
            tracing::warn!(%peer, reason = label, "inner connection closed: {cause}");
        }
    }
}

impl InnerContext {
    /// Gives an accepted peer a place among those without the key; `None` without a key. Called in the order of accepting.
    pub(crate) fn admit(&self, peer: SocketAddr) -> Option<Stranger> {
        (!self.secret_key.is_empty()).then(|| self.strangers.admit(peer.ip()))
    }
}

impl InnerConnection<'_> {
    async fn run(mut self, stop: &CancellationToken) -> CloseReason {
        loop {
            self.advance();
            if self.is_finished() {
                break;
            }
            self.schedule_reads();
            match self.next_input(stop).await {
                Input::DrainTimedOut => break,
                input => self.handle(input),
            }
        }
        match self.phase {
            Phase::Closing(closing) => closing.reason,
            Phase::Serving => CloseReason::Shutdown,
        }
    }

    /// Dispatches buffered packets and queues the replies of completed commands until neither is possible. This happens right
    /// after reading, so that commands read later on other connections cannot overtake these. A completed command permits
    /// the next one.
    fn advance(&mut self) {
        loop {
            if let Err(reason) = self.dispatch_buffered() {
                self.reader.discard();
                self.phase = Phase::Closing(PendingClose::new(reason));
            }
            let Some(completed) = self.pipeline.try_next_completed() else { return };
            self.queue_replies(completed);
        }
    }

    /// Returns true once a closing connection has completed its commands and sent everything. At shutdown a worker first
    /// receives all its events.
    fn is_finished(&self) -> bool {
        let has_events = match &self.phase {
            Phase::Serving => return false,
            Phase::Closing(closing) => matches!(closing.reason, CloseReason::Shutdown) && self.worker.has_events(),
        };
        !has_events && self.pipeline.is_empty() && self.writer.is_empty()
    }

    /// Keeps the place in the read queue while buffered commands wait only for the command limit, which lasts a moment. A
    /// connection that waits for a list, for memory or for its peer to read leaves the queue: this can last, and other
    /// connections must not wait for it.
    fn schedule_reads(&mut self) {
        let may_read = matches!(self.phase, Phase::Serving) && self.can_dispatch();
        let is_behind = self.pipeline.is_at_command_limit() && self.reader.has_buffered();
        self.reader.schedule(may_read, is_behind);
    }

    async fn next_input(&mut self, stop: &CancellationToken) -> Input {
        let is_serving = matches!(self.phase, Phase::Serving);
        let takes_worker_events = match &self.phase {
            Phase::Serving => true,
            Phase::Closing(closing) => matches!(closing.reason, CloseReason::Shutdown),
        };
        let worker_event_fits = self.writer.len() < MAX_UNWRITTEN_EVENT_BYTES;
        tokio::select! {
            () = self.reader.readable(), if self.reader.may_read() => Input::Readable,
            Some(completed) = self.pipeline.next_completed(), if !self.pipeline.is_empty() => Input::Completed(completed),
            written = self.writer.write(), if !self.writer.is_empty() => Input::Written(written),
            input = self.worker.next(worker_event_fits, is_serving), if takes_worker_events => Input::Worker(input),
            reason = self.reader.timeout(), if is_serving => Input::TimedOut(reason),
            () = displaced(self.stranger.as_ref()), if is_serving => Input::TimedOut(CloseReason::Displaced),
            () = self.grace.over(stop, self.reader.peer_has_sent()), if is_serving => Input::Shutdown,
            () = self.phase.drain_timeout(stop) => Input::DrainTimedOut,
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Readable => {
                if let Err(reason) = self.reader.read() {
                    self.close(reason);
                }
            }
            Input::Completed(completed) => self.queue_replies(completed),
            Input::Written(Ok(())) => self.worker.sent(self.writer.sent()),
            Input::Written(Err(error)) => {
                self.writer.close();
                self.close(CloseReason::Io(error));
            }
            Input::Worker(WorkerInput::Event(event)) => {
                self.writer.push(&event);
                self.worker.buffered(self.writer.sent() + self.writer.len() as u64, event.len());
            }
            Input::Worker(WorkerInput::PingDue) => self.writer.push_if_idle(&ping()),
            Input::Worker(WorkerInput::Replaced) => {
                // Its unsent events belong to the other one.
                self.worker.disconnect();
                self.writer.close();
                self.close(CloseReason::Replaced);
            }
            Input::TimedOut(reason) => self.close(reason),
            Input::Shutdown => {
                // The peer sent these bytes before it could know of the shutdown.
                self.reader.read_available();
                self.close(CloseReason::Shutdown);
            }
            Input::DrainTimedOut => {}
        }
    }

    /// Starts closing. The first reason counts.
    fn close(&mut self, reason: CloseReason) {
        if matches!(self.phase, Phase::Serving) {
            self.phase = Phase::Closing(PendingClose::new(reason));
        }
    }

    fn can_dispatch(&self) -> bool {
        self.pipeline.can_start() && self.writer.accepts_replies(self.worker.unsent_bytes())
    }

    fn dispatch_buffered(&mut self) -> Result<(), CloseReason> {
        while self.can_dispatch() {
            match self.reader.next_packet()? {
                Some(Received::Packet(packet, memory)) => self.dispatch(packet, memory)?,
                Some(Received::Malformed(cause)) => self.reject_packet(0, cause),
                None => break,
            }
        }
        Ok(())
    }

    fn dispatch(&mut self, packet: Packet, memory: Option<MemoryPermit>) -> Result<(), CloseReason> {
        let context = &self.context;
        context.metrics.count_command(packet.command);
        if matches!(packet.command, WORKER_CONNECT | GATEWAY_CLIENT_CONNECT) {
            return self.authenticate(&packet);
        }
        let caller = if self.worker.is_connected() { Caller::Worker } else { Caller::Site };
        self.pipeline.start(context.gateway.clone(), context.lan_addr, caller, context.budgets.clone(), packet, memory);
        Ok(())
    }

    /// Checks the peer's key, and connects it as a worker if it is one. A peer that presents a key must present the right one,
    /// also if none is configured. There is no reply.
    fn authenticate(&mut self, packet: &Packet) -> Result<(), CloseReason> {
        let credentials: Credentials = read_object(&packet.body).map_err(|_| CloseReason::Unauthorized)?;
        if !self.context.secret_key.matches(&credentials.secret_key) {
            return Err(CloseReason::Unauthorized);
        }
        self.reader.authenticated();
        self.stranger = None;
        if packet.command == WORKER_CONNECT {
            let name = format!("{}:{}", self.peer.ip(), credentials.worker_key);
            tracing::info!(worker = name, "worker connected");
            self.worker.connect(&self.context.workers, name);
        }
        Ok(())
    }

    /// Queues the reply of a completed command, and those of the completed commands behind it.
    fn queue_replies(&mut self, first: Completed) {
        let mut next = Some(first);
        while let Some(completed) = next {
            self.queue_reply(completed);
            next = self.pipeline.try_next_completed();
        }
    }

    fn queue_reply(&mut self, Completed { command, outcome, reply_memory, .. }: Completed) {
        match outcome {
            Ok(CommandOutcome::Reply(reply)) => self.writer.push_reply(&reply, reply_memory),
            Ok(CommandOutcome::Done) => {}
            Ok(CommandOutcome::ClientNotFound) => self.context.metrics.client_not_found(),
            Err(error) => match error.close_reason(command) {
                Some(reason) => {
                    self.writer.abort_replies();
                    self.close(reason);
                }
                None => self.reject_packet(command, &error.to_string()),
            },
        }
    }

    /// Counts a packet that is ignored. Logs the first one of a connection, within the log rate limit of all connections.
    fn reject_packet(&mut self, command: u8, cause: &str) {
        self.context.metrics.packet_rejected();
        if !self.logged_bad_packet && metrics::within_log_rate_limit() {
            self.logged_bad_packet = true;
            tracing::warn!(peer = %self.peer, command, "inner packet rejected: {cause}; further ones of this peer are only counted");
        }
    }
}

impl Phase {
    /// Waits until a closing connection must close; forever while it is serving.
    async fn drain_timeout(&mut self, stop: &CancellationToken) {
        match self {
            Self::Serving => std::future::pending().await,
            Self::Closing(closing) => closing.drain_timeout(stop).await,
        }
    }
}
