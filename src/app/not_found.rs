//! Where nothing is.

use crate::app::top_bar::TopBar;
use crate::t;
use leptos::prelude::*;

#[component]
pub fn NotFound() -> impl IntoView {
    view! {
        <TopBar you=None/>
        <main class="page page--narrow">
            <h1>{t!(not_found)}</h1>
            <p><a href="/">{t!(back)}</a></p>
        </main>
    }
    .into_any()
}
