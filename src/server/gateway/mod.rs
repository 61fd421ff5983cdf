//! Floor 1: who is connected to this node, and what is pushed to them. Moves encoded frames; knows no chat, no axum, no
//! SQL, and never parses a payload. The verbs are GatewayWorker's.

mod connection;
mod frame;
mod incoming;
mod outbox;
mod registry;

pub use frame::{Frame, Position, Publication};

use crate::domain::{
    id::{ClientId, Uid},
    push::{CloseCode, Push},
};
use crate::server::config::Gateway as Settings;
use connection::Connection;
use outbox::Outbox;
use registry::{Entry, Registry};
use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A room's audience, by name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Group(Arc<str>);

impl Group {
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whoever opened a socket, as the door knows them; compared, never read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Owner(pub [u8; 32]);

/// Which pushes a connection understands (DESIGN.md 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// No subprotocol: messages, and what the API pushes, verbatim.
    Plain,
    /// `roomcast.v1`: every push is an object with a `type`.
    V1,
}

/// What became of a publish on this node.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Delivered {
    /// Connections it was queued for.
    pub to: usize,
    /// Connections whose queue was full: it was skipped for them, and they will be told.
    pub slow: usize,
}

/// The node takes no further connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the node is full or draining")]
pub struct Full;

/// The facade. Cheap to clone; all clones are one gateway.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

struct Shared {
    settings: Settings,
    /// Held for a look-up or a change of a map, never across an await.
    registry: Mutex<Registry>,
    /// Every connection's task.
    connections: TaskTracker,
    /// Cancelled when the time to leave politely is over.
    deadline: CancellationToken,
}

