//! The order of one room: messages by seq and changes by rev, each once. An early push is held, a missing one is asked of the store,
//! and one that does not come is told as skipped. A change waits for the message that was the newest at its commit.

use super::item::{Answer, Ask, Found, Head, Item, Kind, Output, Skipped};
use super::line::Line;
use crate::domain::{
    change::Rev,
    id::{Epoch, RoomId, Seq},
};
use std::time::{Duration, Instant};

/// Items of a room that are held, and their bytes. Beyond it those with the highest numbers are dropped, and asked for later.
const MAX_HELD: usize = 256;
const MAX_HELD_BYTES: usize = 1024 * 1024;
/// Time for which a hole is given to fill by itself: pushes of two nodes may cross on their way.
const PATIENCE: Duration = Duration::from_millis(25);
/// Time after a question that failed, or told nothing new.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// Time for the store to answer while items are held; then the hole is skipped.
const SILENT_FOR: Duration = Duration::from_secs(2);
/// Time between two questions because of pushes of another epoch.
const DOUBT_EVERY: Duration = Duration::from_secs(1);
/// Messages that an answer has at most, and the most that a room catches up with; the same for changes.
pub(super) const MAX_MESSAGES: u64 = 200;
pub(super) const MAX_CHANGES: u64 = 500;

/// A room.
pub(super) struct Room {
    room: RoomId,
    /// `None` until the first push or answer.
    epoch: Option<Epoch>,
    messages: Line,
    changes: Line,
    bytes: usize,
    hole: Option<Hole>,
    /// A push of another epoch came: the store knows which is in force.
    in_doubt: bool,
    doubted_at: Option<Instant>,
}

/// Something is missing.
struct Hole {
    since: Instant,
    /// The next question, unless one is under way.
    ask_at: Instant,
    /// The question that is under way, and the highest numbers that were held then.
    asked: Option<(Ask, u64, u64)>,
    /// When the first question was due that the store did not answer.
    unanswered: Option<Instant>,
}

impl Room {
    pub(super) fn new(room: RoomId) -> Self {
        let (messages, changes) = (Line::default(), Line::default());
        Self { room, epoch: None, messages, changes, bytes: 0, hole: None, in_doubt: false, doubted_at: None }
    }

    /// Bytes that are held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Items that are held.
    pub(super) fn held(&self) -> usize {
        self.messages.len() + self.changes.len()
    }

    /// The last numbers that were passed. `None` before the room is placed.
    pub(super) fn passed(&self) -> Option<Head> {
        let (epoch, seq, rev) = (self.epoch.clone()?, Seq(self.messages.last()?), Rev(self.changes.last()?));
        Some(Head { epoch, seq, rev })
    }

    /// Takes a push of this node (`None`: of the epoch in force) or of another.
    pub(super) fn take(&mut self, epoch: Option<&Epoch>, item: Item, now: Instant, out: &mut Vec<Output>) {
        if let Some(epoch) = epoch {
            if self.epoch.as_ref().is_some_and(|known| known != epoch) {
                return self.doubt(now);
            }
            self.epoch.get_or_insert_with(|| epoch.clone());
        }
        self.add(item, out);
        self.settle(out);
        self.look(now, out);
    }

    /// Takes the numbers that a reader's window ends with, which was read after the reader had joined. Returns false if the reader
    /// misses some that were passed before the room was placed: it must read again.
    pub(super) fn begin(&mut self, head: &Head, now: Instant, out: &mut Vec<Output>) -> bool {
        self.know(head, now, out);
        self.messages.covers(head.seq.0) && self.changes.covers(head.rev.0)
    }

    /// Takes the newest numbers of the room, as the store has them.
    pub(super) fn know(&mut self, head: &Head, now: Instant, out: &mut Vec<Output>) {
        self.enter(head);
        self.messages.know(head.seq.0);
        self.changes.know(head.rev.0);
        self.settle(out);
        self.look(now, out);
    }

    /// Whether the store is to be asked now. A hole that the store is silent about is skipped.
    pub(super) fn is_due(&mut self, now: Instant, out: &mut Vec<Output>) -> bool {
        let Some(hole) = &self.hole else { return false };
        let (is_old, is_silent) = (now >= hole.since + PATIENCE, hole.unanswered.is_some_and(|since| now >= since + SILENT_FOR));
        if is_old {
            self.place_here();
            self.settle(out);
        }
        if is_silent {
            self.give_up(out);
        }
        self.look(now, out);
        let Some(hole) = self.hole.as_mut().filter(|hole| hole.asked.is_none() && now >= hole.ask_at) else { return false };
        hole.unanswered.get_or_insert(now);
        true
    }

