//! A message on the staff's pages, and times. A removed message shows its text to staff, marked as removed.

use super::words::w;
use crate::app::i18n::lang;
use crate::domain::{
    calendar,
    id::{RoomId, Seq},
    message::{Message, Role},
    paths,
    staff::StaffMessage,
};
use crate::t;
use leptos::prelude::*;

/// Renders a time, in UTC; `public/mod.js` shows it in the reader's zone.
#[component]
pub(super) fn Time(at: u64) -> impl IntoView {
    let words = format!("{} {}", calendar::day_name(calendar::day_of(at), lang()), calendar::clock(at));
    view! { <time class="time" datetime=calendar::iso(at) title=calendar::iso(at)>{words}" UTC"</time> }.into_any()
}

/// Returns the badge of a role, if it has one.
pub(super) fn badge(role: Role) -> Option<&'static str> {
    match role {
        Role::Host => Some(w!(badge_host)),
        Role::Moderator => Some(w!(badge_moderator)),
        Role::Vip => Some(w!(badge_vip)),
        Role::Bot => Some(w!(badge_bot)),
        Role::Viewer => None,
    }
}

/// Renders a message. The time leads to the message's page; `is_chosen` marks the one that the page is of.
#[component]
pub(super) fn StaffLine(room: RoomId, message: StaffMessage, is_chosen: bool) -> impl IntoView {
    let StaffMessage { message: Message { seq, nickname, role, text, at, removed, .. }, removed: kept } = message;
    let is_kept = kept.is_some();
    let (nickname, text) = kept.unwrap_or((nickname, text));
    let mark = removed.map(|_| view! { <span class="mark">{w!(removed_mark)}</span> });
    let words = match (removed.is_some(), is_kept) {
        (true, false) => t!(removed).to_owned(),
        _ => text,
    };
    let speaker = (!nickname.is_empty()).then(|| {
        view! {
            {badge(role).map(|badge| view! { <span class="badge" data-role=role.as_str()>{badge}</span> })}
            <bdi class="said__nickname">{nickname}</bdi>": "
        }
    });
    view! {
        <li class="said" data-removed=removed.map(|_| "") aria-current=is_chosen.then_some("true")>
            <p class="said__words">{mark}{speaker}<bdi>{words}</bdi></p>
            <a class="said__time" href=paths::message_page(&room, seq)><SeqAndTime seq at/></a>
        </li>
    }
    .into_any()
}

#[component]
fn SeqAndTime(seq: Seq, at: u64) -> impl IntoView {
    view! { {format!("#{} · ", seq.0)}<Time at/> }.into_any()
}