impl Gateway {
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Shared {
            settings,
            registry: Mutex::default(),
            connections: TaskTracker::new(),
            deadline: CancellationToken::new(),
        }))
    }

    /// Takes a stream whose handshake is done, tells it who it is, and serves it until it ends.
    pub fn connect<S>(&self, stream: S, dialect: Dialect, owner: Option<Owner>) -> Result<ClientId, Full>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let outbox = Arc::new(Outbox::new(self.0.settings.queue_bytes, dialect));
        let client = {
            let mut registry = self.registry();
            if registry.is_draining() || registry.len() >= self.0.settings.max_connections {
                return Err(Full);
            }
            let connection = registry.draw_connection(rand::random);
            let client = self.client_id(connection);
            // Before anyone can find it: `init` is always the first frame.
            outbox.push(Frame::text(Push::Init { client_id: client }.to_json().as_bytes()));
            registry.insert(connection, Entry::new(outbox.clone(), owner));
            client
        };
        let seat = Seat { gateway: self.clone(), connection: client.connection };
        let connection = Connection::new(stream, outbox, self.0.settings.clone(), self.0.deadline.clone());
        self.0.connections.spawn(async move {
            let _seat = seat;
            connection.serve().await;
        });
        metrics::counter!("roomcast_sockets_opened_total").increment(1);
        Ok(client)
    }

    pub fn is_online(&self, client: ClientId) -> bool {
        self.entry(client, |_| ()).is_some()
    }

    /// Who opened it. `None`: no such connection here.
    pub fn owner_of(&self, client: ClientId) -> Option<Option<Owner>> {
        self.entry(client, |entry| entry.owner)
    }

    /// One uid a client, the last one wins; many clients a uid. False: no such connection.
    pub fn bind_uid(&self, client: ClientId, uid: &Uid) -> bool {
        self.is_ours(client) && self.registry().bind_uid(client.connection, uid)
    }

    /// Joining twice is joining once. False: no such connection.
    pub fn join_group(&self, client: ClientId, group: &Group) -> bool {
        self.is_ours(client) && self.registry().join_group(client.connection, group)
    }

    pub fn leave_group(&self, client: ClientId, group: &Group) -> bool {
        self.is_ours(client) && self.registry().leave_group(client.connection, group)
    }

    pub fn send_to_client(&self, client: ClientId, publication: &Publication) -> Delivered {
        let outbox = self.entry(client, |entry| entry.outbox.clone());
        deliver(outbox.iter(), publication)
    }

    pub fn send_to_uid(&self, uid: &Uid, publication: &Publication) -> Delivered {
        deliver(self.registry().of_uid(uid), publication)
    }

    pub fn send_to_group(&self, group: &Group, publication: &Publication) -> Delivered {
        deliver(self.registry().of_group(group), publication)
    }

    pub fn send_to_all(&self, publication: &Publication) -> Delivered {
        deliver(self.registry().all(), publication)
    }

    /// What is queued still leaves, then the close frame.
    pub fn close_client(&self, client: ClientId, code: CloseCode) -> bool {
        self.entry(client, |entry| entry.outbox.close(code)).is_some()
    }

    /// Every connection that `owner` opened.
    pub fn close_owner(&self, owner: Owner, code: CloseCode) -> usize {
        let registry = self.registry();
        registry.of_owner(owner).map(|outbox| outbox.close(code)).count()
    }

    pub fn connection_count(&self) -> usize {
        self.registry().len()
    }

    /// People in a group: a uid counts once however many connections it has, a connection without uid counts as one.
    pub fn person_count(&self, group: &Group) -> u32 {
        self.registry().person_count(group)
    }

    /// Groups whose person count may have changed since the last call, each with its present count.
    pub fn take_changed_groups(&self) -> HashMap<Group, u32> {
        self.registry().take_changed_groups()
    }

    /// Says `bye` to everyone, each with its own time to come back, and waits until all are gone or `within` is over.
    pub async fn drain(&self, within: Duration) {
        let leaving: Vec<_> = {
            let mut registry = self.registry();
            registry.set_draining();
            registry.all().cloned().collect()
        };
        // A fresh node takes about a thousand handshakes a second without strain: spread the return over that.
        let spread_ms = (leaving.len() as u64).clamp(1_000, 30_000);
        for outbox in leaving {
            let reconnect_after_ms = 200 + rand::random_range(0..spread_ms);
            let bye = Frame::text(Push::Bye { reconnect_after_ms }.to_json().as_bytes());
            outbox.publish(&Publication::v1(bye));
            outbox.close(CloseCode::GOING_AWAY);
        }
        self.0.connections.close();
        if tokio::time::timeout(within, self.0.connections.wait()).await.is_err() {
            self.0.deadline.cancel();
            self.0.connections.wait().await;
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // Every change of the registry is whole before anything in it can panic.
        self.0.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry<T>(&self, client: ClientId, look: impl FnOnce(&Entry) -> T) -> Option<T> {
        if !self.is_ours(client) {
            return None;
        }
        self.registry().get(client.connection).map(look)
    }

    fn is_ours(&self, client: ClientId) -> bool {
        let lan: SocketAddrV4 = self.0.settings.lan_addr;
        client.address == lan.ip().octets() && client.port == lan.port()
    }

    fn client_id(&self, connection: u32) -> ClientId {
        let lan = self.0.settings.lan_addr;
        ClientId { address: lan.ip().octets(), port: lan.port(), connection }
    }
}

fn deliver<'a>(outboxes: impl Iterator<Item = &'a Arc<Outbox>>, publication: &Publication) -> Delivered {
    let mut delivered = Delivered::default();
    for outbox in outboxes {
        match outbox.publish(publication) {
            outbox::Queued::Yes => delivered.to += 1,
            outbox::Queued::Slow => delivered.slow += 1,
            outbox::Queued::NotForIt => {}
        }
    }
    metrics::counter!("roomcast_pushes_total").increment(delivered.to as u64);
    metrics::counter!("roomcast_pushes_skipped_total").increment(delivered.slow as u64);
    delivered
}

