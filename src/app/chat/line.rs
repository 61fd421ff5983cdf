//! A line of the list: a message, or the person's own message while it is sent.

use super::conversation::{Conversation, Outgoing};
use super::unsent::OutgoingState;
use crate::domain::{
    calendar,
    id::Uid,
    message::{Message, Role},
};
use crate::t;
use leptos::prelude::*;

/// Classes of other people's lines, one per hue of names.
const HUES: [&str; 6] = ["line line--n0", "line line--n1", "line line--n2", "line line--n3", "line line--n4", "line line--n5"];
/// Bytes of text up to which a line never needs more rows than the list shows of it, on the narrowest page.
const SHORT_TEXT: usize = 48;

/// Renders a message. Its text is empty if it was removed.
#[component]
pub fn Line(message: Message, conversation: Conversation) -> impl IntoView {
    let Message { user, nickname, role, text, at, .. } = message;
    let mine = conversation.is_mine(&user);
    let host = role == Role::Host;
    let removed = text.is_empty();
    let class = match (removed, mine, host) {
        (true, ..) => "line line--removed",
        (_, true, _) => "line line--mine",
        (.., true) => "line line--host",
        _ => HUES[hue(&user)],
    };
    let is_long = text.len() > SHORT_TEXT;
    let text = if removed { t!(removed).to_owned() } else { text };
    view! {
        <li class=class>
            {(!removed).then(|| speaker(nickname, mine, host))}
            <bdi class="line__text">{text}</bdi>
            " "
            <time class="line__time" datetime=calendar::iso(at)>{local_clock(at)}</time>
            {is_long.then(|| view! { <button class="line__more" type="button" aria-expanded="false">{t!(more)}</button> })}
        </li>
    }
}

/// Renders badge, nickname and colon. The colours of own and host's lines have their words, for people who hear the list.
fn speaker(nickname: String, mine: bool, host: bool) -> impl IntoView {
    view! {
        {mine.then(|| view! { <span class="line__you">{t!(you)}</span> })}
        {host.then(|| view! { <span class="line__badge"><i>"["</i>{t!(host)}<i>"]"</i></span> })}
        <bdi class="line__nickname">{nickname}</bdi>
        <span class="line__colon">" :"</span>
        " "
    }
}

/// Renders the person's own messages while they are sent, until the list holds them.
#[component]
pub fn OutgoingLines(conversation: Conversation) -> impl IntoView {
    let lines = move || conversation.outgoing.get();
    view! {
        <For each=lines key=|outgoing| (outgoing.nonce.clone(), outgoing.state_class()) let:outgoing>
            <OutgoingLine conversation outgoing/>
        </For>
    }
}

#[component]
fn OutgoingLine(conversation: Conversation, outgoing: Outgoing) -> impl IntoView {
    let class = ["line line--mine", outgoing.state_class()].concat();
    view! {
        <li class=class>
            {speaker(conversation.nickname(), true, false)}
            <bdi class="line__text">{outgoing.text.clone()}</bdi>
            " "
            <OutgoingState conversation outgoing/>
        </li>
    }
}

/// Returns the index in [`HUES`] of a person: always the same, and different for most people.
fn hue(user: &Uid) -> usize {
    user.as_str().bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte))) as usize % HUES.len()
}

/// Returns the day number of a time (unix ms) in the reader's time zone; on the server in UTC, until the page is alive.
pub fn local_day(at_ms: u64) -> i64 {
    calendar::day_of(localised_ms(at_ms))
}

/// Returns the time of day in the reader's time zone; on the server in UTC.
pub fn local_clock(at_ms: u64) -> String {
    calendar::clock(localised_ms(at_ms))
}

/// Shifts a time by the reader's offset from UTC at that time, so that its UTC form shows the reader's wall clock.
fn localised_ms(at_ms: u64) -> u64 {
    if is_server() {
        return at_ms;
    }
    let offset_minutes = js_sys::Date::new(&(at_ms as f64).into()).get_timezone_offset();
    (at_ms as f64 - offset_minutes * 60_000.0).max(0.0) as u64
}
