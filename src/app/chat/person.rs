//! The person of a page that is open: joining in place, and the end of the session. The page keeps its socket and its list.

use super::conversation::{Conversation, SessionEnd};
use super::draft_box::{NICKNAME, TEXT, focus};
use crate::domain::{id::Uid, room::Person};
use leptos::prelude::*;
use wasm_bindgen::JsValue;

/// Makes the page that of a person, whose session the server has still to confirm. The socket is bound again for them.
pub fn joined(conversation: Conversation, person: Person) {
    conversation.session_proven.set_value(false);
    conversation.session_end.set(SessionEnd::None);
    conversation.notice.set(None);
    show(Some(&person));
    conversation.you.set(Some(person));
    conversation.rebind.update(|count| *count += 1);
}

/// Makes the page that of a reader. A session that the server never confirmed was lost on its way: the browser takes no cookies.
pub fn left(conversation: Conversation, why: SessionEnd) {
    let Some(person) = conversation.you.get_untracked() else { return };
    conversation.session_end.set(match why {
        SessionEnd::Expired if !conversation.session_proven.get_value() => SessionEnd::NoCookies,
        SessionEnd::Expired if person.account.is_some() => SessionEnd::SignedOut,
        why => why,
    });
    show(None);
    conversation.last_nickname.set_value(person.nickname);
    let was_typing = document().active_element().is_some_and(|element| element.matches(TEXT).unwrap_or_default());
    conversation.you.set(None);
    if was_typing {
        // After the row has taken the place of the box.
        request_animation_frame(|| focus(NICKNAME));
    }
}

/// Compares the page's person with the one that the server bound the socket to, `None` for a reader, and follows a sign-in or
/// another nickname in another tab. `asked_as` is the page's person when the request was made: a person who joined since is not
/// judged by it.
pub fn confirm(conversation: Conversation, asked_as: Option<Uid>, bound_to: Option<Person>) {
    if conversation.uid() != asked_as {
        return;
    }
    let Some(person) = bound_to else { return left(conversation, SessionEnd::Expired) };
    conversation.session_proven.set_value(true);
    if conversation.you.with_untracked(|you| you.as_ref() != Some(&person)) {
        show(Some(&person));
        conversation.session_end.set(SessionEnd::None);
        conversation.you.set(Some(person));
    }
}

/// Tells the parts of the page outside of the panel: its style shows and hides them by `data-person`.
fn show(person: Option<&Person>) {
    let document = document();
    if let Ok(Some(room)) = document.query_selector(".room") {
        let kind = person.map_or("none", |person| if person.account.is_some() { "account" } else { "guest" });
        let _ = room.set_attribute("data-person", kind);
    }
    let (Some(person), Ok(places)) = (person, document.query_selector_all("[data-own-nickname]")) else { return };
    for place in (0..places.length()).filter_map(|index| places.item(index)) {
        if place.node_name() == "INPUT" {
            let _ = js_sys::Reflect::set(&place, &JsValue::from_str("value"), &JsValue::from_str(&person.nickname));
        } else {
            place.set_text_content(Some(&person.nickname));
        }
    }
}