    /// When [`Room::is_due`] is to be called next. `waits`: a question of the room waits for its turn.
    pub(super) fn due_at(&self, waits: bool) -> Option<Instant> {
        let hole = self.hole.as_ref()?;
        let skip_at = hole.unanswered.map(|since| since + SILENT_FOR).filter(|_| self.held() > 0);
        let ask_at = (!waits && hole.asked.is_none()).then_some(hole.ask_at);
        [skip_at, ask_at].into_iter().flatten().min()
    }

    /// Begins a question. `None`: nothing is missing any more, or one is under way.
    pub(super) fn ask(&mut self) -> Option<Ask> {
        let hole = self.hole.as_mut().filter(|hole| hole.asked.is_none())?;
        let (after, rev) = (self.messages.last().map(Seq), self.changes.last().map(Rev));
        let ask = Ask { room: self.room.clone(), after, rev };
        hole.asked = Some((ask.clone(), self.messages.highest(), self.changes.highest()));
        Some(ask)
    }

    /// Takes the answer to the question that is under way.
    pub(super) fn answer(&mut self, answer: Answer, now: Instant, out: &mut Vec<Output>) {
        let asked = self.hole.as_mut().and_then(|hole| hole.asked.take());
        let Answer::Found(found) = answer else {
            return self.ask_again_at(now + ASK_AGAIN);
        };
        let before = (self.messages.last(), self.changes.last());
        let has_more = found.upto < found.head.seq || found.upto_rev < found.head.rev;
        if let Some(hole) = &mut self.hole {
            hole.unanswered = None;
        }
        self.in_doubt = false;
        self.enter(&found.head);
        if let Some((_, seq, rev)) = asked {
            let messages = self.messages.drop_false(found.head.seq.0, seq);
            let changes = self.changes.drop_false(found.head.rev.0, rev);
            self.bytes -= messages.iter().chain(&changes).map(Item::weight).sum::<usize>();
        }
        self.fill(found, out);
        let has_advanced = before != (self.messages.last(), self.changes.last());
        self.ask_again_at(match (has_advanced, has_more) {
            (true, true) => now,
            (true, false) => now + PATIENCE,
            (false, _) => now + ASK_AGAIN,
        });
        self.look(now, out);
    }

    /// Takes the pushes of an answer. Numbers that it should have and has not are gone from the store, and are skipped.
    fn fill(&mut self, found: Found, out: &mut Vec<Output>) {
        let Found { head, upto, upto_rev, items } = found;
        let healed = items.into_iter().filter_map(|item| self.add(item, out).then_some(())).count();
        out.extend((healed > 0).then_some(Output::Healed(healed as u64)));
        self.messages.know(head.seq.0);
        self.changes.know(head.rev.0);
        self.settle(out);
        while self.skip_messages(upto.0 + 1, out) || self.skip_changes(upto_rev.0 + 1, out) {
            self.settle(out);
        }
        // A room that is too far behind catches up with the newest, and skips the others.
        let (behind, changes) = (self.messages.behind(), self.changes.behind());
        if behind > MAX_MESSAGES
            && let Some(last) = self.messages.last()
        {
            self.skip_messages(last + 1 + behind - MAX_MESSAGES, out);
        }
        if changes > MAX_CHANGES
            && let Some(last) = self.changes.last()
        {
            self.skip_changes(last + 1 + changes - MAX_CHANGES, out);
        }
        self.settle(out);
    }

    /// Takes the epoch in force, and places the room behind its newest numbers if it is not. Another epoch begins anew.
    fn enter(&mut self, head: &Head) {
        if self.epoch.as_ref() != Some(&head.epoch) {
            if self.epoch.is_some() {
                (self.messages, self.changes, self.bytes) = (Line::default(), Line::default(), 0);
            }
            self.epoch = Some(head.epoch.clone());
        }
        self.messages.place(head.seq.0);
        self.changes.place(head.rev.0);
    }

    /// Places the room before the first push that it holds: nobody read a window of it.
    fn place_here(&mut self) {
        let change = self.changes.first().map(|change| (change.number, change.head));
        if let Some(first) = self.messages.first().map(|message| message.number) {
            self.messages.place(first.saturating_sub(1));
        } else if let Some((_, head)) = change {
            self.messages.place(head.0);
        }
        if let Some((first, _)) = change {
            self.changes.place(first.saturating_sub(1));
        }
    }

