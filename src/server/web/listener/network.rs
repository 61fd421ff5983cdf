//! The networks that share HTTP connections: an address, a /64 and a /48 of IPv6.

use crate::server::gateway::{network_prefix, rate_limit_prefix};
use std::net::IpAddr;

/// A /48 of IPv6 may hold the shares of this many addresses, each of which is a /64.
const ADDRESSES_PER_SITE: usize = 2;

/// A network with a share: an address (IPv6: a /64), or a /48 of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Network {
    prefix: IpAddr,
    is_site: bool,
}

impl Network {
    /// The number of shares that it may hold.
    pub(super) fn shares(&self) -> usize {
        if self.is_site { ADDRESSES_PER_SITE } else { 1 }
    }
}

/// The networks with shares of an address: itself (IPv6: its /64), and for IPv6 its /48.
pub(super) fn networks(address: IpAddr) -> [Option<Network>; 2] {
    let site = network_prefix(address).map(|prefix| Network { prefix, is_site: true });
    [Some(Network { prefix: rate_limit_prefix(address), is_site: false }), site]
}
