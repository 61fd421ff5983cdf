//! The page's ordered, gap-free view of a room: a bounded window onto its messages, fed by snapshots, pushes and history
//! in any order and any number of times.
//!
//! A room's seq has no holes, so what is missing shows by itself: wherever two neighbours' numbers are not neighbours, or
//! the window ends before the newest known one, there is a gap. Nothing about gaps is stored.

use crate::domain::{
    id::{Epoch, Seq},
    message::Message,
    reply::BindReply,
};
use std::collections::VecDeque;

/// Messages held at rest.
pub const TRIM_TO: usize = 200;
/// The window may grow to this before it is cut back to [`TRIM_TO`]: cutting on every append would move every row.
pub const TRIM_AT: usize = 250;

#[derive(Clone, PartialEq, Debug)]
pub struct Timeline {
    epoch: Epoch,
    /// By seq, ascending, no two alike.
    window: VecDeque<Message>,
    /// The newest that is known to exist, held or not.
    newest: Seq,
    /// The reader went back so far that the newest were let go; pushes only raise `newest` until [`Timeline::add_newer`]
    /// reaches it again.
    detached: bool,
}

/// What the list shows, top down.
#[derive(Clone, PartialEq, Debug)]
pub enum TimelineItem {
    /// Day number of the messages below, since 1970 in the reader's zone.
    Day(i64),
    Message(Message),
    /// Positions that exist and are not here.
    Gap {
        from: Seq,
        to: Seq,
    },
}

impl Timeline {
    pub fn new(epoch: Epoch, seq: Seq, messages: Vec<Message>) -> Self {
        let mut timeline = Self { epoch, window: VecDeque::with_capacity(TRIM_AT), newest: seq, detached: false };
        timeline.merge(messages);
        timeline
    }

    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Where to go on from: everything up to here was pushed, answered, or is shown as a gap.
    pub fn newest(&self) -> Seq {
        self.newest
    }

    pub fn oldest_held(&self) -> Option<Seq> {
        self.window.front().map(|message| message.seq)
    }

    pub fn newest_held(&self) -> Option<Seq> {
        self.window.back().map(|message| message.seq)
    }

    pub fn newest_message(&self) -> Option<&Message> {
        self.window.back()
    }

    pub fn len(&self) -> usize {
        self.window.len()
    }

    pub fn is_empty(&self) -> bool {
        self.window.is_empty()
    }

    pub fn is_detached(&self) -> bool {
        self.detached
    }

    pub fn contains(&self, seq: Seq) -> bool {
        self.position_of(seq).is_ok()
    }

    /// `bind` answered to `since`. Another epoch is another history, and so is one that ends before what was seen of it (an
    /// old copy of the database): what was held is not part of it.
    pub fn apply_bind(&mut self, since: Seq, bound: BindReply) {
        if bound.epoch != self.epoch || bound.seq < since {
            *self = Self::new(bound.epoch, bound.seq, bound.messages);
            return;
        }
        self.newest = self.newest.max(bound.seq);
        self.apply_pushed(bound.messages);
    }

    /// Messages came down the socket.
    pub fn apply_pushed(&mut self, messages: Vec<Message>) {
        let Some(last) = messages.iter().map(|message| message.seq).max() else { return };
        self.newest = self.newest.max(last);
        if !self.detached {
            self.merge(messages);
        }
    }

    /// The gateway skipped these for this connection.
    pub fn note_skipped(&mut self, to: Seq) {
        self.newest = self.newest.max(to);
    }

    /// History above the window, for a reader who scrolls up. Makes room at the other end.
    pub fn add_older(&mut self, messages: Vec<Message>) {
        self.merge(messages);
        if self.window.len() > TRIM_AT {
            self.window.truncate(TRIM_TO);
            self.detached = true;
        }
    }

    /// History below a detached window, for a reader who scrolls down again.
    pub fn add_newer(&mut self, messages: Vec<Message>) {
        self.merge(messages);
        self.detached = self.detached && self.newest_held() < Some(self.newest);
        self.trim();
    }

    /// History inside a gap.
    pub fn fill_gap(&mut self, messages: Vec<Message>) {
        self.merge(messages);
    }

    /// Begin anew at the newest, for a reader who jumps down from far above.
    pub fn reset_to_latest(&mut self, messages: Vec<Message>) {
        self.window.clear();
        self.detached = false;
        self.merge(messages);
    }

    /// Above what was grown to, the oldest go. To be called when the reader is at the bottom, alone in its flush.
    pub fn needs_trim(&self) -> bool {
        self.window.len() >= TRIM_AT
    }

    pub fn trim(&mut self) {
        let surplus = self.window.len().saturating_sub(TRIM_TO);
        self.window.drain(..surplus);
    }

    /// A reader above the bottom keeps what they read: what would overgrow the window is let go at its end instead.
    pub fn detach(&mut self) {
        self.window.truncate(TRIM_AT);
        self.detached = true;
    }

    /// The list, with a separator wherever `day_of` (unix ms to day number) changes.
    pub fn items(&self, day_of: impl Fn(u64) -> i64) -> Vec<TimelineItem> {
        let mut rows = Vec::with_capacity(self.window.len() + 4);
        let mut day = None;
        let mut expected = self.oldest_held();
        for message in &self.window {
            if let Some(from) = expected.filter(|from| *from < message.seq) {
                rows.push(TimelineItem::Gap { from, to: message.seq.previous() });
            }
            let its = day_of(message.at);
            if day.is_none_or(|day| day < its) {
                rows.push(TimelineItem::Day(its));
                day = Some(its);
            }
            expected = Some(message.seq.next());
            rows.push(TimelineItem::Message(message.clone()));
        }
        let after = expected.unwrap_or(Seq(1));
        if !self.detached && after <= self.newest {
            rows.push(TimelineItem::Gap { from: after, to: self.newest });
        }
        rows
    }

    fn merge(&mut self, messages: Vec<Message>) {
        for message in messages {
            self.newest = self.newest.max(message.seq);
            if self.window.back().is_none_or(|last| last.seq < message.seq) {
                self.window.push_back(message);
            } else if let Err(place) = self.position_of(message.seq) {
                self.window.insert(place, message);
            }
        }
    }

    fn position_of(&self, seq: Seq) -> Result<usize, usize> {
        self.window.binary_search_by_key(&seq, |message| message.seq)
    }
}
