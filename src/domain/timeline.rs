//! A page's ordered view of a room: a bounded window of its messages, fed by snapshots, pushes and history in any order.
//! Duplicates are ignored.
//!
//! A room's seq has no holes, so gaps are derived and never stored: there is a gap between two messages whose seqs are not
//! consecutive, and after the last message if a newer seq is known. Messages below [`Timeline::oldest`] were removed, which is
//! no gap.
//!
//! A removed message keeps its place as a tombstone. The changes of a room are counted by its rev: a timeline knows the newest one
//! before which it misses none ([`Timeline::rev`]), and remembers removals for messages that arrive later ([`Removals`]).
//!
//! ```
//! use roomcast::domain::{id::Seq, timeline::{Timeline, TimelineItem}};
//!
//! let mut timeline = Timeline::new("epoch-1".parse()?, Seq(0), vec![]);
//! timeline.note_skipped(Seq(3));
//! assert_eq!(timeline.items(|_| 0), [TimelineItem::Gap { from: Seq(1), to: Seq(3) }]);
//! # Ok::<(), roomcast::domain::refusal::Refusal>(())
//! ```

mod changes;

pub use changes::Follow;

use crate::domain::{
    change::Rev,
    id::{Epoch, Seq},
    message::Message,
    removals::Removals,
    reply::HistoryReply,
};
use std::collections::VecDeque;

/// Messages that a trim leaves in the window.
pub const TRIM_TO: usize = 200;
/// Messages at which the window is trimmed to [`TRIM_TO`]. Trimming on every append would move every row of the list.
pub const TRIM_AT: usize = 250;

/// Milliseconds without a message after which a [`TimelineItem::Time`] precedes the next one.
pub const SILENCE_MS: u64 = 5 * 60 * 1000;

/// A bounded window of a room's messages. See the [module](self).
#[derive(Clone, PartialEq, Debug)]
pub struct Timeline {
    epoch: Epoch,
    /// Ascending by seq, without duplicates.
    window: VecDeque<Message>,
    /// Newest seq known to exist, whether or not the window holds it.
    newest: Seq,
    /// The lowest seq that the room keeps.
    oldest: Seq,
    /// The reader scrolled up so far that the newest messages left the window. Pushes then raise `newest` only, until
    /// [`Timeline::add_newer`] reaches it.
    detached: bool,
    /// Every change up to this one is applied.
    rev: Rev,
    removals: Removals,
    /// The window has to be read again: not all changes are known.
    stale: bool,
    /// The rev at which `stale` became true: removals up to it may have been undone. Messages that were read before it are not used.
    unsure: Rev,
    /// The newest seq at that time. Pushed messages up to it may have been removed by a change that is not known.
    unsure_to: Seq,
}

/// An item of the list that the page shows, from the top.
#[derive(Clone, PartialEq, Debug)]
pub enum TimelineItem {
    /// A date above the messages of a day: days since 1970-01-01 in the reader's time zone.
    Day(i64),
    /// The time above the first message after [`SILENCE_MS`] without one on the same day: unix ms.
    Time(u64),
    /// A message.
    Message(Message),
    /// Messages that exist and are not in the window.
    Gap {
        /// First missing seq.
        from: Seq,
        /// Last missing seq.
        to: Seq,
    },
}

impl Timeline {
    /// Creates a timeline from a snapshot: the room's newest `seq` and its newest messages.
    pub fn new(epoch: Epoch, seq: Seq, messages: Vec<Message>) -> Self {
        let mut timeline = Self {
            epoch,
            window: VecDeque::with_capacity(TRIM_AT),
            newest: seq,
            oldest: Seq(1),
            detached: false,
            rev: Rev(0),
            removals: Removals::default(),
            stale: false,
            unsure: Rev(0),
            unsure_to: Seq(0),
        };
        timeline.merge(messages, Rev(0));
        timeline
    }

    /// Returns the epoch that the seqs belong to.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Returns the newest known seq, the `since` of the next `bind`. Every seq up to it is in the window, before it, shown
    /// as a gap, or (if detached) after it.
    pub fn newest(&self) -> Seq {
        self.newest
    }

    /// Returns the lowest seq that the room keeps: there is nothing to fetch below it.
    pub fn oldest(&self) -> Seq {
        self.oldest
    }

    /// Notes the lowest seq that the room keeps. It never falls within an epoch.
    pub fn note_oldest(&mut self, oldest: Seq) {
        self.oldest = self.oldest.max(oldest);
    }

    /// Returns the first seq in the window; `None` if the window is empty.
    pub fn oldest_held(&self) -> Option<Seq> {
        self.window.front().map(|message| message.seq)
    }

    /// Returns the last seq in the window; `None` if the window is empty.
    pub fn newest_held(&self) -> Option<Seq> {
        self.window.back().map(|message| message.seq)
    }

    /// Returns the messages of the window after `seq`, newest first.
    pub fn newer_than(&self, seq: Seq) -> impl Iterator<Item = &Message> {
        self.window.iter().rev().take_while(move |message| seq < message.seq)
    }

    /// Returns the number of messages in the window.
    pub fn len(&self) -> usize {
        self.window.len()
    }

    /// Returns true if the window holds no message.
    pub fn is_empty(&self) -> bool {
        self.window.is_empty()
    }

    /// Returns true if the window ends before the newest messages because the reader scrolled up.
    pub fn is_detached(&self) -> bool {
        self.detached
    }

