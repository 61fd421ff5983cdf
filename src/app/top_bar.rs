//! The bar above every page but a room's: link to the lobby, the person's nickname, the menu.

use crate::app::menu::{Menu, PersonPart, PreferencesPart, Rename, person_kind};
use crate::domain::{
    paths::{self, SignInTab, sign_in_page},
    room::Person,
};
use crate::t;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// Renders the bar. Without `you` it shows the person of the request, so that an error page does not look like a lost session.
#[component]
pub fn TopBar(you: Option<Person>) -> impl IntoView {
    let you = you.or_else(use_context::<Person>);
    let person = person_kind(you.as_ref());
    let location = use_location();
    let here = location.pathname.get_untracked() + &query(&location.search.get_untracked());
    view! {
        <header class="top-bar" data-person=person>
            <a class="top-bar__brand" href="/">"Roomcast"</a>
            <nav class="top-bar__nav" aria-label=t!(menu)>
                <You you=you.clone() here=here.clone()/>
                <Menu open=false>
                    <PersonPart you here=here.clone() rename=Rename::Elsewhere/>
                    <PreferencesPart here times=false/>
                </Menu>
            </nav>
        </header>
    }
    .into_any()
}

/// Returns the query with its question mark.
fn query(search: &str) -> String {
    if search.is_empty() { String::new() } else { format!("?{}", search.trim_start_matches('?')) }
}

/// Renders the nickname, which leads an account to its page; or the link to sign in.
#[component]
fn You(you: Option<Person>, here: String) -> impl IntoView {
    match you {
        None => view! { <a class="quiet-button" href=sign_in_page(SignInTab::LogIn, Some(&here))>{t!(sign_in)}</a> }.into_any(),
        Some(person) if person.account.is_none() => {
            view! { <span class="top-bar__you"><bdi>{person.nickname}</bdi></span> }.into_any()
        }
        Some(person) => view! {
            <a class="top-bar__you" href=paths::ACCOUNT_PAGE title=t!(account)><bdi>{person.nickname}</bdi></a>
        }
        .into_any(),
    }
}
