//! Limits of concurrent connections per node, session and address, and of handshakes in progress.
//!
//! An address is an IPv4 address or a /64 of IPv6. A /48 of IPv6, the usual allotment of one customer, has limits of its own,
//! [`NETWORK_FACTOR`] times those of an address.
//!
//! A [`ConnectionPermit`] is reserved before the upgrade is answered and is released when it is dropped.

use super::{Credentials, SocketOwner};
use crate::server::config::GatewaySettings as Settings;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The limit that refused a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LimitReached {
    /// The node drains.
    #[error("the node drains")]
    Draining,
    /// `gateway.max_connections`.
    #[error("the node holds gateway.max_connections connections")]
    Node,
    /// `gateway.max_handshakes`.
    #[error("gateway.max_handshakes handshakes are in progress")]
    Handshakes,
    /// `gateway.max_per_session`.
    #[error("the session holds gateway.max_per_session connections")]
    Session,
    /// `gateway.max_per_address`.
    #[error("the address holds gateway.max_per_address connections")]
    Address,
    /// [`NETWORK_FACTOR`] times `gateway.max_per_address`, for a /48 of IPv6.
    #[error("the /48 network holds 8 times gateway.max_per_address connections")]
    Network,
}

impl LimitReached {
    /// The value of the metric's label `limit`.
    fn label(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Node => "node",
            Self::Handshakes => "handshakes",
            Self::Session => "session",
            Self::Address => "address",
            Self::Network => "network",
        }
    }

    fn count(self) {
        metrics::counter!("roomcast_sockets_refused_total", "limit" => self.label()).increment(1);
    }
}

/// The limits of a node and the permits in use.
pub(super) struct ConnectionLimits {
    max_connections: usize,
    max_handshakes: usize,
    max_per_session: usize,
    max_per_address: usize,
    usage: Mutex<Usage>,
    /// Notified when the last permit is released.
    empty: Notify,
}

#[derive(Default)]
struct Usage {
    closed: bool,
    connections: usize,
    handshakes: usize,
    by_session: HashMap<SocketOwner, usize>,
    by_address: HashMap<IpAddr, usize>,
    /// Connections per /48 of IPv6.
    by_network: HashMap<IpAddr, usize>,
}

/// One connection's share of the limits; dropping it releases the share.
pub struct ConnectionPermit {
    limits: Arc<ConnectionLimits>,
    /// The peer's address.
    pub address: IpAddr,
    /// `None` if nobody is its owner: pages of other sites have neither session nor visitor cookie.
    credentials: Option<Box<Credentials>>,
    in_handshake: bool,
}

