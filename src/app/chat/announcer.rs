//! The list for screen readers: a digest of the new messages, at most every 3 s, and at once if one mentions the person.

use super::conversation::Conversation;
use crate::app::i18n::{and_more, lang, new_messages};
use crate::app::reactive::effect;
use crate::domain::{message::Message, timeline::Timeline};
use crate::t;
use leptos::html::Div;
use leptos::prelude::*;
use web_sys::Element;

/// Milliseconds between two digests.
const DIGEST_EVERY_MS: u64 = 3_000;
/// Messages that a digest reads out; it counts the others.
const DIGEST_LINES: usize = 3;

/// Announces the messages of other people, and that the person's own message was sent.
#[component]
pub fn Announcer(conversation: Conversation) -> impl IntoView {
    let region = NodeRef::<Div>::new();
    let waiting = StoredValue::new(false);
    let announced = StoredValue::new(conversation.timeline.with_untracked(Timeline::newest));
    let sent = t!(sent);
    let language = lang();
    let announce = move || {
        // `Some`: the panel is gone, and the value comes back.
        if waiting.try_set_value(false).is_some() {
            return;
        }
        let words = conversation.timeline.with_untracked(|timeline| {
            let after = announced.get_value();
            announced.set_value(timeline.newest());
            let (mine, mut others): (Vec<_>, Vec<_>) =
                timeline.newer_than(after).partition(|message| conversation.is_mine(&message.user));
            let others_count = timeline.newest().0.saturating_sub(after.0).saturating_sub(mine.len() as u64) as u32;
            others.retain(|message| !message.text.is_empty());
            others.truncate(DIGEST_LINES);
            let more = others_count.saturating_sub(others.len() as u32);
            let mut words = String::from(if mine.is_empty() { "" } else { sent });
            for message in others.iter().rev() {
                for part in ["\n", &message.nickname, ": ", &message.text] {
                    words.push_str(part);
                }
            }
            if more != 0 {
                words.push('\n');
                words.push_str(&if others.is_empty() { new_messages(language, more) } else { and_more(language, more) });
            }
            words
        });
        if let Some(region) = region.get_untracked().filter(|_| !words.is_empty()) {
            say(&region, &words);
        }
    };
    effect(move |_| {
        let after = announced.get_value();
        let (newest, mentions_you) = conversation.timeline.with(|timeline| {
            let mentions_you = |message: &Message| message.mentions.iter().any(|user| conversation.is_mine(user));
            (timeline.newest(), timeline.newer_than(after).any(mentions_you))
        });
        if after > newest {
            // The numbering began anew.
            announced.set_value(newest);
        } else if mentions_you {
            announce();
        } else if after < newest && !waiting.get_value() {
            waiting.set_value(true);
            set_timeout(announce, std::time::Duration::from_millis(DIGEST_EVERY_MS));
        }
    });
    view! { <div class="visually-hidden" aria-live="polite" node_ref=region><p></p><p></p></div> }
}

/// Puts the words into the paragraph that is empty and empties the other one: a screen reader then reads words that are the same
/// as before.
fn say(region: &Element, words: &str) {
    let (Some(first), Some(second)) = (region.first_element_child(), region.last_element_child()) else { return };
    let turn = first.text_content().is_none_or(|text| text.is_empty());
    first.set_text_content(turn.then_some(words));
    second.set_text_content((!turn).then_some(words));
}
