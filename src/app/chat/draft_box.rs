//! The text in the composer: its length, and its copy in the tab's session storage, from which a reload restores it. The
//! copy belongs to one person: for another one it is deleted.

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

/// Creates the box. In the browser it measures text that was typed before the panel was mounted and keeps it; an empty box gets
/// the text that this tab stored before it loaded another page, for instance in the other language.
pub fn use_draft(conversation: Conversation) -> DraftBox {
    let draft = DraftBox { conversation, textarea: NodeRef::new(), length: RwSignal::new(0) };
    // An effect: the server renders and never runs it.
    Effect::new(move || {
        let stored = load(conversation, "draft");
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

    /// Puts the caret into the box.
    pub fn focus(self) {
        if let Some(node) = self.textarea.get_untracked() {
            let _ = node.focus();
        }
    }

    fn save(self, text: &str) {
        self.length.set(Draft::new(text).graphemes() as u32);
        store(self.conversation, "draft", text);
    }
}

/// Stores a text of the person for this tab and room; an empty one is deleted. An error of the storage (full, forbidden) is
/// ignored: the text then lives until the page is closed.
pub fn store(conversation: Conversation, name: &str, text: &str) {
    let (Some(storage), Some(uid)) = (storage(), conversation.uid()) else { return };
    let key = key(conversation, name);
    let _ = if text.is_empty() { storage.remove_item(&key) } else { storage.set_item(&key, &[uid.as_str(), text].join("\n")) };
}

/// Returns a stored text of the person. That of another person is deleted.
pub fn load(conversation: Conversation, name: &str) -> Option<String> {
    let (storage, key) = (storage()?, key(conversation, name));
    let stored = storage.get_item(&key).ok()??;
    match (stored.split_once('\n'), conversation.uid()) {
        (Some((uid, text)), Some(own)) if uid == own.as_str() => Some(text.to_owned()),
        _ => {
            let _ = storage.remove_item(&key);
            None
        }
    }
}

fn key(conversation: Conversation, name: &str) -> String {
    [name, conversation.room().as_str()].join(":")
}

/// Session storage: one per tab, deleted with it.
fn storage() -> Option<web_sys::Storage> {
    window().session_storage().ok().flatten()
}
