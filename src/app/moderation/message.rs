//! `/rooms/{id}/messages/{seq}`: one message with those around it. Every reader may report it, its author may delete it, and staff
//! gets the author's card and all acts. Without JavaScript the page is the moderator's only tool, so nothing on it needs a script.

use super::acts::{MildActs, OfMessage};
use super::card::{Card, HarshCard};
use super::done::Outcome;
use super::forms::{Place, PlainForm, TextField};
use super::line::StaffLine;
use super::script::{StaffPart, StaffStyle};
use super::words::{report_reason, w};
use crate::app::api::message_page;
use crate::app::i18n::lang;
use crate::app::not_found::NotFound;
use crate::app::page_title::PageTitle;
use crate::app::top_bar::TopBar;
use crate::domain::{
    paths,
    refusal::Refusal,
    room::{Page, Person},
    staff::{MessagePage, REPORT_REASONS, StaffMessage},
};
use crate::t;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

/// Renders the page of the message in the path; for an unknown one, [`NotFound`].
#[component]
pub fn MessagePageView() -> impl IntoView {
    let params = use_params_map();
    let param = move |name: &str| params.with(|params| params.get(name)).unwrap_or_default();
    let page = Resource::new_blocking(move || (param("room"), param("seq")), |(room, seq)| message_page(room, seq));
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => view! { <OneMessage page/> }.into_any(),
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
fn OneMessage(page: Page<MessagePage>) -> impl IntoView {
    let Page { content: MessagePage { snapshot, seq, staff, is_own }, you, returned } = page;
    let room = snapshot.card.room.clone();
    let place = Place { room: room.clone(), here: paths::message_page(&room, seq), returned };
    let is_staff = staff.is_some();
    let is_removed = snapshot.messages.iter().any(|message| message.seq == seq && message.removed.is_some());
    let (messages, card, undo) = match staff {
        Some(staff) => (staff.messages, staff.card, staff.undo),
        None => {
            let plain = |message| StaffMessage { message, removed: None };
            (snapshot.messages.into_iter().map(plain).collect(), None, None)
        }
    };
    let may_remove = is_staff && card.as_ref().is_some_and(|card| card.may_act);
    let is_pinned = snapshot.state.pinned.is_some_and(|pinned| pinned.seq == seq);
    let of = OfMessage { seq, is_pinned, is_removed, undo, may_remove };
    // A character can have several code units: the server judges the length.
    let max = snapshot.rules.max_graphemes.saturating_mul(2);
    let lines = messages.into_iter().map(|message| {
        let is_chosen = message.message.seq == seq;
        view! { <StaffLine room=room.clone() message is_chosen/> }
    });
    let lines = lines.collect_view();
    let title = format!("{} #{}", w!(message), seq.0);
    view! {
        <PageTitle text=format!("{title} · {}", snapshot.card.title)/>
        {is_staff.then(|| view! { <StaffPart room=room.clone()/> })}
        {(!is_staff).then(|| view! { <StaffStyle/> })}
        <TopBar you=you.clone()/>
        <main class="page staff-page">
            <header class="staff-page__head">
                <h1>{title}</h1>
                <Ways place=place.clone() title=snapshot.card.title is_staff/>
            </header>
            <Outcome place=place.clone()/>
            <section class="card" aria-label=w!(around)>
                <ol class="said-list">{lines}</ol>
                {(you.is_some() && !is_removed).then(|| view! { <ReplyForm place=place.clone() of max/> })}
                <div class="acts">
                    {is_staff.then(|| view! { <MildActs place=place.clone() of/> })}
                    {may_remove.then(|| view! { <a class="button button--second" href="#harsh">{w!(remove)}" · "{w!(ban)}" ↓"</a> })}
                </div>
            </section>
            {card.clone().map(|card| view! { <Card place=place.clone() card/> })}
            {(!is_removed && !is_own && !is_staff).then(|| view! { <ReportCard place=place.clone() of you/> })}
            {(is_own && !is_removed).then(|| view! { <OwnCard place=place.clone() of/> })}
            {may_remove.then(|| view! { <HarshCard place of card/> })}
        </main>
    }
    .into_any()
}

/// Renders the links to the room and, for staff, to its moderation page.
#[component]
fn Ways(place: Place, title: String, is_staff: bool) -> impl IntoView {
    let moderate = is_staff.then(|| view! { <a class="way" href=paths::moderation_page(&place.room)>{w!(moderation)}</a> });
    view! { <nav class="ways" aria-label=w!(go_to)><a class="way" href=paths::room_page(&place.room)><bdi>{title}</bdi></a>{moderate}</nav> }
        .into_any()
}

/// Renders the answer to a message. A refused text comes back into the field.
#[component]
fn ReplyForm(place: Place, of: OfMessage, max: u32) -> impl IntoView {
    let typed = place.typed(paths::SEND);
    view! {
        <PlainForm action=paths::SEND.to_owned() place fields=vec![("re", of.seq.0.to_string())]>
            <TextField id="reply-text".into() name="message" label=w!(reply) required=true max value=typed/>
            <button class="button button--second">{t!(send)}</button>
        </PlainForm>
    }
    .into_any()
}

/// Renders the report of a message; to a visitor, the way to a nickname.
#[component]
fn ReportCard(place: Place, of: OfMessage, you: Option<Person>) -> impl IntoView {
    let form = match you {
        None => {
            let sign_in = paths::sign_in_page(paths::SignInTab::Guest, Some(&place.here));
            view! { <a class="button button--second" href=sign_in>{t!(sign_in)}</a> }.into_any()
        }
        Some(_) => {
            let reasons = REPORT_REASONS.map(|word| {
                view! {
                    <label class="pick"><input type="radio" name="reason" value=word required/>{report_reason(word)}</label>
                }
            });
            view! {
                <PlainForm action=paths::REPORT.to_owned() place fields=vec![("seq", of.seq.0.to_string())]>
                    <fieldset class="picks"><legend class="act__hint">{w!(report_hint)}</legend>{reasons.collect_view()}</fieldset>
                    <button class="button button--second">{w!(report)}</button>
                </PlainForm>
            }
            .into_any()
        }
    };
    view! { <section class="card" aria-labelledby="report"><h2 id="report">{w!(report)}</h2>{form}</section> }.into_any()
}

#[component]
fn OwnCard(place: Place, of: OfMessage) -> impl IntoView {
    view! {
        <section class="card">
            <PlainForm action=paths::RETRACT.to_owned() place fields=vec![("seq", of.seq.0.to_string())]>
                <button class="button button--danger">{w!(delete_own)}</button>
            </PlainForm>
        </section>
    }
    .into_any()
}
