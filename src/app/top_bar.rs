//! The bar above every page: link to the lobby, language, theme, and the person's nickname.

use crate::app::i18n::{lang, texts, theme_name};
use crate::domain::paths;
use crate::domain::preferences::Preferences;
use crate::domain::room::Person;
use crate::t;
use leptos::prelude::*;

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

/// Renders a form that works without JavaScript.
#[component]
fn ThemeSwitch(preferences: Preferences) -> impl IntoView {
    let Preferences { lang, theme, .. } = preferences;
    let label = format!("{}: {}", texts::theme(lang), theme_name(lang, theme));
    view! {
        <form method="post" action=paths::PREFERENCES>
            <input type="hidden" name="theme" value=theme.next().code()/>
            <button class="quiet-button theme-switch" data-theme=theme.code() aria-label=label.clone() title=label>
                <span class="theme-switch__icon" aria-hidden="true"></span>
            </button>
        </form>
    }
    .into_any()
}
