//! The settings of a room by its host: its title, and its modes.

use super::Chat;
use crate::domain::{
    id::RoomId,
    name,
    refusal::Refusal,
    reply::{ModeReply, RoomModes, RoomState, TitleReply},
    room::{MAX_SLOW_MS, Person},
};
use crate::server::incident::refusal_of;
use crate::server::storage::SetModes;

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
    /// Fails with `not_allowed` unless `person` is the room's host, and to open a room that the operator closed; with
    /// `malformed` for a value that is none of the mode's or if no mode is given, and with `no_such_room`.
    pub async fn set_modes(&self, person: &Person, room: &str, request: ModeRequest<'_>) -> Result<ModeReply, Refusal> {
        let room: RoomId = room.parse()?;
        let slow_ms = request.slow_ms.map(parse_slow_ms).transpose()?;
        let closed = request.closed.map(|text| text.parse::<bool>().map_err(|_| Refusal::malformed("closed"))).transpose()?;
        if slow_ms.is_none() && closed.is_none() {
            return Err(Refusal::malformed("slow_ms"));
        }
        self.check_host(person, &room).await?;
        let set = SetModes { slow_ms, closed };
        let set = self.store.set_hosted_room_modes(&room, &person.uid, set, self.clock.now_ms()).await;
        self.forget_room(&room);
        let (slow_ms, closed) = set.map_err(|error| refusal_of(&error, "mode"))?.ok_or(Refusal::NotAllowed)?;
        tracing::info!(%room, host = %person.uid, slow_ms, closed, "modes set by the host");
        Ok(ModeReply { status: true, state: RoomState { modes: RoomModes { slow_ms, closed } } })
    }

    /// Sets the title of a room, cleaned like that of a new one, and returns it.
    ///
    /// Fails with `not_allowed` unless `person` is the room's host, with `blank`, `too_long`, and with `no_such_room`.
    pub async fn set_title(&self, person: &Person, room: &str, title: &str) -> Result<TitleReply, Refusal> {
        let room: RoomId = room.parse()?;
        let title = name::title(title)?;
        self.check_host(person, &room).await?;
        let set = self.store.set_hosted_room_title(&room, &person.uid, &title).await;
        self.forget_room(&room);
        if !set.map_err(|error| refusal_of(&error, "title"))? {
            return Err(Refusal::NotAllowed);
        }
        tracing::info!(%room, host = %person.uid, title, "title set by the host");
        Ok(TitleReply { status: true, title })
    }

    /// Tells a room of another host from one that does not exist. The change itself is made for this host only.
    async fn check_host(&self, person: &Person, room: &RoomId) -> Result<(), Refusal> {
        let row = self.store.room(room).await.map_err(|error| refusal_of(&error, "room"))?.ok_or(Refusal::NoSuchRoom)?;
        if row.host.as_ref() == Some(&person.uid) { Ok(()) } else { Err(Refusal::NotAllowed) }
    }
}

fn parse_slow_ms(text: &str) -> Result<u64, Refusal> {
    text.parse().ok().filter(|slow_ms| *slow_ms <= MAX_SLOW_MS).ok_or(Refusal::malformed("slow_ms"))
}
