//! The host's tools: title, slow mode, closed or open, and the links to share. Plain forms from the server, the same with and
//! without JavaScript; a refused form comes back with the menu open.

use crate::app::i18n::{duration, lang};
use crate::app::menu::FieldRefusal;
use crate::domain::{id::RoomId, paths, refusal::Refusal, reply::ReturnedForm, room::HostTools};
use crate::t;
use leptos::prelude::*;

/// The values that the form offers, in seconds; 0 is off. The command line may set others.
const CHOICES: [u64; 10] = [0, 5, 10, 30, 60, 120, 300, 900, 3600, 21_600];

/// Renders the host's part of the menu.
#[component]
pub fn HostPart(
    room: RoomId,
    title: String,
    closed: bool,
    tools: HostTools,
    returned: Option<ReturnedForm>,
    here: String,
) -> impl IntoView {
    let returned = returned.map(|returned| (returned.form, returned.text, returned.refusal));
    let of_form = |form: &str| returned.clone().filter(|(path, ..)| path == form).map(|(_, text, refusal)| (text, refusal));
    view! {
        <section class="menu__part host-tools">
            <h2 class="menu__heading">{t!(room_settings)}</h2>
            <TitleForm room=room.clone() title here=here.clone() refused=of_form(paths::TITLE)/>
            <SlowModeForm room=room.clone() slow_ms=tools.slow_ms here=here.clone() refusal=of_form(paths::MODE).map(|(_, refusal)| refusal)/>
            <CloseForm room=room.clone() closed here/>
            <ShareLinks room site=tools.site/>
        </section>
    }
    .into_any()
}

#[component]
fn TitleForm(room: RoomId, title: String, here: String, refused: Option<(String, Refusal)>) -> impl IntoView {
    let (text, refusal) = refused.unzip();
    let is_refused = refusal.is_some();
    view! {
        <form class="menu__form" method="post" action=paths::TITLE>
            <input type="hidden" name="room" value=room.to_string()/>
            <input type="hidden" name="next" value=here/>
            <label class="menu__label" for="menu-title">{t!(room_title)}</label>
            <div class="row-form">
                <input
                    class="field__input"
                    id="menu-title"
                    name="title"
                    required
                    maxlength="240"
                    dir="auto"
                    autocomplete="off"
                    aria-invalid=is_refused.then_some("true")
                    aria-describedby=is_refused.then_some("menu-title-refusal")
                    value=text.unwrap_or(title)
                />
                <button class="button">{t!(save)}</button>
            </div>
            <FieldRefusal id="menu-title-refusal" refusal/>
        </form>
    }
    .into_any()
}

#[component]
fn SlowModeForm(room: RoomId, slow_ms: u64, here: String, refusal: Option<Refusal>) -> impl IntoView {
    view! {
        <form class="menu__form" method="post" action=paths::MODE>
            <input type="hidden" name="room" value=room.to_string()/>
            <input type="hidden" name="next" value=here/>
            <label class="menu__label" for="menu-slow">{t!(slow_mode)}</label>
            <div class="row-form">
                <SlowModeChoice id="menu-slow" slow_ms/>
                <button class="button">{t!(save)}</button>
            </div>
            <FieldRefusal id="menu-slow-refusal" refusal/>
        </form>
    }
    .into_any()
}

/// Renders the choice of the slow mode, on the one in force.
#[component]
pub fn SlowModeChoice(id: &'static str, slow_ms: u64) -> impl IntoView {
    let now = slow_ms.div_ceil(1000);
    let label = move |seconds| if seconds == 0 { t!(off).to_owned() } else { duration(lang(), seconds) };
    let mut choices = CHOICES.to_vec();
    if !choices.contains(&now) {
        choices.push(now);
        choices.sort_unstable();
    }
    let options = choices.into_iter().map(|seconds| {
        view! { <option value=seconds * 1000 selected=seconds == now>{label(seconds)}</option> }
    });
    view! { <select class="field__input" id=id name="slow_ms">{options.collect_view()}</select> }.into_any()
}

#[component]
fn CloseForm(room: RoomId, closed: bool, here: String) -> impl IntoView {
    let (words, button) = if closed { (t!(room_is_closed), t!(reopen_room)) } else { (t!(room_is_open), t!(close_room)) };
    view! {
        <form class="menu__form menu__state" method="post" action=paths::MODE>
            <input type="hidden" name="room" value=room.to_string()/>
            <input type="hidden" name="next" value=here/>
            <input type="hidden" name="closed" value=if closed { "false" } else { "true" }/>
            <p>{words}</p>
            <button class="button button--plain">{button}</button>
        </form>
    }
    .into_any()
}

/// Renders the room's address and the HTML of a frame with the room, each with a button that copies it.
#[component]
fn ShareLinks(room: RoomId, site: String) -> impl IntoView {
    let link = format!("{site}{}", paths::room_page(&room));
    let frame = format!(r#"<iframe src="{link}?embed" title="Chat" width="360" height="640"></iframe>"#);
    view! {
        <CopyField label=t!(share_link) value=link/>
        <CopyField label=t!(embed_code) value=frame/>
        <p class="menu__hint">{t!(embed_hint)}</p>
    }
    .into_any()
}

/// The button works with the script only, so the script shows it.
#[component]
fn CopyField(label: &'static str, value: String) -> impl IntoView {
    view! {
        <div class="copy">
            <label class="copy__label">{label}<input class="field__input" readonly value=value/></label>
            <button class="button button--plain" type="button" data-copy="" data-copied=t!(copied) hidden>{t!(copy)}</button>
        </div>
    }
    .into_any()
}

/// Greets the host of a room without a message: the links to share, and where its settings are. The panel's first message hides it.
#[component]
pub fn NewRoomCard(room: RoomId, site: String) -> impl IntoView {
    view! {
        <section class="new-room" aria-label=t!(new_room)>
            <h2>{t!(new_room)}</h2>
            <p class="menu__hint">{t!(new_room_hint)}</p>
            <ShareLinks room site/>
        </section>
    }
    .into_any()
}
