//! The modes of a room, set by its host.

use super::Chat;
use crate::domain::{
    id::RoomId,
    refusal::Refusal,
    reply::{ModeReply, RoomModes, RoomState},
    room::{MAX_SLOW_MS, Person},
};
use crate::server::incident::refusal_of;

impl Chat {
    /// Sets the slow mode of a room, in milliseconds; 0 is off. It holds for each send that begins after the answer.
    ///
    /// Fails with `not_allowed` unless `person` is the room's host, with `malformed` for a value that is no number or above
    /// [`MAX_SLOW_MS`], and with `no_such_room`.
    pub async fn set_slow_mode(&self, person: &Person, room: &str, slow_ms: &str) -> Result<ModeReply, Refusal> {
        let room: RoomId = room.parse()?;
        let slow_ms: u64 = slow_ms.parse().map_err(|_| Refusal::malformed("slow_ms"))?;
        if slow_ms > MAX_SLOW_MS {
            return Err(Refusal::malformed("slow_ms"));
        }
        let failed = |error| refusal_of(&error, "mode");
        // Not from the cache: a person that the operator has just replaced is no longer the host.
        let row = self.store.room(&room).await.map_err(failed)?.ok_or(Refusal::NoSuchRoom)?;
        if row.host.as_ref() != Some(&person.uid) {
            return Err(Refusal::NotAllowed);
        }
        if !self.store.set_room_slow_mode(&room, slow_ms).await.map_err(failed)? {
            return Err(Refusal::NoSuchRoom);
        }
        self.rooms.invalidate(&room);
        tracing::info!(%room, slow_ms, "slow mode set");
        Ok(ModeReply { status: true, state: RoomState { modes: RoomModes { slow_ms } } })
    }
}
