//! The bar above every page: link to the lobby, language, theme, and the person's nickname.

use crate::app::i18n::{lang, texts, theme_name};
use crate::domain::paths;
use crate::domain::preferences::{Preferences, THEME_COOKIE};
use crate::domain::room::Person;
use crate::t;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// Renders the bar.
#[component]
pub fn TopBar(you: Option<Person>) -> impl IntoView {
    view! {
        <header class="top-bar">
            <a class="top-bar__brand" href="/">"Roomcast"</a>
            <nav class="top-bar__nav">
                <LanguageSwitch/>
                <ThemeSwitch preferences=use_context().unwrap_or_default()/>
                <SignInState you/>
            </nav>
        </header>
    }
    .into_any()
}

#[component]
fn SignInState(you: Option<Person>) -> impl IntoView {
    match you {
        Some(person) => view! {
            <Nickname person/>
            <form method="post" action=paths::LOGOUT>
                <button class="quiet-button">{t!(sign_out)}</button>
            </form>
        }
        .into_any(),
        None => view! { <a class="quiet-button" href=paths::SIGN_IN_PAGE>{t!(sign_in)}</a> }.into_any(),
    }
}

/// Renders the nickname; with an account it leads to the account's page.
#[component]
fn Nickname(person: Person) -> impl IntoView {
    if person.account.is_none() {
        return view! { <span class="top-bar__you">{person.nickname}</span> }.into_any();
    }
    view! { <a class="top-bar__you" href=paths::ACCOUNT_PAGE title=t!(account)>{person.nickname}</a> }.into_any()
}

/// Renders a form without JavaScript, because another language needs the page again.
#[component]
fn LanguageSwitch() -> impl IntoView {
    let other = lang().other();
    view! {
        <form method="post" action=paths::PREFERENCES>
            <input type="hidden" name="lang" value=other.code()/>
            <button class="quiet-button" lang=other.tag()>{t!(switch_language)}</button>
        </form>
    }
    .into_any()
}

/// Renders a form that works without JavaScript. With it, the theme changes at once and is stored in the cookie.
#[island]
fn ThemeSwitch(preferences: Preferences) -> impl IntoView {
    let theme = RwSignal::new(preferences.theme);
    let switch = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        theme.update(|theme| *theme = theme.next());
        let code = theme.get_untracked().code();
        if let Ok(document) = document().dyn_into::<web_sys::HtmlDocument>() {
            // Under HTTPS the server's own name of the cookie.
            let https = window().location().protocol().is_ok_and(|protocol| protocol == "https:");
            let (prefix, secure) = if https { ("__Host-", "; Secure") } else { ("", "") };
            let _ =
                document.set_cookie(&format!("{prefix}{THEME_COOKIE}={code}; Path=/; Max-Age=31536000; SameSite=Lax{secure}"));
        }
        if let Some(root) = document().document_element() {
            let _ = root.set_attribute("data-theme", code);
        }
    };
    let lang = preferences.lang;
    let label = move || format!("{}: {}", texts::theme(lang), theme_name(lang, theme.get()));
    view! {
        <form method="post" action=paths::PREFERENCES on:submit=switch>
            <input type="hidden" name="theme" value=move || theme.get().next().code()/>
            <button class="quiet-button theme-switch" data-theme=move || theme.get().code() aria-label=label title=label>
                <span class="theme-switch__icon" aria-hidden="true"></span>
            </button>
        </form>
    }
    .into_any()
}
