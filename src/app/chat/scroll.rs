//! The position of the list: fixed on the line that the reader reads, or at the bottom while the reader follows.

use super::conversation::Conversation;
use super::history::{HistoryTarget, fetch_history};
use crate::domain::timeline::Timeline;
use leptos::html::Div;
use leptos::prelude::*;
use leptos::task::{spawn_local, tick};
use send_wrapper::SendWrapper;
use web_sys::Element;

/// The line in the middle of the screen and its vertical position in pixels. `SendWrapper`, because the server creates the
/// value on one thread and drops it on another; only a browser stores an element in it.
pub type Anchor = StoredValue<Option<SendWrapper<(Element, f64)>>>;

/// Stores the line in the middle of the scroller as the anchor.
pub fn set_anchor(anchor: Anchor, node: &Element) {
    let rect = node.get_bounding_client_rect();
    let (x, middle) = (rect.left() + rect.width() / 2.0, rect.top() + rect.height() / 2.0);
    let line_at = |y: f64| document().element_from_point(x as f32, y as f32)?.closest("li").ok().flatten();
    // The exact middle can be between two lines.
    let line = [0.0, 8.0, -8.0, 24.0].into_iter().find_map(|off| line_at(middle + off));
    anchor.set_value(line.map(|line| {
        let top = line.get_bounding_client_rect().top();
        SendWrapper::new((line, top))
    }));
}

/// Keeps the anchor at its position on the screen while the list changes above or below it, unless the reader is at the
/// bottom.
pub fn preserve_scroll(conversation: Conversation, scroller: NodeRef<Div>, anchor: Anchor) {
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
        // Leptos changes the rows in the same flush as this effect, in either order: restore after the flush, and again
        // before the paint.
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

/// Scrolls to the newest line when the reader follows again, by the button for new messages or by sending a message.
pub fn scroll_down_on_follow(conversation: Conversation, scroller: NodeRef<Div>, loading: RwSignal<bool>) {
    Effect::new(move |was: Option<bool>| {
        let following = conversation.following.get();
        if following && was == Some(false) {
            if conversation.timeline.with_untracked(Timeline::is_detached) {
                fetch_history(conversation, loading, HistoryTarget::Latest);
            }
            if let Some(node) = scroller.get_untracked() {
                // The list is laid out from the bottom: 0 is the newest line.
                node.set_scroll_top(0);
            }
        }
        following
    });
}
