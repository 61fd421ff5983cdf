//! `/sign-in`: forms to enter as a guest, log in and register. They work without JavaScript.

use crate::app::api::sign_in_page;
use crate::app::i18n::lang;
use crate::app::top_bar::TopBar;
use crate::domain::{
    paths,
    refusal::Refusal,
    reply::ReturnedForm,
    room::{Page, Person},
};
use crate::t;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

/// Renders the page. `?next=` is the path to go to afterwards; `?owner=` is the token of the owner's link.
#[component]
pub fn SignInPage() -> impl IntoView {
    let page = Resource::new_blocking(|| (), |()| sign_in_page());
    let query = use_query_map();
    let owner = move || query.with(|query| query.get("owner"));
    let next = move || query.with(|query| query.get("next")).filter(|next| next.starts_with('/'));
    view! {
        <Title text=format!("{} · Roomcast", t!(sign_in))/>
        <Suspense>
            {move || Suspend::new(async move {
                let Page { you, returned, .. } = page.await.unwrap_or(Page { content: (), you: None, returned: None });
                let owner = owner();
                view! {
                    <TopBar you=you.clone()/>
                    <main class="page page--narrow">
                        <h1>{t!(sign_in)}</h1>
                        {owner.is_none().then(|| view! { <GuestForm you=you.clone() returned=returned.clone() next=next()/> })}
                        {owner.is_none().then(|| view! { <LogInForm returned=returned.clone() next=next()/> })}
                        <RegisterForm you returned owner next=next()/>
                    </main>
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn GuestForm(you: Option<Person>, returned: Option<ReturnedForm>, next: Option<String>) -> impl IntoView {
    let (text, refusal) = returned_from(paths::GUEST, returned);
    let nickname = text.or(you.map(|you| you.nickname)).unwrap_or_default();
    view! {
        <section class="card">
            <h2>{t!(guest)}</h2>
            <p class="card__hint">{t!(guest_hint)}</p>
            <form class="row-form" method="post" action=paths::GUEST>
                <NextField next/>
                <input class="field__input" name="nickname" required maxlength="256" autocomplete="nickname" aria-label=t!(nickname) placeholder=t!(nickname) value=nickname/>
                <button class="button">{t!(enter)}</button>
            </form>
            <RefusalText refusal/>
        </section>
    }
    .into_any()
}

#[component]
fn LogInForm(returned: Option<ReturnedForm>, next: Option<String>) -> impl IntoView {
    let (text, refusal) = returned_from(paths::LOGIN, returned);
    view! {
        <section class="card">
            <h2>{t!(log_in)}</h2>
            <form class="column-form" method="post" action=paths::LOGIN>
                <NextField next/>
                <input class="field__input" name="name" required autocomplete="username" aria-label=t!(name) placeholder=t!(name) value=text.unwrap_or_default()/>
                <input class="field__input" name="password" type="password" required autocomplete="current-password" aria-label=t!(password) placeholder=t!(password)/>
                <button class="button">{t!(log_in)}</button>
            </form>
            <RefusalText refusal/>
        </section>
    }
    .into_any()
}

#[component]
fn RegisterForm(
    you: Option<Person>,
    returned: Option<ReturnedForm>,
    owner: Option<String>,
    next: Option<String>,
) -> impl IntoView {
    let (text, refusal) = returned_from(paths::REGISTER, returned);
    let is_guest = you.as_ref().is_some_and(|you| you.account.is_none());
    let nickname = you.map(|you| you.nickname).unwrap_or_default();
    let is_owner = owner.is_some();
    let hint = match (is_owner, is_guest) {
        (true, _) => t!(owner_hint),
        (false, true) => t!(register_as_guest_hint),
        (false, false) => t!(register_hint),
    };
    view! {
        <section class="card">
            <h2>{t!(register)}</h2>
            <p class="card__hint">{hint}</p>
            <form class="column-form" method="post" action=paths::REGISTER>
                <NextField next/>
                {owner.map(|owner| view! { <input type="hidden" name="owner" value=owner/> })}
                <input class="field__input" name="name" required maxlength="64" autocomplete="username" aria-label=t!(name) placeholder=t!(name) value=text.unwrap_or_default()/>
                <input class="field__input" name="password" type="password" required minlength="8" autocomplete="new-password" aria-label=t!(new_password) placeholder=t!(new_password)/>
                <input class="field__input" name="nickname" maxlength="256" autocomplete="nickname" aria-label=t!(nickname_optional) placeholder=t!(nickname_optional) value=nickname/>
                <button class="button">{t!(register)}</button>
            </form>
            <RefusalText refusal/>
        </section>
    }
    .into_any()
}

/// Renders the hidden field with the path to go to after signing in, usually the room that the person came from.
#[component]
fn NextField(next: Option<String>) -> impl IntoView {
    next.map(|next| view! { <input type="hidden" name="next" value=next/> })
}

/// Renders the refusal of a form.
#[component]
fn RefusalText(refusal: Option<Refusal>) -> impl IntoView {
    let words = |refusal: Refusal| match refusal {
        // On this page the code means a wrong name or password.
        Refusal::NotSignedIn => t!(wrong_login).to_owned(),
        refusal => refusal.message(lang()),
    };
    refusal.map(|refusal| view! { <p class="refusal" role="alert">{words(refusal)}</p> })
}

/// Returns text and refusal of a form, if it is the one that was refused.
fn returned_from(form: &str, returned: Option<ReturnedForm>) -> (Option<String>, Option<Refusal>) {
    returned.filter(|returned| returned.form == form).map(|returned| (returned.text, returned.refusal)).unzip()
}
