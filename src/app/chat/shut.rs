//! The sentence in place of the text box while the person cannot send: a ban, a timeout, a warning to be acknowledged, a closed
//! room, a room for accounts. The text in the box stays, and is there again afterwards.
//!
//! The parts are always in the page, and one effect fills and hides them: a view for each would make the wasm larger.

use super::composer::placeholder;
use super::conversation::{ConnectionState, Conversation};
use super::draft_box::{TEXT, focus};
use super::line::{local_clock, local_day};
use crate::app::i18n::{lang, time_left};
use crate::app::reactive::effect;
use crate::domain::{
    calendar,
    change::{Restraint, RestraintKind},
    lang::Lang,
    paths,
    rank::Rank,
    refusal::{Refusal, whole_seconds},
};
use crate::t;
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Milliseconds between two steps of the countdown.
const STEP_MS: u64 = 1_000;
/// Milliseconds after which the page asks again if its clock is ahead of the server's.
const AHEAD_MS: u64 = 5_000;
/// The time that is left of a timeout.
const COUNTDOWN: &str = ".composer__countdown";
/// The button that acknowledges a warning.
const UNDERSTOOD: &str = ".composer__warning button";

impl Conversation {
    /// Returns why the person cannot send; `None` also for a reader.
    pub fn shut(self) -> Option<Refusal> {
        let has_account = self.you.with(|you| you.as_ref().map(|you| you.account.is_some()))?;
        self.standing.with(|standing| {
            if let Some(restraint) = standing.restraint.as_ref().or(standing.warning.as_ref()) {
                return Some(restraint.clone().into());
            }
            let is_kept_out = !has_account && !standing.rank.is_some_and(Rank::is_exempt);
            match standing.state.modes {
                modes if modes.closed => Some(Refusal::room_closed()),
                modes if modes.accounts && is_kept_out => Some(Refusal::accounts_only()),
                _ => None,
            }
        })
    }
}

/// Renders the sentence; hidden while the person can send.
pub fn sentence(conversation: Conversation) -> impl IntoView {
    let Parts { words, case, is_for_accounts } = untrack(|| parts(conversation));
    let (is_open, no_warning) = (words.is_empty(), case.is_empty());
    let here = conversation.here();
    let register = [paths::SIGN_IN_PAGE, "?tab=register&next=", &here].concat();
    follow(conversation);
    view! {
        <div class="composer__shut" hidden=is_open>
            <p class="composer__why" role="status">{words}</p>
            // Beside the sentence: a screen reader does not read every second.
            <p class="composer__countdown" role="timer" hidden=true></p>
            <a class="composer__register" href=register hidden=!is_for_accounts>{t!(register)}</a>
            <form class="composer__warning" method="post" action=paths::ACKNOWLEDGE data-quiet="" hidden=no_warning>
                <input type="hidden" name="room" value=conversation.room().to_string()/>
                <input type="hidden" name="next" value=here/>
                <input type="hidden" name="case" value=case/>
                <button class="button">{t!(understood)}</button>
            </form>
        </div>
    }
}

struct Parts {
    words: String,
    /// The warning to be acknowledged.
    case: String,
    is_for_accounts: bool,
}

fn parts(conversation: Conversation) -> Parts {
    let Some(refusal) = conversation.shut() else {
        return Parts { words: String::new(), case: String::new(), is_for_accounts: false };
    };
    let is_for_accounts = matches!(&refusal, Refusal::RoomMode { mode } if mode == "accounts");
    let (mut words, mut case) = (refusal.panel_message(lang()), String::new());
    if let Refusal::Muted(restraint) | Refusal::Banned(restraint) = refusal {
        if let Some(until) = restraint.until {
            words.push_str(&[" · ", t!(until), " ", &moment(until)].concat());
        }
        if !restraint.reason.is_empty() {
            // Isolated: a text of another direction does not turn the sentence.
            words.push_str(&[" · ", t!(reason), "\u{2068}", &restraint.reason, "\u{2069}"].concat());
        }
        let id = restraint.case.to_string();
        match restraint.kind {
            RestraintKind::Warning => case = id,
            // The person names the ban with it. The first digits are enough.
            RestraintKind::Ban => words.push_str(&[" · ", t!(case), " ", id.get(..8).unwrap_or_default()].concat()),
            RestraintKind::Timeout => {}
        }
    }
    Parts { words, case, is_for_accounts }
}