impl ConnectionLimits {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            max_connections: settings.max_connections,
            max_handshakes: settings.max_handshakes,
            max_per_session: settings.max_per_session,
            max_per_address: settings.max_per_address,
            usage: Mutex::default(),
            empty: Notify::new(),
        }
    }

    /// Reserves a connection whose handshake starts. Fails with the limit that is reached.
    pub(super) fn reserve(self: &Arc<Self>, address: IpAddr, opened: Credentials) -> Result<ConnectionPermit, LimitReached> {
        let reserved = self.try_reserve(address, opened.session);
        if let Err(limit) = reserved {
            limit.count();
        }
        let credentials = (!opened.is_nobody()).then(|| Box::new(opened));
        reserved.map(|()| ConnectionPermit { limits: self.clone(), address, credentials, in_handshake: true })
    }

    fn try_reserve(&self, address: IpAddr, owner: Option<SocketOwner>) -> Result<(), LimitReached> {
        let mut usage = self.usage();
        let of_session = owner.and_then(|owner| usage.by_session.get(&owner)).copied().unwrap_or(0);
        let of_address = usage.by_address.get(&rate_limit_prefix(address)).copied().unwrap_or(0);
        let network = network_prefix(address);
        let of_network = network.and_then(|network| usage.by_network.get(&network)).copied().unwrap_or(0);
        let reached = [
            (usage.closed, LimitReached::Draining),
            (usage.connections >= self.max_connections, LimitReached::Node),
            (usage.handshakes >= self.max_handshakes, LimitReached::Handshakes),
            (of_session >= self.max_per_session, LimitReached::Session),
            (of_address >= self.max_per_address, LimitReached::Address),
            (of_network >= self.max_per_address.saturating_mul(NETWORK_FACTOR as usize), LimitReached::Network),
        ];
        if let Some((_, limit)) = reached.iter().find(|(is_reached, _)| *is_reached) {
            return Err(*limit);
        }
        usage.connections += 1;
        usage.handshakes += 1;
        if let Some(owner) = owner {
            *usage.by_session.entry(owner).or_default() += 1;
        }
        *usage.by_address.entry(rate_limit_prefix(address)).or_default() += 1;
        if let Some(network) = network {
            *usage.by_network.entry(network).or_default() += 1;
        }
        Ok(())
    }

    /// Connections, including handshakes in progress.
    pub(super) fn count(&self) -> usize {
        self.usage().connections
    }

    /// Handshakes in progress.
    pub(super) fn handshakes(&self) -> usize {
        self.usage().handshakes
    }

    /// Refuses every further connection.
    pub(super) fn close(&self) {
        self.usage().closed = true;
    }

    /// Returns when no connection is left.
    pub(super) async fn all_released(&self) {
        loop {
            let mut empty = std::pin::pin!(self.empty.notified());
            // Registers for the notification before the count is read: a release in between is not missed.
            empty.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            empty.await;
        }
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionPermit {
    /// The session that owns the socket, and the visitor cookie that it was opened with.
    pub fn credentials(&self) -> Credentials {
        self.credentials.as_deref().copied().unwrap_or_default()
    }

    /// Makes a session the owner of a socket that no session owned. Fails if the session is at its limit.
    pub(super) fn take_over(&mut self, session: SocketOwner) -> Result<(), LimitReached> {
        let mut usage = self.limits.usage();
        let held = usage.by_session.get(&session).copied().unwrap_or(0);
        if held >= self.limits.max_per_session {
            LimitReached::Session.count();
            return Err(LimitReached::Session);
        }
        usage.by_session.insert(session, held + 1);
        self.credentials = Some(Box::new(Credentials { session: Some(session), ..self.credentials() }));
        Ok(())
    }

    /// Marks the handshake as complete: it no longer counts against `max_handshakes`.
    pub fn handshake_done(&mut self) {
        if std::mem::take(&mut self.in_handshake) {
            self.limits.usage().handshakes -= 1;
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut usage = self.limits.usage();
        usage.connections -= 1;
        usage.handshakes -= usize::from(self.in_handshake);
        if let Some(owner) = self.credentials().session {
            release(&mut usage.by_session, owner);
        }
        release(&mut usage.by_address, rate_limit_prefix(self.address));
        if let Some(network) = network_prefix(self.address) {
            release(&mut usage.by_network, network);
        }
        if usage.connections == 0 {
            self.limits.empty.notify_waiters();
        }
    }
}

/// The limit of a /48 of IPv6, as a multiple of the limit of an address.
pub const NETWORK_FACTOR: u32 = 8;

/// The address that limits count by: an IPv6 address stands for its /64 network.
pub fn rate_limit_prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address,
    }
}

/// The /48 network of an IPv6 address: one customer often has all 65,536 of its /64 networks. `None` for IPv4 and loopback,
/// which have no limit beyond that of the address.
pub fn network_prefix(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, ..] = v6.segments();
            Some(IpAddr::from([a, b, c, 0, 0, 0, 0, 0]))
        }
        _ => None,
    }
}

