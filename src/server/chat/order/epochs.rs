//! The epochs of rooms, for pushes to other nodes: a node also sends to rooms in which it has no members.

use crate::domain::id::{Epoch, RoomId};
use crate::server::storage::Store;
use moka::sync::Cache;
use std::time::Duration;

/// Rooms whose epoch is kept, and for how long. An old one delays pushes: the receivers ask the store.
const MAX_ROOMS: u64 = 10_000;
const KEPT_FOR: Duration = Duration::from_secs(600);
/// Time to read one. Without it the receivers find out from the store.
const READ_WITHIN: Duration = Duration::from_millis(500);

/// The epochs. Cheap to clone; all clones are one table.
#[derive(Clone)]
pub(super) struct Epochs(Cache<RoomId, Epoch>);

impl Default for Epochs {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MAX_ROOMS).time_to_live(KEPT_FOR).build())
    }
}

impl Epochs {
    /// Returns the epoch of a room, if it is known.
    pub(super) fn get(&self, room: &RoomId) -> Option<Epoch> {
        self.0.get(room)
    }

    /// Keeps an epoch that was read just now.
    pub(super) fn keep(&self, room: &RoomId, epoch: &Epoch) {
        if self.0.get(room).as_ref() != Some(epoch) {
            self.0.insert(room.clone(), epoch.clone());
        }
    }

    /// Reads the epoch of a room. `None`: there is no such room, or the store does not answer soon.
    pub(super) async fn read(&self, store: &Store, room: &RoomId) -> Option<Epoch> {
        let heads = tokio::time::timeout(READ_WITHIN, store.heads(vec![room.clone()])).await.ok()?.ok()?;
        let epoch = heads.into_iter().next()?.epoch;
        self.keep(room, &epoch);
        Some(epoch)
    }

    /// Forgets the epoch of a room.
    pub(super) fn forget(&self, room: &RoomId) {
        self.0.invalidate(room);
    }

    /// Forgets all epochs.
    pub(super) fn forget_all(&self) {
        self.0.invalidate_all();
    }
}
