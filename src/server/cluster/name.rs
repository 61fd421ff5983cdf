//! The name of a node and the number of its run.

use crate::domain::id::ClientId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

/// A node: the address of its inner port, `gateway.lan_addr`, with which each of its client_ids begins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct NodeName {
    address: [u8; 4],
    port: u16,
}

impl NodeName {
    /// The node of a connection.
    pub fn of(client: ClientId) -> Self {
        Self { address: client.address, port: client.port }
    }

    /// The inner address.
    pub fn address(self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from(self.address), self.port)
    }

    /// The first 12 digits of its client_ids: a word of a subject.
    pub fn hex(self) -> String {
        let [a, b, c, d] = self.address;
        format!("{a:02x}{b:02x}{c:02x}{d:02x}{:04x}", self.port)
    }
}

impl From<SocketAddrV4> for NodeName {
    fn from(address: SocketAddrV4) -> Self {
        Self { address: address.ip().octets(), port: address.port() }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

/// One run of a node, drawn at random when it starts: an answer to an earlier run is not taken for one to this. A reload hands it on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// Draws one.
    pub fn draw() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
