//! The transport between the nodes of a cluster: subjects on a NATS server, as core NATS has them. A message may be lost, doubled,
//! reordered or late, and nothing waits for one. Its users heal from the store.

mod link;
mod outbox;
mod subject;
mod subscription;

pub use link::Link;
pub use subject::{Subject, bucket};
pub use subscription::{Received, Subscription};

use crate::server::config::{ClusterSettings as Settings, NatsCredentials, NatsServers, NatsUrlError};
use async_nats::connection::State as ClientState;
use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use link::{Dropped, State};
use outbox::{Outbox, Outgoing};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The longest payload. NATS takes 1 MiB unless it is configured.
pub const MAX_PAYLOAD: usize = 256 * 1024;
/// Commands between the outbox and the client, which go out late after a break: the outbox holds the others back.
const CLIENT_COMMANDS: usize = 256;
/// Time without a byte after which the client sends a ping. The third without an answer ends the connection.
const PING_EVERY: Duration = Duration::from_secs(1);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Longest pause between two attempts to connect. Each is random, so that the nodes do not return to a restarted server at once.
const RETRY_WITHIN_MS: u64 = 1_000;
/// Time for the queued messages at the end.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// The connection to NATS. Cheap to clone; all clones are one connection.
#[derive(Clone)]
pub struct Bus(Arc<Shared>);

struct Shared {
    /// `rc.<cluster>.`
    prefix: String,
    client: Client,
    state: Arc<State>,
    outbox: Outbox,
    /// While false, messages of both directions are dropped.
    is_open: AtomicBool,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// The bus could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// `cluster.nats` is wrong.
    #[error(transparent)]
    Url(#[from] NatsUrlError),
    /// The client does not take the settings.
    #[error("NATS: {0}")]
    Client(#[from] async_nats::ConnectError),
}

impl Bus {
    /// Starts the connection. A server that does not answer is tried again for ever, and is no error.
    pub async fn connect(settings: &Settings) -> Result<Self, BusError> {
        let NatsServers { addresses, credentials } = settings.nats.servers()?;
        let state = Arc::new(State::default());
        let noted = state.clone();
        let options = match credentials {
            NatsCredentials::None => ConnectOptions::new(),
            NatsCredentials::Token(token) => ConnectOptions::with_token(token),
            NatsCredentials::User(user, password) => ConnectOptions::with_user_and_password(user, password),
        };
        let options = options
            .name("roomcast")
            .no_echo()
            .retry_on_initial_connect()
            .connection_timeout(CONNECT_WITHIN)
            .ping_interval(PING_EVERY)
            .client_capacity(CLIENT_COMMANDS)
            .reconnect_delay_callback(retry_after)
            .event_callback(move |event| {
                noted.note(&event);
                std::future::ready(())
            });
        let client = options.connect(addresses).await?;
        let shared = Arc::new(Shared {
            prefix: format!("rc.{}.", settings.name),
            client,
            state,
            outbox: Outbox::default(),
            is_open: AtomicBool::new(true),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        shared.tasks.spawn(write(shared.clone()));
        Ok(Self(shared))
    }

    /// Queues a message. Never waits: while NATS is away, or the queue is full, it is dropped and counted.
    pub fn publish(&self, subject: &Subject, payload: Bytes) {
        if let Some(message) = self.outgoing(subject, payload)
            && !self.0.outbox.push(message)
        {
            self.0.state.dropped(Dropped::Full);
        }
    }

    /// The same for one of many messages that can wait: waits for room in the queue.
    pub async fn publish_in_turn(&self, subject: &Subject, payload: Bytes) {
        let Some(message) = self.outgoing(subject, payload) else { return };
        tokio::select! {
            () = self.0.outbox.push_in_turn(message) => {}
            () = self.0.closing.cancelled() => {}
        }
    }

    /// `None`: the message is dropped.
    fn outgoing(&self, subject: &Subject, payload: Bytes) -> Option<Outgoing> {
        let shared = &*self.0;
        if payload.len() > MAX_PAYLOAD {
            shared.state.dropped(Dropped::TooLong);
            return None;
        }
        let connection = shared.connection().filter(|_| shared.is_open.load(Ordering::Relaxed) && !shared.closing.is_cancelled());
        if connection.is_none() {
            shared.state.dropped(Dropped::Away);
        }
        Some(Outgoing { subject: subject.clone(), payload, connection: connection? })
    }

    /// Receives the messages of a subject, also after each reconnect. Dropping the subscription ends it.
    pub async fn subscribe(&self, subject: Subject) -> Subscription {
        subscription::subscribe(&self.0, &subject).await
    }

    /// Drops all messages, of both directions, until [`Bus::resume`]: another process of this node is on the bus.
    pub fn pause(&self) {
        self.0.is_open.store(false, Ordering::Relaxed);
    }

    /// Ends the pause.
    pub fn resume(&self) {
        self.0.is_open.store(true, Ordering::Relaxed);
        self.0.state.lost();
    }

    /// The state of the connection.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.0.state.link()
    }

    /// A number that grows when messages may have been lost: after a reconnect, for a slow receiver, with a full queue.
    pub fn losses(&self) -> watch::Receiver<u64> {
        self.0.state.losses()
    }

    /// Sends the queued messages, for a second at most, and ends the connection.
    pub async fn close(&self) {
        let shared = &*self.0;
        shared.closing.cancel();
        shared.tasks.close();
        let end = async {
            shared.tasks.wait().await;
            if shared.connection().is_some() {
                let _ = shared.client.flush().await;
            }
        };
        let _ = timeout(CLOSE_WITHIN, end).await;
        // The client's task ends when it has read this: at once, or after the next reconnect.
        let _ = timeout(CLOSE_WITHIN, shared.client.drain()).await;
        shared.state.set(Link::Away);
    }
}

impl Shared {
    /// The number of the connection that is there.
    fn connection(&self) -> Option<u64> {
        let is_there = self.client.connection_state() == ClientState::Connected;
        is_there.then(|| self.client.statistics().connects.load(Ordering::Relaxed))
    }
}

/// Writes the queued messages. A message that was queued for an earlier connection is dropped: it would be late.
async fn write(shared: Arc<Shared>) {
    loop {
        let next = tokio::select! {
            biased;
            message = shared.outbox.pop() => Some(message),
            () = shared.closing.cancelled() => None,
        };
        let Some(Outgoing { subject, payload, connection }) = next else { return };
        if shared.connection() != Some(connection) {
            shared.state.dropped(Dropped::Away);
        } else if let Err(error) = shared.client.publish(format!("{}{subject}", shared.prefix), payload).await {
            tracing::debug!(%error, "NATS takes no message");
            shared.state.dropped(Dropped::TooLong);
        }
    }
}

/// Full jitter, up to [`RETRY_WITHIN_MS`].
fn retry_after(attempts: usize) -> Duration {
    let most = 50_u64.saturating_mul(1 << attempts.min(5)).min(RETRY_WITHIN_MS);
    Duration::from_millis(rand::random_range(0..=most))
}
