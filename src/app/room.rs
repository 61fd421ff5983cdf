//! `/rooms/{id}`: a room with its chat.

use crate::app::api::room_page;
use crate::app::i18n::lang;
use crate::app::mounted_panel::MountedPanel;
use crate::app::not_found::NotFound;
use crate::app::slow_mode::SlowModeForm;
use crate::app::top_bar::TopBar;
use crate::domain::{
    paths,
    refusal::Refusal,
    room::{Page, RoomView},
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

/// Renders the page of the room in the path; for an unknown room, [`NotFound`].
#[component]
pub fn RoomPage() -> impl IntoView {
    let params = use_params_map();
    let room = move || params.with(|params| params.get("room")).unwrap_or_default();
    let page = Resource::new_blocking(room, room_page);
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => view! { <Room page/> }.into_any(),
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
fn Room(page: Page<RoomView>) -> impl IntoView {
    let Page { content: RoomView { snapshot, host_tools }, you, returned } = page;
    let room = snapshot.card.room.clone();
    let refusal = returned.as_ref().filter(|returned| returned.form == paths::MODE).map(|returned| returned.refusal.clone());
    view! {
        <Title text=format!("{} · Roomcast", snapshot.card.title)/>
        <div class="room">
            <TopBar you=you.clone()/>
            {host_tools.map(|tools| view! { <SlowModeForm room slow_ms=tools.slow_ms refusal/> })}
            <main class="room__main">
                <MountedPanel snapshot you returned/>
            </main>
        </div>
    }
    .into_any()
}
