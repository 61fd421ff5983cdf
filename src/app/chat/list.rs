//! The list of messages: bounded, keyed by seq. It follows new messages at the bottom, and keeps its position above.
//!
//! The scroller is a reversed column: its scroll position is 0 at the bottom and negative above. So the browser shows the
//! newest line first without JavaScript, and stays there when lines are added or a keyboard opens.

use super::conversation::Conversation;
use super::history::{HistoryTarget, fetch_history};
use super::line::{Line, OutgoingLine, local_day};
use super::scroll::{Anchor, preserve_scroll, scroll_down_on_follow, set_anchor};
use crate::app::i18n::{lang, missing, new_messages};
use crate::app::live_text::LiveText;
use crate::domain::{
    calendar,
    id::Seq,
    timeline::{Timeline, TimelineItem},
};
use crate::t;
use leptos::either::EitherOf3;
use leptos::html::Div;
use leptos::prelude::*;

/// Pixels from the bottom within which the reader follows.
const AT_BOTTOM: i32 = 40;
/// Pixels from an end within which the next page of history is fetched.
const NEAR_END: i32 = 300;
/// Milliseconds between two announcements to a screen reader.
const ANNOUNCE_EVERY_MS: u64 = 3_000;

/// Renders the list, the pill that jumps to the newest message, and the announcements.
#[component]
pub fn MessageList(conversation: Conversation) -> impl IntoView {
    let scroller = NodeRef::<Div>::new();
    let loading = RwSignal::new(false);
    // The first render must equal the server's, so it is in UTC. The reader's time zone follows in the browser.
    let localised = RwSignal::new(false);
    Effect::new(move || localised.set(true));
    let items = move || {
        let localised = localised.get();
        conversation.timeline.with(|timeline| timeline.items(|at| if localised { local_day(at) } else { calendar::day_of(at) }))
    };
    let anchor = Anchor::new(None);
    preserve_scroll(conversation, scroller, anchor);
    scroll_down_on_follow(conversation, scroller, loading);

    let on_scroll = move |_| {
        let Some(node) = scroller.get_untracked() else { return };
        let below = -node.scroll_top();
        let above = node.scroll_height() - node.client_height() - below;
        let detached = conversation.timeline.with_untracked(Timeline::is_detached);
        // A detached window does not end with the newest message, so its bottom does not mean following.
        if below > AT_BOTTOM {
            conversation.stop_following();
        } else if !detached {
            conversation.follow();
        }
        set_anchor(anchor, &node);
        if below <= NEAR_END && detached {
            fetch_history(conversation, loading, HistoryTarget::Newer);
        } else if above <= NEAR_END {
            fetch_history(conversation, loading, HistoryTarget::Older);
        }
    };
    let is_empty = move || conversation.timeline.with(Timeline::is_empty) && conversation.outgoing.with(Option::is_none);
    let at_beginning =
        move || conversation.timeline.with(|timeline| timeline.oldest_held().is_some_and(|held| held <= timeline.oldest()));
    let (language, latest) = (lang(), t!(latest));
    let pill = Signal::derive(move || match conversation.unseen.get() {
        0 => latest.to_owned(),
        unseen => new_messages(language, unseen),
    });
    view! {
        <div class="list">
            <div class="list__scroller" node_ref=scroller on:scroll=on_scroll tabindex="0" role="log" aria-live="off" aria-label=t!(chat)>
                <ol class="list__lines">
                    <Show when=move || loading.get()><li class="list__edge">{t!(loading)}</li></Show>
                    <Show when=at_beginning><li class="list__edge">{t!(beginning)}</li></Show>
                    <Show when=is_empty><li class="list__edge">{t!(no_messages)}</li></Show>
                    <For each=items key=item_key let:item>
                        <ItemView item conversation localised loading/>
                    </For>
                    <OutgoingLine conversation/>
                </ol>
            </div>
            <Show when=move || !conversation.following.get()>
                <button class="list__pill" type="button" on:click=move |_| conversation.follow()><LiveText text=pill/></button>
            </Show>
            <Announcer conversation/>
        </div>
    }
}

/// The key holds everything that can change an item, because `<For>` does not render an item again under the same key.
fn item_key(item: &TimelineItem) -> (u8, i64, u64) {
    match item {
        TimelineItem::Day(day) => (0, *day, 0),
        TimelineItem::Message(message) => (1, message.seq.0 as i64, 0),
        TimelineItem::Gap { from, to } => (2, from.0 as i64, to.0),
    }
}

#[component]
fn ItemView(item: TimelineItem, conversation: Conversation, localised: RwSignal<bool>, loading: RwSignal<bool>) -> impl IntoView {
    match item {
        TimelineItem::Day(day) => EitherOf3::A(view! { <li class="list__day">{calendar::day_name(day, lang())}</li> }),
        TimelineItem::Message(message) => EitherOf3::B(view! { <Line message conversation localised/> }),
        TimelineItem::Gap { from, to } => {
            let words = format!("{} · {}", missing(lang(), to.0 - from.0 + 1), t!(fetch_missing));
            let fill = move |_| fetch_history(conversation, loading, HistoryTarget::Gap { from, to });
            EitherOf3::C(
                view! { <li class="list__gap"><button type="button" class="quiet-button" on:click=fill>{words}</button></li> },
            )
        }
    }
}

/// Announces the newest message of another person to screen readers, at most every 3 s.
#[component]
fn Announcer(conversation: Conversation) -> impl IntoView {
    let words = RwSignal::new(String::new());
    let waiting = StoredValue::new(false);
    Effect::new(move |announced: Option<Option<Seq>>| {
        let newest = conversation.timeline.with(Timeline::newest_held);
        if announced.is_some_and(|announced| announced < newest) && !waiting.get_value() {
            waiting.set_value(true);
            set_timeout(
                move || {
                    // The panel is gone.
                    if waiting.try_set_value(false).is_some() {
                        return;
                    }
                    let newest =
                        conversation.timeline.try_with_untracked(|timeline| timeline.newest_message().cloned()).flatten();
                    if let Some(message) = newest.filter(|message| !conversation.is_mine(&message.user)) {
                        words.set(format!("{}: {}", message.nickname, message.text));
                    }
                },
                std::time::Duration::from_millis(ANNOUNCE_EVERY_MS),
            );
        }
        newest
    });
    view! { <p class="visually-hidden" aria-live="polite"><LiveText text=words.into()/></p> }
}
