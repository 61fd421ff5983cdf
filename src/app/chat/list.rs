//! The list of messages: bounded, keyed by seq. It follows new messages at the bottom, and keeps its position above.
//!
//! The scroller is a reversed column: its scroll position is 0 at the bottom and negative above. So the browser shows the
//! newest line first without JavaScript, and stays there when lines are added or a keyboard opens.

use super::announcer::Announcer;
use super::conversation::{ConnectionState, Conversation};
use super::history::{GAP_FILLS_TO, HistoryTarget, fetch_history};
use super::line::{Line, OutgoingLines, RowKey, local_clock, local_day};
use super::long_lines;
use super::scroll::{Anchor, hold_line, on_resize, preserve_scroll, scroll_down_on_follow, set_anchor};
use super::tab_title::count_unread_in_title;
use crate::app::i18n::{lang, missing, new_messages};
use crate::app::reactive::{effect, shown};
use crate::domain::{
    calendar,
    timeline::{Timeline, TimelineItem},
};
use crate::t;
use leptos::ev::MouseEvent;
use leptos::html::Div;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

/// Pixels from the bottom within which the reader follows.
const AT_BOTTOM: i32 = 44;
/// Pixels from an end within which the next page of history is fetched.
const NEAR_END: i32 = 300;

/// Renders the list and, over it, the state of the connection and the pill that jumps to the newest message. An empty list shows
/// the room's title.
#[component]
pub fn MessageList(conversation: Conversation, title: String) -> impl IntoView {
    let scroller = NodeRef::<Div>::new();
    let loading = RwSignal::new(false);
    let items = move || {
        conversation.you.track();
        conversation.timeline.with(|timeline| timeline.items(local_day))
    };
    let anchor = Anchor::new(None);
    preserve_scroll(conversation, scroller, anchor);
    scroll_down_on_follow(conversation, scroller, loading);
    count_unread_in_title(conversation);
    on_resize(conversation, scroller, anchor, move |node| {
        long_lines::mark(node);
        fill_gap_in_reach(conversation, loading, node);
    });

    let on_scroll = move |_| {
        if let Some(node) = scroller.get_untracked() {
            scrolled(conversation, loading, anchor, &node);
        }
    };
    let (more, less) = (t!(more), t!(less));
    let on_click = move |event: MouseEvent| {
        let Some(button) = long_lines::pressed(&event) else { return };
        if let Some(line) = button.parent_element() {
            hold_line(anchor, line);
        }
        long_lines::toggle(&button, more, less);
    };
    let is_empty = move || conversation.timeline.with(Timeline::is_empty) && conversation.outgoing.with(Vec::is_empty);
    greet_no_longer(scroller, is_empty);
    mark_own_lines(conversation, scroller);
    let at_beginning =
        move || conversation.timeline.with(|timeline| timeline.oldest_held().is_some_and(|held| held <= timeline.oldest()));
    let is_away = move || !conversation.following.get() || conversation.unseen.get() != 0;
    view! {
        <div class="list">
            <ConnectionStatus conversation/>
            <div class="list__scroller" node_ref=scroller on:scroll=on_scroll on:click=on_click tabindex="0" role="log" aria-live="off" aria-label=t!(chat)>
                <ol class="list__lines">
                    {shown(move || loading.get(), move || edge(t!(loading)))}
                    {shown(at_beginning, move || edge(t!(beginning)))}
                    {shown(is_empty, move || view! {
                        <li class="list__empty"><p class="list__title">{title.clone()}</p><p>{t!(no_messages)}</p></li>
                    })}
                    <For each=items key=move |item| item_key(item, conversation) let:item>
                        <ItemView item conversation loading/>
                    </For>
                    <OutgoingLines conversation/>
                    <li class="list__reload"><noscript><a href="">{t!(reload_for_new)}</a></noscript></li>
                </ol>
            </div>
            {shown(is_away, move || view! { <Pill conversation scroller/> })}
            <Announcer conversation/>
        </div>
    }
}

fn edge(words: &'static str) -> impl IntoView {
    view! { <li class="list__edge">{words}</li> }
}

/// Follows or stops following, fixes the line that is read, and fetches the history that the reader comes near.
fn scrolled(conversation: Conversation, loading: RwSignal<bool>, anchor: Anchor, node: &Element) {
    let below = -node.scroll_top();
    let above = node.scroll_height() - node.client_height() - below;
    let detached = conversation.timeline.with_untracked(Timeline::is_detached);
    // A detached window does not end with the newest message, so its bottom does not mean following.
    if below > AT_BOTTOM {
        conversation.stop_following();
    } else if !detached {
        conversation.follow();
    }
    set_anchor(anchor, node);
    fill_gap_in_reach(conversation, loading, node);
    if below <= NEAR_END && detached {
        fetch_history(conversation, loading, HistoryTarget::Newer);
    } else if above <= NEAR_END {
        fetch_history(conversation, loading, HistoryTarget::Older);
    }
}

/// Takes `data-empty` from the page around the panel with the first message: the page greets an empty room.
fn greet_no_longer(scroller: NodeRef<Div>, is_empty: impl Fn() -> bool + 'static) {
    effect(move |_| {
        let room = scroller.get().and_then(|node| node.closest(".room").ok().flatten());
        if let Some(room) = room.filter(|_| !is_empty()) {
            let _ = room.remove_attribute("data-empty");
        }
    });
}

