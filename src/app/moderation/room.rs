//! `/rooms/{id}/moderate`: reports, restraints in force, people with roles, modes, and the log of a room, for its staff. It is
//! renewed by a link. With `?refresh` the browser does that every 20 s, and the forms with fields are left out: a text that is typed would
//! be lost.

use super::acts::End;
use super::done::Outcome;
use super::forms::{ActForm, Place};
use super::line::{StaffLine, Time};
use super::log::LogCard;
use super::people::{ModesCard, PeopleCard};
use super::script::StaffPart;
use super::words::{actor_name, reported_by, restraint_name, w};
use crate::app::api::moderation_page;
use crate::app::i18n::lang;
use crate::app::not_found::NotFound;
use crate::app::page_title::PageTitle;
use crate::app::top_bar::TopBar;
use crate::domain::{
    paths,
    rank::Rank,
    refusal::Refusal,
    room::Page,
    staff::{LogReply, ModerationPage, Reported, Restrained},
};
use leptos::prelude::*;
use leptos_meta::Meta;
use leptos_router::hooks::{use_params_map, use_query_map};

/// Renders the page of the room in the path, for its staff; [`NotFound`] for an unknown room.
#[component]
pub fn ModerationPageView() -> impl IntoView {
    let (params, query) = (use_params_map(), use_query_map());
    let room = move || params.with(|params| params.get("room")).unwrap_or_default();
    let before = move || query.with(|query| query.get("before"));
    let refresh = move || query.with(|query| query.get("refresh").is_some());
    let page = Resource::new_blocking(move || (room(), before()), |(room, before)| moderation_page(room, before));
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => view! { <Moderation page before=before() refresh=refresh()/> }.into_any(),
                    Err(Refusal::NoSuchRoom) => view! { <NotFound/> }.into_any(),
                    Err(refusal) => view! {
                        <TopBar you=None/>
                        <main class="page page--narrow"><p class="refusal" role="alert">{refusal.message(lang())}</p></main>
                    }
                    .into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn Moderation(page: Page<ModerationPage>, before: Option<String>, refresh: bool) -> impl IntoView {
    let Page { content: ModerationPage { snapshot, reports, restraints, staff, log }, you, returned } = page;
    let room = snapshot.card.room.clone();
    let base = paths::moderation_page(&room);
    let here = match &before {
        Some(before) => format!("{base}?before={before}"),
        None if refresh => format!("{base}?refresh"),
        None => base.clone(),
    };
    let place = Place { room: room.clone(), here: here.clone(), returned };
    let is_host = snapshot.rank.is_some_and(|rank| rank >= Rank::Host);
    let (toggle, toggle_words) = if refresh { (base, w!(refresh_off)) } else { (format!("{base}?refresh"), w!(refresh_on)) };
    view! {
        <PageTitle text=format!("{} · {}", w!(moderation), snapshot.card.title)/>
        {refresh.then(|| view! { <Meta http_equiv="refresh" content="20"/> })}
        <StaffPart room/>
        <TopBar you/>
        <main class="page staff-page">
            <header class="staff-page__head">
                <h1>{w!(moderation)}</h1>
                <nav class="ways" aria-label=w!(go_to)>
                    <a class="way" href=paths::room_page(&place.room)><bdi>{snapshot.card.title}</bdi></a>
                    <a class="way" href=here>{w!(refresh)}</a>
                    <a class="way" href=toggle>{toggle_words}</a>
                </nav>
            </header>
            {refresh.then(|| view! { <p class="card__hint">{w!(only_live)}</p> })}
            <Outcome place=place.clone()/>
            <Reports place=place.clone() reports/>
            <Restraints place=place.clone() restraints log=log.clone()/>
            {(!refresh).then(|| view! {
                <PeopleCard place=place.clone() staff may_appoint=is_host/>
                <ModesCard place=place.clone() state=snapshot.state may_entitle=is_host/>
            })}
            <LogCard place log before/>
        </main>
    }
    .into_any()
}

#[component]
fn Reports(place: Place, reports: Vec<Reported>) -> impl IntoView {
    let none = reports.is_empty().then(|| view! { <p class="card__hint">{w!(no_reports)}</p> });
    let count = (!reports.is_empty()).then(|| view! { <span class="mark">{reports.len().to_string()}</span> });
    let reports = reports.into_iter().map(|report| view! { <Report place=place.clone() report/> }).collect_view();
    view! {
        <section class="card" aria-labelledby="reports">
            <h2 id="reports">{w!(reports)}" "{count}</h2>
            {none}
            <ol class="entries">{reports}</ol>
        </section>
    }
    .into_any()
}

#[component]
fn Report(place: Place, report: Reported) -> impl IntoView {
    let Reported { message, reasons, count, at } = report;
    let seq = message.message.seq;
    let is_removed = message.message.removed.is_some();
    let fields = || vec![("seq", seq.0.to_string())];
    view! {
        <li class="entry">
            <p class="entry__by">{reported_by(count, &reasons)}" · "<Time at/></p>
            <ol class="said-list"><StaffLine room=place.room.clone() message is_chosen=false/></ol>
            <div class="acts acts--apart">
                <ActForm verb="settle" place=place.clone() fields=fields()><button class="button button--second" aria-label=format!("{} #{}", w!(settle), seq.0)>{w!(settle)}</button></ActForm>
                {(!is_removed).then(|| view! {
                    <ActForm verb="remove" place fields=fields()><button class="button button--danger" aria-label=format!("{} #{}", w!(remove), seq.0)>{w!(remove)}</button></ActForm>
                })}
            </div>
        </li>
    }
    .into_any()
}

#[component]
fn Restraints(place: Place, restraints: Vec<Restrained>, log: LogReply) -> impl IntoView {
    let none = restraints.is_empty().then(|| view! { <p class="card__hint">{w!(no_restraints)}</p> });
    let entries = restraints.into_iter().map(|restrained| {
        let Restrained { nickname, kind, since, until, reason, by, case, .. } = restrained;
        let label = format!("{}: {nickname}", w!(lift));
        // The log beside it knows the nicknames of the newest actors.
        let known = log.rows.iter().find(|row| row.actor == by).and_then(|row| row.actor_nickname.clone());
        let by = actor_name(&by, known).map(|name| view! { " · "{w!(by)}" "<bdi>{name}</bdi> });
        view! {
            <li class="entry">
                <p class="entry__words"><bdi class="entry__person">{nickname}</bdi>" · "<b>{restraint_name(kind)}</b>" · "<End kind until/></p>
                {(!reason.is_empty()).then(|| view! { <p class="entry__words"><bdi>{reason}</bdi></p> })}
                <p class="entry__by"><Time at=since/>{by}</p>
                <ActForm verb="lift" place=place.clone() fields=vec![("case", case.to_string())]><button class="button button--second" aria-label=label>{w!(lift)}</button></ActForm>
            </li>
        }
    });
    let entries = entries.collect_view();
    view! {
        <section class="card" aria-labelledby="restraints">
            <h2 id="restraints">{w!(restraints)}</h2>
            {none}
            <ul class="entries">{entries}</ul>
        </section>
    }
    .into_any()
}
