//! The audit log of a room, newest first: the actor, the act, the person, the reason, and the button that takes it back.

use super::forms::{ActForm, Place};
use super::line::Time;
use super::words::{act_name, act_value, actor_name, w};
use crate::domain::{
    paths,
    staff::{LogReply, LogRow, PushedBy},
};
use leptos::prelude::*;

/// Most messages of a row that are named.
const NAMED: usize = 8;
/// Rows of a page.
const ROWS: usize = 30;

/// Renders a page of the log. `before` is the number that the page begins below; `None` on the first page.
#[component]
pub(super) fn LogCard(place: Place, log: LogReply, before: Option<String>) -> impl IntoView {
    let LogReply { mut rows, mut next, pushed, .. } = log;
    if rows.len() > ROWS {
        rows.truncate(ROWS);
        next = rows.last().map(|last| last.n);
    }
    let base = paths::moderation_page(&place.room);
    let none = rows.is_empty().then(|| view! { <p class="card__hint">{w!(no_log)}</p> });
    let rows = rows.into_iter().map(|row| view! { <Row place=place.clone() row/> }).collect_view();
    let newest = before.map(|_| view! { <a class="button button--second" href=format!("{base}#log")>{w!(newest)}</a> });
    let older =
        next.map(|next| view! { <a class="button button--second" href=format!("{base}?before={next}#log")>{w!(older)}</a> });
    view! {
        <section class="card" id="log" aria-labelledby="log-title">
            <h2 id="log-title">{w!(log)}</h2>
            {none}
            <ol class="entries">{rows}</ol>
            <nav class="acts" aria-label=w!(log)>{newest}{older}</nav>
        </section>
        {(!pushed.is_empty()).then(|| view! { <Pushed pushed/> })}
    }
    .into_any()
}

/// Renders the back ends that pushed to the room's pages, each with a count: their pushes would flood a list.
#[component]
fn Pushed(pushed: Vec<PushedBy>) -> impl IntoView {
    let entry = |PushedBy { by, count, at, .. }: PushedBy| {
        let name = actor_name(&by, None).unwrap_or(by);
        view! { <li class="entry"><p class="entry__words"><bdi class="entry__person">{name}</bdi>{format!(" {count} {} ", w!(times))}<Time at/></p></li> }
    };
    view! {
        <section class="card" aria-labelledby="pushed">
            <h2 id="pushed">{w!(pushed)}</h2>
            <p class="card__hint">{w!(pushed_hint)}</p>
            <ul class="entries">{pushed.into_iter().map(entry).collect_view()}</ul>
        </section>
    }
    .into_any()
}

#[component]
fn Row(place: Place, row: LogRow) -> impl IntoView {
    let LogRow {
        n, action, at, actor, actor_nickname, verb, target, target_nickname, seqs, until, reason, detail, can_undo, ..
    } = row;
    let value = detail.and_then(|detail| act_value(&verb, &detail)).map(|value| view! { " "<bdi>{value}</bdi> });
    let actor = actor_name(&actor, actor_nickname).unwrap_or(actor);
    let target = target_nickname.or(target).map(|target| view! { " "<bdi class="entry__person">{target}</bdi> });
    let more = seqs.len().saturating_sub(NAMED);
    let links = seqs.into_iter().take(NAMED).map(|seq| {
        view! { " "<a class="entry__seq" href=paths::message_page(&place.room, seq)>{format!("#{}", seq.0)}</a> }
    });
    let links = links.collect_view();
    let more = (more > 0).then(|| format!(" +{more}"));
    let until = until.map(|until| view! { " · "{w!(until)}" "<Time at=until/> });
    let reason =
        reason.filter(|reason| !reason.is_empty()).map(|reason| view! { <p class="entry__words"><bdi>{reason}</bdi></p> });
    let undo = can_undo.then(|| {
        view! {
            <ActForm verb="undo" place fields=vec![("action", action.to_string())]>
                <button class="button button--second" aria-label=format!("{} {n}", w!(undo))>{w!(undo)}</button>
            </ActForm>
        }
    });
    view! {
        <li class="entry">
            <p class="entry__words"><bdi class="entry__person">{actor}</bdi>" "{act_name(&verb)}{target}{value}{links}{more}{until}</p>
            {reason}
            <p class="entry__by">{format!("{n} · ")}<Time at/></p>
            {undo}
        </li>
    }
    .into_any()
}
