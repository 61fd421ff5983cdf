//! The lobby: its rooms, and opening one.

use super::Chat;
use crate::domain::{
    name,
    refusal::Refusal,
    reply::OpenRoomReply,
    room::{Lobby, MayOpen, Person},
};
use crate::server::{config::OpenRooms, incident::refusal_of};
use std::collections::HashSet;

/// Most rooms in the lobby.
const LOBBY: usize = 200;

impl Chat {
    /// Opens a room and makes the caller its host. Fails with `not_allowed` for guests, for accounts that
    /// `chat.open_rooms` does not permit, and for accounts that host `chat.rooms_per_account` rooms.
    pub async fn open_room(&self, person: &Person, title: &str) -> Result<OpenRoomReply, Refusal> {
        if self.may_open(Some(person)).await? != MayOpen::Yes {
            return Err(Refusal::NotAllowed);
        }
        let title = name::title(title)?;
        // Count and insert are one statement: concurrent requests cannot exceed the limit.
        let opened = self.store.open_hosted_room(&title, &person.uid, self.settings.rooms_per_account, self.clock.now_ms());
        let room = opened.await.map_err(|error| refusal_of(&error, "rooms"))?.ok_or(Refusal::NotAllowed)?;
        tracing::info!(%room, host = %person.uid, "room opened");
        Ok(OpenRoomReply { room })
    }

    /// Returns 200 rooms at most: those with most people first, then the newest.
    pub async fn lobby(&self, person: Option<&Person>) -> Result<Lobby, Refusal> {
        let failed = |error| refusal_of(&error, "lobby");
        let busiest = self.store.rooms_by_id(self.presence.busiest(), LOBBY as u32).await.map_err(failed)?;
        let newest = self.store.open_rooms(LOBBY as u32).await.map_err(failed)?;
        let mut seen = HashSet::new();
        let rows = busiest.into_iter().chain(newest).filter(|row| seen.insert(row.room.clone())).take(LOBBY);
        Ok(Lobby { rooms: rows.map(|row| self.card(row)).collect(), may_open: self.may_open(person).await? })
    }

    async fn may_open(&self, person: Option<&Person>) -> Result<MayOpen, Refusal> {
        let with_account = person.filter(|person| person.account.is_some());
        Ok(match (self.settings.open_rooms, with_account) {
            (OpenRooms::Accounts, Some(_)) => MayOpen::Yes,
            (OpenRooms::Accounts, None) => MayOpen::WithAccount,
            (OpenRooms::Owner, Some(person)) => {
                let is_owner = self.store.is_owner(&person.uid).await.map_err(|error| refusal_of(&error, "rooms"))?;
                if is_owner { MayOpen::Yes } else { MayOpen::No }
            }
            (OpenRooms::Owner, None) => MayOpen::No,
        })
    }
}
