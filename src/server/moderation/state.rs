//! The state of a room, as pages are told it.

use crate::domain::change::{RoomModes, RoomState};
use crate::server::storage::moderation::RoomRecord;

/// Returns the state of a room at `now` (unix ms). A pin that has ended is left out.
pub fn state_of(record: &RoomRecord, now: u64) -> RoomState {
    let RoomRecord { slow_ms, accounts, is_closed, pinned, title, .. } = record;
    let modes = RoomModes { slow_ms: *slow_ms, accounts: *accounts, closed: *is_closed, ..RoomModes::default() };
    let pinned = pinned.filter(|pinned| pinned.until.is_none_or(|until| until > now));
    RoomState { modes, raid: None, pinned, poll: None, title: title.clone() }
}
