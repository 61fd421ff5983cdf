//! Requests of moderation: acts, and the reads of the staff. Numbers are text in a form, so that the refusal of a malformed one names
//! its field. Each act takes a `nonce`: the same act of the same person again answers as the first time. The rules are those of
//! [`Act`](crate::server::moderation::Act).

#![expect(clippy::too_many_arguments, reason = "each field of a form is an argument of its server function")]

use crate::domain::{
    refusal::Refusal,
    reply::{ActReply, TitleReply},
    staff::{CardReply, LogReply, Reported, Restrained, Rows},
};
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// Removes messages: one seq, or up to 100 with commas between them.
#[server(name = Remove, prefix = "/gateway", endpoint = "mod/remove")]
pub async fn remove(room: String, seq: String, reason: Option<String>, nonce: Option<String>) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.remove(&room, &seq, reason.as_deref(), nonce.as_deref()).await
}

/// Removes the messages of a person: of the last 86,400 seconds, or of the last `seconds`; all with 0.
#[server(name = Purge, prefix = "/gateway", endpoint = "mod/purge")]
pub async fn purge(
    room: String,
    user: String,
    seconds: Option<String>,
    reason: Option<String>,
    nonce: Option<String>,
) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?
        .purge(&room, &user, seconds.as_deref(), reason.as_deref(), nonce.as_deref())
        .await
}

/// Takes an act back.
#[server(name = Undo, prefix = "/gateway", endpoint = "mod/undo")]
pub async fn undo(action: String, room: Option<String>, nonce: Option<String>) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.undo(&action, room.as_deref(), nonce.as_deref()).await
}

/// Takes a person the right to send for 1 to 1,209,600 seconds.
#[server(name = TimeOut, prefix = "/gateway", endpoint = "mod/timeout")]
pub async fn time_out(
    room: String,
    user: String,
    seconds: String,
    reason: Option<String>,
    nonce: Option<String>,
) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.time_out(&room, &user, &seconds, reason.as_deref(), nonce.as_deref()).await
}

/// Takes a person the right to send for good: in the room, or with `site=true` in place of the room on the whole site.
#[server(name = Ban, prefix = "/gateway", endpoint = "mod/ban")]
pub async fn ban(
    room: Option<String>,
    user: String,
    site: Option<String>,
    reason: Option<String>,
    nonce: Option<String>,
) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?
        .ban(room.as_deref(), &user, site.as_deref(), reason.as_deref(), nonce.as_deref())
        .await
}

/// Ends a restraint.
#[server(name = Lift, prefix = "/gateway", endpoint = "mod/lift")]
pub async fn lift(
    case: String,
    room: Option<String>,
    reason: Option<String>,
    nonce: Option<String>,
) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.lift(&case, room.as_deref(), reason.as_deref(), nonce.as_deref()).await
}

/// Warns a person, who cannot send until the warning is acknowledged.
#[server(name = Warn, prefix = "/gateway", endpoint = "mod/warn")]
pub async fn warn(room: String, user: String, reason: String, nonce: Option<String>) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.warn(&room, &user, &reason, nonce.as_deref()).await
}

/// Adds a note about a person, for the staff.
#[server(name = Note, prefix = "/gateway", endpoint = "mod/note")]
pub async fn note(room: String, user: String, text: String, nonce: Option<String>) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.note(&room, &user, &text, nonce.as_deref()).await
}

/// Removes a note by its id.
#[server(name = Unnote, prefix = "/gateway", endpoint = "mod/unnote")]
pub async fn unnote(room: String, note: String, nonce: Option<String>) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.unnote(&room, &note, nonce.as_deref()).await
}

/// Pins a message: for 30 to 86,400 `seconds`, or without an end.
#[server(name = Pin, prefix = "/gateway", endpoint = "mod/pin")]
pub async fn pin(room: String, seq: String, seconds: Option<String>, nonce: Option<String>) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.pin(&room, &seq, seconds.as_deref(), nonce.as_deref()).await
}

/// Removes the pin.
#[server(name = Unpin, prefix = "/gateway", endpoint = "mod/unpin")]
pub async fn unpin(room: String, nonce: Option<String>) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.unpin(&room, nonce.as_deref()).await
}

