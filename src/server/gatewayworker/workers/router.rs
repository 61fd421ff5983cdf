//! Routes the events of clients to BusinessWorkers. Each client is pinned to the name of one worker, also across that worker's
//! reconnect. If the worker is absent at the next event, the client is pinned to the worker with the fewest clients.

use super::encode;
use crate::server::gateway::{ClientSession, ConnectionEvent, EventKind, EventReceiver, Subscription};
use bytes::{Bytes, BytesMut};
use indexmap::IndexMap;
use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

/// Bytes of events that a worker has not read. Further events are dropped and counted, as by GatewayWorker's
/// `sendToWorkerBufferSize`.
const MAX_UNREAD_BYTES: usize = 10_240_000;

/// The connected workers. Clones share them.
#[derive(Clone)]
pub(crate) struct Workers(Arc<Shared>);

struct Shared {
    table: Mutex<Table>,
    /// Enabled while a worker is connected; otherwise shards emit no events.
    subscription: Subscription,
}

/// The workers, and the assignment of clients to them.
#[derive(Default)]
struct Table {
    /// By name. A new worker replaces the one of the same name.
    links: IndexMap<Arc<str>, Link>,
    /// By connection id (the last part of a client_id): the name of the client's worker.
    pins: HashMap<u32, Arc<str>>,
    /// The number of clients by name, also of workers that are absent.
    clients: HashMap<Arc<str>, usize>,
    next_number: u64,
}

/// The router's side of a worker's connection.
struct Link {
    /// Distinguishes connections of the same name.
    number: u64,
    events: UnboundedSender<Bytes>,
    unread_bytes: Arc<AtomicUsize>,
    replaced: CancellationToken,
}

/// A worker's connection to the router. It disconnects when it is dropped, or when another of the same name replaces it.
pub(crate) struct Worker {
    workers: Workers,
    name: Arc<str>,
    number: u64,
    events: UnboundedReceiver<Bytes>,
    unread_bytes: Arc<AtomicUsize>,
    replaced: CancellationToken,
}

impl Workers {
    /// No workers yet.
    pub(crate) fn new(subscription: Subscription) -> Self {
        let workers = Self(Arc::new(Shared { table: Mutex::default(), subscription }));
        workers.record(&workers.table());
        workers
    }

    /// Connects a worker. A worker of the same name is replaced.
    pub(crate) fn connect(&self, name: String) -> Worker {
        let name: Arc<str> = name.into();
        let (sender, events) = unbounded_channel();
        let unread_bytes = Arc::<AtomicUsize>::default();
        let mut table = self.table();
        let number = table.next_number;
        table.next_number += 1;
        let replaced = CancellationToken::new();
        let link = Link { number, events: sender, unread_bytes: unread_bytes.clone(), replaced: replaced.clone() };
        if let Some(before) = table.links.insert(name.clone(), link) {
            before.replaced.cancel();
        }
        self.record(&table);
        drop(table);
        Worker { workers: self.clone(), name, number, events, unread_bytes, replaced }
    }

    /// Forwards events to the workers until `events` ends. `lan_addr` is the node's address in client ids, `gateway_port`
    /// the port that browsers connect to.
    pub(crate) async fn forward(&self, events: &mut EventReceiver, lan_addr: SocketAddrV4, gateway_port: u16) {
        while let Some(event) = events.next().await {
            let (connection, is_last) = (event.client.connection, matches!(event.kind, EventKind::Disconnected));
            self.route(connection, is_last, |with_session| {
                let session = event.session.as_ref().filter(|_| with_session);
                encoded(&event, session, lan_addr, gateway_port)
            });
        }
    }

    /// Sends an event to the client's worker. `event` encodes it, with the session or without.
    fn route(&self, connection: u32, is_last: bool, event: impl Fn(bool) -> Bytes) {
        let mut table = self.table();
        let Some(link) = table.link(connection, is_last) else {
            metrics::counter!("roomcast_php_worker_events_dropped_total").increment(1);
            return;
        };
        let mut whole = event(true);
        let mut fits = link.unread_bytes.load(Ordering::Relaxed) + whole.len() <= MAX_UNREAD_BYTES;
        if !fits && is_last {
            // A worker forgets a client at this event, which is sent once: it is queued beyond the limit, without the session.
            (whole, fits) = (event(false), true);
        }
        let bytes = whole.len();
        // Added before the worker can subtract it.
        link.unread_bytes.fetch_add(bytes, Ordering::Relaxed);
        if !fits || link.events.send(whole).is_err() {
            link.unread_bytes.fetch_sub(bytes, Ordering::Relaxed);
            metrics::counter!("roomcast_php_worker_events_dropped_total").increment(1);
        }
    }

    fn record(&self, table: &Table) {
        metrics::gauge!("roomcast_php_workers").set(table.links.len() as f64);
        self.0.subscription.set_enabled(!table.links.is_empty());
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encoded(event: &ConnectionEvent, session: Option<&ClientSession>, lan_addr: SocketAddrV4, gateway_port: u16) -> Bytes {
    let mut out = BytesMut::new();
    encode::write_event(event, session, lan_addr, gateway_port, &mut out);
    out.freeze()
}

impl Table {
    /// Returns the link to the client's worker; `None` without workers. At the last event the client's pin is removed.
    fn link(&mut self, connection: u32, is_last: bool) -> Option<&Link> {
        let pin = self.pins.remove(&connection);
        let name = match pin {
            Some(name) if self.links.contains_key(&name) => name,
            gone => {
                gone.into_iter().for_each(|name| self.unpin(&name));
                let count = |name: &Arc<str>| self.clients.get(name).copied().unwrap_or_default();
                let name = self.links.keys().min_by_key(|name| count(name))?.clone();
                *self.clients.entry(name.clone()).or_default() += 1;
                name
            }
        };
        if is_last {
            self.unpin(&name);
        } else {
            self.pins.insert(connection, name.clone());
        }
        self.links.get(&name)
    }

    fn unpin(&mut self, name: &Arc<str>) {
        if let Some(count) = self.clients.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(name);
            }
        }
    }

