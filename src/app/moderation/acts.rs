//! The acts on a message and on its author, as forms: harmless ones first, those that take something away last and apart.

use super::forms::{ActForm, Place, PurgeChoice, TextField, TimeoutChoice};
use super::line::Time;
use super::words::{restraint_name, w};
use crate::domain::{
    change::{Restraint, RestraintKind},
    id::{Seq, Uid},
    paths,
};
use leptos::prelude::*;
use uuid::Uuid;

/// The state of a message that decides its acts.
#[derive(Clone, Copy)]
pub(super) struct OfMessage {
    /// The message.
    pub seq: Seq,
    /// It is the pinned one.
    pub is_pinned: bool,
    /// It is removed.
    pub is_removed: bool,
    /// The act that removed it, if it can be taken back.
    pub undo: Option<Uuid>,
    /// The reader may remove it.
    pub may_remove: bool,
}

/// Renders the acts that change nothing of a message: pin, unpin, restore.
#[component]
pub(super) fn MildActs(place: Place, of: OfMessage) -> impl IntoView {
    let OfMessage { seq, is_pinned, is_removed, undo, .. } = of;
    let pin = (!is_removed && !is_pinned).then(|| {
        view! { <ActForm verb="pin" place=place.clone() fields=vec![("seq", seq.0.to_string())]><button class="button button--second">{w!(pin)}</button></ActForm> }
    });
    let unpin = is_pinned.then(|| {
        view! { <ActForm verb="unpin" place=place.clone() fields=Vec::new()><button class="button button--second">{w!(unpin)}</button></ActForm> }
    });
    let undo = undo.map(|action| {
        view! { <ActForm verb="undo" place fields=vec![("action", action.to_string())]><button class="button button--second">{w!(undo_removal)}</button></ActForm> }
    });
    view! { {pin}{unpin}{undo} }.into_any()
}

/// Renders the acts on a person that take nothing away for long: warning, timeout, note.
#[component]
pub(super) fn PersonActs(place: Place, user: Uid) -> impl IntoView {
    let fields = || vec![("user", user.to_string())];
    let (timeout_reason, warning) = (place.typed(&paths::act("timeout")), place.typed(&paths::act("warn")));
    view! {
        <ActForm verb="timeout" place=place.clone() fields=fields()>
            <TimeoutChoice id="timeout-seconds".into()/>
            <TextField id="timeout-reason".into() name="reason" label=w!(reason_optional) required=false max=500 value=timeout_reason/>
            <button class="button">{w!(timeout)}</button>
        </ActForm>
        <ActForm verb="warn" place fields=fields()>
            <TextField id="warn-reason".into() name="reason" label=w!(reason_required) required=true max=500 value=warning/>
            <button class="button button--second">{w!(warn)}</button>
            <p class="act__hint">{w!(warn_hint)}</p>
        </ActForm>
    }
    .into_any()
}

/// Renders the form of a note.
#[component]
pub(super) fn NoteForm(place: Place, user: Uid) -> impl IntoView {
    let typed = place.typed(&paths::act("note"));
    view! {
        <ActForm verb="note" place fields=vec![("user", user.to_string())]>
            <TextField id="note-text".into() name="text" label=w!(add_note) required=true max=500 value=typed/>
            <button class="button button--second">{w!(add_note)}</button>
            <p class="act__hint">{w!(note_hint)}</p>
        </ActForm>
    }
    .into_any()
}

/// Renders the acts that take something away: remove, remove all of the person's messages, ban.
#[component]
pub(super) fn HarshActs(place: Place, of: OfMessage, user: Option<Uid>) -> impl IntoView {
    let remove = (of.may_remove && !of.is_removed).then(|| {
        view! { <ActForm verb="remove" place=place.clone() fields=vec![("seq", of.seq.0.to_string())]><button class="button button--danger">{w!(remove_message)}</button></ActForm> }
    });
    let on_person = user.filter(|_| of.may_remove).map(|user| {
        let fields = || vec![("user", user.to_string())];
        let typed = place.typed(&paths::act("ban"));
        view! {
            <ActForm verb="purge" place=place.clone() fields=fields()>
                <PurgeChoice id="purge-seconds".into()/>
                <button class="button button--danger">{w!(purge)}</button>
            </ActForm>
            <ActForm verb="ban" place=place.clone() fields=fields()>
                <TextField id="ban-reason".into() name="reason" label=w!(reason_optional) required=false max=500 value=typed/>
                <button class="button button--danger">{w!(ban)}</button>
                <p class="act__hint">{w!(ban_hint)}</p>
            </ActForm>
        }
    });
    view! { {remove}{on_person} }.into_any()
}

/// Renders a restraint in force, with the button that lifts it.
#[component]
pub(super) fn InForce(place: Place, restraint: Restraint) -> impl IntoView {
    let Restraint { kind, until, reason, case } = restraint;
    view! {
        <li class="entry">
            <p class="entry__words"><b>{restraint_name(kind)}</b>" · "<End kind until/></p>
            {(!reason.is_empty()).then(|| view! { <p class="entry__words"><bdi>{reason}</bdi></p> })}
            <ActForm verb="lift" place fields=vec![("case", case.to_string())]><button class="button button--second">{w!(lift)}</button></ActForm>
        </li>
    }
    .into_any()
}

/// Renders the end of a restraint.
#[component]
pub(super) fn End(kind: RestraintKind, until: Option<u64>) -> impl IntoView {
    match (kind, until) {
        (RestraintKind::Warning, _) => w!(until_acknowledged).into_any(),
        (_, Some(until)) => view! { {w!(until)}" "<Time at=until/> }.into_any(),
        (_, None) => w!(for_good).into_any(),
    }
}
