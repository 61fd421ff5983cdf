//! The text in the composer: its length, and its copy in the tab's session storage, from which a reload restores it. The
//! copy belongs to one person: for another one it is deleted.

use super::conversation::Conversation;
use crate::app::reactive::effect;
use crate::domain::draft::Draft;
use leptos::ev::MouseEvent;
use leptos::html::Textarea;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// Selector of the text box.
pub const TEXT: &str = ".composer__text";
/// Selector of the field for a reader's nickname.
pub const NICKNAME: &str = ".composer__nickname";

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
    effect(move |_| {
        let stored = load(conversation, "draft");
        match stored.filter(|_| draft.text().is_empty()) {
            Some(stored) => draft.set_text(&stored),
            // This also deletes the draft of another person.
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
        store(self.conversation, "draft", text);
    }
}

/// Stores a text of the person for this tab and room; an empty one is deleted. An error of the storage (full, forbidden) is
/// ignored: the text then lives until the page is closed.
pub fn store(conversation: Conversation, name: &str, text: &str) {
    let Some(storage) = storage() else { return };
    let key = key(conversation, name);
    let _ = match conversation.uid() {
        _ if text.is_empty() => storage.remove_item(&key),
        Some(uid) => storage.set_item(&key, &[uid.as_str(), text].join("\n")),
        None => Ok(()),
    };
}

/// Returns a stored text of the person, and nothing of another one.
pub fn load(conversation: Conversation, name: &str) -> Option<String> {
    let stored = storage()?.get_item(&key(conversation, name)).ok()??;
    let (uid, text) = stored.split_once('\n')?;
    (conversation.uid()?.as_str() == uid).then(|| text.to_owned())
}

/// Puts the caret into the panel's field of a class: [`TEXT`] or [`NICKNAME`].
pub fn focus(class: &str) {
    if let Ok(Some(field)) = document().query_selector(class) {
        let _ = field.unchecked_into::<web_sys::HtmlElement>().focus();
    }
}

/// Puts the caret into the text box after a key pressed a button that goes. A pointer leaves the focus as it is.
pub fn focus_after_key(event: &MouseEvent) {
    if event.detail() == 0 {
        focus(TEXT);
    }
}

/// Puts the caret into the text box if the focus is on a button of an unsent message, which goes while a request runs.
pub fn take_focus_of_actions() {
    if document().active_element().is_some_and(|active| active.matches(".line__action").unwrap_or_default()) {
        focus(TEXT);
    }
}

fn key(conversation: Conversation, name: &str) -> String {
    [name, conversation.room().as_str()].join(":")
}

/// Session storage: one per tab, deleted with it.
fn storage() -> Option<web_sys::Storage> {
    window().session_storage().ok().flatten()
}
