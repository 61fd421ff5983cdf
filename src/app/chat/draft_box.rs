//! The text in the composer: its length, and its copy in the tab's session storage, from which a reload restores it.

use super::conversation::Conversation;
use crate::domain::draft::Draft;
use leptos::html::Textarea;
use leptos::prelude::*;

/// The text box and its length. Cheap to copy; all copies are one box.
#[derive(Clone, Copy)]
pub struct DraftBox {
    conversation: Conversation,
    /// The text box in the page.
    pub textarea: NodeRef<Textarea>,
    /// Graphemes of the cleaned text.
    pub length: RwSignal<u32>,
}

/// Creates the box. In the browser it measures text that was typed before the panel was mounted and keeps it; an empty box gets the text
/// that this tab stored before it loaded another page, for instance in the other language.
pub fn use_draft(conversation: Conversation) -> DraftBox {
    let draft = DraftBox { conversation, textarea: NodeRef::new(), length: RwSignal::new(0) };
    // An effect: the server renders and never runs it.
    Effect::new(move || {
        let stored = storage().and_then(|storage| storage.get_item(&draft.key()).ok().flatten());
        match stored.filter(|_| draft.text().is_empty()) {
            Some(stored) => draft.set_text(&stored),
            None => draft.changed(),
        }
    });
    draft
}

impl DraftBox {
    /// Returns the text as it was typed.
    pub fn text(self) -> String {
        self.textarea.get_untracked().map(|node| node.value()).unwrap_or_default()
    }

    /// Replaces the text.
    pub fn set_text(self, text: &str) {
        if let Some(node) = self.textarea.get_untracked() {
            node.set_value(text);
        }
        self.save(text);
    }

    /// Measures and stores the text after the person changed it.
    pub fn changed(self) {
        self.save(&self.text());
    }

    fn save(self, text: &str) {
        self.length.set(Draft::new(text).graphemes() as u32);
        if let Some(storage) = storage() {
            // An error of the storage (full, forbidden) leaves the draft in the box alone, until the page is closed.
            let _ = if text.is_empty() { storage.remove_item(&self.key()) } else { storage.set_item(&self.key(), text) };
        }
    }

    fn key(self) -> String {
        format!("draft:{}", self.conversation.room())
    }
}

/// Session storage: one per tab, deleted with it.
fn storage() -> Option<web_sys::Storage> {
    window().session_storage().ok().flatten()
}
