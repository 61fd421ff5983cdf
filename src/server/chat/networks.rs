//! The networks of guests, with `moderation.network_bans = "on"`: which hashes a send carries, and which are noted.

use super::send_limits::Sender;
use crate::domain::{id::RoomId, id::Uid, refusal::Refusal, room::Person};
use crate::server::{
    incident::refusal_of,
    moderation::NetworkKeys,
    storage::{Result as StorageResult, Store, moderation::NetworkHash},
};
use moka::sync::Cache;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A guest is new for this long: 24 hours. Only new guests share a restraint of their network.
const NEW_GUEST_MS: u64 = 24 * 3600 * 1000;
/// A guest's network in a room is noted once in this time.
const NOTED_FOR: Duration = Duration::from_secs(3600);

/// The networks of guests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Networks {
    is_on: bool,
    store: Store,
    keys: Arc<Mutex<Option<NetworkKeys>>>,
    noted: Cache<(RoomId, Uid), ()>,
}

impl Networks {
    pub(super) fn new(is_on: bool, store: Store) -> Self {
        let noted = Cache::builder().max_capacity(100_000).time_to_live(NOTED_FOR).build();
        Self { is_on, store, keys: Arc::default(), noted }
    }

    /// Returns the hashes of the networks that a send is judged by, and notes the sender's. Empty for accounts and for guests who are
    /// not new.
    pub(super) async fn of_send(
        &self,
        room: &RoomId,
        person: &Person,
        sender: Sender,
        now: u64,
    ) -> Result<Vec<NetworkHash>, Refusal> {
        let (Some(address), Some(since), true) = (sender.address, sender.guest_since, self.is_on) else {
            return Ok(Vec::new());
        };
        let hashes = self.keys(now).await.map_err(|error| refusal_of(&error, "networks"))?.hashes(room, address);
        let key = (room.clone(), person.uid.clone());
        if let Some(newest) = hashes.first()
            && !self.noted.contains_key(&key)
        {
            let noted = self.store.note_network(room, &person.uid, *newest, now).await;
            noted.map_err(|error| refusal_of(&error, "networks"))?;
            self.noted.insert(key, ());
        }
        if now.saturating_sub(since) >= NEW_GUEST_MS {
            return Ok(Vec::new());
        }
        // The uid tells the age of most guests; the store that of one whose uid is younger than the person.
        let standing = self.store.standing(room, &person.uid).await.map_err(|error| refusal_of(&error, "networks"))?;
        let is_new = standing.is_some_and(|standing| now.saturating_sub(standing.created_at) < NEW_GUEST_MS);
        Ok(if is_new { hashes } else { Vec::new() })
    }

    async fn keys(&self, now: u64) -> StorageResult<NetworkKeys> {
        let kept = self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(keys) = kept.filter(|keys| keys.are_of(now)) {
            return Ok(keys);
        }
        let keys = NetworkKeys::load(&self.store, now).await?;
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys.clone());
        Ok(keys)
    }
}
