//! The position of the list: fixed on the line that the reader reads, or at the bottom while the reader follows.

use super::conversation::Conversation;
use super::history::{HistoryTarget, fetch_history};
use crate::app::reactive::effect;
use crate::domain::timeline::Timeline;
use leptos::html::Div;
use leptos::prelude::*;
use leptos::task::{spawn_local, tick};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Element, ResizeObserver};

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
    match line {
        Some(line) => hold_line(anchor, line),
        None => anchor.set_value(None),
    }
}

/// Makes a line the anchor.
pub fn hold_line(anchor: Anchor, line: Element) {
    let top = line.get_bounding_client_rect().top();
    anchor.set_value(Some(SendWrapper::new((line, top))));
}

/// Keeps the anchor at its position on the screen while the list changes above or below it, unless the reader is at the
/// bottom.
pub fn preserve_scroll(conversation: Conversation, scroller: NodeRef<Div>, anchor: Anchor) {
    let restore = move || {
        if let Some(node) = scroller.get_untracked() {
            restore_anchor(conversation, anchor, &node);
        }
    };
    effect(move |_| {
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

fn restore_anchor(conversation: Conversation, anchor: Anchor, node: &Element) {
    if conversation.following.get_untracked() {
        return;
    }
    if let Some((line, top)) = anchor.try_get_value().flatten().map(SendWrapper::take).filter(|(line, _)| line.is_connected()) {
        let moved = line.get_bounding_client_rect().top() - top;
        node.set_scroll_top(node.scroll_top() + moved.round() as i32);
    }
    set_anchor(anchor, node);
}

/// Keeps the anchor also when the list gets another size or its lines another height: the text box grows, a font arrives, a
/// phone is turned, a line is opened. Then calls `changed`. The browser reports sizes between layout and paint.
pub fn on_resize(
    conversation: Conversation,
    scroller: NodeRef<Div>,
    anchor: Anchor,
    changed: impl Fn(&Element) + Copy + 'static,
) {
    effect(move |_| {
        let Some(node) = scroller.get() else { return };
        let list: Element = node.clone().into();
        let callback = Closure::<dyn FnMut()>::new(move || {
            if !conversation.timeline.is_disposed() {
                restore_anchor(conversation, anchor, &list);
                changed(&list);
            }
        });
        let Ok(observer) = ResizeObserver::new(callback.as_ref().unchecked_ref()) else { return };
        observer.observe(&node);
        if let Some(lines) = node.first_element_child() {
            observer.observe(&lines);
        }
        let owned = StoredValue::new_local(Some((observer, callback)));
        on_cleanup(move || {
            if let Some((observer, _)) = owned.try_update_value(Option::take).flatten() {
                observer.disconnect();
            }
        });
    });
}

/// Scrolls to the newest line when the reader follows again, by the button for new messages or by sending a message.
pub fn scroll_down_on_follow(conversation: Conversation, scroller: NodeRef<Div>, loading: RwSignal<bool>) {
    effect(move |was: Option<bool>| {
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