    /// Returns true if the window holds message `seq`.
    pub fn contains(&self, seq: Seq) -> bool {
        self.position_of(seq).is_ok()
    }

    /// Starts over with the newest messages of the history, which names no epoch: the next `bind` brings it.
    pub fn start_over(&mut self, latest: HistoryReply) {
        *self = Self::new(self.epoch.clone(), Seq(0), latest.messages);
        self.note_oldest(latest.oldest);
    }

    /// Adds messages from the socket. A detached window only notes that they exist.
    pub fn apply_pushed(&mut self, mut messages: Vec<Message>) {
        messages.retain(|message| message.seq > self.unsure_to);
        self.add_newest(messages, Rev(0));
    }

    fn add_newest(&mut self, mut messages: Vec<Message>, read_at: Rev) {
        let Some(last) = messages.iter().map(|message| message.seq).max() else { return };
        self.newest = self.newest.max(last);
        if !self.detached {
            // A message that is on the list anew, or not: the gap is fetched.
            messages.retain(|message| {
                self.removals.mark(message.seq, &message.user, read_at).is_none_or(|mark| mark.rev > self.unsure)
            });
            self.merge(messages, read_at);
        }
    }

    /// Notes messages up to `to` that the gateway skipped for this connection. They show as a gap.
    pub fn note_skipped(&mut self, to: Seq) {
        self.newest = self.newest.max(to);
    }

    /// Adds history before the window, when the reader scrolls up. Above [`TRIM_AT`] messages the newest leave the window,
    /// which is then detached.
    pub fn add_older(&mut self, messages: Vec<Message>, read_at: Rev) {
        self.merge(messages, read_at);
        if self.window.len() > TRIM_AT {
            self.window.truncate(TRIM_TO);
            self.detached = true;
        }
    }

    /// Adds history after a detached window, when the reader scrolls down again; the oldest leave the window.
    pub fn add_newer(&mut self, messages: Vec<Message>, read_at: Rev) {
        self.merge(messages, read_at);
        self.detached = self.detached && self.newest_held() < Some(self.newest);
        self.trim();
    }

    /// Adds history inside a gap.
    pub fn fill_gap(&mut self, messages: Vec<Message>, read_at: Rev) {
        self.merge(messages, read_at);
    }

    /// Replaces the window by the newest messages, when the reader jumps down from far above.
    pub fn reset_to_latest(&mut self, messages: Vec<Message>, read_at: Rev) {
        self.window.clear();
        self.detached = false;
        self.merge(messages, read_at);
    }

    /// Returns true if the window holds [`TRIM_AT`] messages or more. Call [`Timeline::trim`] when the reader is at the
    /// bottom, in a flush that adds no messages.
    pub fn needs_trim(&self) -> bool {
        self.window.len() >= TRIM_AT
    }

    /// Removes the oldest messages until [`TRIM_TO`] are left.
    pub fn trim(&mut self) {
        let surplus = self.window.len().saturating_sub(TRIM_TO);
        self.window.drain(..surplus);
    }

    /// Detaches the window: a reader above the bottom keeps the messages on the screen, and new ones do not enter.
    pub fn detach(&mut self) {
        self.window.truncate(TRIM_AT);
        self.detached = true;
    }

    /// Returns the list to show, with a [`TimelineItem::Day`] wherever `day_of` (unix ms to day number) increases, and a
    /// [`TimelineItem::Time`] after each silence within a day.
    pub fn items(&self, day_of: impl Fn(u64) -> i64) -> Vec<TimelineItem> {
        let mut items = Vec::with_capacity(self.window.len() + 4);
        let mut day = None;
        let mut last_at = u64::MAX;
        let mut expected = self.oldest_held();
        for message in &self.window {
            if let Some(from) = expected.map(|from| from.max(self.oldest)).filter(|from| *from < message.seq) {
                items.push(TimelineItem::Gap { from, to: message.seq.previous() });
            }
            let message_day = day_of(message.at);
            if day.is_none_or(|day| day < message_day) {
                items.push(TimelineItem::Day(message_day));
                day = Some(message_day);
            } else if message.at.saturating_sub(last_at) >= SILENCE_MS {
                items.push(TimelineItem::Time(message.at));
            }
            last_at = message.at;
            expected = Some(message.seq.next());
            items.push(TimelineItem::Message(message.clone()));
        }
        let after = expected.unwrap_or(Seq(1)).max(self.oldest);
        if !self.detached && after <= self.newest {
            items.push(TimelineItem::Gap { from: after, to: self.newest });
        }
        items
    }

    /// Adds messages that were read at the change `read_at` or after it, or puts them in the place of older readings.
    fn merge(&mut self, messages: Vec<Message>, read_at: Rev) {
        for message in messages {
            self.newest = self.newest.max(message.seq);
            let message = self.removals.applied(message, read_at);
            if self.window.back().is_none_or(|last| last.seq < message.seq) {
                self.window.push_back(message);
                continue;
            }
            match self.position_of(message.seq) {
                // The text of a message that was removed after the reading.
                Ok(index) if message.removed.is_none() && self.window[index].removed.is_some_and(|mark| mark.rev > read_at) => {}
                Ok(index) => self.window[index] = message,
                Err(index) => self.window.insert(index, message),
            }
        }
    }

    /// The message's index, or as an error the index to insert it at.
    fn position_of(&self, seq: Seq) -> Result<usize, usize> {
        self.window.binary_search_by_key(&seq, |message| message.seq)
    }
}
