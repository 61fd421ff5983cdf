//! The peers of a port that have not presented the key. They get a quarter of the port's connections, and one address half of
//! these; a further one displaces the oldest, which presented no key for the longest time. PHP presents the key with its first
//! bytes, so a host without the key cannot keep PHP's calls out.

use indexmap::IndexMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Peers without the key that a port accepts at least, if its limit of connections allows it.
const MIN_STRANGERS: usize = 8;

/// The peers of one port that have not presented the key. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Strangers(Arc<Shared>);

struct Shared {
    max: usize,
    max_per_address: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_number: u64,
    /// By their number, oldest first.
    peers: IndexMap<u64, Peer>,
}

struct Peer {
    address: IpAddr,
    displaced: CancellationToken,
}

/// The place of one peer. Dropped when the peer presents the key, or with its connection.
pub(crate) struct Stranger {
    strangers: Strangers,
    number: u64,
    displaced: CancellationToken,
}

impl Strangers {
    /// The places of a port with at most `max_connections` connections.
    pub(crate) fn new(max_connections: usize) -> Self {
        let max = (max_connections / 4).max(MIN_STRANGERS).min(max_connections.max(1));
        let max_per_address = (max / 2).max(MIN_STRANGERS / 2);
        Self(Arc::new(Shared { max, max_per_address, state: Mutex::default() }))
    }

    /// Gives a peer a place. Beyond a limit the oldest peer of its address, or else of all, loses its own.
    pub(crate) fn admit(&self, address: IpAddr) -> Stranger {
        let mut state = self.state();
        let of_address = state.peers.values().filter(|peer| peer.address == address).count();
        let oldest = if of_address >= self.0.max_per_address {
            state.peers.iter().find(|(_, peer)| peer.address == address).map(|(number, _)| *number)
        } else if state.peers.len() >= self.0.max {
            state.peers.first().map(|(number, _)| *number)
        } else {
            None
        };
        if let Some(peer) = oldest.and_then(|number| state.peers.shift_remove(&number)) {
            peer.displaced.cancel();
        }
        let (number, displaced) = (state.next_number, CancellationToken::new());
        state.next_number += 1;
        state.peers.insert(number, Peer { address, displaced: displaced.clone() });
        drop(state);
        Stranger { strangers: self.clone(), number, displaced }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stranger {
    /// Waits until another peer displaces this one.
    pub(crate) fn displaced(&self) -> WaitForCancellationFuture<'_> {
        self.displaced.cancelled()
    }
}

/// Waits until the peer is displaced; forever once it has presented the key.
pub(super) async fn displaced(stranger: Option<&Stranger>) {
    match stranger {
        Some(stranger) => stranger.displaced().await,
        None => std::future::pending().await,
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.strangers.state().peers.shift_remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f18_the_oldest_peer_without_the_key_makes_way() {
        let strangers = Strangers::new(80);
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        let is_displaced = |stranger: &Stranger| stranger.displaced.is_cancelled();
        // 20 places, 10 of one address.
        let mut idle: Vec<_> = (0..10).map(|_| strangers.admit(address(1))).collect();
        assert!(!idle.iter().any(is_displaced));
        let other = strangers.admit(address(2));
        let further = strangers.admit(address(1));
        assert!(is_displaced(&idle[0]) && !idle[1..].iter().any(is_displaced) && !is_displaced(&other));
        // A peer that presents the key leaves its place to others.
        drop(further);
        let _eleventh = strangers.admit(address(1));
        assert!(!idle[1..].iter().any(is_displaced));
        let _many: Vec<_> = (10..20).map(|last| strangers.admit(address(last))).collect();
        assert!(is_displaced(&idle[1]) && !is_displaced(&idle[2]) && !is_displaced(&other));
        assert_eq!(strangers.state().peers.len(), 20);
        idle.clear();
        assert_eq!(strangers.state().peers.len(), 12);
    }
}
