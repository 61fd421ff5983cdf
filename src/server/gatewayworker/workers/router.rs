//! Forwards the events of clients to BusinessWorkers, in one task. A client that no worker has heard of is told to the first one
//! that can take it; one that cannot be told is turned away while a worker is there.

use super::encode;
use super::link::Connected;
use super::table::{Action, TURN_AWAY_BATCH, Table};
use crate::domain::id::ClientId;
use crate::server::gateway::{EventReceiver, Gateway, Subscription};
use bytes::{Bytes, BytesMut};
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Interval of the checks for events that waited for too long, and of the turns of a sweep.
const TICK: Duration = Duration::from_millis(250);
/// Clients that are told at once. Their sessions are read in one turn of the shards.
const TELL_BATCH: usize = 512;

/// Of a node, for its workers.
#[derive(Clone, Copy)]
pub(crate) struct NodeInfo {
    /// The node's address in client ids.
    pub lan_addr: SocketAddrV4,
    /// The port that browsers connect to.
    pub gateway_port: u16,
    /// Workers are expected at any time.
    pub expects_workers: bool,
}

/// The connected workers. Clones share them.
#[derive(Clone)]
pub(crate) struct Workers(Arc<Shared>);

struct Shared {
    table: Mutex<Table>,
    node: NodeInfo,
    gateway: Gateway,
    /// Enabled while events are held or a worker is connected; otherwise shards announce no connections.
    subscription: Subscription,
    /// A worker may have space for events that wait.
    has_space: Notify,
}

/// A worker's connection to the router. It disconnects when it is dropped, or when another of the same name replaces it.
pub(crate) struct Worker {
    workers: Workers,
    link: Connected,
}

impl Workers {
    /// No workers yet.
    pub(crate) fn new(gateway: Gateway, subscription: Subscription, node: NodeInfo) -> Self {
        let table = Mutex::new(Table::new(node.expects_workers, Instant::now()));
        let workers = Self(Arc::new(Shared { table, node, gateway, subscription, has_space: Notify::new() }));
        workers.record(&workers.table());
        workers
    }

    /// Connects a worker. A worker of the same name is replaced.
    pub(crate) fn connect(&self, name: String) -> Worker {
        let mut table = self.table();
        let link = table.connect(name, Instant::now());
        self.record(&table);
        drop(table);
        self.0.has_space.notify_one();
        Worker { workers: self.clone(), link }
    }

    /// Forwards events to the workers until `events` ends. While `open` is false workers connect to another process: clients whose
    /// events wait are turned away, so that their pages come to that process.
    pub(crate) async fn forward(&self, events: &mut EventReceiver, open: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The place from which clients are told next, while there are some.
        let mut telling = None;
        let mut is_holding = true;
        loop {
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event else { return };
                    let action = self.table().accept(event, Instant::now());
                    self.carry_out(action);
                }
                () = self.0.has_space.notified() => (telling, is_holding) = (telling.or(Some(0)), true),
                () = std::future::ready(()), if telling.is_some() => telling = self.tell_waiting(telling.unwrap_or_default()).await,
                _ = tick.tick(), if is_holding => {
                    let is_open = *open.borrow();
                    is_holding = self.tick(is_open).await;
                }
            }
        }
    }

    /// Tells a batch of the clients that wait, and returns the place of the next one.
    async fn tell_waiting(&self, place: u64) -> Option<u64> {
        let waiting = self.table().waiting(place, TELL_BATCH);
        let (last, ..) = waiting.last()?;
        let untold: Vec<ClientId> = waiting.iter().filter(|(_, _, told)| !told).map(|(_, client, _)| *client).collect();
        let sessions = if untold.is_empty() { Default::default() } else { self.0.gateway.sessions_to_tell(untold).await };
        let (mut table, now) = (self.table(), Instant::now());
        for (_, client, told) in &waiting {
            table.tell(*client, *told, sessions.get(client), now);
        }
        Some(last + 1)
    }

    /// Returns false if there is nothing to do until a worker connects.
    async fn tick(&self, is_open: bool) -> bool {
        let (actions, sweeps, is_holding) = {
            let mut table = self.table();
            let (has_workers, now) = (table.worker_count() > 0, Instant::now());
            let actions = if is_open || has_workers { table.expire(now) } else { table.end_waiting(now) };
            table.must_sweep |= self.0.subscription.take_missed();
            self.record(&table);
            if has_workers && table.waiting_clients() > 0 {
                self.0.has_space.notify_one();
            }
            (actions, has_workers && std::mem::take(&mut table.must_sweep), table.is_holding())
        };
        // A tick turns away one batch, whatever the cause.
        let rest = TURN_AWAY_BATCH.saturating_sub(actions.len());
        self.carry_out(actions);
        if sweeps {
            let count = if rest > 0 { self.0.gateway.turn_away_unannounced(rest).await } else { 0 };
            count_turned_away(count);
            self.table().must_sweep |= count > 0 || rest == 0;
        }
        is_holding
    }

    fn carry_out(&self, actions: impl IntoIterator<Item = Action>) {
        for action in actions {
            match action {
                Action::Forget(client) => self.0.gateway.forget(client),
                Action::TurnAway(client) => {
                    count_turned_away(1);
                    self.0.gateway.turn_away(client);
                }
            }
        }
    }

    fn record(&self, table: &Table) {
        metrics::gauge!("roomcast_php_workers").set(table.worker_count() as f64);
        metrics::gauge!("roomcast_php_clients_waiting").set(table.waiting_clients() as f64);
        self.0.subscription.set_enabled(table.is_holding());
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count_turned_away(count: usize) {
    metrics::counter!("roomcast_php_clients_turned_away_total").increment(count as u64);
}

impl Worker {
    /// Waits for the next event, encoded. No event is lost when the future is dropped. After a replacement none arrives. The
    /// events that are not recorded by [`Worker::sent`] wait for another worker when this one disconnects.
    pub(crate) async fn next_event(&mut self) -> Bytes {
        let Shared { has_space, node, .. } = &*self.workers.0;
        loop {
            let next = self.workers.table().next_event(&self.link.name, self.link.number);
            if let Some((event, frees_space)) = next {
                if frees_space {
                    has_space.notify_one();
                }
                let mut out = BytesMut::new();
                encode::write_event(&event, node.lan_addr, node.gateway_port, &mut out);
                return out.freeze();
            }
            self.link.arrived.notified().await;
        }
    }

    /// Records that the first `count` events that were taken are sent.
    pub(crate) fn sent(&self, count: usize) {
        self.workers.table().sent(&self.link.name, self.link.number, count);
    }

    /// Returns a token that is cancelled when another worker of the same name connects.
    pub(crate) fn replaced(&self) -> CancellationToken {
        self.link.replaced.clone()
    }

    /// Returns true if no event is queued.
    pub(crate) fn is_drained(&self) -> bool {
        self.workers.table().is_drained(&self.link.name, self.link.number)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut table = self.workers.table();
        table.disconnect(&self.link.name, self.link.number, Instant::now());
        self.workers.record(&table);
        drop(table);
        self.workers.0.has_space.notify_one();
    }
}
