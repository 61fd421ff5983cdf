//! The lines above a page after a form: the act that is done, with the button that takes it back, or the refusal.

use super::forms::{ActForm, Place};
use super::words::w;
use crate::app::i18n::lang;
use crate::domain::{paths, refusal::Refusal, reply::ReturnedForm};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Renders both. The redirect after an act has `?done=` with the act's id; after an undo, or without an id, it is a word.
#[component]
pub(super) fn Outcome(place: Place) -> impl IntoView {
    let refusal = place.returned.as_ref().map(words);
    let done = use_query_map().with_untracked(|query| query.get("done")).filter(|_| refusal.is_none());
    let done = done.map(|done| {
        let can_undo = is_id(&done);
        let undo = can_undo.then(|| {
            view! { <ActForm verb="undo" place fields=vec![("action", done)]><button class="button button--second">{w!(undo)}</button></ActForm> }
        });
        view! { <div class="outcome" role="status"><p>{w!(done)}</p>{undo}</div> }
    });
    view! {
        {refusal.map(|refusal| view! { <p class="outcome outcome--refused" role="alert">{refusal}</p> })}
        {done}
    }
    .into_any()
}

/// The sentence of a refused form.
fn words(returned: &ReturnedForm) -> String {
    match &returned.refusal {
        Refusal::Malformed { field } if field == "user" && returned.form == paths::act("role") => w!(no_such_account).to_owned(),
        Refusal::AlreadyDecided if returned.form == paths::REPORT => w!(already_reported).to_owned(),
        refusal => refusal.message(lang()),
    }
}

/// Whether a word has the form of an act's id.
fn is_id(word: &str) -> bool {
    word.len() == 36 && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}
