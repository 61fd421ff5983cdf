//! The operator's acts on a room: close it, open it again, delete it. They hold at once: the store refuses a message in the
//! transaction that would number it, and this node's copy of the room is dropped.

use super::Chat;
use crate::domain::{id::RoomId, push::CloseCode, refusal::Refusal};
use crate::server::gateway::{Group, Selection};
use crate::server::incident::refusal_of;
use crate::server::moderation::{Act, ActKind, Actor};
use crate::server::storage::SetModes;
use futures_util::future::join_all;

/// Connections that are closed at the same time.
const CLOSED_AT_ONCE: usize = 256;

impl Chat {
    /// Closes a room: it takes no messages, stays readable, and is not opened by its host. Fails with `no_such_room`.
    pub async fn close_room(&self, room: &RoomId) -> Result<(), Refusal> {
        self.set_closed(room, true).await
    }

    /// Opens a closed room, of its host or the operator. Fails with `no_such_room`.
    pub async fn reopen_room(&self, room: &RoomId) -> Result<(), Refusal> {
        self.set_closed(room, false).await
    }

    async fn set_closed(&self, room: &RoomId, closed: bool) -> Result<(), Refusal> {
        let kind = ActKind::Mode(SetModes { slow_ms: None, closed: Some(closed), accounts: None });
        let act = Act { actor: Actor::Cli, room: Some(room.clone()), nonce: None, reason: String::new(), kind };
        self.act(act).await.map(|_| ())
    }

    /// Deletes a room with its messages, which the retention task removes, and returns the number of its connections. One that
    /// has no other group is closed with 4500: its page would be told that there is no such room. The others leave the group.
    /// Fails with `no_such_room`.
    pub async fn delete_room(&self, room: &RoomId) -> Result<usize, Refusal> {
        let deleted = self.store.delete_room(room, self.clock.now_ms()).await;
        self.acted(room, deleted.map_err(|error| refusal_of(&error, "room delete"))?, "room deleted")?;
        Ok(self.dissolve(room).await)
    }

    /// Ends what this node has of a deleted room, and returns the number of its connections.
    pub(super) async fn dissolve(&self, room: &RoomId) -> usize {
        self.tails.forget(room);
        if let Some(order) = &self.order {
            order.forget(room).await;
        }
        self.deleted.notify_one();
        let group = Group::new(room.as_str());
        let members = Selection::Groups(vec![group.clone()]);
        let members = self.gateway.select(members, |client, member| (client, member.groups().count())).await;
        self.gateway.ungroup(group).await;
        let only_here: Vec<_> = members.iter().filter(|(_, groups)| *groups == 1).map(|(client, _)| *client).collect();
        for clients in only_here.chunks(CLOSED_AT_ONCE) {
            join_all(clients.iter().map(|client| self.gateway.close_client(*client, None, CloseCode::KICKED.into()))).await;
        }
        members.len()
    }

    /// Drops this node's copies of a room that changed.
    pub(super) fn forget_room(&self, room: &RoomId) {
        self.rooms.invalidate(room);
        self.search.forget();
    }

    fn acted(&self, room: &RoomId, found: bool, act: &'static str) -> Result<(), Refusal> {
        self.forget_room(room);
        if !found {
            return Err(Refusal::NoSuchRoom);
        }
        tracing::info!(%room, "{act}");
        Ok(())
    }
}
