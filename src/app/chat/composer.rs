//! The text box at the bottom of the panel, and above it, laid over the list, the refusal of the last attempt. The box is a form
//! that works without JavaScript; with it, the message is sent without loading the page, and a refused text returns to the box.
//! A reader sees [`JoinForm`] in its place.

use super::conversation::Conversation;
use super::cooldown::Cooldown;
use super::draft_box::{TEXT, focus, focus_after_key, use_draft};
use super::join::JoinForm;
use super::notice::Notice;
use super::shut::sentence;
use super::submit::{Submit, use_submit};
use crate::app::i18n::{lang, over_limit, send_in, sends_in, short_duration};
use crate::app::live_text::LiveText;
use crate::app::reactive::{effect, shown};
use crate::domain::{id::Uid, paths, rank::Rank, refusal::Refusal, reply::ReturnedForm};
use crate::t;
use leptos::ev::{InputEvent, KeyboardEvent, MouseEvent, SubmitEvent};
use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// The counter is shown when this many graphemes or fewer are left.
const COUNTER_SHOWN_AT: i64 = 20;

/// Renders the text box, or the form that joins a reader.
#[component]
pub fn Composer(conversation: Conversation, returned: Option<ReturnedForm>) -> impl IntoView {
    let is_reader = move || conversation.you.with(Option::is_none);
    // The box of a reader is hidden, and keeps the text of a session that ended.
    let text = returned.clone().filter(|returned| returned.form == paths::SEND).map(|returned| {
        if !is_reader() {
            conversation.show_refusal(returned.refusal);
        }
        returned.text
    });
    let draft = use_draft(conversation);
    let cooldown = Cooldown::new();
    let submit = use_submit(conversation, draft, cooldown);
    let returned = StoredValue::new(returned);
    // The focus stays in a text box: a button that took it would close the keyboard of a phone.
    let keep_focus = |event: MouseEvent| {
        let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        if target.is_some_and(|target| target.closest("button").is_ok_and(|button| button.is_some())) {
            event.prevent_default();
        }
    };
    effect(move |was: Option<Option<Uid>>| {
        let uid = conversation.you.with(|you| you.as_ref().map(|you| you.uid.clone()));
        match (was.as_ref(), &uid) {
            (Some(None), Some(_)) => {
                // After the row is gone and the box is shown.
                request_animation_frame(move || {
                    draft.changed();
                    focus(TEXT);
                });
            }
            (Some(Some(_)), None) => submit.armed.set(false),
            // Another person's sign-in in another tab: the text is not theirs.
            (Some(Some(before)), Some(now)) if before != now => {
                submit.armed.set(false);
                draft.set_text("");
            }
            _ => {}
        }
        uid
    });
    view! {
        <div class="composer-place" on:mousedown=keep_focus>
            <Notice conversation cooldown/>
            {sentence(conversation)}
            <MessageForm conversation submit text/>
            {move || is_reader().then(|| {
                let returned = returned.try_update_value(Option::take).flatten();
                view! { <JoinForm conversation returned/> }.into_any()
            })}
        </div>
    }
}

