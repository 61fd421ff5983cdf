//! The lobby: its rooms, and opening one.

use super::Chat;
use super::room_search::RoomSearch;
use crate::domain::{
    id::RoomId,
    name,
    refusal::Refusal,
    reply::OpenRoomReply,
    room::{Lobby, LobbyRoom, MayOpen, Person},
};
use crate::server::{
    config::OpenRooms,
    gateway::{Group, Selection, Uid as GatewayUid},
    incident::refusal_of,
    storage::{RoomRow, StorageError},
};
use std::collections::HashSet;

/// Rooms on a page of the lobby.
const PAGE_ROOMS: usize = 50;
/// The last page: 5,000 rooms, as many as the search reads. Rooms beyond it are found by their address alone. A page reads the
/// index entries of the rooms before it, so this also bounds the cost of a request.
const LAST_PAGE: u32 = 100;

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
        self.search.forget();
        tracing::info!(%room, host = %person.uid, "room opened");
        Ok(OpenRoomReply { room })
    }

    /// Returns 50 rooms at most, and whether there are more: those with most people first, then the newest. A query finds rooms
    /// by words in title and host.
    pub async fn lobby(&self, person: Option<&Person>, page: u32, query: &str) -> Result<Lobby, Refusal> {
        let page = page.clamp(1, LAST_PAGE);
        let skip = (page as usize - 1) * PAGE_ROOMS;
        let query = RoomSearch::clean(query);
        let busiest = self.presence.busiest();
        let rows = match query.is_empty() {
            true => self.rooms_in_order(busiest, skip, PAGE_ROOMS + 1).await,
            false => self.search.find(&query, busiest, skip, PAGE_ROOMS + 1).await,
        };
        let mut rows = rows.map_err(|error| refusal_of(&error, "lobby"))?;
        let has_more = rows.len() > PAGE_ROOMS && page < LAST_PAGE;
        rows.truncate(PAGE_ROOMS);
        let live = self.rooms_with_host(&rows).await;
        let room = |row: RoomRow| LobbyRoom { is_live: live.contains(&row.room), card: self.card(row) };
        let rooms = rows.into_iter().map(room).collect();
        Ok(Lobby { rooms, query, page, has_more, may_open: self.may_open(person).await? })
    }

    /// Rooms with people, then the newest of the others.
    async fn rooms_in_order(&self, busiest: Vec<RoomId>, skip: usize, limit: usize) -> Result<Vec<RoomRow>, StorageError> {
        let until = u32::try_from(skip + limit).unwrap_or(u32::MAX);
        let mut rows = self.store.rooms_by_id(busiest.clone(), until).await?;
        let (with_people, first) = (rows.len(), rows.len().min(skip));
        let mut page = rows.split_off(first);
        if page.len() < limit {
            let (rest, after) = (limit - page.len(), skip.saturating_sub(with_people));
            page.extend(self.store.open_rooms_without(busiest, rest as u32, after as u32).await?);
        }
        Ok(page)
    }

    /// The rooms whose host has a socket in them, on whichever node.
    async fn rooms_with_host(&self, rows: &[RoomRow]) -> HashSet<RoomId> {
        let with_people = rows.iter().filter(|row| self.presence.count(&row.room) > 0);
        let hosted = with_people.filter_map(|row| Some((row.host.as_ref()?, &row.room)));
        let (elsewhere, hosted): (Vec<_>, Vec<_>) = hosted.partition(|(host, room)| self.presence.is_elsewhere(room, host));
        let mut live: HashSet<_> = elsewhere.into_iter().map(|(_, room)| room.clone()).collect();
        if hosted.is_empty() {
            return live;
        }
        let hosted: Vec<_> = hosted.into_iter().map(|(host, room)| (GatewayUid::from(host), room.clone())).collect();
        let hosts = hosted.iter().map(|(host, _)| host.clone()).collect();
        let joined = self.gateway.select(Selection::Uids(hosts), |_, member| {
            member.groups().filter_map(|group| Some((member.uid()?.clone(), group.clone()))).collect::<Vec<_>>()
        });
        let joined: HashSet<_> = joined.await.into_iter().flatten().collect();
        let is_in = |(host, room): &(GatewayUid, RoomId)| joined.contains(&(host.clone(), Group::new(room.as_str())));
        live.extend(hosted.into_iter().filter(|hosted| is_in(hosted)).map(|(_, room)| room));
        live
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
