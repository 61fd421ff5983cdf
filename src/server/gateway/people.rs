//! The people of a group: distinct uids, distinct visitors without a uid, and connections of nobody.

use super::registry::Registry;
use super::{Group, Uid};
use siphasher::sip::SipHasher13;
use std::collections::HashSet;

/// Key of the hashes of uids. With one key a uid has one hash, on every shard, in every process and version.
#[derive(Clone, Copy)]
pub struct PeopleKey(SipHasher13);

impl PeopleKey {
    /// Uses this key.
    pub fn new(key: &[u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(key))
    }

    /// Returns the hash of a uid.
    pub fn hash(&self, uid: &Uid) -> u64 {
        self.0.hash(uid.as_bytes())
    }
}

/// The people of a group. [`People::count`] is their number.
#[derive(Default)]
pub struct People {
    /// Hashes of uids: a uid with connections on several shards counts once.
    pub uids: HashSet<u64>,
    /// Visitors with a connection that has a uid: they are counted by it.
    pub with_uid: HashSet<u64>,
    /// Visitors with a connection that has none.
    pub without_uid: HashSet<u64>,
    /// Connections with neither uid nor visitor count as one person each.
    pub nobody: u32,
    /// Hashes of the uids of the group's staff, with repetitions.
    pub staff: Vec<u64>,
}

impl People {
    /// Adds the people of another shard.
    pub(super) fn merge(&mut self, other: Self) {
        self.uids.extend(other.uids);
        self.with_uid.extend(other.with_uid);
        self.without_uid.extend(other.without_uid);
        self.nobody += other.nobody;
        self.staff.extend(other.staff);
    }

    /// Returns the number of people.
    pub fn count(&self) -> u32 {
        (self.uids.len() + self.without_uid.difference(&self.with_uid).count()) as u32 + self.nobody
    }
}

impl Registry {
    /// Returns the people of a group. `key` must be the same on every shard.
    pub(super) fn people(&self, group: &Group, key: &PeopleKey) -> People {
        let staff = self.staff.of_group(group).filter_map(|slot| self.get(slot)?.uid());
        let mut people = People { staff: staff.map(|uid| key.hash(uid)).collect(), ..People::default() };
        for member in self.of_group(group).filter_map(|slot| self.get(slot)) {
            match (member.uid(), member.visitor()) {
                (Some(uid), visitor) => {
                    people.uids.insert(key.hash(uid));
                    people.with_uid.extend(visitor);
                }
                (None, Some(visitor)) => _ = people.without_uid.insert(visitor),
                (None, None) => people.nobody += 1,
            }
        }
        people
    }
}
