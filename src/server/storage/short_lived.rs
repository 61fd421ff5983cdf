//! Short-lived records that hold on all nodes: turns of log-ins, and forms that wait for their page. With the database in the data
//! folder there is one node, which keeps both in its memory.

use super::{Result, Store};

/// The pace of turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turns {
    /// Turns that may be taken at once.
    pub burst: u32,
    /// Time until one is there again, in milliseconds.
    pub every_ms: u64,
}

impl Store {
    /// Whether [`Store::take_turn`] counts: there may be several nodes.
    pub fn counts_turns(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Takes a turn of the key on behalf of all nodes. Returns 0, or the milliseconds until there is one. The database in the data
    /// folder gives every turn: its one node counts.
    pub async fn take_turn(&self, key: &[u8; 32], turns: Turns) -> Result<u64> {
        match self {
            Self::Sqlite(_) => Ok(0),
            Self::Postgres(store) => store.take_turn(key, turns).await,
        }
    }

    /// Removes up to `limit` keys whose turns are all there again, and returns their number.
    pub async fn sweep_turns(&self, limit: u32) -> Result<u64> {
        match self {
            Self::Sqlite(_) => Ok(0),
            Self::Postgres(store) => store.sweep_turns(limit).await,
        }
    }

    /// Keeps a form for its page under the hash of a key, for `ttl_ms`. The newest 4,096 are kept.
    pub async fn keep_form(&self, key: &[u8; 32], form: &str, ttl_ms: u64) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(store) => store.keep_form(key, form, ttl_ms).await,
        }
    }

    /// Returns the form of a key, and keeps it.
    pub async fn kept_form(&self, key: &[u8; 32]) -> Result<Option<String>> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(store) => store.kept_form(key).await,
        }
    }

    /// Removes and returns the form of a key: of several requests one gets it.
    pub async fn take_form(&self, key: &[u8; 32]) -> Result<Option<String>> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(store) => store.take_form(key).await,
        }
    }
}
