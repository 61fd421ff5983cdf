//! The panel's frame: the room's head, the list, the line about the connection, the text box.

use super::composer::{Composer, JoinForm};
use super::connection;
use super::conversation::{Conversation, Link};
use super::list::MessageList;
use crate::app::i18n::{Reader, online};
use crate::domain::{reply::Returned, room::{Person, Snapshot}};
use crate::t;
use leptos::prelude::*;

#[component]
pub fn ChatPanel(snapshot: Snapshot, you: Option<Person>, returned: Option<Returned>) -> impl IntoView {
    let reader = Reader::here();
    let title = snapshot.card.title.clone();
    let host = snapshot.card.host.clone();
    let signed_in = you.is_some();
    let conversation = Conversation::new(snapshot, you);
    if signed_in {
        connection::keep(conversation);
    }
    let host = move || host.clone().map_or(reader.texts().no_host.into(), |host| format!("{} {host}", reader.texts().host));
    view! {
        <section class="chat" aria-label=t!(chat)>
            <header class="chat__head">
                <h1 class="chat__title">{title}</h1>
                <p class="chat__facts">
                    <span class="chat__host">{host}</span>
                    <span class="chat__online">{move || online(reader.lang(), conversation.online.get())}</span>
                </p>
            </header>
            <MessageList conversation/>
            <LinkLine conversation/>
            {if signed_in {
                view! { <Composer conversation returned/> }.into_any()
            } else {
                view! { <JoinForm room=conversation.room() returned/> }.into_any()
            }}
        </section>
    }
    .into_any()
}

/// Says calmly that the connection is gone; nothing while all is well.
#[component]
fn LinkLine(conversation: Conversation) -> impl IntoView {
    let reader = Reader::here();
    let words = move || match conversation.link.get() {
        Link::Lost => reader.texts().reconnecting,
        Link::Ended => reader.texts().connected_elsewhere,
        Link::Starting | Link::Up => "",
    };
    view! { <p class="chat__link" role="status">{words}</p> }
}