/// Marks long lines again after another person's lines became the own ones: rows that are rendered anew may have their old height.
fn mark_own_lines(conversation: Conversation, scroller: NodeRef<Div>) {
    effect(move |_| {
        conversation.you.track();
        request_animation_frame(move || {
            if let Some(node) = scroller.try_get_untracked().flatten() {
                long_lines::mark(&node);
            }
        });
    });
}

/// Renders the button that jumps to the newest message and says how many are new.
#[component]
fn Pill(conversation: Conversation, scroller: NodeRef<Div>) -> impl IntoView {
    let (language, latest) = (lang(), t!(latest));
    let words = move || match conversation.unseen.get() {
        0 => latest.to_owned(),
        unseen => new_messages(language, unseen),
    };
    let to_latest = move |_| {
        conversation.follow();
        // The pill goes. The focus of a text box stays, for otherwise a phone's keyboard would close.
        if let Some(node) = scroller.get_untracked().filter(|_| !is_writing()) {
            let _ = node.focus();
        }
    };
    view! {
        <button
            class="list__pill" type="button" prop:textContent=words
            on:click=to_latest on:mousedown=move |event| event.prevent_default()
        ></button>
    }
}

/// The key holds everything that can change an item, because `<For>` does not render an item again under the same key.
fn item_key(item: &TimelineItem, conversation: Conversation) -> RowKey {
    match item {
        TimelineItem::Day(day) => (0, *day, 0),
        // A message of another epoch has the same seq and another time.
        TimelineItem::Message(message) => {
            let is = |value: bool| u64::from(value);
            let looks = is(conversation.is_mine(&message.user)) << 1 | is(message.removed.is_some());
            (1, message.seq.0 as i64, message.at << 2 | looks)
        }
        TimelineItem::Gap { from, to } => (2, from.0 as i64, to.0),
        TimelineItem::Time(at) => (3, *at as i64, 0),
    }
}

/// Fetches a gap when the reader comes near it, once: a second try is the reader's own.
fn fill_gap_in_reach(conversation: Conversation, loading: RwSignal<bool>, node: &Element) {
    let gaps = node.get_elements_by_class_name("list__gap");
    if gaps.length() == 0 || loading.get_untracked() || conversation.timeline.with_untracked(Timeline::len) >= GAP_FILLS_TO {
        return;
    }
    let (sight, reach) = (node.get_bounding_client_rect(), f64::from(NEAR_END));
    let in_reach = |gap: &Element| {
        let place = gap.get_bounding_client_rect();
        place.bottom() > sight.top() - reach && place.top() < sight.bottom() + reach && !gap.has_attribute("data-tried")
    };
    if let Some(gap) = (0..gaps.length()).find_map(|index| gaps.item(index).filter(in_reach)) {
        let _ = gap.set_attribute("data-tried", "");
        if let Some(button) = gap.first_element_child().and_then(|button| button.dyn_into::<HtmlElement>().ok()) {
            button.click();
        }
    }
}

/// Returns true if the focus is in a text box.
fn is_writing() -> bool {
    document().active_element().is_some_and(|active| active.matches("textarea, input").unwrap_or_default())
}

#[component]
fn ItemView(item: TimelineItem, conversation: Conversation, loading: RwSignal<bool>) -> impl IntoView {
    match item {
        TimelineItem::Day(day) => divider(calendar::day_name(day, lang())),
        TimelineItem::Time(at) => divider(local_clock(at)),
        TimelineItem::Message(message) => view! { <Line message conversation/> }.into_any(),
        TimelineItem::Gap { from, to } => {
            let words = [&missing(lang(), to.0 - from.0 + 1), " · ", t!(fetch_missing)].concat();
            let fill = move |event: MouseEvent| {
                // The button goes: a person who pressed it, or has the focus on it, stays in the list.
                let button = event_target::<Element>(&event);
                if (event.is_trusted() || button.matches(":focus").unwrap_or_default())
                    && let Some(list) = button.closest(".list__scroller").ok().flatten()
                {
                    let _ = list.unchecked_into::<HtmlElement>().focus();
                }
                fetch_history(conversation, loading, HistoryTarget::Gap { from, to });
            };
            view! { <li class="list__gap"><button type="button" class="quiet-button" on:click=fill>{words}</button></li> }
                .into_any()
        }
    }
}

fn divider(words: String) -> AnyView {
    view! { <li class="list__day">{words}</li> }.into_any()
}

/// Renders one line over the list while the connection is lost or ended, and nothing otherwise.
#[component]
fn ConnectionStatus(conversation: Conversation) -> impl IntoView {
    let (reconnecting, polling, ended) = (t!(reconnecting), t!(polling), t!(ended));
    let words = move || match conversation.connection.get() {
        ConnectionState::Lost => Some(reconnecting),
        ConnectionState::Polling => Some(polling),
        ConnectionState::Ended => Some(ended),
        ConnectionState::Connecting | ConnectionState::Connected => None,
    };
    // The element owns its text, because a translator may have replaced the text node.
    view! {
        <div role="status">
            {shown(move || words().is_some(), move || view! { <p class="chat__link" prop:textContent=move || words().unwrap_or_default()></p> })}
        </div>
    }
}
