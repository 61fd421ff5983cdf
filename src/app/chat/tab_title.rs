//! The number of unread messages in the title of the tab: `(3) Room · Roomcast`.

use super::conversation::Conversation;
use crate::app::i18n::capped;
use crate::domain::{id::Seq, timeline::Timeline};
use leptos::ev;
use leptos::prelude::*;

/// Counts the messages that arrive while the tab is hidden or the reader is above the bottom.
pub fn count_unread_in_title(conversation: Conversation) {
    // A tab may be opened in the background.
    let hidden = RwSignal::new(!is_server() && document().hidden());
    // In an effect, because effects do not run on the server.
    Effect::new(move || {
        let listener = window_event_listener(ev::visibilitychange, move |_| hidden.set(document().hidden()));
        on_cleanup(move || listener.remove());
    });
    Effect::new(move |state: Option<(String, Seq)>| {
        let newest = conversation.timeline.with(Timeline::newest);
        let reads = conversation.following.get() && !hidden.get();
        let (title, mut seen) = state.unwrap_or_else(|| (document().title(), newest));
        // A lower number is of another numbering.
        if reads || newest < seen {
            seen = newest;
        }
        let words = match newest.0.saturating_sub(seen.0) {
            0 => title.clone(),
            unread => ["(", &capped(unread), ") ", &title].concat(),
        };
        if document().title() != words {
            document().set_title(&words);
        }
        (title, seen)
    });
}
