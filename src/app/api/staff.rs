//! The data of the staff's pages: of one message, and of a room's moderation.

use crate::domain::{
    refusal::Refusal,
    room::Page,
    staff::{MessagePage, ModerationPage},
};
use leptos::prelude::*;

/// Returns the data of a message's page. An unknown message is [`Refusal::NoSuchRoom`].
#[server(name = MessagePageRequest, prefix = "/page", endpoint = "message")]
pub async fn message_page(room: String, seq: String) -> Result<Page<MessagePage>, Refusal> {
    let actions = crate::server::web::actions::Actions::current()?;
    Ok(Page { content: actions.message_page(&room, &seq).await?, you: actions.person(), returned: actions.returned_form().await })
}

/// Returns the data of a room's moderation page; with `before` the log begins below that number. Fails with
/// [`Refusal::NotAllowed`] for everyone but the room's staff.
#[server(name = ModerationPageRequest, prefix = "/page", endpoint = "moderation")]
pub async fn moderation_page(room: String, before: Option<String>) -> Result<Page<ModerationPage>, Refusal> {
    let actions = crate::server::web::actions::Actions::current()?;
    let content = actions.moderation_page(&room, before.as_deref()).await?;
    Ok(Page { content, you: actions.person(), returned: actions.returned_form().await })
}
