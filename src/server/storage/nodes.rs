//! The table of a cluster's nodes, which keeps two live nodes from one address. SQLite has none: it has one server.

use super::{Result, Store};

/// Whether an address belongs to the node that asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NodeClaim {
    /// It does.
    Claimed,
    /// Another run has it, and was seen within 15 seconds.
    HeldBy {
        /// The other run.
        incarnation: String,
        /// When it was seen, in microseconds of the database's clock: another value later means that it lives.
        seen_at: i64,
    },
}

impl Store {
    /// Takes an inner address for this run of a node, or renews it. It is free if no live run has it, or the run `former`, which is
    /// known to have ended.
    pub async fn claim_node(&self, lan_addr: &str, incarnation: &str, former: Option<&str>) -> Result<NodeClaim> {
        match self {
            Self::Sqlite(_) => Ok(NodeClaim::Claimed),
            Self::Postgres(store) => store.claim_node(lan_addr, incarnation, former).await,
        }
    }

    /// Gives the address up, unless another run has it.
    pub async fn leave_node(&self, lan_addr: &str, incarnation: &str) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(store) => store.leave_node(lan_addr, incarnation).await,
        }
    }

    /// Stores a value under `name`, unless there is one that is not below `below`. Returns whether it did: of several nodes one.
    pub async fn raise_fact(&self, name: &str, value: &[u8], below: &[u8]) -> Result<bool> {
        match self {
            Self::Sqlite(store) => store.set_fact(name, value).await.map(|()| true),
            Self::Postgres(store) => store.raise_fact(name, value, below).await,
        }
    }
}
