//! The panel's frame: head of the room, list, text box.

use super::changes::Standing;
use super::composer::Composer;
use super::connection;
use super::conversation::Conversation;
use super::list::MessageList;
use crate::app::i18n::online;
use crate::app::live_text::LiveText;
use crate::domain::{
    lang::Lang,
    paths,
    preferences::Preferences,
    reply::ReturnedForm,
    room::{Person, Snapshot},
};
use crate::t;
use leptos::prelude::*;

/// The chat of a room. Connects its socket, with or without a session. `here` is the address of the page around it.
#[component]
pub fn ChatPanel(
    lang: Lang,
    snapshot: Snapshot,
    you: Option<Person>,
    returned: Option<ReturnedForm>,
    here: String,
) -> impl IntoView {
    provide_context(Preferences { lang, ..use_context().unwrap_or_default() });
    let title = snapshot.state.title.clone();
    let conversation = Conversation::new(snapshot, you, here);
    connection::start(conversation);
    let pinned = conversation.standing.with_untracked(pinned_seq);
    let full_title = title.clone();
    view! {
        <section class="chat" aria-label=t!(chat) data-room=conversation.room().to_string() data-pinned=pinned>
            <header class="chat__head">
                <h1 class="chat__title" title=full_title><bdi>{title.clone()}</bdi></h1>
                <LiveText class="chat__online" text=Signal::derive(move || online(lang, conversation.online.get()))/>
            </header>
            <div class="chat__pin">{is_server().then(|| pinned_link(conversation))}</div>
            <MessageList conversation title/>
            <Composer conversation returned/>
        </section>
    }
}

/// Returns the seq of the pinned message; empty without one. `public/message.js` reads it.
pub fn pinned_seq(standing: &Standing) -> String {
    standing.state.pinned.map(|pinned| pinned.seq.to_string()).unwrap_or_default()
}

/// Renders the pinned message, with its words if the page has them, otherwise with its number. In the browser `public/message.js` does.
fn pinned_link(conversation: Conversation) -> Option<impl IntoView> {
    let seq = conversation.standing.with_untracked(|standing| standing.state.pinned)?.seq;
    let href = paths::message_page(&conversation.room(), seq);
    let words = conversation.timeline.with_untracked(|timeline| {
        let message =
            timeline.newer_than(seq.previous()).last().filter(|message| message.seq == seq && message.removed.is_none())?;
        Some(format!("{} : {}", message.nickname, message.text))
    });
    Some(
        view! { <div class="pin"><a class="pin__text" href=href data-re=seq.to_string()><b>{t!(pinned)}</b>" "<bdi>{words.unwrap_or_else(|| ["#", &seq.to_string()].concat())}</bdi></a></div> },
    )
}
