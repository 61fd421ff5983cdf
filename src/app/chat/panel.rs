//! The panel's frame: head of the room, list, text box.

use super::composer::Composer;
use super::connection;
use super::conversation::Conversation;
use super::list::MessageList;
use crate::app::i18n::online;
use crate::app::live_text::LiveText;
use crate::domain::{
    lang::Lang,
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
    let title = snapshot.card.title.clone();
    let full_title = title.clone();
    let conversation = Conversation::new(snapshot, you, here);
    connection::start(conversation);
    view! {
        <section class="chat" aria-label=t!(chat)>
            <header class="chat__head">
                <h1 class="chat__title" title=full_title><bdi>{title.clone()}</bdi></h1>
                <LiveText class="chat__online" text=Signal::derive(move || online(lang, conversation.online.get()))/>
            </header>
            <MessageList conversation title/>
            <Composer conversation returned/>
        </section>
    }
}