/// A connection's place in the registry, given up however its task ends.
struct Seat {
    gateway: Gateway,
    connection: u32,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.gateway.registry().remove(self.connection);
        metrics::counter!("roomcast_sockets_closed_total").increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, DuplexStream};

    fn connect(gateway: &Gateway, dialect: Dialect, owner: Option<Owner>) -> (ClientId, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        (gateway.connect(ours, dialect, owner).unwrap(), theirs)
    }

    async fn frame(stream: &mut DuplexStream) -> String {
        assert_eq!(stream.read_u8().await.unwrap(), 0x81);
        let mut payload = vec![0; stream.read_u8().await.unwrap() as usize];
        stream.read_exact(&mut payload).await.unwrap();
        String::from_utf8(payload).unwrap()
    }

    fn both(text: &str) -> Publication {
        Publication::both(Frame::text(text.as_bytes()))
    }

    #[tokio::test]
    async fn every_verb_reaches_whom_it_names() {
        let gateway = Gateway::new(Settings::default());
        let owner = Owner([1; 32]);
        let (one, mut at_one) = connect(&gateway, Dialect::V1, Some(owner));
        let (other, mut at_other) = connect(&gateway, Dialect::Plain, None);
        for stream in [&mut at_one, &mut at_other] {
            assert!(frame(stream).await.starts_with(r#"{"type":"init""#));
        }
        let (uid, group) = ("u".parse().unwrap(), Group::new("1"));
        assert!(gateway.bind_uid(one, &uid) && gateway.join_group(one, &group) && gateway.join_group(other, &group));
        let to = |to| Delivered { to, slow: 0 };
        assert_eq!(gateway.send_to_client(other, &both("client")), to(1));
        assert_eq!(gateway.send_to_uid(&uid, &both("uid")), to(1));
        assert_eq!(gateway.send_to_group(&group, &both("group")), to(2));
        assert_eq!(gateway.send_to_group(&group, &Publication::v1(Frame::text(b"v1"))), to(1));
        assert!(gateway.leave_group(one, &group) && !gateway.leave_group(one, &group));
        assert_eq!(gateway.send_to_group(&group, &both("left")), to(1));
        assert_eq!(gateway.send_to_all(&both("all")), to(2));
        for expected in ["uid", "group", "v1", "all"] {
            assert_eq!(frame(&mut at_one).await, expected);
        }
        for expected in ["client", "group", "left", "all"] {
            assert_eq!(frame(&mut at_other).await, expected);
        }

        assert_eq!((gateway.owner_of(one), gateway.owner_of(other)), (Some(Some(owner)), Some(None)));
        let elsewhere = ClientId { port: 1, ..one };
        assert!(gateway.is_online(one) && !gateway.is_online(elsewhere) && !gateway.bind_uid(elsewhere, &uid));
        assert_eq!(gateway.close_owner(owner, CloseCode::SIGNED_OUT), 1);
        assert_eq!(at_one.read_u16().await.unwrap(), 0x880c);
        assert_eq!(at_one.read_u16().await.unwrap(), 4501);
        drop(at_one);
        while gateway.is_online(one) {
            tokio::task::yield_now().await;
        }
        assert_eq!((gateway.connection_count(), gateway.send_to_uid(&uid, &both("gone"))), (1, to(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_closed_as_slow_and_who_says_nothing_as_silent() {
        let gateway = Gateway::new(Settings { queue_bytes: 1 << 20, ..Settings::default() });
        let (stuck, _never_read) = connect(&gateway, Dialect::V1, None);
        let (silent, mut at_silent) = connect(&gateway, Dialect::V1, None);
        let began = tokio::time::Instant::now();
        gateway.send_to_client(stuck, &both(&"x".repeat(1 << 17)));
        while gateway.is_online(stuck) || gateway.is_online(silent) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // 25 s until the ping, 10 s for its answer, 2 s for the goodbye; 30 s without progress for the stuck one.
        let took = began.elapsed();
        assert!(took > Duration::from_secs(34) && took < Duration::from_secs(39), "{took:?}");
        frame(&mut at_silent).await;
        let mut rest = Vec::new();
        at_silent.read_to_end(&mut rest).await.unwrap();
        assert_eq!(&rest[..6], [0x89, 0, 0x88, 8, 0x11, 0x3a], "a ping, then 4410");
    }
}
