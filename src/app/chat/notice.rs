//! The card over the list with the refusal of the last attempt. The two of a message's length have the form
//! `系统提示: 不能超过140个字符`; every other one is a sentence alone.

use super::conversation::Conversation;
use super::cooldown::Cooldown;
use crate::app::i18n::{lang, too_fast};
use crate::app::live_text::LiveText;
use crate::app::reactive::{effect, shown};
use crate::domain::refusal::{Refusal, whole_seconds};
use crate::t;
use leptos::prelude::*;

/// Renders the refusal of the last attempt to send. That of a cooldown counts down and leaves at its end.
#[component]
pub fn Notice(conversation: Conversation, cooldown: Cooldown) -> impl IntoView {
    let (lang, system) = (lang(), t!(system));
    let words = Signal::derive(move || {
        Some(match conversation.notice.get()? {
            Refusal::TooFast { retry_after_ms } => match cooldown.seconds.get() {
                0 => too_fast(lang, whole_seconds(retry_after_ms)),
                seconds => too_fast(lang, seconds),
            },
            refusal @ (Refusal::TooLong { .. } | Refusal::Blank { .. }) => [system, ": ", &refusal.panel_message(lang)].concat(),
            refusal => refusal.panel_message(lang),
        })
    });
    effect(move |was: Option<u64>| {
        let seconds = cooldown.seconds.get();
        let is_cooldown = |notice: &Option<Refusal>| matches!(notice, Some(Refusal::TooFast { .. }));
        if seconds == 0 && was.is_some_and(|was| was != 0) && conversation.notice.with_untracked(is_cooldown) {
            conversation.notice.set(None);
        }
        seconds
    });
    // The number that runs is for the eye. People who hear the page hear that of the beginning.
    let heard = Signal::derive(move || match conversation.notice.get() {
        Some(Refusal::TooFast { retry_after_ms }) => too_fast(lang, whole_seconds(retry_after_ms)),
        _ => String::new(),
    });
    view! { <NoticeCard id="notice" words heard/> }
}

/// Renders words over the list, and nothing without words. If `heard` is not empty, it is announced in their place.
#[component]
pub fn NoticeCard(id: &'static str, words: Signal<Option<String>>, #[prop(optional)] heard: Signal<String>) -> impl IntoView {
    let seen = Signal::derive(move || words.get().unwrap_or_default());
    let is_for_the_eye = move || heard.with(|heard| !heard.is_empty()).then_some("true");
    view! {
        <div class="composer__card" role="alert" id=id>
            {shown(move || words.with(Option::is_some), move || view! {
                <p class="notice" aria-hidden=is_for_the_eye><LiveText text=seen/></p>
                <LiveText class="visually-hidden" text=heard/>
            })}
        </div>
    }
}