/// Fills the parts whenever the room or the person's standing in it changes, and the box's placeholder with them.
fn follow(conversation: Conversation) {
    effect(move |was: Option<(Option<u64>, bool)>| {
        let (last_until, was_typing) = was.unwrap_or_default();
        let is_at = |selector| document().active_element().is_some_and(|active| active.matches(selector).unwrap_or_default());
        // The box had the focus when the sentence took its place, and nothing else has it since.
        let typed = was_typing && is_at("body");
        let Parts { words, case, is_for_accounts } = parts(conversation);
        let hint = placeholder(conversation);
        let set_hidden = |selector, hidden: bool| with(selector, |part| drop(part.toggle_attribute_with_force("hidden", hidden)));
        set_hidden(".composer__shut", words.is_empty());
        with(".composer__why", |part| {
            if part.text_content().as_ref() != Some(&words) {
                part.set_text_content(Some(&words));
            }
        });
        set_hidden(".composer__register", !is_for_accounts);
        set_hidden(".composer__warning", case.is_empty());
        with(".composer__warning [name=case]", |part| drop(part.set_attribute("value", &case)));
        with(TEXT, |part| drop(part.set_attribute("placeholder", &hint)));
        with(".composer__look", |part| part.set_text_content(Some(&hint)));
        let is_typing = match (words.is_empty(), case.is_empty()) {
            (false, false) if is_at(TEXT) || typed => {
                focus(UNDERSTOOD);
                true
            }
            (false, _) => is_at(TEXT) || was_typing,
            _ => {
                if typed || is_at(UNDERSTOOD) {
                    // After the box is shown.
                    request_animation_frame(|| focus(TEXT));
                }
                false
            }
        };
        let until = conversation.standing.with_untracked(|standing| standing.restraint.as_ref()?.until);
        set_hidden(COUNTDOWN, until.is_none());
        if let Some(until) = until.filter(|until| last_until != Some(*until)) {
            spawn_local(look_for_the_end(conversation, until, lang()));
        }
        (until, is_typing)
    });
}

/// Calls `change` with the element of a selector, if there is one.
pub fn with(selector: &str, change: impl FnOnce(&web_sys::Element)) {
    if let Ok(Some(element)) = document().query_selector(selector) {
        change(&element);
    }
}

/// Returns a time as the reader's clock shows it, with the day if that is another one.
fn moment(at: u64) -> String {
    if is_server() {
        // The server does not know the reader's time zone.
        let minute: String = calendar::iso(at).replace('T', " ").chars().take(16).collect();
        return [&minute, " UTC"].concat();
    }
    let day = local_day(at);
    let clock = local_clock(at);
    if day == local_day(js_sys::Date::now() as u64) { clock } else { [&calendar::day_name(day, lang()), " ", &clock].concat() }
}

/// Counts a restraint down. Asks the server again when it ends; without a connection the box is simply there again.
async fn look_for_the_end(conversation: Conversation, until: u64, lang: Lang) {
    let left = || until.saturating_sub(js_sys::Date::now() as u64);
    let is_its = |restraint: &Restraint| restraint.until == Some(until);
    let is_in_force =
        || conversation.standing.try_with_untracked(|standing| standing.restraint.as_ref().is_some_and(is_its)) == Some(true);
    while is_in_force() {
        let left_ms = left();
        with(COUNTDOWN, |part| part.set_text_content(Some(&time_left(lang, whole_seconds(left_ms)))));
        // To the next whole second.
        let mut wait_ms = left_ms.saturating_sub(1) % STEP_MS;
        if left_ms == 0 {
            wait_ms = AHEAD_MS;
            if conversation.connection.get_untracked() == ConnectionState::Connected {
                conversation.rebind.update(|count| *count += 1);
            } else {
                conversation.standing.update(|standing| standing.restraint = None);
            }
        }
        TimeoutFuture::new(wait_ms as u32 + 1).await;
    }
}
