//! Requests about rooms: bind, send, history, open a room, and the data of the lobby and of a room's page.

use crate::domain::{
    refusal::Refusal,
    reply::{BindReply, HistoryReply, OpenRoomReply, SendReply},
    room::{Lobby, Page, RoomView},
};
use leptos::prelude::*;

/// Binds the socket `client_id` to the person and joins it to the room; returns the messages after `since` and the
/// changes after `rev`. Numbers are text in the form, so that the refusal of a malformed number names its field.
#[server(prefix = "/gateway", endpoint = "bind")]
pub async fn bind(
    client_id: String,
    room: String,
    since: Option<String>,
    epoch: Option<String>,
    rev: Option<String>,
) -> Result<BindReply, Refusal> {
    let actions = crate::server::web::actions::Actions::current()?;
    actions.bind(&client_id, &room, since.as_deref(), epoch.as_deref(), rev.as_deref()).await
}

/// Stores a message, then pushes it. A request with a known `nonce` returns the message stored first. `user` is the uid that
/// the page shows: if the session is another person's by now, the request is refused with [`Refusal::NotYours`]. `re` is the seq of the
/// message that it answers.
#[server(name = SendRequest, prefix = "/gateway", endpoint = "send")]
pub async fn send(
    room: String,
    message: String,
    nonce: Option<String>,
    user: Option<String>,
    re: Option<String>,
) -> Result<SendReply, Refusal> {
    let actions = crate::server::web::actions::Actions::current()?;
    actions.send(&room, &message, nonce.as_deref(), user.as_deref(), re.as_deref()).await
}

/// Returns the messages before position `before`, newest last, 50 without a `limit` and 100 at most.
#[server(name = HistoryRequest, prefix = "/gateway", endpoint = "history")]
pub async fn history(room: String, before: String, limit: Option<String>) -> Result<HistoryReply, Refusal> {
    crate::server::web::actions::Actions::current()?.history(&room, &before, limit.as_deref()).await
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
    Ok(Page { content: actions.lobby(&page, &query).await?, you: actions.person(), returned: actions.returned_form().await })
}

/// Returns the data of a room's page. An unknown room is [`Refusal::NoSuchRoom`].
#[server(prefix = "/page", endpoint = "room")]
pub async fn room_page(room: String) -> Result<Page<RoomView>, Refusal> {
    let actions = crate::server::web::actions::Actions::current()?;
    Ok(Page { content: actions.room_view(&room).await?, you: actions.person(), returned: actions.returned_form().await })
}
