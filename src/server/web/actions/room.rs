//! Actions of the chat: pages, sending, history, new rooms.

use super::{Actions, non_empty};
use crate::domain::{
    push::CloseCode,
    refusal::Refusal,
    reply::{BindReply, HistoryReply, OpenRoomReply, SendReply},
    room::{RoomCard, Snapshot},
};
use crate::server::chat::BindRequest;
use crate::server::gateway::SocketOwner;
use crate::server::web::rate_limit::RequestKind;

impl Actions {
    /// Binds the caller's own socket to its person and `room`. Returns the messages after `since`, or a gap if `epoch` is not
    /// the room's or too many are missing.
    pub async fn bind(
        &self,
        client_id: &str,
        room: &str,
        since: Option<&str>,
        epoch: Option<&str>,
    ) -> Result<BindReply, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        let session = self.session()?;
        let request = BindRequest { client_id, room, since: non_empty(since), epoch: non_empty(epoch) };
        let owner = SocketOwner(session.token_hash);
        let reply = self.state.chat.bind(&session.person, owner, request).await?;
        if !self.state.accounts.is_current(session).await {
            // The session ended while the socket was bound, after its sockets were closed.
            self.state.gateway.close_owners([owner], CloseCode::SIGNED_OUT).await;
            return Err(Refusal::NotSignedIn);
        }
        Ok(reply)
    }

    /// Stores and publishes a message. Repeating a request with the same `nonce` returns the first one's reply.
    pub async fn send(&self, room: &str, message: &str, nonce: Option<&str>) -> Result<SendReply, Refusal> {
        self.check_rate_limit(RequestKind::Send)?;
        self.state.chat.send(&self.session()?.person, room, message, non_empty(nonce)).await
    }

    /// Returns up to `limit` messages before the seq `before`. It needs no session.
    pub async fn history(&self, room: &str, before: &str, limit: Option<&str>) -> Result<HistoryReply, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        self.state.chat.history(room, before, non_empty(limit)).await
    }

    /// Opens a room with the caller as its host.
    pub async fn open_room(&self, title: &str) -> Result<OpenRoomReply, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        self.state.chat.open_room(&self.session()?.person, title).await
    }

    /// Returns the lobby's rooms. A refusal is also the page's status.
    pub async fn lobby(&self) -> Result<Vec<RoomCard>, Refusal> {
        let lobby = async {
            self.check_rate_limit(RequestKind::Request)?;
            self.state.chat.lobby().await
        };
        self.with_status(lobby.await)
    }

    /// Returns a room with its newest messages. A refusal is also the page's status.
    pub async fn snapshot(&self, room: &str) -> Result<Snapshot, Refusal> {
        let snapshot = async {
            self.check_rate_limit(RequestKind::Request)?;
            self.state.chat.snapshot(room).await
        };
        self.with_status(snapshot.await)
    }
}
