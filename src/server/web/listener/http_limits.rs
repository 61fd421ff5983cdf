//! Limits of HTTP connections: of the node, of an address, and a reserve for health checks and operators.
//!
//! A connection without a request in progress is idle. While its response is written a request is in progress, for
//! [`WRITING_GRACE`] at most: a client that reads more slowly may lose its place, as an idle one. A new connection over a limit takes the place of an idle one: of its own
//! address if that is at its share, else of the one that is idle for longest. Only connections with a request in progress can make
//! the node refuse others. Time is a parameter, so that tests set it.

mod permits;

pub(super) use permits::{HttpPermit, InProgress};

use super::network::{Network, networks};
use crate::server::config::WebSettings;
use crate::server::web::middleware::client_addr::is_trusted;
use permits::RequestPermit;
use slab::Slab;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Connections kept back for operators: loopback and `web.metrics_from`. At most a quarter of all.
const RESERVE: usize = 64;
/// Once three quarters of the connections are in use, each new one ends one that is idle for at least this long.
const IDLE_WHEN_NEARLY_FULL: Duration = Duration::from_secs(2);
/// Time in which a response is written undisturbed.
const WRITING_GRACE: Duration = Duration::from_secs(30);
/// Connections that were asked to end and have not yet; beyond them a new connection is refused. One that waits for its first
/// request, and one that writes for longer than [`WRITING_GRACE`], end at once; others have [`super::accept`]'s grace period for
/// the rest of a response.
const MAX_ENDING: usize = 256;

/// The limit that refused a connection or a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HttpLimit {
    /// `web.max_http_connections`.
    Node,
    /// `web.max_http_per_address`.
    Address,
}

impl HttpLimit {
    /// The value of the metric's label `limit`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Address => "address",
        }
    }
}

/// The limits of a node and the connections that count against them.
pub(super) struct HttpLimits {
    max: usize,
    reserve: usize,
    per_address: usize,
    web: WebSettings,
    table: Mutex<Table>,
}

/// An idle connection, by the time from which it is idle: in the future while a response is written. The slot makes the key
/// unique.
type IdleKey = (Instant, usize);

#[derive(Default)]
struct Table {
    connections: Slab<Connection>,
    /// Connections that were asked to end. They count nowhere else.
    ending: usize,
    /// Idle connections of everyone but trusted proxies.
    idle: BTreeSet<IdleKey>,
    /// Idle connections of trusted proxies. They end last, since a request of somebody else may be on its way.
    idle_proxies: BTreeSet<IdleKey>,
    /// Networks with a share, while they have connections.
    shares: HashMap<Network, Share>,
    /// Requests in progress behind trusted proxies, by the networks of their clients.
    forwarded: HashMap<Network, usize>,
    forwarded_total: usize,
}

#[derive(Default)]
struct Share {
    count: usize,
    idle: BTreeSet<IdleKey>,
}

struct Connection {
    class: Class,
    /// The networks whose shares it counts against.
    networks: [Option<Network>; 2],
    /// `None`: a request is in progress, and its response not begun.
    idle_since: Option<Instant>,
    phase: Phase,
    is_ending: bool,
    end: Arc<Notify>,
}

/// The progress of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Waits for its first request, or for the rest of its head.
    New,
    /// Has a request in progress, and no response yet.
    Request,
    /// Writes a response.
    Writing,
    /// Waits for another request. The end of the last response may still be in a buffer.
    Kept,
}

/// The class of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    /// Has a share, and no use of the reserve.
    Viewer,
    /// Loopback or `web.metrics_from`: no share, and use of the reserve.
    Operator,
    /// A trusted proxy: as an operator; its clients have shares.
    Proxy,
}

impl HttpLimits {
    /// Creates the limits of the settings.
    pub(super) fn new(web: &WebSettings) -> Arc<Self> {
        let max = web.max_http_connections;
        Arc::new(Self {
            max,
            reserve: RESERVE.min(max / 4),
            per_address: web.max_http_per_address,
            web: web.clone(),
            table: Mutex::default(),
        })
    }

    /// Counts a connection that was accepted at `now`. Over a limit it asks an idle connection to end; the error is the limit if
    /// there is none.
    pub(super) fn accept(self: &Arc<Self>, peer: IpAddr, now: Instant) -> Result<HttpPermit, HttpLimit> {
        let peer = peer.to_canonical();
        let class = self.class(&peer);
        let networks = if class == Class::Viewer { networks(peer) } else { [None, None] };
        let (end, mut table) = (Arc::new(Notify::new()), self.table());
        for network in networks.iter().flatten() {
            if table.shares.get(network).is_some_and(|share| share.count >= self.share(network))
                && !table.end_idle_of(network, now)
            {
                return Err(HttpLimit::Address);
            }
        }
        let max = if class == Class::Viewer { self.max - self.reserve } else { self.max };
        let in_use = table.in_use();
        if in_use >= max && !table.end_oldest_idle(now) {
            return Err(HttpLimit::Node);
        }
        if in_use >= self.max - self.max / 4
            && let Some(before) = now.checked_sub(IDLE_WHEN_NEARLY_FULL)
        {
            table.end_oldest_idle_before(before);
        }
        Ok(HttpPermit { limits: self.clone(), end: end.clone(), slot: table.insert(class, networks, end, now) })
    }

