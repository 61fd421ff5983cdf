//! The top floor: pages, rendered on the server and taken over in the browser. Sees the domain and its own `api`, nothing
//! else of the server.

pub mod api;
pub mod chat;
pub mod crash;
pub mod i18n;
mod lobby;
mod not_found;
mod room;
mod sign_in;
mod top_bar;

use crate::domain::lang::Lang;
use crate::domain::preferences::{Preferences, Theme};
use i18n::Reader;
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
                <HydrationScripts options root/>
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
    .into_any()
}

/// What the server rendered with, read from its HTML: the first render in the browser must be the same.
pub fn rendered_preferences() -> Preferences {
    let of_root = |attribute| document().document_element().and_then(|root| root.get_attribute(attribute)).unwrap_or_default();
    let theme = Theme::from_code(&of_root("data-theme")).unwrap_or_default();
    Preferences { lang: Lang::accepted(&of_root("lang")), theme }
}

#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_context(Reader::new(use_context::<Preferences>().unwrap_or_default()));
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
