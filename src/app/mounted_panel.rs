//! The chat panel in a page. The server renders it with its props, and `mounted_panel.js`, which is part of the HTML, loads the wasm
//! and builds the panel anew from the props. It never reads the HTML that it replaces, so a page comes alive whatever an
//! extension, a translator or a proxy made of that HTML.
//!
//! The script keeps what was typed before, with selection and focus, and waits up to 5 s for the end of a composition. After a
//! crash it puts a copy of the panel without listeners in its place, so that the forms post by themselves, and offers to reload.
//! After a second crash within a minute it does not start again in this tab until the person asks for it. It has no comments
//! and no white space that matters, because it is sent with every room and a proxy may shorten it.

use crate::app::api;
use crate::app::chat::ChatPanel;
use crate::app::i18n::lang;
use crate::domain::{
    lang::Lang,
    reading::{FromJson, Json},
    reply::ReturnedForm,
    room::{Person, Snapshot},
};
use crate::t;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::Link;
use serde::Serialize;
use web_sys::HtmlElement;

const SCRIPT: &str = include_str!("mounted_panel.js");

/// URLs of the wasm and its JavaScript, a context of every page.
#[derive(Clone)]
pub struct WasmUrls {
    /// URL of the JavaScript.
    pub js: String,
    /// URL of the wasm.
    pub wasm: String,
}

#[derive(Serialize)]
struct Props {
    lang: Lang,
    snapshot: Snapshot,
    you: Option<Person>,
    returned: Option<ReturnedForm>,
    here: String,
}

impl FromJson for Props {
    fn from_json(json: &impl Json) -> Option<Self> {
        Some(Self {
            lang: Lang::from_code(&json.field("lang")?.text()?)?,
            snapshot: Snapshot::from_json(&json.field("snapshot")?)?,
            you: json.field("you").and_then(|you| Person::from_json(&you)),
            returned: json.field("returned").and_then(|returned| ReturnedForm::from_json(&returned)),
            here: json.field("here")?.text()?,
        })
    }
}

/// Renders the panel, its script and the texts of a crash. Only the server calls it.
#[component]
pub fn MountedPanel(
    /// The room at the time of the render.
    snapshot: Snapshot,
    /// The person; `None` without a session.
    you: Option<Person>,
    /// The form that was refused before this load.
    returned: Option<ReturnedForm>,
    /// The page's own address, to which the forms of the panel lead back.
    here: String,
) -> impl IntoView {
    let lang = lang();
    let returned = returned.map(|returned| ReturnedForm { refusal: returned.refusal.for_panel(lang), ..returned });
    let props = Props { lang, snapshot, you, returned, here };
    let json = serde_json::to_string(&props).unwrap_or_default();
    let Props { snapshot, you, returned, here, .. } = props;
    let WasmUrls { js, wasm } = use_context().unwrap_or(WasmUrls { js: String::new(), wasm: String::new() });
    let start = format!("({})({js:?},{wasm:?})", SCRIPT.trim_end());
    view! {
        <Link rel="modulepreload" href=js/>
        <Link rel="preload" href=wasm as_="fetch" type_="application/wasm" crossorigin="anonymous"/>
        <div data-panel=json>
            <ChatPanel lang snapshot you returned here/>
        </div>
        <p class="crash-bar" role="alert" hidden>{t!(crashed)}" "<a href="">{t!(reload)}</a></p>
        <p class="crash-bar" role="alert" hidden>{t!(not_live)}" "<a href="">{t!(live_again)}</a></p>
        <script type="module" nonce=use_nonce()>{start}</script>
    }
    .into_any()
}

/// Builds the panel in an empty element from the props in its attribute. Returns false if they cannot be read.
pub fn mount(panel: HtmlElement) -> bool {
    let json = panel.get_attribute("data-panel").unwrap_or_default();
    let Some(Props { lang, snapshot, you, returned, here }) = api::parse(&json) else { return false };
    leptos::mount::mount_to(panel, move || view! { <ChatPanel lang snapshot you returned here/> }).forget();
    true
}