    /// Counts a request in progress of `client` if `peer` is a trusted proxy that forwards it. `Ok(None)`: it is not, so the
    /// connection's own share counts.
    pub(super) fn forwarded(self: &Arc<Self>, peer: IpAddr, client: IpAddr) -> Result<Option<RequestPermit>, HttpLimit> {
        let peer = peer.to_canonical();
        if client == peer || !is_trusted(&peer, &self.web) {
            return Ok(None);
        }
        let networks = networks(client);
        let mut table = self.table();
        if networks.iter().flatten().any(|network| table.forwarded.get(network).copied().unwrap_or(0) >= self.share(network)) {
            return Err(HttpLimit::Address);
        }
        if table.forwarded_total >= self.max - self.reserve {
            return Err(HttpLimit::Node);
        }
        table.forwarded_total += 1;
        networks.iter().flatten().for_each(|network| *table.forwarded.entry(*network).or_default() += 1);
        Ok(Some(RequestPermit { limits: self.clone(), networks }))
    }

    /// Asks the connection that is idle for longest at `now` to end, if there is one.
    pub(super) fn end_one_idle(&self, now: Instant) {
        self.table().end_oldest_idle(now);
    }

    fn class(&self, peer: &IpAddr) -> Class {
        if is_trusted(peer, &self.web) {
            Class::Proxy
        } else if peer.is_loopback() || self.web.metrics_from.iter().any(|network| network.contains(peer)) {
            Class::Operator
        } else {
            Class::Viewer
        }
    }

    fn share(&self, network: &Network) -> usize {
        self.per_address.saturating_mul(network.shares())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn in_use(&self) -> usize {
        self.connections.len() - self.ending
    }

    fn insert(&mut self, class: Class, networks: [Option<Network>; 2], end: Arc<Notify>, now: Instant) -> usize {
        networks.iter().flatten().for_each(|network| self.shares.entry(*network).or_default().count += 1);
        let connection = Connection { class, networks, idle_since: None, phase: Phase::New, is_ending: false, end };
        let slot = self.connections.insert(connection);
        self.set_phase(slot, Phase::New, Some(now));
        metrics::gauge!("roomcast_http_connections").increment(1.0);
        slot
    }

    fn remove(&mut self, slot: usize) {
        self.set_phase(slot, Phase::Kept, None);
        let Some(connection) = self.connections.try_remove(slot) else { return };
        metrics::gauge!("roomcast_http_connections").decrement(1.0);
        if connection.is_ending {
            self.ending -= 1;
        } else {
            self.release_shares(connection.networks);
        }
    }

    /// Asks the connection of a network that is idle for longest to end. Returns false if none is idle.
    fn end_idle_of(&mut self, network: &Network, now: Instant) -> bool {
        let oldest = self.shares.get(network).and_then(|share| self.oldest(&share.idle, now));
        oldest.is_some_and(|slot| self.end(slot))
    }

    /// Asks the connection that is idle for longest to end, a proxy's last. Returns false if none is idle.
    fn end_oldest_idle(&mut self, now: Instant) -> bool {
        let oldest = self.oldest(&self.idle, now).or_else(|| self.oldest(&self.idle_proxies, now));
        oldest.is_some_and(|slot| self.end(slot))
    }

    /// Returns the first of the connections, unless it still has time for its response: then all of them do.
    fn oldest(&self, idle: &BTreeSet<IdleKey>, now: Instant) -> Option<usize> {
        let (since, slot) = *idle.first()?;
        (since <= now || self.connections.get(slot)?.phase != Phase::Writing).then_some(slot)
    }

    /// Asks one connection that is idle since `before` to end, if there is one; never a proxy's.
    fn end_oldest_idle_before(&mut self, before: Instant) {
        if let Some((_, slot)) = self.idle.first().copied().filter(|(since, _)| *since <= before) {
            self.end(slot);
        }
    }

    fn end(&mut self, slot: usize) -> bool {
        if self.ending >= MAX_ENDING {
            return false;
        }
        let Some(phase) = self.connections.get(slot).map(|connection| connection.phase) else { return false };
        self.set_phase(slot, phase, None);
        let Some(connection) = self.connections.get_mut(slot) else { return false };
        connection.is_ending = true;
        connection.end.notify_one();
        let networks = connection.networks;
        self.release_shares(networks);
        self.ending += 1;
        metrics::counter!("roomcast_http_idle_closed_total").increment(1);
        true
    }

    /// Records the progress of a connection, and the time from which it is idle. One that ends keeps what it had.
    fn set_phase(&mut self, slot: usize, phase: Phase, since: Option<Instant>) {
        let Some(connection) = self.connections.get_mut(slot).filter(|connection| !connection.is_ending) else { return };
        connection.phase = phase;
        let before = std::mem::replace(&mut connection.idle_since, since);
        let idle = if connection.class == Class::Proxy { &mut self.idle_proxies } else { &mut self.idle };
        let of_networks = connection.networks;
        let change = |idle: &mut BTreeSet<IdleKey>| {
            before.map(|at| idle.remove(&(at, slot)));
            since.map(|at| idle.insert((at, slot)));
        };
        change(idle);
        for network in of_networks.iter().flatten() {
            if let Some(share) = self.shares.get_mut(network) {
                change(&mut share.idle);
            }
        }
    }

    fn release_shares(&mut self, networks: [Option<Network>; 2]) {
        for network in networks.into_iter().flatten() {
            if let Entry::Occupied(mut entry) = self.shares.entry(network) {
                entry.get_mut().count -= 1;
                if entry.get().count == 0 {
                    entry.remove();
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "http_limits_tests.rs"]
mod http_limits_tests;
