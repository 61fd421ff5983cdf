//! The room's title in the bar and, with the number of unread messages, in the tab: `(3) Room · Roomcast`. The page's scripts hear
//! of changes here.

use super::conversation::Conversation;
use super::panel::pinned_seq;
use super::shut::with;
use crate::app::i18n::capped;
use crate::app::reactive::effect;
use crate::domain::{id::Seq, timeline::Timeline};
use leptos::ev;
use leptos::prelude::*;
use wasm_bindgen::JsValue;
use web_sys::{CustomEvent, CustomEventInit};

/// Counts the messages that arrive while the tab is hidden or the reader is above the bottom.
pub fn count_unread_in_title(conversation: Conversation) {
    // A tab may be opened in the background.
    let hidden = RwSignal::new(!is_server() && document().hidden());
    // In an effect, because effects do not run on the server.
    effect(move |_| {
        let listener = window_event_listener(ev::visibilitychange, move |_| hidden.set(document().hidden()));
        on_cleanup(move || listener.remove());
    });
    effect(move |_| {
        let (title, pinned) = conversation.standing.with(|standing| (standing.state.title.clone(), pinned_seq(standing)));
        with(".chat__title", |part| drop(part.set_attribute("title", &title)));
        with(".chat__title bdi", |part| part.set_text_content(Some(&title)));
        with(".chat", |part| drop(part.set_attribute("data-pinned", &pinned)));
        tell("roomcast:room", &title.into());
    });
    effect(move |last: Option<(Seq, String)>| {
        let (seen, shown) = last.unzip();
        let newest = conversation.timeline.with(Timeline::newest);
        let reads = conversation.following.get() && !hidden.get();
        let mut seen = seen.unwrap_or(newest);
        let title = conversation.standing.with(|standing| [&standing.state.title, " · Roomcast"].concat());
        // A lower number is of another numbering.
        if reads || newest < seen {
            seen = newest;
        }
        let words = match newest.0.saturating_sub(seen.0) {
            0 => title,
            unread => ["(", &capped(unread), ") ", &title].concat(),
        };
        if shown.as_ref() != Some(&words) {
            document().set_title(&words);
        }
        (seen, words)
    });
}

/// Tells the page's scripts by an event of the document.
pub fn tell(name: &str, detail: &JsValue) {
    let init = CustomEventInit::new();
    init.set_detail(detail);
    if let Ok(event) = CustomEvent::new_with_event_init_dict(name, &init) {
        let _ = document().dispatch_event(&event);
    }
}
