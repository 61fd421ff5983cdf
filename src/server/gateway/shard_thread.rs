//! The thread of a shard: an event loop over its sockets, its mailbox and its timer wheel. The [`Shard`] does the work.

use super::LogicalTime;
use super::client_ids::ClientIds;
use super::connection::NewConnection;
use super::events::EventSender;
use super::live_groups::ShardGroups;
use super::mailbox::{Mailbox, Posted};
use super::publish::Publish;
use super::shard::Shard;
use super::stream::{RawStream, Socket};
use crate::server::config::GatewaySettings as Settings;
use mio::{Events, Poll, Token, Waker};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

/// Token of the waker among those of the sockets, which are slots.
const WAKER: Token = Token(usize::MAX);
/// Pause before the loop restarts after a failed poll.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Readiness events per poll.
const EVENTS: usize = 1024;

type Job = Box<dyn FnOnce(&mut Shard<Socket>, Instant) + Send>;

/// A command to a shard.
pub(super) enum ShardCommand {
    /// Serve a new connection.
    Open(Box<OpenConnection>),
    /// Send a publish to the shard's receivers.
    Publish(Arc<Publish>),
    /// Run a closure on the shard. Holds its share of the command budget.
    Run(Job, Option<OwnedSemaphorePermit>),
    /// Drop all connections and end the thread.
    Stop,
}

/// A connection to be opened.
pub(super) struct OpenConnection {
    pub stream: RawStream,
    pub new: NewConnection,
    pub opened_at: LogicalTime,
}

/// Posts commands to a shard.
pub(super) struct ShardHandle {
    mailbox: Arc<Mailbox<ShardCommand>>,
    waker: Waker,
}

impl ShardHandle {
    /// Starts the thread. Fails if the poll or the thread cannot be created.
    pub(super) fn start(
        index: usize,
        settings: Arc<Settings>,
        ids: ClientIds,
        event_sender: Arc<EventSender>,
        live: ShardGroups,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let mailbox = Arc::new(Mailbox::new());
        let shard_thread = ShardThread { poll, mailbox: mailbox.clone(), settings, ids, event_sender, live, index };
        let thread = std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || shard_thread.run())?;
        Ok((Self { mailbox, waker }, thread))
    }

    /// Posts a command; commands run in FIFO order. After the shard has ended they are dropped together with their reply
    /// senders, so that a caller sees a closed channel.
    pub(super) fn post(&self, command: ShardCommand) {
        if self.mailbox.post(command) == Posted::Wake
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "could not wake a shard");
        }
    }
}

struct ShardThread {
    poll: Poll,
    mailbox: Arc<Mailbox<ShardCommand>>,
    settings: Arc<Settings>,
    ids: ClientIds,
    event_sender: Arc<EventSender>,
    live: ShardGroups,
    index: usize,
}

impl ShardThread {
    fn run(mut self) {
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.serve())) {
                Ok(Ok(())) => break,
                Ok(Err(error)) => {
                    tracing::error!(%error, shard = self.index, "a shard's poll failed: its connections are dropped");
                    std::thread::sleep(RETRY_AFTER);
                }
                // The state may be inconsistent: the loop restarts with an empty shard, and the clients reconnect.
                Err(_) => tracing::error!(shard = self.index, "a shard panicked: its connections are dropped"),
            }
        }
        drop(self.mailbox.close());
    }

    /// Runs the event loop until [`ShardCommand::Stop`].
    fn serve(&mut self) -> io::Result<()> {
        let (settings, events, live) = (self.settings.clone(), self.event_sender.clone(), self.live.clone());
        let mut shard = Shard::new(self.index, self.ids, settings, events, live, Instant::now());
        let mut events = Events::with_capacity(EVENTS);
        let mut commands = Vec::new();
        loop {
            // Drain the mailbox before polling: the loop before a restart may have consumed the wake-up.
            let now = Instant::now();
            self.mailbox.take(&mut commands);
            for command in commands.drain(..) {
                match command {
                    ShardCommand::Open(opening) => self.open(&mut shard, *opening, now),
                    ShardCommand::Publish(publish) => shard.publish(publish, now),
                    ShardCommand::Run(job, _budget) => job(&mut shard, now),
                    ShardCommand::Stop => {
                        shard.flush(now);
                        return Ok(());
                    }
                }
            }
            shard.tick(now);
            let readers_left = shard.write_pass(now);
            let timeout = if readers_left { Some(Duration::ZERO) } else { shard.next_tick(Instant::now()) };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                polled => polled?,
            }
            let now = Instant::now();
            for event in events.iter().filter(|event| event.token() != WAKER) {
                let Token(slot) = event.token();
                if event.is_writable() {
                    shard.writable(slot, now);
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    shard.readable(slot, now);
                }
            }
        }
    }

    fn open(&self, shard: &mut Shard<Socket>, OpenConnection { stream, new, opened_at }: OpenConnection, now: Instant) {
        let slot = shard.open(stream.into(), new, opened_at, now);
        // After `open`, which may already have closed it because of its early bytes.
        if let Some(stream) = shard.stream(slot)
            && let Err(error) = stream.register(self.poll.registry(), Token(slot))
        {
            tracing::warn!(%error, "could not register a socket with the poll");
            shard.destroy(slot, now);
        }
        // Bytes that a TLS stream has buffered cause no readiness event.
        shard.readable(slot, now);
    }
}
