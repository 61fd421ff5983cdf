//! The list of messages: bounded, keyed by seq, following at the bottom and still where a reader reads.
//!
//! The scroller is a reversed column: its position is counted from the bottom (0, and negative above), so it starts at the
//! newest without JavaScript and stays there by itself when lines or keyboards come.

use super::conversation::Conversation;
use crate::app::api::{history, with_timeout};
use crate::app::i18n::{lang, missing, new_messages};
use crate::domain::{
    calendar,
    id::Seq,
    message::{Message, Role},
    paging::{MAX_PAGE_MESSAGES, PAGE_MESSAGES},
    timeline::{Timeline, TimelineItem},
};
use crate::t;
use leptos::either::EitherOf3;
use leptos::html::Div;
use leptos::prelude::*;
use leptos::task::{spawn_local, tick};
use send_wrapper::SendWrapper;
use web_sys::Element;

/// Pixels from an end at which the reader counts as being there.
const AT_BOTTOM: i32 = 40;
const NEAR_END: i32 = 300;
/// A screen reader is told at most this often.
const ANNOUNCE_EVERY_MS: u64 = 3_000;

#[component]
pub fn MessageList(conversation: Conversation) -> impl IntoView {
    let scroller = NodeRef::<Div>::new();
    let loading = RwSignal::new(false);
    // The first render is the server's: UTC. The reader's own zone comes after hydration.
    let localised = RwSignal::new(false);
    Effect::new(move || localised.set(true));
    let rows = move || {
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
        // The end of a detached window is not the newest: being there says nothing about following.
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
    let at_beginning = move || conversation.timeline.with(|timeline| timeline.oldest_held() == Some(Seq(1)));
    let (language, latest) = (lang(), t!(latest));
    let pill = move || match conversation.unseen.get() {
        0 => latest.to_owned(),
        unseen => new_messages(language, unseen),
    };
    view! {
        <div class="list">
            <div class="list__scroller" node_ref=scroller on:scroll=on_scroll tabindex="0" role="log" aria-live="off" aria-label=t!(chat)>
                <ol class="list__lines">
                    <Show when=move || loading.get()><li class="list__edge">{t!(loading)}</li></Show>
                    <Show when=at_beginning><li class="list__edge">{t!(beginning)}</li></Show>
                    <Show when=is_empty><li class="list__edge">{t!(silence)}</li></Show>
                    <For each=rows key=item_key let:row>
                        <ItemView row conversation localised loading/>
                    </For>
                    <OutgoingLine conversation/>
                </ol>
            </div>
            <Show when=move || !conversation.following.get()>
                <button class="list__pill" type="button" on:click=move |_| conversation.follow()>{pill}</button>
            </Show>
            <Announcer conversation/>
        </div>
    }
}

/// A row never changes under its key: what would change it is in the key.
fn item_key(row: &TimelineItem) -> (u8, i64, u64) {
    match row {
        TimelineItem::Day(day) => (0, *day, 0),
        TimelineItem::Message(message) => (1, message.seq.0 as i64, 0),
        TimelineItem::Gap { from, to } => (2, from.0 as i64, to.0),
    }
}

#[component]
fn ItemView(row: TimelineItem, conversation: Conversation, localised: RwSignal<bool>, loading: RwSignal<bool>) -> impl IntoView {
    match row {
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

#[component]
fn Line(message: Message, conversation: Conversation, localised: RwSignal<bool>) -> impl IntoView {
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

/// One's own line on its way, and until the list holds it.
#[component]
fn OutgoingLine(conversation: Conversation) -> impl IntoView {
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

/// A throttled, polite voice for those who listen: the newest line, and how many came with it.
#[component]
fn Announcer(conversation: Conversation) -> impl IntoView {
    let words = RwSignal::new(String::new());
    let waiting = StoredValue::new(false);
    Effect::new(move |told: Option<Option<Seq>>| {
        let newest = conversation.timeline.with(Timeline::newest_held);
        if told.is_some_and(|told| told < newest) && !waiting.get_value() {
            waiting.set_value(true);
            set_timeout(
                move || {
                    let Some(()) = waiting.try_set_value(false).map_or(Some(()), |_| None) else { return };
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
    view! { <p class="visually-hidden" aria-live="polite">{words}</p> }
}

/// The line in the middle of what a reader sees, and where it stands on the screen. Wrapped, because the server makes the
/// place for it on one thread and clears it on another; only a browser ever puts something in.
type Anchor = StoredValue<Option<SendWrapper<(Element, f64)>>>;

fn set_anchor(anchor: Anchor, node: &Element) {
    let rect = node.get_bounding_client_rect();
    let (x, middle) = (rect.left() + rect.width() / 2.0, rect.top() + rect.height() / 2.0);
    let line_at = |y: f64| document().element_from_point(x as f32, y as f32)?.closest("li").ok().flatten();
    // The very middle may lie between two lines.
    let line = [0.0, 8.0, -8.0, 24.0].into_iter().find_map(|off| line_at(middle + off));
    anchor.set_value(line.map(|line| {
        let top = line.get_bounding_client_rect().top();
        SendWrapper::new((line, top))
    }));
}

/// A reader above the bottom keeps the line they read, whatever comes below it or goes above it.
fn preserve_scroll(conversation: Conversation, scroller: NodeRef<Div>, anchor: Anchor) {
    let restore = move || {
        let Some(node) = scroller.get_untracked().filter(|_| !conversation.following.get_untracked()) else { return };
        if let Some((line, top)) = anchor.try_get_value().flatten().map(SendWrapper::take).filter(|(line, _)| line.is_connected())
        {
            let moved = line.get_bounding_client_rect().top() - top;
            node.set_scroll_top(node.scroll_top() + moved.round() as i32);
        }
        set_anchor(anchor, &node);
    };
    Effect::new(move |_| {
        conversation.timeline.track();
        // The rows come with this flush, before or after this effect: once it is over, and once more before the paint.
        spawn_local(async move {
            tick().await;
            if !conversation.timeline.is_disposed() {
                restore();
            }
        });
        request_animation_frame(move || {
            if !conversation.timeline.is_disposed() {
                restore();
            }
        });
    });
}

/// Whoever follows again, by the pill or by saying something, is taken to the newest line.
fn scroll_down_on_follow(conversation: Conversation, scroller: NodeRef<Div>, loading: RwSignal<bool>) {
    Effect::new(move |was: Option<bool>| {
        let following = conversation.following.get();
        if following && was == Some(false) {
            if conversation.timeline.with_untracked(Timeline::is_detached) {
                fetch_history(conversation, loading, HistoryTarget::Latest);
            }
            if let Some(node) = scroller.get_untracked() {
                node.set_scroll_top(0);
            }
        }
        following
    });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum HistoryTarget {
    Older,
    Newer,
    Latest,
    Gap { from: Seq, to: Seq },
}

/// One request at a time. `before` and `limit` say everything, since a room's numbers have no holes.
fn fetch_history(conversation: Conversation, loading: RwSignal<bool>, target: HistoryTarget) {
    let (oldest, newest_held, newest) =
        conversation.timeline.with_untracked(|timeline| (timeline.oldest_held(), timeline.newest_held(), timeline.newest()));
    let page = u64::from(PAGE_MESSAGES);
    let (before, limit) = match target {
        HistoryTarget::Older => match oldest {
            Some(oldest) if oldest > Seq(1) => (oldest, page),
            _ => return,
        },
        HistoryTarget::Newer => (Seq(newest_held.unwrap_or_default().0 + page + 1), page),
        HistoryTarget::Latest => (newest.next(), u64::from(MAX_PAGE_MESSAGES)),
        HistoryTarget::Gap { from, to } => (to.next(), (to.0 - from.0 + 1).min(u64::from(MAX_PAGE_MESSAGES))),
    };
    // A jump down does not wait for a page that is on its way up.
    if loading.get_untracked() && target != HistoryTarget::Latest {
        return;
    }
    loading.set(true);
    spawn_local(async move {
        let answer = with_timeout(history(conversation.room().to_string(), before.to_string(), Some(limit.to_string()))).await;
        if loading.try_set(false).is_some() {
            return;
        }
        match answer {
            Ok(history) => {
                conversation.timeline.update(|timeline| match target {
                    // The window may have moved on meanwhile: then this page does not belong to its edge.
                    HistoryTarget::Older if timeline.oldest_held() != oldest => {}
                    HistoryTarget::Newer if timeline.newest_held() != newest_held => {}
                    HistoryTarget::Older => timeline.add_older(history.messages),
                    HistoryTarget::Newer => timeline.add_newer(history.messages),
                    HistoryTarget::Latest => timeline.reset_to_latest(history.messages),
                    HistoryTarget::Gap { .. } => timeline.fill_gap(history.messages),
                });
                conversation.clear_delivered_outgoing();
            }
            Err(refusal) => conversation.notice.set(Some(refusal)),
        }
    });
}

fn local_day(at: u64) -> i64 {
    calendar::day_of(localised_ms(at))
}

fn local_clock(at: u64) -> String {
    calendar::clock(localised_ms(at))
}

/// Moved so that UTC's reading of it is the reader's wall clock, on that very day.
fn localised_ms(at: u64) -> u64 {
    let offset_minutes = js_sys::Date::new(&(at as f64).into()).get_timezone_offset();
    (at as f64 - offset_minutes * 60_000.0).max(0.0) as u64
}
