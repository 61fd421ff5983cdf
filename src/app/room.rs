//! `/rooms/{id}`: a room with its chat.

use crate::app::api::room_page;
use crate::app::host_menu::NewRoomCard;
use crate::app::i18n::lang;
use crate::app::menu::person_kind;
use crate::app::moderation::StaffPart;
use crate::app::mounted_panel::MountedPanel;
use crate::app::not_found::NotFound;
use crate::app::page_title::PageTitle;
use crate::app::room_menu::RoomBar;
use crate::app::top_bar::TopBar;
use crate::domain::{
    paths,
    rank::Rank,
    refusal::Refusal,
    room::{Page, RoomView},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};

/// Renders the page of the room in the path; for an unknown room, [`NotFound`]. With `?embed` it is made for a frame: it has no
/// link to the lobby.
#[component]
pub fn RoomPage() -> impl IntoView {
    let params = use_params_map();
    let room = move || params.with(|params| params.get("room")).unwrap_or_default();
    let page = Resource::new_blocking(room, room_page);
    let query = use_query_map();
    let embed = move || query.with(|query| query.get("embed").is_some());
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => view! { <Room page embed=embed()/> }.into_any(),
                    Err(Refusal::NoSuchRoom) => view! { <NotFound/> }.into_any(),
                    Err(refusal) => view! {
                        <TopBar you=None/>
                        <p class="refusal" role="alert">{refusal.message(lang())}</p>
                    }
                    .into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn Room(page: Page<RoomView>, embed: bool) -> impl IntoView {
    let Page { content: RoomView { snapshot, host_tools }, you, returned } = page;
    let is_staff = snapshot.rank.is_some_and(Rank::is_staff);
    let (card, closed, is_empty) = (snapshot.card.clone(), snapshot.state.modes.closed, snapshot.messages.is_empty());
    let person = person_kind(you.as_ref());
    let here = paths::room_page(&card.room) + if embed { "?embed" } else { "" };
    let new_room = host_tools.clone().filter(|_| is_empty).map(|tools| {
        view! { <NewRoomCard room=card.room.clone() site=tools.site/> }
    });
    view! {
        <PageTitle text=card.title.clone()/>
        {snapshot.rank.filter(|_| is_staff).map(|rank| view! { <StaffPart room=card.room.clone() rank/> })}
        <div class="room" data-person=person data-empty=is_empty.then_some("") data-embed=embed.then_some("")>
            <main class="room__main">
                <RoomBar card closed you=you.clone() host_tools returned=returned.clone() here=here.clone() is_staff/>
                {new_room}
                <MountedPanel snapshot you returned here/>
            </main>
        </div>
    }
    .into_any()
}