fn release<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let Entry::Occupied(mut entry) = counts.entry(key) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Visitor;
    use super::*;

    #[test]
    fn each_limit_is_named_and_a_dropped_permit_is_released() {
        let settings =
            Settings { max_connections: 5, max_handshakes: 2, max_per_session: 2, max_per_address: 3, ..Settings::default() };
        let limits = Arc::new(ConnectionLimits::new(&settings));
        let (here, there) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let owner = Credentials { session: Some(SocketOwner([1; 32])), ..Credentials::default() };
        let nobody = Credentials::default();
        let permit = |address, owner| {
            limits.reserve(address, owner).map(|mut permit| {
                permit.handshake_done();
                permit
            })
        };
        let (one, two) = (permit(here, owner).unwrap(), permit(here, owner).unwrap());
        assert_eq!(permit(there, owner).err(), Some(LimitReached::Session));
        let _three = permit(here, nobody).unwrap();
        assert_eq!(permit(here, nobody).err(), Some(LimitReached::Address));
        let (in_handshake, _other) = (limits.reserve(there, nobody).unwrap(), limits.reserve(there, nobody).unwrap());
        assert_eq!(limits.handshakes(), 2);
        drop(one);
        assert_eq!(limits.reserve(here, owner).err(), Some(LimitReached::Handshakes));
        drop(in_handshake);
        let _four = permit(here, owner).unwrap();
        let _five = permit(there, nobody).unwrap();
        assert_eq!(permit(there, nobody).err(), Some(LimitReached::Node));
        drop(two);
        limits.close();
        assert_eq!((permit(there, nobody).err(), limits.count(), limits.handshakes()), (Some(LimitReached::Draining), 4, 1));
    }

    #[test]
    fn f28_a_48_of_ipv6_has_eight_times_the_connections_of_an_address() {
        let settings = Settings { max_per_address: 2, ..Settings::default() };
        let (limits, nobody) = (Arc::new(ConnectionLimits::new(&settings)), Credentials::default());
        let of_64 = |n: u16| IpAddr::from([0x2001, 0xdb8, 1, n, 0, 0, 0, 7]);
        let mut held: Vec<_> = (0..8).flat_map(|n| [n, n]).map(|n| limits.reserve(of_64(n), nobody).unwrap()).collect();
        assert_eq!(limits.reserve(of_64(0), nobody).err(), Some(LimitReached::Address));
        assert_eq!(limits.reserve(of_64(9), nobody).err(), Some(LimitReached::Network));
        let elsewhere = IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, 7]);
        assert!(limits.reserve(elsewhere, nobody).is_ok(), "another /48 is not concerned");
        held.pop();
        assert!(limits.reserve(of_64(9), nobody).is_ok(), "a released permit is free for the network");
        drop(held);
        let usage = limits.usage();
        assert!(usage.by_network.is_empty() && usage.by_address.is_empty());
    }

    #[test]
    fn f28_addresses_of_one_network_share_a_prefix() {
        let check = |address: &str, narrow: &str, wide: Option<&str>| {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(rate_limit_prefix(address), narrow.parse::<IpAddr>().unwrap());
            assert_eq!(network_prefix(address), wide.map(|wide| wide.parse().unwrap()));
        };
        check("203.0.113.9", "203.0.113.9", None);
        check("::1", "::1", None);
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", Some("2001:db8:1::"));
    }

    #[test]
    fn p1_a_session_takes_a_socket_over_within_its_limit() {
        let limits = Arc::new(ConnectionLimits::new(&Settings { max_per_session: 1, ..Settings::default() }));
        let (here, session, visitor) = (IpAddr::from([10, 0, 0, 1]), SocketOwner([1; 32]), Some(Visitor([2; 32])));
        let opened = Credentials { visitor, ..Credentials::default() };
        let (mut first, mut second) = (limits.reserve(here, opened).unwrap(), limits.reserve(here, opened).unwrap());
        assert_eq!((first.take_over(session), second.take_over(session)), (Ok(()), Err(LimitReached::Session)));
        assert_eq!(first.credentials(), Credentials { session: Some(session), ..opened });
        assert_eq!(second.credentials(), opened);
        drop(first);
        assert_eq!(second.take_over(session), Ok(()));
        drop(second);
        assert!(limits.usage().by_session.is_empty());
    }
}