    /// Removes a link, unless a worker of the same name has replaced it.
    fn remove(&mut self, name: &str, number: u64) {
        if self.links.get(name).is_some_and(|link| link.number == number) {
            self.links.shift_remove(name);
        }
        // Without workers no disconnect event arrives, so pins would stay forever.
        if self.links.is_empty() {
            (self.pins, self.clients) = Default::default();
        }
    }
}

impl Worker {
    /// Waits for the next encoded event.
    pub(crate) async fn next_event(&mut self) -> Bytes {
        match self.events.recv().await {
            Some(event) => {
                self.unread_bytes.fetch_sub(event.len(), Ordering::Relaxed);
                event
            }
            // Replaced: no further event arrives.
            None => std::future::pending().await,
        }
    }

    /// Returns a token that is cancelled when another worker of the same name connects.
    pub(crate) fn replaced(&self) -> CancellationToken {
        self.replaced.clone()
    }

    /// Returns true if no event is queued.
    pub(crate) fn is_drained(&self) -> bool {
        self.events.is_empty()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut table = self.workers.table();
        table.remove(&self.name, self.number);
        self.workers.record(&table);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::GatewaySettings;
    use crate::server::gateway::Gateway;
    use futures_util::FutureExt;

    fn no_workers() -> Workers {
        let gateway = Gateway::start(GatewaySettings { shards: 1, ..GatewaySettings::default() }).unwrap();
        Workers::new(gateway.take_events().unwrap().subscription())
    }

    fn send(workers: &Workers, connection: u32, is_last: bool) {
        workers.route(connection, is_last, |_| Bytes::from(connection.to_string()));
    }

    fn received(worker: &mut Worker) -> Vec<String> {
        let events = std::iter::from_fn(|| worker.next_event().now_or_never());
        events.map(|event| String::from_utf8(event.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_client_stays_with_its_worker_and_moves_when_the_worker_disconnects() {
        let workers = no_workers();
        send(&workers, 9, false);
        let (mut one, mut two) = (workers.connect("one".into()), workers.connect("two".into()));
        for connection in [1, 2, 3, 1, 2, 1] {
            send(&workers, connection, false);
        }
        assert_eq!(
            (received(&mut one), received(&mut two)),
            (vec!["1".into(), "3".into(), "1".into(), "1".into()], vec!["2".into(), "2".into()])
        );
        // Clients 1 and 3 disconnect: client 4 goes to the worker with fewer clients.
        send(&workers, 1, true);
        send(&workers, 3, true);
        send(&workers, 4, false);
        assert_eq!(received(&mut one), ["1", "3", "4"]);
        drop(one);
        send(&workers, 4, false);
        send(&workers, 2, false);
        assert_eq!(received(&mut two), ["4", "2"]);
        assert_eq!(workers.table().links.len(), 1);
        drop(two);
        assert!(workers.table().pins.is_empty());
    }

    #[tokio::test]
    async fn a_new_worker_replaces_the_one_of_the_same_name() {
        let workers = no_workers();
        let mut old = workers.connect("php:0".into());
        let mut new = workers.connect("php:0".into());
        assert!(old.replaced().is_cancelled() && !new.replaced().is_cancelled());
        assert!(received(&mut old).is_empty());
        drop(old);
        send(&workers, 1, false);
        assert_eq!((received(&mut new).len(), workers.table().links.len()), (1, 1));
        // A worker that reconnects gets its clients back, except those that had an event in the meantime.
        let mut other = workers.connect("php:1".into());
        for connection in [2, 3, 4] {
            send(&workers, connection, false);
        }
        assert_eq!((received(&mut new).join(" "), received(&mut other).join(" ")), ("3".into(), "2 4".into()));
        drop(new);
        send(&workers, 3, false);
        let mut back = workers.connect("php:0".into());
        for connection in [1, 2, 3, 4, 5] {
            send(&workers, connection, connection == 1);
        }
        assert_eq!((received(&mut back).join(" "), received(&mut other).join(" ")), ("1 5".into(), "3 2 3 4".into()));
        for connection in [2, 3, 4, 5] {
            send(&workers, connection, true);
        }
        assert!(workers.table().pins.is_empty() && workers.table().clients.is_empty());
    }

    #[test]
    fn events_for_a_worker_that_does_not_read_are_dropped_except_disconnects() {
        let workers = no_workers();
        let mut worker = workers.connect("php:0".into());
        let large = |with_session: bool| Bytes::from(vec![0; if with_session { 1_000_000 } else { 1 }]);
        for _ in 0..20 {
            workers.route(1, false, large);
        }
        // A disconnect is queued all the same.
        workers.route(1, true, large);
        let lengths: Vec<_> = received(&mut worker).iter().map(String::len).collect();
        assert_eq!(lengths, [vec![1_000_000; 10], vec![1]].concat());
        send(&workers, 1, false);
        assert_eq!(received(&mut worker).len(), 1);
    }
}
