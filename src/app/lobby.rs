//! `/`: the rooms, those with most people first, by pages; a search; and a form that opens a room. The browser gets HTML and
//! `lobby.js`, which renews the list, and no wasm.

use crate::app::api::lobby_page;
use crate::app::field::{Field, FieldRules};
use crate::app::i18n::{lang, online};
use crate::app::page_title::PageTitle;
use crate::app::top_bar::TopBar;
use crate::domain::{
    paths::{self, SignInTab},
    reply::ReturnedForm,
    room::{Lobby, LobbyRoom, MayOpen, Page, RoomCard},
};
use crate::t;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::Meta;
use leptos_router::hooks::use_query_map;

/// Rooms from which on a first page has the search.
const SEARCH_FROM: usize = 8;

/// Renders the lobby. `?q=` is the search, `?page=` the page.
#[component]
pub fn LobbyPage() -> impl IntoView {
    let query = use_query_map();
    let field = |name: &str| query.with(|query| query.get(name)).unwrap_or_default();
    let asked = (field("page"), field("q"));
    let page = Resource::new_blocking(move || asked.clone(), |(page, query)| lobby_page(Some(page), Some(query)));
    view! {
        <PageTitle text=t!(lobby).to_string()/>
        <Meta name="description" content=t!(description)/>
        <Suspense>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => view! { <Rooms page/> }.into_any(),
                    Err(refusal) => view! { <TopBar you=None/><p class="refusal" role="alert">{refusal.message(lang())}</p> }.into_any(),
                }
            })}
        </Suspense>
        <script src="/lobby.js" defer nonce=use_nonce()></script>
    }
    .into_any()
}

#[component]
fn Rooms(page: Page<Lobby>) -> impl IntoView {
    let Page { content: Lobby { rooms, query, page, has_more, may_open }, you, returned } = page;
    let has_search = !query.is_empty() || page > 1 || has_more || rooms.len() > SEARCH_FROM;
    let here = address(&query, page);
    let empty = if query.is_empty() { t!(no_rooms) } else { t!(nothing_found) };
    let is_empty = rooms.is_empty();
    view! {
        <TopBar you/>
        <main class="page">
            <header class="page__head">
                <h1>{t!(lobby)}</h1>
                <p class="page__tagline">{t!(tagline)}</p>
            </header>
            {has_search.then(|| view! { <Search query=query.clone()/> })}
            // `lobby.js` replaces it.
            <div id="rooms" class="lobby">
                {is_empty.then(|| view! { <p class="page__empty">{empty}</p> })}
                <ul class="rooms">{rooms.into_iter().map(|room| view! { <RoomLine room/> }).collect_view()}</ul>
                <Pages query page has_more/>
            </div>
            <OpenRoom may_open returned here/>
        </main>
    }
    .into_any()
}

/// The address of a page of the lobby.
fn address(query: &str, page: u32) -> String {
    let mut address = String::from("/");
    let mut add = |name: &str, value: &str| {
        address.push(if address.contains('?') { '&' } else { '?' });
        address.push_str(name);
        address.push('=');
        paths::push_encoded(&mut address, value);
    };
    if !query.is_empty() {
        add("q", query);
    }
    if page > 1 {
        add("page", &page.to_string());
    }
    address
}

#[component]
fn Search(query: String) -> impl IntoView {
    let is_searched = !query.is_empty();
    view! {
        <form class="row-form" method="get" action="/" role="search">
            <input
                class="field__input" type="search" name="q" maxlength="60" dir="auto" autocomplete="off" enterkeyhint="search"
                aria-label=t!(search_rooms) placeholder=t!(search_rooms) value=query
            />
            <button class="button button--second">{t!(search)}</button>
            {is_searched.then(|| view! { <a class="quiet-button" href="/">{t!(all_rooms)}</a> })}
        </form>
    }
    .into_any()
}

#[component]
fn RoomLine(room: LobbyRoom) -> impl IntoView {
    let LobbyRoom { card: RoomCard { room, title, host, online: count }, is_live } = room;
    let host = match host {
        Some(host) => view! { <bdi>{host}</bdi> }.into_any(),
        None => t!(no_host).into_any(),
    };
    view! {
        <li>
            <a class="room-card" class:room-card--live=is_live href=paths::room_page(&room)>
                <span class="room-card__title"><bdi>{title}</bdi></span>
                <span class="room-card__host">{host}</span>
                <span class="room-card__state">
                    {is_live.then(|| view! { <span class="room-card__live">{t!(live)}</span> })}
                    <span class="room-card__online" class:room-card__online--live={count > 0}>{online(lang(), count)}</span>
                </span>
            </a>
        </li>
    }
    .into_any()
}

/// Renders the links to the page before and the page after, where there are any.
#[component]
fn Pages(query: String, page: u32, has_more: bool) -> impl IntoView {
    let previous = (page > 1).then(|| address(&query, page - 1));
    let next = has_more.then(|| address(&query, page + 1));
    if previous.is_none() && next.is_none() {
        return ().into_any();
    }
    view! {
        <nav class="pages" aria-label=t!(pages)>
            {previous.map(|href| view! { <a class="quiet-button" rel="prev" href=href>{t!(previous)}</a> })}
            <span class="pages__number" aria-current="page">{page}</span>
            {next.map(|href| view! { <a class="quiet-button" rel="next" href=href>{t!(next_page)}</a> })}
        </nav>
    }
    .into_any()
}

/// Renders the form that opens a room; a link to the sign-in page if an account is missing; nothing where the operator does not
/// permit it.
#[component]
fn OpenRoom(may_open: MayOpen, returned: Option<ReturnedForm>, here: String) -> impl IntoView {
    match may_open {
        MayOpen::No => return ().into_any(),
        MayOpen::WithAccount => {
            let register = paths::sign_in_page(SignInTab::Register, Some("/"));
            return view! { <p class="page__hint"><a href=register>{t!(account_to_open)}</a></p> }.into_any();
        }
        MayOpen::Yes => {}
    }
    let returned = returned.filter(|returned| returned.form == paths::OPEN_ROOM);
    let (text, refusal) = returned.map(|returned| (returned.text, returned.refusal)).unzip();
    view! {
        <section class="card">
            <h2>{t!(open_room)}</h2>
            <form class="column-form" method="post" action=paths::OPEN_ROOM>
                <input type="hidden" name="back" value=here/>
                <Field
                    rules=FieldRules {
                        id: "room-title", name: "title", label: t!(room_title), rule: t!(open_room_hint), autocomplete: "off",
                        max: Some("240"), ..FieldRules::default()
                    }
                    value=text.unwrap_or_default() error=refusal.map(|refusal| refusal.message(lang()))
                />
                <button class="button">{t!(open)}</button>
            </form>
        </section>
    }
    .into_any()
}
