//! The people of a group: distinct uids, distinct visitors without a uid, and connections of nobody.

use super::Group;
use super::registry::Registry;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// The people of a group on one shard. Merge those of all shards to count them.
#[derive(Default)]
pub(super) struct People {
    /// Hashes of uids: a uid with connections on several shards counts once.
    uids: HashSet<u64>,
    /// Visitors with a connection that has a uid: they are counted by it.
    with_uid: HashSet<u64>,
    /// Visitors with a connection that has none.
    without_uid: HashSet<u64>,
    /// Connections with neither uid nor visitor count as one person each.
    nobody: u32,
}

impl People {
    /// Adds the people of another shard.
    pub(super) fn merge(&mut self, other: Self) {
        self.uids.extend(other.uids);
        self.with_uid.extend(other.with_uid);
        self.without_uid.extend(other.without_uid);
        self.nobody += other.nobody;
    }

    /// Returns the number of people.
    pub(super) fn count(&self) -> u32 {
        (self.uids.len() + self.without_uid.difference(&self.with_uid).count()) as u32 + self.nobody
    }
}

impl Registry {
    /// Returns the people of a group. `hasher` must be the same on every shard.
    pub(super) fn people(&self, group: &Group, hasher: &RandomState) -> People {
        let mut people = People::default();
        for member in self.of_group(group).filter_map(|slot| self.get(slot)) {
            match (member.uid(), member.visitor()) {
                (Some(uid), visitor) => {
                    people.uids.insert(hasher.hash_one(uid));
                    people.with_uid.extend(visitor);
                }
                (None, Some(visitor)) => _ = people.without_uid.insert(visitor),
                (None, None) => people.nobody += 1,
            }
        }
        people
    }
}
