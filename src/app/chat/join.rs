//! The row that asks a reader for a nickname. It is a form that works without JavaScript; with it, the person joins without
//! loading the page. Its style shows it as a closed text box until it has the focus.

use super::composer::placeholder;
use super::conversation::{Conversation, SessionEnd};
use super::notice::NoticeCard;
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
    // The text of a refused message must not appear as a nickname. It is shown, since without JavaScript nothing puts it back.
    let returned = returned.filter(|returned| matches!(returned.form.as_str(), paths::GUEST | paths::SEND));
    let (is_message, text, refused) = match returned {
        Some(returned) => (returned.form == paths::SEND, returned.text, Some(returned.refusal)),
        None => (false, conversation.last_nickname.get_value(), None),
    };
    let (text, unsent) = if is_message { (String::new(), text) } else { (text, String::new()) };
    let refusal = RwSignal::new(refused);
    let end = conversation.session_end.get_untracked();
    let lang = lang();
    let (no_answer, signed_out, expired) = (t!(no_answer), t!(signed_out), t!(expired));
    let words = Signal::derive(move || match (refusal.get(), end) {
        (Some(Refusal::NotSignedIn), _) | (None, SessionEnd::Expired) => Some(expired.to_owned()),
        (Some(Refusal::Unreachable), _) => Some(no_answer.to_owned()),
        (Some(refusal), _) => Some(refusal.panel_message(lang)),
        (None, SessionEnd::None) => None,
        (None, SessionEnd::SignedOut) => Some(signed_out.to_owned()),
        (None, SessionEnd::NoCookies) => Some(Refusal::NoCookies.panel_message(lang)),
    });
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
    let here = conversation.here();
    // The address of a room needs no encoding within another one.
    let sign_in = [paths::SIGN_IN_PAGE, "?tab=login&next=", &here].concat();
    let register = [paths::SIGN_IN_PAGE, "?tab=register&next=", &here].concat();
    let target = here.ends_with("?embed").then_some("_blank");
    view! {
        <NoticeCard id="join-notice" words/>
        {(!unsent.is_empty()).then(|| view! { <p class="composer__unsent"><bdi>{unsent}</bdi></p> })}
        <form class="composer composer--join" method="post" action=paths::GUEST on:submit=on_submit>
            <input type="hidden" name="next" value=here/>
            <span class="composer__box">
                <input
                    class="field__input composer__nickname" name="nickname" required maxlength="256" autocomplete="nickname"
                    enterkeyhint="go" aria-label=t!(nickname) aria-describedby="join-notice" placeholder=t!(pick_nickname) value=text
                    aria-invalid=move || refusal.with(Option::is_some).then_some("true")
                    node_ref=nickname on:input=on_input
                />
                <span class="composer__look" aria-hidden="true">{untrack(|| placeholder(conversation))}</span>
            </span>
            <button class="button composer__join">{if end == SessionEnd::None { t!(enter) } else { t!(join_again) }}</button>
            <p class="composer__account">
                <a href=sign_in target=target>{t!(have_account)}</a>
                <a href=register target=target>{t!(register)}</a>
            </p>
        </form>
    }
}