#[component]
fn MessageForm(conversation: Conversation, submit: Submit, text: Option<String>) -> impl IntoView {
    let Submit { draft, cooldown, armed, .. } = submit;
    let lang = lang();
    let on_submit = move |event: SubmitEvent| {
        event.prevent_default();
        submit.run();
    };
    // True if the last key came as the unknown key of a keyboard on the screen.
    let is_unknown_key = StoredValue::new(false);
    let on_keydown = move |event: KeyboardEvent| {
        // 229: the key belongs to an input method. Some browsers report this by the key code alone.
        is_unknown_key.set_value(event.key_code() == 229 && window().navigator().max_touch_points() > 0);
        if event.key() == "Escape" {
            armed.set(false);
        }
        if event.key() == "Enter" && !event.shift_key() && !event.is_composing() && event.key_code() != 229 {
            event.prevent_default();
            submit.run();
        }
    };
    let on_beforeinput = move |event: InputEvent| {
        if is_unknown_key.get_value() && !event.is_composing() && event.input_type() == "insertLineBreak" {
            event.prevent_default();
            submit.run();
        }
    };
    let on_input = move |_| {
        draft.changed();
        // A text that is edited, or composed by an input method, must not leave half-way.
        armed.set(false);
        clear_notice(conversation);
    };
    let max_graphemes = i64::from(conversation.rules().max_graphemes);
    let left = move || max_graphemes - i64::from(draft.length.get());
    let counter = Signal::derive(move || if left() < 0 { over_limit(lang, -left()) } else { left().to_string() });
    let send = t!(send);
    let seconds = move || cooldown.seconds.get();
    let label = Signal::derive(move || if seconds() == 0 { send.to_owned() } else { [&seconds().to_string(), " S"].concat() });
    let name = move || if seconds() == 0 { send.to_owned() } else { send_in(lang, seconds()) };
    let hint = Signal::derive(move || sends_in(lang, seconds()));
    let disarm = move |event: MouseEvent| {
        armed.set(false);
        focus_after_key(&event);
    };
    let user = move || conversation.you.with(|you| you.as_ref().map(|you| you.uid.to_string()));
    view! {
        <form
            class="composer" method="post" action=paths::SEND hidden=move || conversation.you.with(Option::is_none) || conversation.shut().is_some()
            on:submit=on_submit
        >
            <input type="hidden" name="room" value=conversation.room().to_string()/>
            <input type="hidden" name="next" value=conversation.here()/>
            <input type="hidden" name="user" value=user/>
            <span class="composer__box" class:composer__box--over=move || left() < 0>
                <textarea
                    class="composer__text" name="message" rows="1" dir="auto" enterkeyhint="send" autocomplete="off"
                    aria-label=t!(placeholder) aria-describedby="composer-hint composer-left" placeholder=untrack(|| placeholder(conversation))
                    node_ref=draft.textarea on:keydown=on_keydown on:beforeinput=on_beforeinput on:input=on_input
                >{text.unwrap_or_default()}</textarea>
                {shown(move || left() <= COUNTER_SHOWN_AT, move || view! {
                    <span class="composer__left" class:composer__left--over=move || left() < 0 id="composer-left"><LiveText text=counter/></span>
                })}
            </span>
            <button
                class="button composer__send" class:composer__send--waiting=move || seconds() != 0 node_ref=cooldown.button
                aria-disabled=move || (seconds() != 0).then_some("true") aria-label=name
            >
                <LiveText text=label/>
            </button>
            <span class="composer__hint" id="composer-hint" aria-live="polite">
                {shown(move || armed.get(), move || view! {
                    // Announced once: the running number is for the eye.
                    <span class="visually-hidden">{sends_in(lang, cooldown.seconds.get_untracked())}</span>
                    <span aria-hidden="true"><LiveText text=hint/></span>
                    <button type="button" class="composer__disarm" on:click=disarm>{t!(cancel)}</button>
                })}
            </span>
        </form>
    }
}

/// Takes the notice away, if there is one: a set signal would render it again.
fn clear_notice(conversation: Conversation) {
    if conversation.notice.with_untracked(Option::is_some) {
        conversation.notice.set(None);
    }
}

/// Returns the words in the empty box. A room with a mode says so before one types.
pub fn placeholder(conversation: Conversation) -> String {
    let (modes, is_exempt) =
        conversation.standing.with(|standing| (standing.state.modes, standing.rank.is_some_and(Rank::is_exempt)));
    let words = t!(placeholder);
    match modes {
        _ if modes.closed => Refusal::room_closed().panel_message(lang()),
        _ if modes.accounts && !is_exempt => Refusal::accounts_only().panel_message(lang()),
        _ if modes.slow_ms != 0 && !is_exempt => {
            [words, " · ", t!(slow_mode), " ", &short_duration(lang(), modes.slow_ms)].concat()
        }
        _ => words.to_owned(),
    }
}