/// Sets modes of a room: `slow_ms`, `accounts`, `closed`. An absent mode stays as it is. The other modes are those of a later version:
/// [`Refusal::Malformed`] unless they are off.
#[server(name = SetMode, prefix = "/gateway", endpoint = "mod/mode")]
pub async fn set_mode(
    room: String,
    slow_ms: Option<String>,
    accounts: Option<String>,
    closed: Option<String>,
    emoji: Option<String>,
    unique_s: Option<String>,
    delay_ms: Option<String>,
    links: Option<String>,
    regulars: Option<String>,
    until_ms: Option<String>,
    nonce: Option<String>,
) -> Result<ActReply, Refusal> {
    let later = [
        ("emoji", emoji),
        ("unique_s", unique_s),
        ("delay_ms", delay_ms),
        ("links", links),
        ("regulars", regulars),
        ("until_ms", until_ms),
    ];
    let modes = [slow_ms.as_deref(), accounts.as_deref(), closed.as_deref()];
    crate::server::web::actions::Actions::current()?.set_mode(&room, modes, &later, nonce.as_deref()).await
}

/// Sets the title of a room.
#[server(name = SetTitle, prefix = "/gateway", endpoint = "mod/title")]
pub async fn set_title(room: String, title: String, nonce: Option<String>) -> Result<TitleReply, Refusal> {
    crate::server::web::actions::Actions::current()?.set_title(&room, &title, nonce.as_deref()).await
}

/// Grants a role, `moderator` or `vip`, or revokes it: `none`.
#[server(name = SetRole, prefix = "/gateway", endpoint = "mod/role")]
pub async fn set_role(room: String, user: String, role: String, nonce: Option<String>) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.set_role(&room, &user, &role, nonce.as_deref()).await
}

/// Settles the reports of a message without a removal.
#[server(name = Settle, prefix = "/gateway", endpoint = "mod/settle")]
pub async fn settle(room: String, seq: String, nonce: Option<String>) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.settle(&room, &seq, nonce.as_deref()).await
}

/// Destroys the kept text of a removed message.
#[server(name = Erase, prefix = "/gateway", endpoint = "mod/erase")]
pub async fn erase(room: String, seq: String, reason: Option<String>, nonce: Option<String>) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.erase(&room, &seq, reason.as_deref(), nonce.as_deref()).await
}

/// Removes a message of the person's own.
#[server(name = Retract, prefix = "/gateway", endpoint = "retract")]
pub async fn retract(room: String, seq: String, nonce: Option<String>) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.retract(&room, &seq, nonce.as_deref()).await
}

/// Reports a message to the staff.
#[server(name = Report, prefix = "/gateway", endpoint = "report")]
pub async fn report(room: String, seq: String, reason: String, nonce: Option<String>) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.report(&room, &seq, &reason, nonce.as_deref()).await
}

/// Acknowledges a warning of the person's own.
#[server(name = Acknowledge, prefix = "/gateway", endpoint = "acknowledge")]
pub async fn acknowledge(case: String, room: Option<String>, nonce: Option<String>) -> Result<ActReply, Refusal> {
    crate::server::web::actions::Actions::current()?.acknowledge(&case, room.as_deref(), nonce.as_deref()).await
}

/// Returns rows of the audit log of a room before number `before`, newest first; without a room those of the site, for the owner.
#[server(name = Log, prefix = "/gateway", endpoint = "mod/log", input = GetUrl)]
pub async fn log(room: Option<String>, before: Option<String>) -> Result<LogReply, Refusal> {
    crate::server::web::actions::Actions::current()?.log(room.as_deref(), before.as_deref()).await
}

/// Returns the card of a person in a room, for its staff.
#[server(name = Person, prefix = "/gateway", endpoint = "mod/person", input = GetUrl)]
pub async fn person(room: String, user: String) -> Result<CardReply, Refusal> {
    crate::server::web::actions::Actions::current()?.person_card(&room, &user).await
}

/// Returns the restraints of a room that are in force, newest first, for its staff.
#[server(name = Restraints, prefix = "/gateway", endpoint = "mod/restraints", input = GetUrl)]
pub async fn restraints(room: String) -> Result<Rows<Restrained>, Refusal> {
    crate::server::web::actions::Actions::current()?.restraints(&room).await
}

/// Returns the open reports of a room, oldest first, for its staff.
#[server(name = Reports, prefix = "/gateway", endpoint = "mod/reports", input = GetUrl)]
pub async fn reports(room: String) -> Result<Rows<Reported>, Refusal> {
    crate::server::web::actions::Actions::current()?.reports(&room).await
}
