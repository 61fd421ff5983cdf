//! A line of the list: a message, or the person's own message while it is sent.

use super::conversation::Conversation;
use crate::domain::{
    calendar,
    message::{Message, Role},
};
use crate::t;
use leptos::prelude::*;

/// Renders a message. `localised` chooses the reader's time zone instead of UTC.
#[component]
pub fn Line(message: Message, conversation: Conversation, localised: RwSignal<bool>) -> impl IntoView {
    let Message { user, nickname, role, text, at, .. } = message;
    let mine = conversation.is_mine(&user);
    let host = role == Role::Host && !mine;
    let class = match (mine, host) {
        (true, _) => "line line--mine",
        (_, true) => "line line--host",
        _ => "line",
    };
    let time = move || if localised.get() { local_clock(at) } else { calendar::clock(at) };
    view! {
        <li class=class>
            {host.then(|| view! { <span class="line__badge">{t!(badge)}</span> })}
            <span class="line__nickname">{nickname}</span>
            <span class="line__colon">" : "</span>
            <span class="line__text">{text}</span>
            <time class="line__time" datetime=calendar::iso(at)>{time}</time>
        </li>
    }
}

/// Renders the person's own message while it is sent, until the list holds it.
#[component]
pub fn OutgoingLine(conversation: Conversation) -> impl IntoView {
    let nickname = conversation.nickname();
    move || {
        let nickname = nickname.clone();
        conversation.outgoing.get().map(|outgoing| {
            let pending = outgoing.seq.is_none();
            view! {
                <li class="line line--mine" class:line--pending=pending>
                    <span class="line__nickname">{nickname}</span>
                    <span class="line__colon">" : "</span>
                    <span class="line__text">{outgoing.text}</span>
                    {pending.then(|| view! { <span class="line__time">{t!(sending)}</span> })}
                </li>
            }
        })
    }
}

/// Returns the day number of a time (unix ms) in the reader's time zone.
pub fn local_day(at_ms: u64) -> i64 {
    calendar::day_of(localised_ms(at_ms))
}

/// Returns the time of day in the reader's time zone.
fn local_clock(at_ms: u64) -> String {
    calendar::clock(localised_ms(at_ms))
}

/// Shifts a time by the reader's offset from UTC at that time, so that its UTC form shows the reader's wall clock.
fn localised_ms(at_ms: u64) -> u64 {
    let offset_minutes = js_sys::Date::new(&(at_ms as f64).into()).get_timezone_offset();
    (at_ms as f64 - offset_minutes * 60_000.0).max(0.0) as u64
}
