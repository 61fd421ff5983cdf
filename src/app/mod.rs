//! The pages. The server renders them, and the browser builds the chat panel anew ([`mounted_panel`]); other pages load no wasm. The
//! module uses `domain` and, in the bodies of its [`api`], the actions of `server::web`; nothing else of the server.
//!
//! ```
//! use roomcast::{app::i18n::online, domain::lang::Lang};
//!
//! assert_eq!(online(Lang::En, 3), "3 online");
//! ```

#![expect(unreachable_pub, reason = "the macros of server functions, and components generate public items")]

mod account;
pub mod api;
pub mod chat;
mod field;
mod host_menu;
pub mod i18n;
mod live_text;
mod lobby;
mod menu;
mod moderation;
pub mod mounted_panel;
mod not_found;
mod page_title;
mod reactive;
mod room;
mod room_menu;
mod sign_in;
mod top_bar;

use crate::domain::preferences::{CookiesNeeded, Preferences, Theme};
use crate::domain::refusal::Refusal;
use account::AccountPage;
use leptos::config::LeptosOptions;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::{MetaTags, provide_meta_context};
use leptos_router::components::{Route, Router, Routes};
use leptos_router::{SsrMode, path};
use lobby::LobbyPage;
use moderation::{MessagePageView, ModerationPageView};
use mounted_panel::WasmUrls;
use not_found::NotFound;
use room::RoomPage;
use sign_in::SignInPage;

/// The prefix of the site's files, which contains their version: a context of every page.
#[derive(Clone, Default)]
pub(crate) struct FilesRoot(pub(crate) String);

/// Renders the HTML document. `root` is the prefix of `/pkg/…` and contains the version of the files.
pub fn shell(options: LeptosOptions, root: String) -> impl IntoView {
    let preferences = use_context::<Preferences>().unwrap_or_default();
    let file = |extension| format!("{root}/{}/{}.{extension}", options.site_pkg_dir, options.output_name);
    let style = file("css");
    provide_context(FilesRoot(root.clone()));
    provide_context(WasmUrls { js: file("js"), wasm: file("wasm") });
    // Nothing is hydrated, so the data of the render is not sent beside the HTML.
    if let Some(context) = Owner::current_shared_context() {
        context.set_is_hydrating(false);
    }
    view! {
        <!DOCTYPE html>
        <html lang=preferences.lang.tag() data-theme=preferences.theme.code()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content"/>
                <meta name="color-scheme" content="light dark"/>
                <ThemeColors theme=preferences.theme/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <link rel="stylesheet" href=style/>
                <script src=format!("{root}/page.js") nonce=use_nonce() defer></script>
                <AutoReload options/>
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
    .into_any()
}

/// The colour of the browser's own bars, `--surface` of style/tokens.css. `public/page.js` changes both when the theme changes.
#[component]
fn ThemeColors(theme: Theme) -> impl IntoView {
    const LIGHT: &str = "#ffffff";
    const DARK: &str = "#18191c";
    let (light, dark) = match theme {
        Theme::System => (LIGHT, DARK),
        Theme::Light => (LIGHT, LIGHT),
        Theme::Dark => (DARK, DARK),
    };
    let meta =
        |colour: &'static str, media: &'static str| view! { <meta name="theme-color" content=colour/> }.attr("media", media);
    (meta(light, "(prefers-color-scheme: light)"), meta(dark, "(prefers-color-scheme: dark)")).into_any()
}

/// Renders the page of the path.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let cookies_needed = use_context::<CookiesNeeded>().map(|_| Refusal::NoCookies.message(i18n::lang()));
    view! {
        {cookies_needed.map(|words| view! { <p class="page__alert" role="alert">{words}</p> })}
        <Router>
            <Routes fallback=NotFound>
                // `Async`: the whole page is rendered before its first byte, so it needs no JavaScript to be complete.
                <Route path=path!("/") view=LobbyPage ssr=SsrMode::Async/>
                <Route path=path!("/rooms/:room") view=RoomPage ssr=SsrMode::Async/>
                <Route path=path!("/rooms/:room/messages/:seq") view=MessagePageView ssr=SsrMode::Async/>
                <Route path=path!("/rooms/:room/moderate") view=ModerationPageView ssr=SsrMode::Async/>
                <Route path=path!("/account") view=AccountPage ssr=SsrMode::Async/>
                <Route path=path!("/sign-in") view=SignInPage ssr=SsrMode::Async/>
            </Routes>
        </Router>
    }
    .into_any()
}
