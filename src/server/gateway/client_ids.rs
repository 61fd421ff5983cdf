//! The client ids of this node: its inner address and a connection id. The connection id is random, so it cannot be guessed
//! from another one, and its remainder by the number of shards is the index of its shard.

use crate::domain::id::ClientId;
use std::net::SocketAddrV4;

/// Makes client ids and finds the shard of one.
#[derive(Clone, Copy)]
pub(super) struct ClientIds {
    lan_addr: SocketAddrV4,
    shards: u32,
}

impl ClientIds {
    /// `lan_addr` is the inner address in every id; `shards` is the number of shards of the node.
    pub(super) fn new(lan_addr: SocketAddrV4, shards: usize) -> Self {
        Self { lan_addr, shards: shards as u32 }
    }

    /// Draws a random id on a shard that is not in use.
    pub(super) fn draw(self, shard: usize, is_taken: impl Fn(u32) -> bool) -> ClientId {
        loop {
            let random: u32 = rand::random();
            let connection = (random - random % self.shards).wrapping_add(shard as u32);
            if connection != 0 && self.shard_of(connection) == shard && !is_taken(connection) {
                return self.client_id(connection);
            }
        }
    }

    /// Returns the client id of a connection id of this node.
    pub(super) fn client_id(self, connection: u32) -> ClientId {
        ClientId { address: self.lan_addr.ip().octets(), port: self.lan_addr.port(), connection }
    }

    /// Returns the index of the shard that owns the id; `None` for an id of another node.
    pub(super) fn shard(self, client: ClientId) -> Option<usize> {
        let ours = client.address == self.lan_addr.ip().octets() && client.port == self.lan_addr.port();
        ours.then(|| self.shard_of(client.connection))
    }

    fn shard_of(self, connection: u32) -> usize {
        (connection % self.shards) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_belongs_to_its_own_shard_only() {
        for shards in [1, 2, 3, 8] {
            let ids = ClientIds::new("127.0.0.1:2900".parse().unwrap(), shards);
            for shard in 0..shards {
                let client = ids.draw(shard, |_| false);
                assert_eq!(ids.shard(client), Some(shard));
                assert_eq!(ids.shard(ClientId { port: 1, ..client }), None);
            }
        }
    }
}
