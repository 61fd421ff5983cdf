//! Fetching older, newer and missing messages into the timeline.

use super::conversation::Conversation;
use crate::app::api::{history, with_timeout};
use crate::domain::{
    id::Seq,
    paging::{MAX_PAGE_MESSAGES, PAGE_MESSAGES},
    timeline::Timeline,
};
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// The part of the history to fetch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum HistoryTarget {
    /// The page before the window.
    Older,
    /// The page after a detached window.
    Newer,
    /// The newest messages; they replace the window.
    Latest,
    /// The missing messages `from`..=`to`.
    Gap { from: Seq, to: Seq },
}

/// Messages in the window up to which a gap is filled page by page without another tap.
pub const GAP_FILLS_TO: usize = 500;

/// Fetches history and adds it to the timeline, one request at a time (`loading`). As seqs have no holes, `before` and
/// `limit` select exactly the missing messages; a long gap takes several requests. A refusal changes
/// nothing.
pub fn fetch_history(conversation: Conversation, loading: RwSignal<bool>, target: HistoryTarget) {
    let (kept_from, oldest, newest_held, newest) = conversation
        .timeline
        .with_untracked(|timeline| (timeline.oldest(), timeline.oldest_held(), timeline.newest_held(), timeline.newest()));
    let read_at = conversation.timeline.with_untracked(Timeline::rev);
    let page = u64::from(PAGE_MESSAGES);
    let (before, limit) = match target {
        HistoryTarget::Older => match oldest {
            Some(oldest) if oldest > kept_from => (oldest, page),
            _ => return,
        },
        HistoryTarget::Newer => (Seq(newest_held.unwrap_or_default().0 + page + 1), page),
        HistoryTarget::Latest => (newest.next(), u64::from(MAX_PAGE_MESSAGES)),
        HistoryTarget::Gap { from, to } => (to.next(), (to.0 - from.0 + 1).min(u64::from(MAX_PAGE_MESSAGES))),
    };
    // A jump to the newest messages does not wait for the request of an older page.
    if loading.get_untracked() && target != HistoryTarget::Latest {
        return;
    }
    loading.set(true);
    spawn_local(async move {
        let answer = with_timeout(history(conversation.room().to_string(), before.to_string(), Some(limit.to_string()))).await;
        // `Some`: the panel is gone, and the value comes back.
        if loading.try_set(false).is_some() {
            return;
        }
        // After a refusal the button or the next scroll asks again. The notice is for what the person sends.
        if let Ok(history) = answer {
            let first = history.messages.first().map(|message| message.seq);
            let rest = conversation.timeline.try_update(|timeline| {
                timeline.note_oldest(history.oldest);
                match target {
                    // A text may have been removed since.
                    _ if !timeline.takes(read_at) => {}
                    // If the window moved during the request, the page does not fit its edge.
                    HistoryTarget::Older if timeline.oldest_held() != oldest => {}
                    HistoryTarget::Newer if timeline.newest_held() != newest_held => {}
                    HistoryTarget::Older => timeline.add_older(history.messages, read_at),
                    HistoryTarget::Newer => timeline.add_newer(history.messages, read_at),
                    HistoryTarget::Latest => timeline.reset_to_latest(history.messages, read_at),
                    HistoryTarget::Gap { .. } => timeline.fill_gap(history.messages, read_at),
                }
                rest_of_gap(timeline, target, first)
            });
            conversation.clear_delivered_outgoing();
            if let Some(Some(rest)) = rest {
                fetch_history(conversation, loading, rest);
            }
        }
    });
}

/// Returns the part of a gap before `first`, the first fetched message, unless the window is too full for it.
fn rest_of_gap(timeline: &Timeline, target: HistoryTarget, first: Option<Seq>) -> Option<HistoryTarget> {
    let HistoryTarget::Gap { from, .. } = target else { return None };
    let (from, first) = (from.max(timeline.oldest()), first?);
    (from < first && timeline.len() < GAP_FILLS_TO).then(|| HistoryTarget::Gap { from, to: first.previous() })
}

/// Milliseconds within which the pages of a room begin to read their windows again.
const REREAD_WITHIN_MS: f64 = 1_000.0;
/// Milliseconds before a page of the window is asked for again after a refusal.
const REREAD_RETRY_MS: u32 = 5_000;

/// Reads the window again if it is stale: not all changes are known, and removed texts may be on the list.
pub fn reread(conversation: Conversation) {
    let is_stale = move || conversation.timeline.try_with_untracked(Timeline::is_stale).unwrap_or_default();
    if !is_stale() || conversation.is_rereading.get_value() {
        return;
    }
    conversation.is_rereading.set_value(true);
    spawn_local(async move {
        TimeoutFuture::new((js_sys::Math::random() * REREAD_WITHIN_MS) as u32).await;
        let mut before = None;
        while is_stale() {
            let (newest, read_at) = conversation.timeline.with_untracked(|timeline| (timeline.newest_held(), timeline.rev()));
            let end = before.unwrap_or(newest.unwrap_or_default().next());
            let (room, limit) = (conversation.room().to_string(), MAX_PAGE_MESSAGES.to_string());
            match with_timeout(history(room, end.to_string(), Some(limit))).await {
                Ok(reply) => {
                    // Since the window became stale once more, it is read from its end.
                    let next =
                        |timeline: &mut Timeline| timeline.takes(read_at).then(|| timeline.reread(reply.messages, read_at));
                    before = conversation.timeline.try_update(next).flatten().flatten();
                }
                Err(_) => TimeoutFuture::new(REREAD_RETRY_MS).await,
            }
        }
        conversation.is_rereading.try_set_value(false);
        conversation.clear_delivered_outgoing();
    });
}
