//! Actions of the chat: pages, sending, history, new rooms.

use super::{Actions, non_empty};
use crate::domain::{
    push::CloseCode,
    refusal::Refusal,
    reply::{BindReply, HistoryReply, OpenRoomReply, SendReply},
    room::{Lobby, RoomView},
};
use crate::server::chat::{BindRequest, SendRequest};
use crate::server::kicks::Whose;
use crate::server::web::middleware::headers::header_text;
use crate::server::web::rate_limit::RequestKind;
use axum::http::header;

impl Actions {
    /// Binds the caller's own socket to its person and `room`; without a session the socket reads the room. Returns the messages
    /// after `since`, or a gap if `epoch` is not the room's or too many are missing.
    pub async fn bind(
        &self,
        client_id: &str,
        room: &str,
        since: Option<&str>,
        epoch: Option<&str>,
        rev: Option<&str>,
    ) -> Result<BindReply, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        let session = self.current_session_if_any().await?;
        let by = self.context.credentials();
        let session = session.filter(|_| !by.has_bearer);
        let request = BindRequest { client_id, room, since: non_empty(since), epoch: non_empty(epoch), rev: non_empty(rev) };
        let bound = self.state.chat.bind(session.map(|session| &session.person), by, request).await;
        let reply = bound.map_err(|refusal| self.state.rate_limits.refused_bind(&self.context, refusal))?;
        let Some(session) = session else { return Ok(reply) };
        let (code, refusal) = match self.state.accounts.is_current(session).await {
            Ok(true) => return Ok(reply),
            // The session ended while the socket was bound, after its sockets were closed.
            Ok(false) => (CloseCode::SIGNED_OUT, Refusal::NotSignedIn),
            // It may have ended: the client comes again, and is looked up again.
            Err(refusal) => (CloseCode::IDLE, refusal),
        };
        // The socket may be another node's.
        let owners = by.session.into_iter().collect();
        self.state.kicks.close(Whose { uid: None, owners }, code).await;
        Err(refusal)
    }

    /// Stores and publishes a message. Repeating a request with the same `nonce` returns the first one's reply. `user` is the
    /// uid that the page shows; fails with [`Refusal::NotYours`] if the session is not that person's.
    pub async fn send(
        &self,
        room: &str,
        message: &str,
        nonce: Option<&str>,
        user: Option<&str>,
        re: Option<&str>,
    ) -> Result<SendReply, Refusal> {
        self.check_rate_limit(RequestKind::Send)?;
        let request =
            SendRequest { room, message, nonce: non_empty(nonce), re: non_empty(re), address: Some(self.context.client_addr) };
        let person = &self.current_session().await?.person;
        if non_empty(user).is_some_and(|user| user != person.uid.as_str()) {
            return Err(Refusal::NotYours);
        }
        self.state.chat.send(person, request).await
    }

    /// Returns up to `limit` messages before the seq `before`. It needs no session.
    pub async fn history(&self, room: &str, before: &str, limit: Option<&str>) -> Result<HistoryReply, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        self.state.chat.history(room, before, non_empty(limit)).await
    }

    /// Opens a room with the caller as its host.
    pub async fn open_room(&self, title: &str) -> Result<OpenRoomReply, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        self.state.chat.open_room(&self.current_session().await?.person, title).await
    }

    /// Returns a page of the lobby; the first if `page` is no number. A refusal is also the page's status.
    pub async fn lobby(&self, page: &str, query: &str) -> Result<Lobby, Refusal> {
        let lobby = async {
            self.check_rate_limit(RequestKind::Request)?;
            self.state.chat.lobby(self.person().as_ref(), page.parse().unwrap_or(1), query).await
        };
        self.with_status(lobby.await)
    }

    /// Returns a room with its newest messages. A refusal is also the page's status.
    pub async fn room_view(&self, room: &str) -> Result<RoomView, Refusal> {
        let view = async {
            self.check_rate_limit(RequestKind::Request)?;
            let mut view = self.state.chat.view(self.person().as_ref(), room).await?;
            if let Some(tools) = &mut view.host_tools {
                tools.site = self.site();
            }
            Ok(view)
        };
        self.with_status(view.await)
    }

    /// The site's address, as `web.public_url` or this request has it.
    fn site(&self) -> String {
        let public_url = &self.state.config.web.public_url;
        if !public_url.is_empty() {
            return public_url.clone();
        }
        let scheme = if self.context.cookies.is_https { "https" } else { "http" };
        format!("{scheme}://{}", header_text(&self.parts.headers, &header::HOST))
    }
}
