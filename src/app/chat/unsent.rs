//! The words after an outgoing message: on its way, with the moderators, or not sent, with a button to try again and one to
//! delete it.

use super::conversation::Conversation;
use super::draft_box::{focus_after_key, store};
use super::outgoing::{Outgoing, OutgoingState as State};
use crate::t;
use leptos::ev::MouseEvent;
use leptos::prelude::*;

/// Renders the words.
#[component]
pub fn OutgoingState(conversation: Conversation, outgoing: Outgoing) -> impl IntoView {
    let words = match outgoing.state {
        State::Sending => t!(sending),
        State::Unsent => t!(unsent),
        State::Held => t!(held),
        State::Accepted(_) => return ().into_any(),
    };
    let buttons = (outgoing.state == State::Unsent).then(|| {
        let delete = move |event: MouseEvent| {
            focus_after_key(&event);
            conversation.remove_outgoing(&outgoing.nonce);
            conversation.deleted.set_value(outgoing.nonce.clone());
            store(conversation, "unsent", "");
        };
        let retry = move |event: MouseEvent| {
            focus_after_key(&event);
            conversation.retry.set(true);
        };
        let keep_focus = |event: MouseEvent| event.prevent_default();
        view! {
            <span class="line__actions" on:mousedown=keep_focus>
                " · "<button type="button" class="line__action" on:click=retry>{t!(retry)}</button>
                " · "<button type="button" class="line__action" on:click=delete>{t!(delete)}</button>
            </span>
        }
    });
    view! { <span class="line__state">{words}{buttons}</span> }.into_any()
}
