//! The page of a path or room that does not exist.

use crate::app::page_title::PageTitle;
use crate::app::top_bar::TopBar;
use crate::t;
use leptos::prelude::*;

/// Renders the page. The caller sets the status 404.
#[component]
pub fn NotFound() -> impl IntoView {
    view! {
        <PageTitle text=t!(not_found).to_string()/>
        <TopBar you=None/>
        <main class="page page--narrow">
            <h1>{t!(not_found)}</h1>
            <p><a href="/">{t!(back)}</a></p>
        </main>
    }
    .into_any()
}
