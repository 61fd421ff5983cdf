//! The bar above every page: where one is, who one is, language and theme.

use crate::app::i18n::{Reader, theme_name};
use crate::domain::{preferences::{LANG_COOKIE, THEME_COOKIE}, room::Person};
use crate::t;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

#[component]
pub fn TopBar(you: Option<Person>) -> impl IntoView {
    view! {
        <header class="top-bar">
            <a class="top-bar__brand" href="/">"Roomcast"</a>
            <nav class="top-bar__nav">
                <LanguageSwitch/>
                <ThemeSwitch/>
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
            <span class="top-bar__you">{person.nickname}</span>
            <form method="post" action="/session/logout">
                <button class="quiet-button">{t!(sign_out)}</button>
            </form>
        }
        .into_any(),
        None => view! { <a class="quiet-button" href="/sign-in">{t!(sign_in)}</a> }.into_any(),
    }
}

/// A form for pages without JavaScript; with it, the page changes in place and remembers in a cookie.
#[component]
fn LanguageSwitch() -> impl IntoView {
    let reader = Reader::here();
    let switch = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        reader.lang.update(|lang| *lang = lang.other());
        let lang = reader.lang.get_untracked();
        remember(LANG_COOKIE, lang.code());
        on_root("lang", lang.tag());
    };
    view! {
        <form method="post" action="/session/preferences" on:submit=switch>
            <input type="hidden" name="lang" value=move || reader.lang().other().code()/>
            <button class="quiet-button" lang=move || reader.lang().other().tag()>{t!(switch_language)}</button>
        </form>
    }
    .into_any()
}

#[component]
fn ThemeSwitch() -> impl IntoView {
    let reader = Reader::here();
    let switch = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        reader.theme.update(|theme| *theme = theme.next());
        let theme = reader.theme.get_untracked();
        remember(THEME_COOKIE, theme.code());
        on_root("data-theme", theme.code());
    };
    let label = move || format!("{}: {}", reader.texts().theme, theme_name(reader.lang(), reader.theme.get()));
    view! {
        <form method="post" action="/session/preferences" on:submit=switch>
            <input type="hidden" name="theme" value=move || reader.theme.get().next().code()/>
            <button class="quiet-button theme-switch" data-theme=move || reader.theme.get().code() aria-label=label title=label>
                <span class="theme-switch__icon" aria-hidden="true"></span>
            </button>
        </form>
    }
    .into_any()
}

fn remember(cookie: &str, value: &str) {
    if let Ok(document) = document().dyn_into::<web_sys::HtmlDocument>() {
        let _ = document.set_cookie(&format!("{cookie}={value}; Path=/; Max-Age=31536000; SameSite=Lax"));
    }
}

fn on_root(attribute: &str, value: &str) {
    if let Some(root) = document().document_element() {
        let _ = root.set_attribute(attribute, value);
    }
}
