//! The part of the contract that deletes. Each call removes a batch of at most `limit` rows in one short transaction, so that
//! sends do not wait for a sweep.

use super::store::on_store;
use super::{Result, Store};
use crate::domain::id::{RoomId, Uid};

impl Store {
    /// Removes messages of deleted rooms, and the row of a room after its last one. Returns the number of rows; 0 when no
    /// deleted room is left.
    pub async fn sweep_deleted_rooms(&self, limit: u32) -> Result<u64> {
        on_store!(self.sweep_deleted_rooms(limit).await)
    }

    /// Returns the earlier one of `now` (unix ms) and the time of the store's own clock. What is removed by its age is compared
    /// with it, so that a node whose clock is ahead removes nothing early.
    pub async fn earlier_now(&self, now: u64) -> Result<u64> {
        on_store!(self.earlier_now(now).await)
    }

    /// Returns the rooms whose oldest message is from before `before` (unix ms), among the next rooms after the id `after`; and the
    /// id to go on after, `None` at the end.
    pub async fn rooms_with_messages_before(&self, before: u64, after: Option<&RoomId>) -> Result<(Vec<RoomId>, Option<RoomId>)> {
        on_store!(self.rooms_with_messages_before(before, after).await)
    }

    /// Removes the room's oldest messages, those before the first one from `before` (unix ms) or later, and returns their
    /// number. The seqs that are left have no holes.
    pub async fn remove_messages_before(&self, room: &RoomId, before: u64, limit: u32) -> Result<u64> {
        on_store!(self.remove_messages_before(room, before, limit).await)
    }

    /// Returns guests from before `before` (unix ms) without messages, rooms and sessions that are valid at `now`, among the
    /// next people after the uid `after`; and the uid to go on after, `None` at the end.
    pub async fn idle_guests(&self, before: u64, now: u64, after: Option<&Uid>) -> Result<(Vec<Uid>, Option<Uid>)> {
        on_store!(self.idle_guests(before, now, after).await)
    }

    /// Removes those of the guests that are still without messages, rooms and valid sessions, and returns their number.
    pub async fn remove_idle_guests(&self, guests: &[Uid], now: u64) -> Result<u64> {
        on_store!(self.remove_idle_guests(guests, now).await)
    }

    /// Removes up to `limit` notes of last messages that no cooldown needs any more, and returns their number.
    pub async fn sweep_paces(&self, limit: u32) -> Result<u64> {
        on_store!(self.sweep_paces(limit).await)
    }

    /// Overwrites the remains of deleted rows in the database's files. Returns false if readers at work kept a part.
    pub async fn scrub(&self) -> Result<bool> {
        on_store!(self.scrub().await)
    }
}
