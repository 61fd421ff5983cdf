//! `/`: the rooms, those with most people first, and a form that opens a room.

use crate::app::api::lobby_page;
use crate::app::i18n::{lang, online};
use crate::app::top_bar::TopBar;
use crate::domain::{
    paths,
    reply::ReturnedForm,
    room::{Lobby, MayOpen, Page, RoomCard},
};
use crate::t;
use leptos::prelude::*;
use leptos_meta::Title;

/// Renders the lobby.
#[component]
pub fn LobbyPage() -> impl IntoView {
    let page = Resource::new_blocking(|| (), |()| lobby_page());
    view! {
        <Title text=format!("{} · Roomcast", t!(lobby))/>
        <Suspense>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => view! { <Rooms page/> }.into_any(),
                    Err(refusal) => view! { <TopBar you=None/><p class="refusal" role="alert">{refusal.message(lang())}</p> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn Rooms(page: Page<Lobby>) -> impl IntoView {
    let Page { content: Lobby { rooms, may_open }, you, returned } = page;
    let empty = rooms.is_empty();
    view! {
        <TopBar you/>
        <main class="page">
            <h1>{t!(lobby)}</h1>
            <p class="page__tagline">{t!(tagline)}</p>
            {empty.then(|| view! { <p class="page__empty">{t!(no_rooms)}</p> })}
            <ul class="rooms">{rooms.into_iter().map(|card| view! { <RoomLine card/> }).collect_view()}</ul>
            <OpenRoom may_open returned/>
        </main>
    }
    .into_any()
}

#[component]
fn RoomLine(card: RoomCard) -> impl IntoView {
    let RoomCard { room, title, host, online: count } = card;
    view! {
        <li>
            <a class="room-card" href=paths::room_page(&room)>
                <span class="room-card__title">{title}</span>
                <span class="room-card__host">
                    {host.unwrap_or_else(|| t!(no_host).into())}
                </span>
                <span class="room-card__online" class:room-card__online--live={count > 0}>{online(lang(), count)}</span>
            </a>
        </li>
    }
    .into_any()
}

/// Renders the form that opens a room; a link to the sign-in page if an account is missing; nothing where the operator does not
/// permit it.
#[component]
fn OpenRoom(may_open: MayOpen, returned: Option<ReturnedForm>) -> impl IntoView {
    match may_open {
        MayOpen::No => return ().into_any(),
        MayOpen::WithAccount => {
            return view! { <p class="page__hint"><a href=paths::SIGN_IN_PAGE>{t!(account_to_open)}</a></p> }.into_any();
        }
        MayOpen::Yes => {}
    }
    let returned = returned.filter(|returned| returned.form == paths::OPEN_ROOM);
    let (text, refusal) = returned.map(|returned| (returned.text, returned.refusal)).unzip();
    view! {
        <section class="card">
            <h2>{t!(open_room)}</h2>
            <form class="row-form" method="post" action=paths::OPEN_ROOM>
                <input class="field__input" name="title" required maxlength="240" aria-label=t!(room_title) placeholder=t!(room_title) value=text.unwrap_or_default()/>
                <button class="button">{t!(open)}</button>
            </form>
            {refusal.map(|refusal| view! { <p class="refusal" role="alert">{refusal.message(lang())}</p> })}
        </section>
    }
    .into_any()
}
