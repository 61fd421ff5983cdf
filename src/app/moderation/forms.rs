//! The form of an act, and the fields that acts share.

use super::words::{purges, timeouts, w};
use crate::domain::{id::RoomId, paths, reply::ReturnedForm};
use leptos::prelude::*;

/// The page that a form stands on.
#[derive(Clone)]
pub(super) struct Place {
    /// The room.
    pub room: RoomId,
    /// The page's own address, to which the form leads back.
    pub here: String,
    /// The form that was refused before this load.
    pub returned: Option<ReturnedForm>,
}

impl Place {
    /// The text of the form at `path`, if it came back refused: nothing that was typed is lost.
    pub(super) fn typed(&self, path: &str) -> String {
        self.returned.as_ref().filter(|returned| returned.form == path).map(|returned| returned.text.clone()).unwrap_or_default()
    }
}

/// Renders a form that posts the act `verb` with hidden `fields`; its children are the fields that a person fills in.
#[component]
pub(super) fn ActForm(
    verb: &'static str,
    place: Place,
    fields: Vec<(&'static str, String)>,
    children: Children,
) -> impl IntoView {
    view! { <PlainForm action=paths::act(verb) place fields>{children()}</PlainForm> }.into_any()
}

/// Renders a form with the room, the page to come back to, and hidden `fields`.
#[component]
pub(super) fn PlainForm(action: String, place: Place, fields: Vec<(&'static str, String)>, children: Children) -> impl IntoView {
    let fields = fields.into_iter().map(|(name, value)| view! { <input type="hidden" name=name value=value/> });
    view! {
        <form class="act" method="post" action=action>
            <input type="hidden" name="room" value=place.room.to_string()/>
            <input type="hidden" name="next" value=place.here/>
            {fields.collect_view()}
            {children()}
        </form>
    }
    .into_any()
}

/// Renders a labelled line of text.
#[component]
pub(super) fn TextField(
    id: String,
    name: &'static str,
    label: &'static str,
    required: bool,
    max: u32,
    value: String,
) -> impl IntoView {
    view! {
        <div class="act__field">
            <label class="act__label" for=id.clone()>{label}</label>
            <input class="field__input" id=id name=name required=required maxlength=max dir="auto" autocomplete="off" value=value/>
        </div>
    }
    .into_any()
}

/// Renders the choice of a timeout's length; ten minutes are chosen.
#[component]
pub(super) fn TimeoutChoice(id: String) -> impl IntoView {
    let options = timeouts().map(|(seconds, name)| view! { <option value=seconds selected=seconds == 600>{name}</option> });
    view! {
        <div class="act__field">
            <label class="act__label" for=id.clone()>{w!(how_long)}</label>
            <select class="field__input" id=id name="seconds">{options.collect_view()}</select>
        </div>
    }
    .into_any()
}

/// Renders the choice of the messages that a purge removes; those of the last hour are chosen.
#[component]
pub(super) fn PurgeChoice(id: String) -> impl IntoView {
    let options = purges().map(|(seconds, name)| view! { <option value=seconds>{name}</option> });
    view! {
        <div class="act__field">
            <label class="act__label" for=id.clone()>{w!(purge)}</label>
            <select class="field__input" id=id name="seconds">{options.collect_view()}</select>
        </div>
    }
    .into_any()
}
