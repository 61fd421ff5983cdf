//! Changes of the room in a timeline: its rev, removals and restorations, and the window that has to be read again.

use super::Timeline;
use crate::domain::{
    change::{Changed, Removed, Rev},
    id::{Seq, Uid},
    message::Message,
    push::Push,
    removals::removes,
    reply::BindReply,
};

/// The place of a change in the order of the room's changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Follow {
    /// It is known.
    Known,
    /// It is the next one.
    Next,
    /// Changes before it are missing.
    Skipped,
}

impl Timeline {
    /// Returns the newest change before which none is missing, the `rev` of the next `bind`.
    pub fn rev(&self) -> Rev {
        self.rev
    }

    /// Sets the rev of the snapshot that the timeline was created from.
    pub fn at_rev(self, rev: Rev) -> Self {
        Self { rev, ..self }
    }

    /// Adds the reply of a `bind` that was sent with `since`. Starts over if the reply is of another epoch, or if its newest
    /// seq is before `since` (the database is an older copy): then the window holds messages of another history. Returns true
    /// if it started over.
    ///
    /// If the reply does not have all changes since the timeline's rev, the window [has to be read again](Timeline::is_stale).
    pub fn apply_bind(&mut self, since: Seq, bound: BindReply) -> bool {
        if bound.epoch != self.epoch || bound.seq < since {
            *self = Self::new(bound.epoch, bound.seq, bound.messages).at_rev(bound.rev);
            self.note_oldest(bound.oldest);
            return true;
        }
        self.note_oldest(bound.oldest);
        self.newest = self.newest.max(bound.seq);
        // The reply can be older than the changes that were pushed since the request.
        if self.takes(bound.rev) {
            self.add_newest(bound.messages, bound.rev);
        }
        for push in bound.changes {
            match push {
                Push::Changed(changed) => drop(self.apply_change(changed)),
                Push::Room { rev, .. } => drop(self.follow(rev)),
                _ => {}
            }
        }
        if bound.stale {
            self.rev = bound.rev;
            self.make_stale();
        } else {
            self.rev = self.rev.max(bound.rev);
        }
        false
    }

    /// Notes a change of the room that concerns no message, and returns its place.
    pub fn follow(&mut self, rev: Rev) -> Follow {
        if rev <= self.rev {
            Follow::Known
        } else if rev == self.rev.next() {
            self.rev = rev;
            Follow::Next
        } else {
            Follow::Skipped
        }
    }

    /// Applies removals and restorations to the window, remembers them, and returns the change's place. One that was skipped to is
    /// applied too; the next `bind` brings those before it. After a change with `reread` the window
    /// [has to be read again](Timeline::is_stale).
    pub fn apply_change(&mut self, changed: Changed) -> Follow {
        let follow = self.follow(changed.rev);
        if follow == Follow::Known {
            return follow;
        }
        if changed.reread && follow == Follow::Next {
            self.make_stale();
        }
        self.removals.remember(&changed);
        for message in &mut self.window {
            if message.removed.is_none() && removes(&changed, message) {
                *message = message.clone().into_tombstone(Removed { why: changed.why, rev: changed.rev });
            }
        }
        for message in changed.restored {
            if let Ok(index) = self.position_of(message.seq) {
                self.window[index] = self.removals.applied(message, changed.rev);
            }
        }
        follow
    }

    /// Returns true if a message is known to be removed, whether or not the window holds it.
    pub fn is_removed(&self, seq: Seq, user: &Uid) -> bool {
        self.removals.mark(seq, user, Rev(0)).is_some()
    }

    /// Returns true if the window has to be read again, by [`Timeline::reread`].
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Returns whether history that was asked for at a rev can be used. Otherwise it is asked for again.
    pub fn takes(&self, read_at: Rev) -> bool {
        read_at >= self.unsure
    }

    fn make_stale(&mut self) {
        self.stale = true;
        self.unsure = self.rev;
        self.unsure_to = self.newest;
    }

    /// Replaces messages of the window by newly read ones: a page of the history up to the window's last one, then those before it.
    /// Returns the seq before which the next page ends; `None` if the window is read.
    pub fn reread(&mut self, messages: Vec<Message>, read_at: Rev) -> Option<Seq> {
        let next =
            messages.first().map(|message| message.seq).filter(|first| self.oldest_held().is_some_and(|held| held < *first));
        self.refresh(messages, read_at);
        self.stale = next.is_some();
        next
    }

    /// Replaces the messages that the window holds by newly read ones.
    pub fn refresh(&mut self, mut messages: Vec<Message>, read_at: Rev) {
        messages.retain(|message| self.contains(message.seq));
        self.merge(messages, read_at);
    }
}
