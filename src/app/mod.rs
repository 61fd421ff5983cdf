//! The top floor: pages, rendered on the server; what moves on them (the chat panel, the theme switch) is an island, taken
//! over in the browser. Sees the domain and its own `api`, nothing else of the server.

pub mod api;
pub mod chat;
pub mod crash;
pub mod i18n;
mod lobby;
mod not_found;
mod room;
mod sign_in;
mod top_bar;

use crate::domain::preferences::Preferences;
use leptos::config::LeptosOptions;
use leptos::prelude::*;
use leptos_meta::{MetaTags, provide_meta_context};
use leptos_router::components::{Route, Router, Routes};
use leptos_router::{SsrMode, path};
use lobby::LobbyPage;
use not_found::NotFound;
use room::RoomPage;
use sign_in::SignInPage;

/// The document. `root` stands before `/pkg/…`: it holds the version of the files.
pub fn shell(options: LeptosOptions, root: String) -> impl IntoView {
    let preferences = use_context::<Preferences>().unwrap_or_default();
    let style = format!("{root}/{}/{}.css", options.site_pkg_dir, options.output_name);
    view! {
        <!DOCTYPE html>
        <html lang=preferences.lang.tag() data-theme=preferences.theme.code()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <link rel="stylesheet" href=style/>
                <AutoReload options=options.clone()/>
                <HydrationScripts options root islands=true/>
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
    .into_any()
}

#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <Router>
            <Routes fallback=NotFound>
                // The whole page before its first byte: what has no JavaScript must not wait for any.
                <Route path=path!("/") view=LobbyPage ssr=SsrMode::Async/>
                <Route path=path!("/rooms/:room") view=RoomPage ssr=SsrMode::Async/>
                <Route path=path!("/sign-in") view=SignInPage ssr=SsrMode::Async/>
            </Routes>
        </Router>
    }
    .into_any()
}
