//! A shard's thread: waits for its sockets, its mailbox and its clock, and lets the [`Shard`] do the rest.

use super::LogicalTime;
use super::client_ids::ClientIds;
use super::connection::NewConnection;
use super::events::EventSender;
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

const BELL: Token = Token(usize::MAX);
/// After the system failed us, the next try waits this long.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Events taken from the system at once.
const EVENTS: usize = 1024;

type Act = Box<dyn FnOnce(&mut Shard<Socket>, Instant) + Send>;

/// What a shard may be asked.
pub enum Command {
    Open(Box<Opening>),
    Publish(Arc<Publish>),
    /// Everything else: done by the shard itself, between two rounds.
    Do(Act, Option<OwnedSemaphorePermit>),
    /// Closes whatever is still open, and ends the thread.
    Stop,
}

pub struct Opening {
    pub stream: RawStream,
    pub new: NewConnection,
    pub since: LogicalTime,
}

/// A shard as the rest of the node knows it.
pub struct Handle {
    mailbox: Arc<Mailbox<Command>>,
    bell: Waker,
}

impl Handle {
    pub fn start(
        index: usize,
        settings: Arc<Settings>,
        ids: ClientIds,
        event_sender: Arc<EventSender>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let poll = Poll::new()?;
        let bell = Waker::new(poll.registry(), BELL)?;
        let mailbox = Arc::new(Mailbox::new());
        let reactor = Reactor { poll, mailbox: mailbox.clone(), settings, ids, event_sender, index };
        let thread = std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || reactor.run())?;
        Ok((Self { mailbox, bell }, thread))
    }

    /// Commands are done in the order they were posted. After the shard's end they are dropped, and with them whatever
    /// would have answered.
    pub fn post(&self, command: Command) {
        if self.mailbox.post(command) == Posted::Ring
            && let Err(error) = self.bell.wake()
        {
            tracing::error!(%error, "a shard could not be woken");
        }
    }
}

struct Reactor {
    poll: Poll,
    mailbox: Arc<Mailbox<Command>>,
    settings: Arc<Settings>,
    ids: ClientIds,
    event_sender: Arc<EventSender>,
    index: usize,
}

impl Reactor {
    fn run(mut self) {
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.serve())) {
                Ok(Ok(())) => break,
                Ok(Err(error)) => {
                    tracing::error!(%error, shard = self.index, "a shard's poll failed: its connections are gone");
                    std::thread::sleep(AGAIN_AFTER);
                }
                // What it held may be half changed: the clients come back to an empty one.
                Err(_) => tracing::error!(shard = self.index, "a shard panicked: its connections are gone"),
            }
        }
        drop(self.mailbox.close());
    }

    /// Until it is told to stop.
    fn serve(&mut self) -> io::Result<()> {
        let mut shard = Shard::new(self.index, self.ids, self.settings.clone(), self.event_sender.clone(), Instant::now());
        let mut events = Events::with_capacity(EVENTS);
        let mut commands = Vec::new();
        loop {
            // First what was posted, since the bell may have been heard by who served before.
            let now = Instant::now();
            self.mailbox.take(&mut commands);
            for command in commands.drain(..) {
                match command {
                    Command::Open(opening) => self.open(&mut shard, *opening, now),
                    Command::Publish(publish) => shard.publish(publish, now),
                    Command::Do(act, _room) => act(&mut shard, now),
                    Command::Stop => return Ok(()),
                }
            }
            shard.flush(now);
            shard.tick(now);
            match self.poll.poll(&mut events, shard.next_tick(Instant::now())) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                polled => polled?,
            }
            let now = Instant::now();
            for event in events.iter().filter(|event| event.token() != BELL) {
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

    fn open(&self, shard: &mut Shard<Socket>, Opening { stream, new, since }: Opening, now: Instant) {
        let slot = shard.open(stream.into(), new, since, now);
        // After `open`, which may have removed it again: what came early may have ended it.
        if let Some(stream) = shard.stream(slot)
            && let Err(error) = stream.register(self.poll.registry(), Token(slot))
        {
            tracing::warn!(%error, "a socket could not be watched");
            shard.destroy(slot, now);
        }
        // What an encrypted stream has read already makes no event.
        shard.readable(slot, now);
    }
}
