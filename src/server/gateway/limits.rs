//! How many connections a node, a session and an address may hold, and how many handshakes may be under way. Asked before
//! the upgrade is answered; a [`ConnectionPermit`] is given up when whoever holds it is dropped, however that comes.

use super::SocketOwner;
use crate::server::config::GatewaySettings as Settings;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Why there is no permit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LimitReached {
    #[error("the node is leaving")]
    Leaving,
    #[error("the node holds as many connections as it may")]
    Node,
    #[error("too many handshakes are under way")]
    Handshakes,
    #[error("the session holds as many connections as it may")]
    Session,
    #[error("the address holds as many connections as it may")]
    Address,
}

impl LimitReached {
    /// The bound's name in the figures.
    fn bound(self) -> &'static str {
        match self {
            Self::Leaving => "leaving",
            Self::Node => "node",
            Self::Handshakes => "handshakes",
            Self::Session => "session",
            Self::Address => "address",
        }
    }
}

pub struct ConnectionLimits {
    max_connections: usize,
    max_handshakes: usize,
    max_per_session: usize,
    max_per_address: usize,
    taken: Mutex<Taken>,
    /// Rung when the last permit is given up.
    empty: Notify,
}

#[derive(Default)]
struct Taken {
    closed: bool,
    connections: usize,
    handshakes: usize,
    by_session: HashMap<SocketOwner, usize>,
    by_address: HashMap<IpAddr, usize>,
}

pub struct ConnectionPermit {
    limits: Arc<ConnectionLimits>,
    pub address: IpAddr,
    owner: Option<Box<SocketOwner>>,
    shaking_hands: bool,
}

impl ConnectionLimits {
    pub fn new(settings: &Settings) -> Self {
        Self {
            max_connections: settings.max_connections,
            max_handshakes: settings.max_handshakes,
            max_per_session: settings.max_per_session,
            max_per_address: settings.max_per_address,
            taken: Mutex::default(),
            empty: Notify::new(),
        }
    }

    /// For a handshake that begins.
    pub fn take(self: &Arc<Self>, address: IpAddr, owner: Option<SocketOwner>) -> Result<ConnectionPermit, LimitReached> {
        let taken = self.try_take(address, owner);
        if let Err(full) = taken {
            metrics::counter!("roomcast_sockets_refused_total", "bound" => full.bound()).increment(1);
        }
        taken.map(|()| ConnectionPermit { limits: self.clone(), address, owner: owner.map(Box::new), shaking_hands: true })
    }

    fn try_take(&self, address: IpAddr, owner: Option<SocketOwner>) -> Result<(), LimitReached> {
        let mut taken = self.taken();
        let of_session = owner.and_then(|owner| taken.by_session.get(&owner)).copied().unwrap_or(0);
        let of_address = taken.by_address.get(&rate_limit_prefix(address)).copied().unwrap_or(0);
        let full = [
            (taken.closed, LimitReached::Leaving),
            (taken.connections >= self.max_connections, LimitReached::Node),
            (taken.handshakes >= self.max_handshakes, LimitReached::Handshakes),
            (of_session >= self.max_per_session, LimitReached::Session),
            (of_address >= self.max_per_address, LimitReached::Address),
        ];
        if let Some((_, full)) = full.iter().find(|(is_full, _)| *is_full) {
            return Err(*full);
        }
        taken.connections += 1;
        taken.handshakes += 1;
        if let Some(owner) = owner {
            *taken.by_session.entry(owner).or_default() += 1;
        }
        *taken.by_address.entry(rate_limit_prefix(address)).or_default() += 1;
        Ok(())
    }

    /// Connections, and handshakes on their way to become one.
    pub fn count(&self) -> usize {
        self.taken().connections
    }

    pub fn handshakes(&self) -> usize {
        self.taken().handshakes
    }

    /// Nobody else is let in.
    pub fn close(&self) {
        self.taken().closed = true;
    }

    pub async fn all_left(&self) {
        loop {
            let mut empty = std::pin::pin!(self.empty.notified());
            // From here on it is heard, also if the last one leaves before it is awaited.
            empty.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            empty.await;
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionPermit {
    pub fn owner(&self) -> Option<SocketOwner> {
        self.owner.as_deref().copied()
    }

    /// The handshake is done.
    pub fn handshake_done(&mut self) {
        if std::mem::take(&mut self.shaking_hands) {
            self.limits.taken().handshakes -= 1;
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut taken = self.limits.taken();
        taken.connections -= 1;
        taken.handshakes -= usize::from(self.shaking_hands);
        if let Some(owner) = self.owner() {
            give_up(&mut taken.by_session, owner);
        }
        give_up(&mut taken.by_address, rate_limit_prefix(self.address));
        if taken.connections == 0 {
            self.limits.empty.notify_waiters();
        }
    }
}

/// An IPv6 network of 64 bits is one rate_limit_prefix, and one address here.
pub fn rate_limit_prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address,
    }
}

fn give_up<K: Eq + Hash>(taken: &mut HashMap<K, usize>, key: K) {
    if let Entry::Occupied(mut entry) = taken.entry(key) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_has_its_name_and_a_dropped_seat_is_free_again() {
        let settings =
            Settings { max_connections: 5, max_handshakes: 2, max_per_session: 2, max_per_address: 3, ..Settings::default() };
        let limits = Arc::new(ConnectionLimits::new(&settings));
        let (here, there) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let owner = Some(SocketOwner([1; 32]));
        let permit = |address, owner| {
            limits.take(address, owner).map(|mut permit| {
                permit.handshake_done();
                permit
            })
        };
        let (one, two) = (permit(here, owner).unwrap(), permit(here, owner).unwrap());
        assert_eq!(permit(there, owner).err(), Some(LimitReached::Session));
        let _three = permit(here, None).unwrap();
        assert_eq!(permit(here, None).err(), Some(LimitReached::Address));
        let (shaking, _also) = (limits.take(there, None).unwrap(), limits.take(there, None).unwrap());
        assert_eq!(limits.handshakes(), 2);
        drop(one);
        assert_eq!(limits.take(here, owner).err(), Some(LimitReached::Handshakes));
        drop(shaking);
        let _four = permit(here, owner).unwrap();
        let _five = permit(there, None).unwrap();
        assert_eq!(permit(there, None).err(), Some(LimitReached::Node));
        drop(two);
        limits.close();
        assert_eq!((permit(there, None).err(), limits.count(), limits.handshakes()), (Some(LimitReached::Leaving), 4, 1));
    }
}
