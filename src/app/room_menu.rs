//! The bar of a room's page: the link to the lobby at its start, the menu at its end. Title and count between them are the panel's.

use crate::app::host_menu::HostPart;
use crate::app::menu::{Menu, PersonPart, PreferencesPart, Rename};
use crate::app::moderation::StaffButton;
use crate::domain::{
    paths,
    reply::ReturnedForm,
    room::{HostTools, Person, RoomCard},
};
use crate::t;
use leptos::prelude::*;

/// Renders both. `here` is the page's own address, to which the forms lead back.
#[component]
pub fn RoomBar(
    card: RoomCard,
    closed: bool,
    you: Option<Person>,
    host_tools: Option<HostTools>,
    returned: Option<ReturnedForm>,
    here: String,
    is_staff: bool,
) -> impl IntoView {
    // A visitor's nickname is asked for by the panel, which shows that refusal itself.
    let rename = returned.clone().filter(|returned| you.is_some() && returned.form == paths::GUEST);
    let is_refused =
        rename.is_some() || returned.as_ref().is_some_and(|returned| [paths::MODE, paths::TITLE].contains(&&*returned.form));
    let rename = Rename::Here(rename.map(|returned| (returned.text, returned.refusal)));
    let RoomCard { room, title, host, .. } = card;
    view! {
        <nav class="room__bar" aria-label=t!(menu)>
            <a class="icon-button room__back" href="/" aria-label=t!(back) title=t!(back)>
                <svg viewBox="0 0 20 20" aria-hidden="true"><path d="M12.5 4 6.5 10l6 6"/></svg>
            </a>
            {is_staff.then(|| view! { <StaffButton room=room.clone()/> })}
            <Menu open=is_refused>
                <section class="menu__part">
                    <p class="menu__title"><bdi>{title.clone()}</bdi></p>
                    <HostName host/>
                </section>
                {host_tools.map(|tools| view! { <HostPart room title closed tools returned here=here.clone()/> })}
                <PersonPart you here=here.clone() rename/>
                <PreferencesPart here times=true/>
            </Menu>
        </nav>
    }
    .into_any()
}

#[component]
fn HostName(host: Option<String>) -> impl IntoView {
    match host {
        Some(host) => view! { <p class="chat__host">{format!("{} ", t!(host))}<bdi>{host}</bdi></p> }.into_any(),
        None => view! { <p class="chat__host">{t!(no_host)}</p> }.into_any(),
    }
}
