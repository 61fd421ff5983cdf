//! What the host of a room sets: its title, and its modes.

use super::Chat;
use crate::domain::{
    id::RoomId,
    name,
    refusal::Refusal,
    reply::{ModeReply, RoomModes, RoomState, TitleReply},
    room::{MAX_SLOW_MS, Person},
};
use crate::server::incident::refusal_of;
use crate::server::storage::RoomRow;

/// The modes of a request, not yet parsed. `None`: the mode stays as it is.
#[derive(Clone, Copy, Default)]
pub struct ModeRequest<'a> {
    /// The slow mode in milliseconds; 0 is off.
    pub slow_ms: Option<&'a str>,
    /// `true`: the room takes no messages. `false`: it takes messages.
    pub closed: Option<&'a str>,
}

impl Chat {
    /// Sets modes of a room, and returns all of them. They hold for each send that begins after the answer.
    ///
    /// Fails with `not_allowed` unless `person` is the room's host, with `malformed` for a value that is none of the mode's or if
    /// no mode is given, and with `no_such_room`.
    pub async fn set_modes(&self, person: &Person, room: &str, request: ModeRequest<'_>) -> Result<ModeReply, Refusal> {
        let room: RoomId = room.parse()?;
        let slow_ms = request.slow_ms.map(parse_slow_ms).transpose()?;
        let closed = request.closed.map(|text| text.parse::<bool>().map_err(|_| Refusal::malformed("closed"))).transpose()?;
        if slow_ms.is_none() && closed.is_none() {
            return Err(Refusal::malformed("slow_ms"));
        }
        let row = self.hosted_room(person, &room).await?;
        if let Some(slow_ms) = slow_ms {
            let set = self.store.set_room_slow_mode(&room, slow_ms).await;
            self.acted(&room, set.map_err(|error| refusal_of(&error, "mode"))?, "slow mode set")?;
        }
        match closed {
            Some(true) => self.close_room(&room).await?,
            Some(false) => self.reopen_room(&room).await?,
            None => {}
        }
        let modes = RoomModes { slow_ms: slow_ms.unwrap_or(row.slow_ms), closed: closed.unwrap_or(row.is_closed) };
        tracing::info!(%room, slow_ms = modes.slow_ms, closed = modes.closed, "modes set by the host");
        Ok(ModeReply { status: true, state: RoomState { modes } })
    }

    /// Sets the title of a room, cleaned like that of a new one, and returns it.
    ///
    /// Fails with `not_allowed` unless `person` is the room's host, with `blank`, `too_long`, and with `no_such_room`.
    pub async fn set_title(&self, person: &Person, room: &str, title: &str) -> Result<TitleReply, Refusal> {
        let room: RoomId = room.parse()?;
        let title = name::title(title)?;
        self.hosted_room(person, &room).await?;
        let set = self.store.set_room_title(&room, &title).await;
        self.acted(&room, set.map_err(|error| refusal_of(&error, "title"))?, "title set by the host")?;
        Ok(TitleReply { status: true, title })
    }

    /// The room, if `person` hosts it. It is not read from the cache: a person that the operator has just replaced is no longer
    /// the host.
    async fn hosted_room(&self, person: &Person, room: &RoomId) -> Result<RoomRow, Refusal> {
        let row = self.store.room(room).await.map_err(|error| refusal_of(&error, "room"))?.ok_or(Refusal::NoSuchRoom)?;
        if row.host.as_ref() == Some(&person.uid) { Ok(row) } else { Err(Refusal::NotAllowed) }
    }
}

fn parse_slow_ms(text: &str) -> Result<u64, Refusal> {
    text.parse().ok().filter(|slow_ms| *slow_ms <= MAX_SLOW_MS).ok_or(Refusal::malformed("slow_ms"))
}
