//! The people with a role, and the room's modes. Staff sees both; the host appoints and gives the title.

use super::forms::{ActForm, Place, PlainForm, TextField};
use super::words::w;
use crate::app::host_menu::SlowModeChoice;
use crate::domain::{change::RoomState, paths, staff::Member};
use crate::t;
use leptos::prelude::*;

/// Renders the people with a role.
#[component]
pub(super) fn PeopleCard(place: Place, staff: Vec<Member>, may_appoint: bool) -> impl IntoView {
    let none = staff.is_empty().then(|| view! { <p class="card__hint">{w!(no_people)}</p> });
    let people = staff.into_iter().map(|member| view! { <Entry place=place.clone() member may_appoint/> }).collect_view();
    view! {
        <section class="card" aria-labelledby="people">
            <h2 id="people">{w!(people)}</h2>
            {none}
            <ul class="entries">{people}</ul>
            {may_appoint.then(|| view! { <AppointForm place/> })}
        </section>
    }
    .into_any()
}

#[component]
fn Entry(place: Place, member: Member, may_appoint: bool) -> impl IntoView {
    let Member { user, nickname, role } = member;
    let name = if role == "vip" { w!(badge_vip) } else { w!(badge_moderator) };
    let label = format!("{}: {nickname}", w!(revoke));
    let revoke = may_appoint.then(|| {
        let fields = vec![("user", user.to_string()), ("role", "none".to_owned())];
        view! { <ActForm verb="role" place fields><button class="button button--second" aria-label=label>{w!(revoke)}</button></ActForm> }
    });
    view! {
        <li class="entry entry--row">
            <p class="entry__words"><span class="badge" data-role=role>{name}</span><bdi class="entry__person">{nickname}</bdi></p>
            {revoke}
        </li>
    }
    .into_any()
}

#[component]
fn AppointForm(place: Place) -> impl IntoView {
    let typed = place.typed(&paths::act("role"));
    view! {
        <ActForm verb="role" place fields=Vec::new()>
            <TextField id="role-user".into() name="user" label=w!(account_or_uid) required=true max=64 value=typed/>
            <p class="act__hint">{w!(account_hint)}</p>
            <div class="act__field">
                <label class="act__label" for="role-role">{w!(role)}</label>
                <select class="field__input" id="role-role" name="role">
                    <option value="moderator">{w!(badge_moderator)}</option>
                    <option value="vip">{w!(badge_vip)}</option>
                </select>
            </div>
            <button class="button">{w!(grant)}</button>
        </ActForm>
    }
    .into_any()
}

/// Renders the modes, and to the host the title.
#[component]
pub(super) fn ModesCard(place: Place, state: RoomState, may_entitle: bool) -> impl IntoView {
    let RoomState { modes, title, .. } = state;
    let toggle = |on: bool| if on { "false" } else { "true" }.to_owned();
    let (accounts, accounts_button) =
        if modes.accounts { (w!(accounts_send), w!(guests_too)) } else { (w!(everyone_sends), w!(accounts_only)) };
    let (closed, closed_button) =
        if modes.closed { (t!(room_is_closed), t!(reopen_room)) } else { (t!(room_is_open), t!(close_room)) };
    let typed = place.typed(paths::TITLE);
    let title = if typed.is_empty() { title } else { typed };
    let title = may_entitle.then(|| {
        view! {
            <PlainForm action=paths::TITLE.to_owned() place=place.clone() fields=Vec::new()>
                <TextField id="room-title".into() name="title" label=w!(title) required=true max=240 value=title/>
                <button class="button button--second">{t!(save)}</button>
            </PlainForm>
        }
    });
    view! {
        <section class="card" aria-labelledby="modes">
            <h2 id="modes">{w!(modes)}</h2>
            <ActForm verb="mode" place=place.clone() fields=Vec::new()>
                <div class="act__field">
                    <label class="act__label" for="mode-slow">{t!(slow_mode)}</label>
                    <SlowModeChoice id="mode-slow" slow_ms=modes.slow_ms/>
                </div>
                <button class="button button--second">{t!(save)}</button>
            </ActForm>
            <ActForm verb="mode" place=place.clone() fields=vec![("accounts", toggle(modes.accounts))]>
                <p class="act__hint">{accounts}</p>
                <button class="button button--second">{accounts_button}</button>
            </ActForm>
            <ActForm verb="mode" place fields=vec![("closed", toggle(modes.closed))]>
                <p class="act__hint">{closed}</p>
                <button class="button button--second">{closed_button}</button>
            </ActForm>
            {title}
        </section>
    }
    .into_any()
}
