//! The text box at the bottom of the panel. It is a form that works without JavaScript; with it, the message is sent without
//! loading the page, and a refused text returns to the box.

use super::conversation::Conversation;
use super::cooldown::Cooldown;
use super::draft_box::use_draft;
use super::submit::use_submit;
use crate::app::i18n::lang;
use crate::app::live_text::LiveText;
use crate::domain::{id::RoomId, paths, refusal::Refusal, reply::ReturnedForm};
use crate::t;
use leptos::ev::{KeyboardEvent, SubmitEvent};
use leptos::prelude::*;

/// The counter is shown when this many graphemes or fewer are left.
const COUNTER_SHOWN_AT: u32 = 20;

/// Renders the text box, its counter and the send button, for a person who is signed in.
#[component]
pub fn Composer(conversation: Conversation, returned: Option<ReturnedForm>) -> impl IntoView {
    let (text, refusal) =
        returned.filter(|returned| returned.form == paths::SEND).map(|returned| (returned.text, returned.refusal)).unzip();
    if let Some(refusal) = refusal {
        conversation.notice.set(Some(refusal));
    }
    let draft = use_draft(conversation);
    let cooldown = Cooldown::default();
    let submit = use_submit(conversation, draft, cooldown);
    let on_submit = move |event: SubmitEvent| {
        event.prevent_default();
        submit.run();
    };
    let on_keydown = move |event: KeyboardEvent| {
        // 229: the key belongs to an input method. Some browsers report this by the key code alone.
        if event.key() == "Enter" && !event.shift_key() && !event.is_composing() && event.key_code() != 229 {
            event.prevent_default();
            submit.run();
        }
    };
    let max_graphemes = i64::from(conversation.rules().max_graphemes);
    let left = move || max_graphemes - i64::from(draft.length.get());
    let left_text = Signal::derive(move || left().to_string());
    let send_label = t!(send);
    let label = Signal::derive(move || match cooldown.seconds.get() {
        0 => send_label.to_owned(),
        seconds => format!("{seconds} S"),
    });
    view! {
        <Notice conversation/>
        <form class="composer" method="post" action=paths::SEND on:submit=on_submit>
            <input type="hidden" name="room" value=conversation.room().to_string()/>
            <textarea
                class="composer__text" name="message" rows="1" enterkeyhint="send" autocomplete="off"
                aria-label=t!(placeholder) placeholder=t!(placeholder)
                node_ref=draft.textarea on:keydown=on_keydown
                on:input=move |_| draft.changed()
            >{text.unwrap_or_default()}</textarea>
            <Show when=move || left() <= i64::from(COUNTER_SHOWN_AT)>
                <span class="composer__left" class:composer__left--over=move || left() < 0 aria-live="polite"><LiveText text=left_text/></span>
            </Show>
            <button class="button composer__send" class:composer__send--waiting=move || cooldown.seconds.get() != 0><LiveText text=label/></button>
        </form>
    }
}

/// Renders the form that replaces the composer for a visitor who is not signed in: it asks for a nickname and nothing else.
#[component]
pub fn JoinForm(room: RoomId, returned: Option<ReturnedForm>) -> impl IntoView {
    let returned = returned.filter(|returned| matches!(returned.form.as_str(), paths::GUEST | paths::SEND));
    // The text of a refused message must not appear as a nickname.
    let nickname = |returned: &ReturnedForm| if returned.form == paths::GUEST { returned.text.clone() } else { String::new() };
    let (text, refusal) = returned.map(|returned| (nickname(&returned), returned.refusal)).unzip();
    let here = paths::room_page(&room);
    view! {
        {refusal.map(|refusal| view! { <p class="notice" role="alert">{format!("{}: {}", t!(system), refusal.message(lang()))}</p> })}
        <form class="composer composer--join" method="post" action=paths::GUEST>
            <input type="hidden" name="next" value=here.clone()/>
            <input class="field__input" name="nickname" required maxlength="256" autocomplete="nickname" aria-label=t!(nickname) placeholder=t!(pick_nickname) value=text.unwrap_or_default()/>
            <button class="button">{t!(enter)}</button>
            <a class="composer__account" href=format!("{}?next={here}", paths::SIGN_IN_PAGE)>{t!(have_account)}</a>
        </form>
    }
}

/// Renders the refusal of the last attempt: `系统提示: 不能超过140个字符`.
#[component]
fn Notice(conversation: Conversation) -> impl IntoView {
    let (lang, system) = (lang(), t!(system));
    let words = move |refusal: &Refusal| format!("{system}: {}", refusal.message(lang));
    let text = Signal::derive(move || conversation.notice.with(|notice| notice.as_ref().map(words)).unwrap_or_default());
    let is_shown = move || conversation.notice.with(Option::is_some);
    view! { <div role="alert"><Show when=is_shown><p class="notice"><LiveText text/></p></Show></div> }
}
