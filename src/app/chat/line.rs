//! A line of the list: a message, or the person's own message while it is sent.

use super::conversation::Conversation;
use super::outgoing::Outgoing;
use super::unsent::OutgoingState;
use crate::domain::{
    calendar,
    change::Why,
    id::{Seq, Uid},
    message::{Message, Role},
    paths,
};
use crate::t;
use leptos::prelude::*;

/// Classes of other people's lines, one per hue of names.
const HUES: [&str; 6] = ["line line--n0", "line line--n1", "line line--n2", "line line--n3", "line line--n4", "line line--n5"];
/// Identifies a row of the list. Rows of one type of key and of one type of view share their code in the wasm.
pub type RowKey = (u8, i64, u64);
/// Bytes of text up to which a line never needs more rows than the list shows of it, on the narrowest page.
const SHORT_TEXT: usize = 48;

/// Renders a message. Its text is empty if it was removed.
#[component]
pub fn Line(message: Message, conversation: Conversation) -> impl IntoView {
    let mine = conversation.is_mine(&message.user);
    let mentions_you = !mine && message.mentions.iter().any(|user| conversation.is_mine(user));
    let Message { seq, user, nickname, role, text, at, re, removed, .. } = message;
    let is_removed = text.is_empty();
    let class = match (is_removed, mine, role) {
        (true, ..) => "line line--removed",
        (_, true, _) => "line line--mine",
        (.., Role::Host) if mentions_you => "line line--host line--mention",
        (.., Role::Host) => "line line--host",
        _ if mentions_you => "line line--mention",
        _ => HUES[hue(&user)],
    };
    let is_long = text.len() > SHORT_TEXT;
    let text = match removed.map(|removed| removed.why) {
        Some(Why::Author) => t!(withdrawn).to_owned(),
        Some(Why::Moderator) => t!(removed_by_moderator).to_owned(),
        _ if is_removed => t!(removed).to_owned(),
        _ => text,
    };
    let page = |seq: Seq| paths::message_page(&conversation.room(), seq);
    // Keys come to the lines by `public/message.js`: two hundred stops are too many.
    let tabindex = if is_server() { "0" } else { "-1" };
    view! {
        <li class=class data-seq=seq.to_string() data-user=user.to_string()>
            {re.filter(|_| !is_removed).map(|re| {
                let name = if re.nickname.is_empty() { t!(removed).to_owned() } else { ["@", &re.nickname].concat() };
                view! { <a class="line__re" href=page(re.seq) data-re=re.seq.to_string() tabindex=tabindex>"↩ "<bdi>{name}</bdi></a> }
            })}
            {(!is_removed).then(|| speaker(nickname, mine, mentions_you, role))}
            <bdi class="line__text">{text}</bdi>
            " "
            <a class="line__time" href=page(seq) tabindex=tabindex><time datetime=calendar::iso(at)>{local_clock(at)}</time></a>
            {is_long.then(|| view! { <button class="line__more" type="button" aria-expanded="false">{t!(more)}</button> })}
        </li>
    }
}

/// Renders badge, nickname and colon. The colours of a line have their words, for people who hear the list.
fn speaker(nickname: String, mine: bool, mentions_you: bool, role: Role) -> impl IntoView {
    let badge = match role {
        Role::Host => Some(("line__badge", t!(host))),
        Role::Moderator => Some(("line__badge line__badge--mod", t!(role_moderator))),
        Role::Vip => Some(("line__badge line__badge--vip", t!(role_vip))),
        Role::Bot => Some(("line__badge line__badge--bot", t!(role_bot))),
        Role::Viewer => None,
    };
    let heard = if mine { Some(t!(you)) } else { mentions_you.then(|| t!(mentions_you)) };
    view! {
        {heard.map(|words| view! { <span class="line__you">{words}</span> })}
        {badge.map(|(class, words)| view! { <span class=class><i>"["</i>{words}<i>"]"</i></span> })}
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
        <For each=lines key=outgoing_key let:outgoing>
            <OutgoingLine conversation outgoing/>
        </For>
    }
}

#[component]
fn OutgoingLine(conversation: Conversation, outgoing: Outgoing) -> impl IntoView {
    let class = ["line line--mine", outgoing.state_class()].concat();
    view! {
        <li class=class>
            {speaker(conversation.nickname(), true, false, Role::Viewer)}
            <bdi class="line__text">{outgoing.text.clone()}</bdi>
            " "
            <OutgoingState conversation outgoing/>
        </li>
    }
    .into_any()
}

/// A row is rendered anew in another state: their classes differ in length.
fn outgoing_key(outgoing: &Outgoing) -> RowKey {
    let nonce = outgoing.nonce.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    (4, outgoing.state_class().len() as i64, nonce)
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