    /// Adds an item, and returns whether it is new.
    fn add(&mut self, item: Item, out: &mut Vec<Output>) -> bool {
        let weight = item.weight();
        let (next, is_new) = match item.kind {
            Kind::Message => self.messages.take(item),
            Kind::Changed | Kind::State => {
                self.messages.know(item.head.0);
                (None, self.changes.hold(item))
            }
        };
        match next {
            Some(item) => {
                out.push(Output::Deliver(self.room.clone(), item));
                self.settle(out);
            }
            None if is_new => {
                self.bytes += weight;
                // The next push leaves the hold before the hold is bounded.
                self.settle(out);
                while self.held() > MAX_HELD || self.bytes > MAX_HELD_BYTES {
                    self.drop_highest();
                }
            }
            None => {}
        }
        is_new
    }

    /// Drops the message that is farthest from its turn, else the change.
    pub(super) fn drop_highest(&mut self) {
        if let Some(item) = self.messages.drop_highest().or_else(|| self.changes.drop_highest()) {
            self.bytes -= item.weight();
        }
    }

    /// Delivers the pushes whose turn it is.
    fn settle(&mut self, out: &mut Vec<Output>) {
        loop {
            let messages = &self.messages;
            let ready = self.changes.pop(|change| messages.has_passed(change.head.0));
            let Some(item) = ready.or_else(|| self.messages.pop(|_| true)) else { return };
            self.bytes -= item.weight();
            out.push(Output::Deliver(self.room.clone(), item));
        }
    }

    /// Skips every hole before an item that is held.
    fn give_up(&mut self, out: &mut Vec<Output>) {
        let mut held = usize::MAX;
        while (1..held).contains(&self.held()) {
            held = self.held();
            let change = self.changes.first().map(|change| (change.number, change.head.0));
            match (self.messages.first().map(|message| message.number), change) {
                (Some(first), _) => _ = self.skip_messages(first, out),
                (None, Some((_, head))) => _ = self.skip_messages(head + 1, out),
                (None, None) => {}
            }
            if let Some((first, _)) = change {
                self.skip_changes(first, out);
            }
            self.settle(out);
        }
    }

    fn skip_messages(&mut self, to: u64, out: &mut Vec<Output>) -> bool {
        let skipped = self.messages.skip_to(to);
        out.extend(skipped.map(|(from, to)| Output::Skip(self.room.clone(), Skipped::Messages(Seq(from), Seq(to)))));
        skipped.is_some()
    }

    fn skip_changes(&mut self, to: u64, out: &mut Vec<Output>) -> bool {
        let skipped = self.changes.skip_to(to);
        out.extend(skipped.map(|(from, to)| Output::Skip(self.room.clone(), Skipped::Changes(Rev(from), Rev(to)))));
        skipped.is_some()
    }

    /// Notes that a push of another epoch came.
    fn doubt(&mut self, now: Instant) {
        if self.doubted_at.is_none_or(|at| now >= at + DOUBT_EVERY) {
            (self.in_doubt, self.doubted_at) = (true, Some(now));
            self.look(now, &mut Vec::new());
        }
    }

    fn ask_again_at(&mut self, at: Instant) {
        if let Some(hole) = &mut self.hole {
            hole.ask_at = at;
        }
    }

    /// Notes the begin and the end of a hole.
    fn look(&mut self, now: Instant, out: &mut Vec<Output>) {
        let is_behind = self.messages.behind() > 0 || self.changes.behind() > 0;
        let is_whole = !self.in_doubt && !is_behind && self.held() == 0;
        match &self.hole {
            None if !is_whole => {
                self.hole = Some(Hole { since: now, ask_at: now + PATIENCE, asked: None, unanswered: None });
            }
            // A question that is under way ends the hole with its answer.
            Some(hole) if is_whole && hole.asked.is_none() => {
                out.push(Output::Complete(now.duration_since(hole.since)));
                self.hole = None;
            }
            _ => {}
        }
    }

    /// Whether this question is under way.
    pub(super) fn is_asking(&self, ask: &Ask) -> bool {
        self.hole.as_ref().and_then(|hole| hole.asked.as_ref()).is_some_and(|(asked, ..)| asked == ask)
    }
}
