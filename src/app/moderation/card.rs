//! The card of a person in a room: numbers, nicknames, restraints, notes, last messages. It never holds an address.

use super::acts::{HarshActs, InForce, NoteForm, OfMessage, PersonActs};
use super::forms::{ActForm, Place};
use super::line::{StaffLine, Time};
use super::words::{actor_name, counts, rank_name, w};
use crate::domain::staff::{Note, PersonCard};
use leptos::prelude::*;

/// Renders the card, with the acts on the person if the reader may act.
#[component]
pub(super) fn Card(place: Place, card: PersonCard) -> impl IntoView {
    let PersonCard { uid, in_force, last, notes, may_act, .. } = card.clone();
    let none_in_force = in_force.is_empty().then(|| view! { <p class="card__hint">{w!(none_in_force)}</p> });
    let restraints = in_force.into_iter().map(|restraint| view! { <InForce place=place.clone() restraint/> }).collect_view();
    let room = place.room.clone();
    let none_said = last.is_empty().then(|| view! { <p class="card__hint">{w!(no_messages)}</p> });
    let lines = last.into_iter().map(|message| view! { <StaffLine room=room.clone() message is_chosen=false/> }).collect_view();
    view! {
        <section class="card person" aria-labelledby="author">
            <h2 id="author">{w!(author)}</h2>
            <Facts card/>
            <h3>{w!(in_force)}</h3>
            {none_in_force}
            <ul class="entries">{restraints}</ul>
            {may_act.then(|| view! { <PersonActs place=place.clone() user=uid.clone()/> })}
            {(!may_act).then(|| view! { <p class="card__hint">{w!(may_not_act)}</p> })}
            <h3>{w!(notes)}</h3>
            <Notes place=place.clone() notes/>
            {may_act.then(|| view! { <NoteForm place user=uid/> })}
            <h3>{w!(last_messages)}</h3>
            {none_said}
            // It scrolls, so the keyboard reaches it.
            <ol class="said-list person__last" tabindex="0" aria-label=w!(last_messages)>{lines}</ol>
        </section>
    }
    .into_any()
}

/// Renders the harsh acts on a message and its author, in a card of their own at the end of the page.
#[component]
pub(super) fn HarshCard(place: Place, of: OfMessage, card: Option<PersonCard>) -> impl IntoView {
    view! {
        <section class="card card--harsh" aria-labelledby="harsh">
            <h2 id="harsh">{w!(remove)}" · "{w!(ban)}</h2>
            <HarshActs place of user=card.map(|card| card.uid)/>
        </section>
    }
    .into_any()
}

#[component]
fn Facts(card: PersonCard) -> impl IntoView {
    let PersonCard {
        uid, nickname, account, rank, since, seen, messages, removed, restraints, nicknames, shares_network, ..
    } = card;
    let rank = if uid.is_bot() { w!(badge_bot) } else { rank_name(rank) };
    let since_words = if account { w!(since_account) } else { w!(since_guest) };
    let seen = seen.map(|(first, last)| {
        view! { <dt>{w!(first_seen)}</dt><dd><Time at=first/></dd><dt>{w!(last_seen)}</dt><dd><Time at=last/></dd> }
    });
    let others: Vec<_> = nicknames.into_iter().filter(|name| *name != nickname).collect();
    let nicknames = (!others.is_empty()).then(|| {
        let names = others.into_iter().map(|name| view! { <bdi class="person__name">{name}</bdi> }).collect_view();
        view! { <dt>{w!(nicknames)}</dt><dd class="person__names">{names}</dd> }
    });
    view! {
        <p class="person__head">
            <bdi class="person__nickname">{nickname}</bdi>
            <span class="mark mark--rank">{rank}</span>
        </p>
        {shares_network.then(|| view! { <p class="person__flag">{w!(shares_network)}</p> })}
        <p class="person__counts">{counts(messages, removed, restraints)}</p>
        <dl class="facts">
            <dt>{since_words}</dt><dd><Time at=since/></dd>
            {seen}
            {nicknames}
            <dt>"uid"</dt><dd class="person__uid">{uid.to_string()}</dd>
        </dl>
    }
    .into_any()
}

#[component]
fn Notes(place: Place, notes: Vec<Note>) -> impl IntoView {
    if notes.is_empty() {
        return view! { <p class="card__hint">{w!(no_notes)}</p> }.into_any();
    }
    let entry = |note: Note| {
        view! {
            <li class="entry">
                <p class="entry__words"><bdi>{note.text}</bdi></p>
                <p class="entry__by">{actor_name(&note.by, None).map(|name| view! { <bdi>{name}</bdi>" · " })}<Time at=note.at/></p>
                <ActForm verb="unnote" place=place.clone() fields=vec![("note", note.id.to_string())]>
                    <button class="quiet-button">{w!(delete_note)}</button>
                </ActForm>
            </li>
        }
    };
    view! { <ul class="entries">{notes.into_iter().map(entry).collect_view()}</ul> }.into_any()
}
