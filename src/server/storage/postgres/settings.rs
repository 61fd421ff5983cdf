//! The settings of rooms that the chat asks for before each batch, kept for a moment: another round trip per batch would double its
//! time. `append` judges every message by the room as it is then, so an old setting only lets a send pass to it. An old slow mode
//! would refuse a send that begins after its end, so the chat refuses no send for one before it reads the settings again.

use crate::domain::id::RoomId;
use crate::server::storage::RoomSettings;
use moka::sync::Cache;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Time for which a room's settings are kept.
const KEPT_FOR: Duration = Duration::from_millis(250);
/// Rooms whose settings are kept, at most.
const MAX_ROOMS: u64 = 10_000;

/// The settings of rooms. Cheap to clone; all clones are one cache.
#[derive(Clone)]
pub(super) struct SettingsCache(Cache<RoomId, RoomSettings>);

impl Default for SettingsCache {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MAX_ROOMS).time_to_live(KEPT_FOR).build())
    }
}

impl SettingsCache {
    /// Returns the settings that are kept, and removes their rooms from `rooms`.
    pub(super) fn take_known(&self, rooms: &mut HashSet<RoomId>) -> HashMap<RoomId, RoomSettings> {
        let known: HashMap<_, _> = rooms.iter().filter_map(|room| Some((room.clone(), self.0.get(room)?))).collect();
        rooms.retain(|room| !known.contains_key(room));
        known
    }

    /// Keeps settings that were read just now.
    pub(super) fn keep(&self, read: &HashMap<RoomId, RoomSettings>) {
        read.iter().for_each(|(room, settings)| self.0.insert(room.clone(), settings.clone()));
    }

    /// Forgets a room whose settings this process changed.
    pub(super) fn forget(&self, room: &str) {
        if let Ok(room) = room.parse::<RoomId>() {
            self.0.invalidate(&room);
        }
    }

    /// Forgets all rooms.
    pub(super) fn forget_all(&self) {
        self.0.invalidate_all();
    }
}
