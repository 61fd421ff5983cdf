//! The groups that have members on this node, for a caller that asks often and cannot wait for the shards. They are kept only after
//! [`LiveGroups::track`]: a node on its own asks nobody.

use super::Group;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The groups of all shards.
pub(super) struct LiveGroups(Vec<ShardGroups>);

/// The groups of one shard; changed only by its registry.
#[derive(Clone, Default)]
pub(super) struct ShardGroups(Arc<Shared>);

#[derive(Default)]
struct Shared {
    is_tracked: AtomicBool,
    groups: Mutex<HashSet<Group>>,
}

impl LiveGroups {
    /// Makes the tables of the shards.
    pub(super) fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| ShardGroups::default()).collect())
    }

    /// The table of a shard that starts, empty.
    pub(super) fn of_shard(&self, index: usize) -> ShardGroups {
        self.0.get(index).cloned().unwrap_or_default()
    }

    /// Keeps the groups from now on. Connections that joined before are not found: it is called before the first.
    pub(super) fn track(&self) {
        self.0.iter().for_each(|shard| shard.0.is_tracked.store(true, Ordering::Relaxed));
    }

    /// Whether a group has a member.
    pub(super) fn contains(&self, group: &Group) -> bool {
        self.0.iter().any(|shard| shard.groups().contains(group))
    }

    /// The groups with a member.
    pub(super) fn names(&self) -> HashSet<Group> {
        self.0.iter().flat_map(|shard| shard.groups().clone()).collect()
    }
}

impl ShardGroups {
    /// Adds a group that has its first member on the shard.
    pub(super) fn add(&self, group: &Group) {
        if self.0.is_tracked.load(Ordering::Relaxed) {
            self.groups().insert(group.clone());
        }
    }

    /// Removes a group without a member on the shard.
    pub(super) fn remove(&self, group: &Group) {
        if self.0.is_tracked.load(Ordering::Relaxed) {
            self.groups().remove(group);
        }
    }

    /// Removes all groups: the shard begins without connections.
    pub(super) fn clear(&self) {
        self.groups().clear();
    }

    fn groups(&self) -> MutexGuard<'_, HashSet<Group>> {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
