//! Requests about rooms: bind, send, history, open a room, and the data of the lobby and of a room's page.

use crate::domain::{
    refusal::Refusal,
    reply::{BindReply, HistoryReply, ModeReply, OpenRoomReply, SendReply, TitleReply},
    room::{Lobby, Page, RoomView},
};
use leptos::prelude::*;

/// Binds the socket `client_id` to the person and joins it to the room; returns the messages after `since`. Numbers are
/// text in the form, so that the refusal of a malformed number names its field.
#[server(prefix = "/gateway", endpoint = "bind")]
pub async fn bind(client_id: String, room: String, since: Option<String>, epoch: Option<String>) -> Result<BindReply, Refusal> {
    crate::server::web::actions::Actions::current()?.bind(&client_id, &room, since.as_deref(), epoch.as_deref()).await
}

/// Stores a message, then pushes it. A request with a known `nonce` returns the message stored first. `user` is the uid that
/// the page shows: if the session is another person's by now, the request is refused with [`Refusal::NotYours`].
#[server(name = SendRequest, prefix = "/gateway", endpoint = "send")]
pub async fn send(room: String, message: String, nonce: Option<String>, user: Option<String>) -> Result<SendReply, Refusal> {
    crate::server::web::actions::Actions::current()?.send(&room, &message, nonce.as_deref(), user.as_deref()).await
}

/// Returns the messages before position `before`, newest last, 50 without a `limit` and 100 at most.
#[server(name = HistoryRequest, prefix = "/gateway", endpoint = "history")]
pub async fn history(room: String, before: String, limit: Option<String>) -> Result<HistoryReply, Refusal> {
    crate::server::web::actions::Actions::current()?.history(&room, &before, limit.as_deref()).await
}

/// Sets modes of a room: the slow mode in milliseconds, and `closed`, true or false. An absent mode stays as it is. Anyone but
/// the room's host is refused with [`Refusal::NotAllowed`].
#[server(prefix = "/gateway", endpoint = "mod/mode")]
pub async fn set_mode(room: String, slow_ms: Option<String>, closed: Option<String>) -> Result<ModeReply, Refusal> {
    crate::server::web::actions::Actions::current()?.set_mode(&room, slow_ms.as_deref(), closed.as_deref()).await
}

/// Sets the title of a room. Anyone but the room's host is refused with [`Refusal::NotAllowed`].
#[server(prefix = "/gateway", endpoint = "mod/title")]
pub async fn set_title(room: String, title: String) -> Result<TitleReply, Refusal> {
    crate::server::web::actions::Actions::current()?.set_title(&room, &title).await
}

/// Opens a room whose host is the person. Guests are refused with [`Refusal::NotAllowed`], and accounts
/// that the operator does not permit.
#[server(prefix = "/gateway", endpoint = "rooms")]
pub async fn open_room(title: String) -> Result<OpenRoomReply, Refusal> {
    crate::server::web::actions::Actions::current()?.open_room(&title).await
}

/// Returns the data of a page of the lobby: of the rooms that match the words `query`, or of all.
#[server(prefix = "/page", endpoint = "lobby")]
pub async fn lobby_page(page: Option<String>, query: Option<String>) -> Result<Page<Lobby>, Refusal> {
    let (page, query) = (page.unwrap_or_default(), query.unwrap_or_default());
    let actions = crate::server::web::actions::Actions::current()?;
    Ok(Page { content: actions.lobby(&page, &query).await?, you: actions.person(), returned: actions.returned_form() })
}

/// Returns the data of a room's page. An unknown room is [`Refusal::NoSuchRoom`].
#[server(prefix = "/page", endpoint = "room")]
pub async fn room_page(room: String) -> Result<Page<RoomView>, Refusal> {
    let actions = crate::server::web::actions::Actions::current()?;
    Ok(Page { content: actions.room_view(&room).await?, you: actions.person(), returned: actions.returned_form() })
}
