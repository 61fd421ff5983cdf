//! PHP's BusinessWorkers: who is connected, and which of them hears of which client. A client stays with its worker, also when
//! that comes again under its name; while it is gone, the next event finds the client another, the one with the fewest.

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

/// Bytes that may wait for a worker; what does not fit is dropped and counted (GatewayWorker's sendToWorkerBufferSize).
const MAX_UNREAD_BYTES: usize = 10_240_000;

#[derive(Clone)]
pub struct Workers(Arc<Shared>);

struct Shared {
    table: Mutex<Table>,
    /// The gateway is asked for what happens only while there are workers.
    subscription: Subscription,
}

#[derive(Default)]
struct Table {
    /// By name; the newest of a name is the one.
    links: IndexMap<Arc<str>, Link>,
    /// By connection id: the name of the worker that hears of it.
    pins: HashMap<u32, Arc<str>>,
    /// How many are pinned to a name, whether or not it is here.
    clients: HashMap<Arc<str>, usize>,
    next: u64,
}

struct Link {
    number: u64,
    to: UnboundedSender<Bytes>,
    unsent: Arc<AtomicUsize>,
    replaced: CancellationToken,
}

/// A worker's side of its link. It ends when it is dropped, or when another of its name takes its place.
pub struct Worker {
    workers: Workers,
    name: Arc<str>,
    number: u64,
    from: UnboundedReceiver<Bytes>,
    unsent: Arc<AtomicUsize>,
    replaced: CancellationToken,
}

impl Workers {
    pub fn new(subscription: Subscription) -> Self {
        let workers = Self(Arc::new(Shared { table: Mutex::default(), subscription }));
        workers.record(&workers.table());
        workers
    }

    pub fn connect(&self, name: String) -> Worker {
        let name: Arc<str> = name.into();
        let (to, from) = unbounded_channel();
        let unsent = Arc::<AtomicUsize>::default();
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        let replaced = CancellationToken::new();
        let link = Link { number, to, unsent: unsent.clone(), replaced: replaced.clone() };
        if let Some(before) = table.links.insert(name.clone(), link) {
            before.replaced.cancel();
        }
        self.record(&table);
        drop(table);
        Worker { workers: self.clone(), name, number, from, unsent, replaced }
    }

    /// Passes on what happens, until nothing does any more.
    pub async fn forward(&self, events: &mut EventReceiver, lan_addr: SocketAddrV4, gateway_port: u16) {
        while let Some(event) = events.next().await {
            let (connection, is_last) = (event.client.connection, matches!(event.kind, EventKind::Disconnected));
            self.route(connection, is_last, |with_session| {
                let session = event.session.as_ref().filter(|_| with_session);
                encoded(&event, session, lan_addr, gateway_port)
            });
        }
    }

    /// `event` writes it, with the session or without.
    fn route(&self, connection: u32, is_last: bool, event: impl Fn(bool) -> Bytes) {
        let mut table = self.table();
        let Some(link) = table.link(connection, is_last) else {
            metrics::counter!("roomcast_php_worker_events_dropped_total").increment(1);
            return;
        };
        let mut whole = event(true);
        let mut fits = link.unsent.load(Ordering::Relaxed) + whole.len() <= MAX_UNREAD_BYTES;
        if !fits && is_last {
            // That a client left comes once, and is what a worker forgets it by: it is always told, if need be without more.
            (whole, fits) = (event(false), true);
        }
        let bytes = whole.len();
        // Before it is taken: what was taken is not counted any more.
        link.unsent.fetch_add(bytes, Ordering::Relaxed);
        if !fits || link.to.send(whole).is_err() {
            link.unsent.fetch_sub(bytes, Ordering::Relaxed);
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

    fn leave(&mut self, name: &str, number: u64) {
        if self.links.get(name).is_some_and(|link| link.number == number) {
            self.links.shift_remove(name);
        }
        // Nobody hears who leaves from here on.
        if self.links.is_empty() {
            (self.pins, self.clients) = Default::default();
        }
    }
}

impl Worker {
    /// The next thing it is told.
    pub async fn next_event(&mut self) -> Bytes {
        match self.from.recv().await {
            Some(event) => {
                self.unsent.fetch_sub(event.len(), Ordering::Relaxed);
                event
            }
            // Nothing more will come: another has its place.
            None => std::future::pending().await,
        }
    }

    /// Cancelled when another of its name comes.
    pub fn replaced(&self) -> CancellationToken {
        self.replaced.clone()
    }

    /// Nothing waits to be told.
    pub fn is_drained(&self) -> bool {
        self.from.is_empty()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut table = self.workers.table();
        table.leave(&self.name, self.number);
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
        Workers::new(gateway.listen().unwrap().subscription())
    }

    fn send(workers: &Workers, connection: u32, is_last: bool) {
        workers.route(connection, is_last, |_| Bytes::from(connection.to_string()));
    }

    fn received(worker: &mut Worker) -> Vec<String> {
        let told = std::iter::from_fn(|| worker.next_event().now_or_never());
        told.map(|event| String::from_utf8(event.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_client_stays_with_its_worker_and_moves_when_that_goes() {
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
        // 1 and 3 leave: the next one goes to where fewer are.
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
    async fn the_newest_of_a_name_takes_its_place() {
        let workers = no_workers();
        let mut old = workers.connect("php:0".into());
        let mut new = workers.connect("php:0".into());
        assert!(old.replaced().is_cancelled() && !new.replaced().is_cancelled());
        assert!(received(&mut old).is_empty());
        drop(old);
        send(&workers, 1, false);
        assert_eq!((received(&mut new).len(), workers.table().links.len()), (1, 1));
        // And finds its clients again, but for those who were heard elsewhere meanwhile.
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
    fn a_worker_that_takes_nothing_is_told_no_more() {
        let workers = no_workers();
        let mut worker = workers.connect("php:0".into());
        let large = |with_session: bool| Bytes::from(vec![0; if with_session { 1_000_000 } else { 1 }]);
        for _ in 0..20 {
            workers.route(1, false, large);
        }
        // But that it left.
        workers.route(1, true, large);
        let lengths: Vec<_> = received(&mut worker).iter().map(String::len).collect();
        assert_eq!(lengths, [vec![1_000_000; 10], vec![1]].concat());
        send(&workers, 1, false);
        assert_eq!(received(&mut worker).len(), 1);
    }
}
