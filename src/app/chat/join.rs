//! The row that asks a reader for a nickname. It is a form that works without JavaScript; with it, the person joins without
//! loading the page. Its style shows it as a closed text box until it has the focus.

use super::composer::placeholder;
use super::conversation::{Conversation, SessionEnd};
use super::person;
use crate::app::api::{enter_as_guest, with_timeout};
use crate::app::i18n::lang;
use crate::domain::{paths, refusal::Refusal, reply::ReturnedForm, room::Person};
use crate::t;
use leptos::ev::SubmitEvent;
use leptos::html::Input;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Renders the row. `returned` is the form that was refused before this load.
#[component]
pub fn JoinForm(conversation: Conversation, returned: Option<ReturnedForm>) -> impl IntoView {
    // The text of a refused message must not appear as a nickname.
    let (text, refused) = returned
        .filter(|returned| matches!(returned.form.as_str(), paths::GUEST | paths::SEND))
        .map(|returned| (if returned.form == paths::GUEST { returned.text } else { String::new() }, returned.refusal))
        .unzip();
    let refusal = RwSignal::new(refused);
    let end = conversation.session_end.get_untracked();
    let (lang, system) = (lang(), t!(system));
    let no_answer = t!(no_answer);
    let (signed_out, expired) = (t!(signed_out), t!(expired));
    let words = move || match (refusal.get(), end) {
        (Some(Refusal::Unreachable), _) => Some([system, ": ", no_answer].concat()),
        (Some(refusal), _) => Some([system, ": ", &refusal.message(lang)].concat()),
        (None, SessionEnd::None) => None,
        (None, SessionEnd::SignedOut) => Some(signed_out.to_owned()),
        (None, SessionEnd::Expired) => Some(expired.to_owned()),
        (None, SessionEnd::NoCookies) => Some(Refusal::NoCookies.message(lang)),
    };
    let nickname = NodeRef::<Input>::new();
    let is_joining = StoredValue::new(false);
    let on_submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(field) = nickname.get_untracked().filter(|_| !is_joining.get_value()) else { return };
        is_joining.set_value(true);
        spawn_local(async move {
            let answer = with_timeout(enter_as_guest(field.value())).await;
            if is_joining.try_set_value(false).is_some() {
                return;
            }
            match answer {
                Ok(reply) => person::joined(conversation, Person { uid: reply.uid, nickname: reply.nickname, account: None }),
                Err(answer) => {
                    refusal.set(Some(answer));
                    let _ = field.focus();
                }
            }
        });
    };
    let on_input = move |_| {
        if refusal.with_untracked(Option::is_some) {
            refusal.set(None);
        }
    };
    let here = paths::room_page(&conversation.room());
    let account = [paths::SIGN_IN_PAGE, "?next=", &here].concat();
    let text = text.unwrap_or_else(|| conversation.last_nickname.get_value());
    view! {
        <div class="composer__card" role="alert" id="join-notice">{move || words().map(|words| view! { <p class="notice">{words}</p> })}</div>
        <form class="composer composer--join" method="post" action=paths::GUEST on:submit=on_submit>
            <input type="hidden" name="next" value=here/>
            <span class="composer__box">
                <input
                    class="field__input composer__nickname" name="nickname" required maxlength="256" autocomplete="nickname"
                    enterkeyhint="go" aria-label=t!(nickname) aria-describedby="join-notice" placeholder=t!(pick_nickname) value=text
                    aria-invalid=move || refusal.with(Option::is_some).then_some("true")
                    node_ref=nickname on:input=on_input
                />
                <span class="composer__look" aria-hidden="true">{placeholder(conversation)}</span>
            </span>
            <button class="button composer__join">{if end == SessionEnd::None { t!(enter) } else { t!(join_again) }}</button>
            <p class="composer__account">
                <a href=account.clone()>{t!(have_account)}</a>
                <a href=[&account, "#register"].concat()>{t!(register)}</a>
            </p>
        </form>
    }
}
