//! The effects of news, of other nodes and of commands: this node drops its copies, and its sockets follow. Each method may be
//! repeated, also for a change of this node's own.

use super::Chat;
use crate::domain::id::{RoomId, Uid};
use crate::server::gateway::Group;
use crate::server::storage::Result;
use uuid::Uuid;

/// Rooms that one query looks up.
const ROOMS_PER_QUERY: usize = 1000;

impl Chat {
    /// A room was added, changed or deleted; `hosts` are the former and the present one, if they differ.
    ///
    /// # Errors
    /// A failed query: the news are to be told again.
    pub async fn room_changed(&self, room: &RoomId, is_deleted: bool, hosts: &[Uid]) -> Result<()> {
        self.forget_room(room);
        self.store.forget_room_settings();
        self.exempt.invalidate_all();
        // An operator may have used the id again meanwhile.
        if is_deleted && self.store.room(room).await?.is_none() {
            self.dissolve(room).await;
            return Ok(());
        }
        for host in hosts {
            self.settle_staff(room, host).await?;
        }
        Ok(())
    }

    /// The role of a person in a room changed: the person's sockets join the staff, or leave it.
    ///
    /// # Errors
    /// A failed query: the news are to be told again.
    pub async fn role_changed(&self, room: &RoomId, uid: &Uid) -> Result<()> {
        self.exempt.invalidate(&(room.clone(), uid.clone()));
        self.settle_staff(room, uid).await
    }

    /// A restraint of a person began or ended, in a room or on the whole site: the person's pages are told.
    ///
    /// # Errors
    /// A failed query: the news are to be told again.
    pub async fn restrained(&self, room: Option<&RoomId>, uid: &Uid) -> Result<()> {
        match room {
            None => self.tell_everywhere(uid).await,
            Some(_) if !self.gateway.is_uid_online(uid.into()).await => Ok(()),
            Some(room) => self.tell_in(room.clone(), uid).await,
        }
    }

    /// A purge has rows to blank or to restore.
    pub fn purge_begun(&self, room: &RoomId, action: Uuid) {
        self.purging.begin(room.clone(), action);
    }

    /// News may be missing: drops every copy of rooms, and asks the store about the rooms and the staff that have sockets here. What a
    /// person's page was not told, it learns at its next send or bind.
    ///
    /// # Errors
    /// A failed query: it is to be repeated.
    pub async fn settle_everything(&self) -> Result<()> {
        self.forget_rooms();
        self.search.forget();
        self.exempt.invalidate_all();
        let groups = self.gateway.groups().await;
        let rooms: Vec<RoomId> = groups.keys().filter_map(|group| group.as_text().parse().ok()).collect();
        for rooms in rooms.chunks(ROOMS_PER_QUERY) {
            for room in self.store.deleted_among(rooms).await? {
                self.dissolve(&room).await;
            }
        }
        for (uid, group) in self.gateway.staff().await {
            if let (Ok(room), Ok(uid)) = (group.as_text().parse::<RoomId>(), uid.as_text().parse::<Uid>()) {
                self.settle_staff(&room, &uid).await?;
            }
        }
        Ok(())
    }

    /// Lets the sockets of a person in a room join its staff, or leave it, by the rank that the person has now. Only sockets of the
    /// person's own sessions join: a back end may give a uid to any socket.
    async fn settle_staff(&self, room: &RoomId, uid: &Uid) -> Result<()> {
        let members = self.gateway.owned_by_sessions(uid.into()).await;
        if members.is_empty() && !self.gateway.is_uid_online(uid.into()).await {
            return Ok(());
        }
        let group = Group::new(room.as_str());
        let standing = or_none(self.store.standing(room, uid).await, room)?;
        if !standing.is_some_and(|standing| standing.rank().is_staff()) {
            self.gateway.leave_staff(uid.into(), group).await;
            return Ok(());
        }
        for (client, owner) in members {
            let session = or_none(self.store.session(&owner.0).await, room)?;
            if session.is_some_and(|session| session.person.uid == *uid) {
                self.gateway.join_staff(client, uid.into(), group.clone()).await;
            }
        }
        Ok(())
    }
}

/// A person or a session that this version cannot read counts as none, and is logged: a later version may have written it. A failed
/// query is returned.
fn or_none<T>(read: Result<Option<T>>, room: &RoomId) -> Result<Option<T>> {
    match read {
        Err(error) if !error.may_pass() => {
            tracing::warn!(%error, %room, "a person of the staff cannot be read, and counts as none");
            Ok(None)
        }
        read => read,
    }
}
