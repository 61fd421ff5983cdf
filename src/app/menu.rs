//! The menu behind `⋯`: the person, language and theme. It is plain HTML from the server that works without JavaScript;
//! `public/page.js` adds the keys, and the theme that changes at once.
//!
//! The element around it has `data-person`: `none`, `guest` or `account`. The menu has the parts of all three, and the style sheet
//! shows those of the value, because the panel changes it when a visitor joins in place.

use crate::app::i18n::{lang, theme_name};
use crate::domain::{
    paths::{self, SignInTab, sign_in_page},
    preferences::{Preferences, Theme},
    refusal::Refusal,
    room::Person,
};
use crate::t;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Returns the value of `data-person`.
pub fn person_kind(you: Option<&Person>) -> &'static str {
    match you {
        None => "none",
        Some(person) if person.account.is_none() => "guest",
        Some(_) => "account",
    }
}

/// In a page that is made for a frame, links open beside it.
fn link_target() -> Option<&'static str> {
    use_query_map().with_untracked(|query| query.get("embed").map(|_| "_blank"))
}

/// Renders the button and the sheet, which is open if a form in it was refused.
#[component]
pub fn Menu(open: bool, children: Children) -> impl IntoView {
    view! {
        <details class="menu" open=open>
            <summary class="icon-button" aria-label=t!(menu) title=t!(menu)>
                <svg viewBox="0 0 20 20" aria-hidden="true">
                    <circle cx="4" cy="10" r="1.75"/>
                    <circle cx="10" cy="10" r="1.75"/>
                    <circle cx="16" cy="10" r="1.75"/>
                </svg>
            </summary>
            <div class="menu__sheet">{children()}</div>
        </details>
    }
    .into_any()
}

/// How the menu changes the nickname.
#[derive(Clone)]
pub enum Rename {
    /// By a form in the menu, with the text and the refusal of the last attempt.
    Here(Option<(String, Refusal)>),
    /// By a link to the sign-in page, where a page does not show a refusal itself.
    Elsewhere,
}

/// Renders the nickname, its change, the account, the sign-out, or the links of a visitor without a session. All forms and links
/// lead back to `here`.
#[component]
pub fn PersonPart(you: Option<Person>, here: String, rename: Rename) -> impl IntoView {
    let nickname = you.map(|you| you.nickname).unwrap_or_default();
    view! {
        <section class="menu__part">
            <p class="menu__you for-person"><bdi data-own-nickname="">{nickname.clone()}</bdi></p>
            <RenameItem nickname here=here.clone() rename/>
            <a class="menu__item for-none" href=sign_in_page(SignInTab::LogIn, Some(&here)) target=link_target()>{t!(sign_in)}</a>
            <a class="menu__item for-none for-guest" href=sign_in_page(SignInTab::Register, Some(&here)) target=link_target()>{t!(register)}</a>
            <ForgetMe here=here.clone()/>
            <a class="menu__item for-account" href=paths::ACCOUNT_PAGE target=link_target()>{t!(account)}</a>
            <form class="for-account" method="post" action=paths::LOGOUT>
                <input type="hidden" name="next" value=here/>
                <button class="menu__item">{t!(sign_out)}</button>
            </form>
        </section>
    }
    .into_any()
}

#[component]
fn RenameItem(nickname: String, here: String, rename: Rename) -> impl IntoView {
    let Rename::Here(refused) = rename else {
        return view! { <a class="menu__item for-person" href=sign_in_page(SignInTab::Guest, Some(&here))>{t!(change_nickname)}</a> }.into_any();
    };
    let (text, refusal) = refused.unzip();
    let is_refused = refusal.is_some();
    view! {
        <form class="menu__form for-person" method="post" action=paths::GUEST>
            <input type="hidden" name="next" value=here/>
            <label class="menu__label" for="menu-nickname">{t!(change_nickname)}</label>
            <div class="row-form">
                <input
                    class="field__input"
                    id="menu-nickname"
                    name="nickname"
                    required
                    maxlength="256"
                    autocomplete="nickname"
                    dir="auto"
                    data-own-nickname=""
                    aria-invalid=is_refused.then_some("true")
                    aria-describedby=is_refused.then_some("menu-nickname-refusal")
                    value=text.unwrap_or(nickname)
                />
                <button class="button">{t!(change)}</button>
            </div>
            <FieldRefusal id="menu-nickname-refusal" refusal/>
        </form>
    }
    .into_any()
}

/// Renders the refusal below its field.
#[component]
pub fn FieldRefusal(id: &'static str, refusal: Option<Refusal>) -> impl IntoView {
    refusal.map(|refusal| view! { <p class="refusal" id=id role="alert">{refusal.message(lang())}</p> })
}

/// Renders the end of a guest in two steps, because nothing brings a guest back.
#[component]
fn ForgetMe(here: String) -> impl IntoView {
    view! {
        <details class="menu__confirm for-guest">
            <summary class="menu__item">{t!(forget_me)}</summary>
            <form method="post" action=paths::LOGOUT>
                <input type="hidden" name="next" value=here/>
                <p class="menu__warning">{t!(forget_warning)}</p>
                <button class="button button--danger">{t!(forget_now)}</button>
            </form>
        </details>
    }
    .into_any()
}

/// Renders language and theme, and with `times` the switch of the times, which only the script can use.
#[component]
pub fn PreferencesPart(here: String, times: bool) -> impl IntoView {
    let Preferences { lang, theme: chosen } = use_context().unwrap_or_default();
    let other = lang.other();
    let themes = [Theme::System, Theme::Light, Theme::Dark].map(|theme| {
        let is_chosen = if theme == chosen { "true" } else { "false" };
        view! { <button class="choice" name="theme" value=theme.code() aria-pressed=is_chosen>{theme_name(lang, theme)}</button> }
    });
    view! {
        <section class="menu__part">
            <form class="menu__choices" method="post" action=paths::PREFERENCES data-themes="" role="group" aria-label=t!(theme)>
                <input type="hidden" name="next" value=here.clone()/>
                {themes}
            </form>
            {times.then(|| view! { <label class="menu__item" data-times="" hidden><input type="checkbox"/>{t!(show_times)}</label> })}
            <form method="post" action=paths::PREFERENCES>
                <input type="hidden" name="next" value=here/>
                <input type="hidden" name="lang" value=other.code()/>
                <button class="menu__item" lang=other.tag()>{t!(switch_language)}</button>
            </form>
        </section>
    }
    .into_any()
}
