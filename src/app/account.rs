//! `/account`: the password of the own account and its sessions. The forms work without JavaScript, and the page loads no wasm.

use crate::app::api::account_page;
use crate::app::field::{Field, FieldRules, FormError};
use crate::app::i18n::{lang, session_days};
use crate::app::page_title::PageTitle;
use crate::app::top_bar::TopBar;
use crate::domain::{
    paths,
    refusal::Refusal,
    reply::{OwnSession, ReturnedForm},
    room::Page,
};
use crate::t;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Renders the page. `?done=password` tells that the password was changed. Without an account it shows the refusal.
#[component]
pub fn AccountPage() -> impl IntoView {
    let page = Resource::new_blocking(|| (), |()| account_page());
    let query = use_query_map();
    let changed = move || query.with(|query| query.get("done").is_some_and(|done| done == "password"));
    view! {
        <PageTitle text=t!(account).to_string()/>
        <Suspense>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => view! { <Account page changed=changed()/> }.into_any(),
                    Err(refusal) => view! { <Refused refusal/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn Refused(refusal: Refusal) -> impl IntoView {
    view! {
        <TopBar you=None/>
        <main class="page page--narrow">
            <p class="refusal" role="alert">{refusal.message(lang())}</p>
            <p class="page__hint"><a href=paths::SIGN_IN_PAGE>{t!(sign_in)}</a></p>
        </main>
    }
    .into_any()
}

#[component]
fn Account(page: Page<Vec<OwnSession>>, changed: bool) -> impl IntoView {
    let Page { content: sessions, you, returned } = page;
    let of_sessions = |returned: &ReturnedForm| [paths::END_SESSION, paths::END_OTHER_SESSIONS].contains(&&*returned.form);
    let refusal = returned.as_ref().filter(|returned| of_sessions(returned)).map(|returned| returned.refusal.clone());
    let name = you.as_ref().and_then(|you| you.account.clone()).unwrap_or_default();
    view! {
        <TopBar you/>
        <main class="page page--narrow">
            <h1>{t!(account)}</h1>
            <PasswordForm name returned changed/>
            <Sessions sessions refusal/>
        </main>
    }
    .into_any()
}

#[component]
fn PasswordForm(name: String, returned: Option<ReturnedForm>, changed: bool) -> impl IntoView {
    let refusal = returned.filter(|returned| returned.form == paths::PASSWORD).map(|returned| returned.refusal);
    let changed = changed && refusal.is_none();
    let field = match &refusal {
        Some(Refusal::Malformed { field } | Refusal::Blank { field }) if field == "current" || field == "password" => {
            field.clone()
        }
        Some(Refusal::TooLong { .. }) => "password".into(),
        _ => "".into(),
    };
    let error = |of: &str| refusal.as_ref().filter(|_| field == of).map(|refusal| refusal.message(lang()));
    view! {
        <section class="card">
            <h2>{t!(change_password)}</h2>
            <form class="column-form" method="post" action=paths::PASSWORD>
                <FormError error=error("")/>
                // Password managers read the account's name from it.
                <Field
                    rules=FieldRules {
                        id: "account-name", name: "username", label: t!(name), autocomplete: "username", is_fixed: true,
                        ..FieldRules::default()
                    }
                    value=name error=None
                />
                <Field
                    rules=FieldRules {
                        id: "account-current", name: "current", kind: "password", label: t!(current_password),
                        autocomplete: "current-password", ..FieldRules::default()
                    }
                    value=String::new() error=error("current")
                />
                <Field
                    rules=FieldRules {
                        id: "account-password", name: "password", kind: "password", label: t!(new_password),
                        rule: t!(password_rule), autocomplete: "new-password", min: Some("8"), ..FieldRules::default()
                    }
                    value=String::new() error=error("password")
                />
                <button class="button">{t!(change_password)}</button>
            </form>
            {changed.then(|| view! { <p class="account__done" role="status">{t!(password_changed)}</p> })}
        </section>
    }
    .into_any()
}

#[component]
fn Sessions(sessions: Vec<OwnSession>, refusal: Option<Refusal>) -> impl IntoView {
    let has_others = sessions.iter().any(|session| !session.is_current);
    view! {
        <section class="card">
            <h2>{t!(sessions)}</h2>
            <ul class="account__sessions">{sessions.into_iter().map(|session| view! { <SessionLine session/> }).collect_view()}</ul>
            {has_others.then(|| view! {
                <form method="post" action=paths::END_OTHER_SESSIONS>
                    <button class="quiet-button">{t!(end_other_sessions)}</button>
                </form>
            })}
            {refusal.map(|refusal| view! { <p class="refusal" role="alert">{refusal.message(lang())}</p> })}
        </section>
    }
    .into_any()
}

#[component]
fn SessionLine(session: OwnSession) -> impl IntoView {
    let OwnSession { id, label, created_at, used_at, is_current } = session;
    let label = if label.is_empty() { t!(unknown_browser).to_owned() } else { label };
    let end = match is_current {
        true => view! { <span class="account__current">{t!(this_session)}</span> }.into_any(),
        false => view! {
            <form method="post" action=paths::END_SESSION>
                <input type="hidden" name="id" value=id/>
                <button class="quiet-button" aria-label=format!("{}: {label}", t!(end_session))>{t!(end_session)}</button>
            </form>
        }
        .into_any(),
    };
    view! {
        <li class="account__session">
            <span class="account__browser">{label}</span>
            <span class="account__days">{session_days(lang(), created_at, used_at)}</span>
            {end}
        </li>
    }
    .into_any()
}
