//! Changes of the room and of the person's standing in it, as they arrive: removals, modes, restraints.

use super::conversation::Conversation;
use super::history::reread;
use crate::domain::{
    change::{Changed, Restraint, RestraintKind, Rev, RoomState},
    rank::Rank,
    refusal::Refusal,
    reply::BindReply,
    timeline::Follow,
};
use leptos::prelude::*;

/// The room's state, and the person's standing in it.
pub struct Standing {
    /// Modes, title and pin.
    pub state: RoomState,
    /// The change that `state` is of.
    pub state_rev: Rev,
    /// The person's rank.
    pub rank: Option<Rank>,
    /// The timeout or ban that is in force.
    pub restraint: Option<Restraint>,
    /// The warning that waits to be acknowledged.
    pub warning: Option<Restraint>,
}

impl Conversation {
    /// Applies a removal or a restoration to the list, to what waits for it, and to what arrives later.
    pub fn apply_change(self, changed: Changed) {
        let follow = self.timeline.try_update(|timeline| timeline.apply_change(changed));
        self.clear_delivered_outgoing();
        if follow == Some(Follow::Skipped) {
            self.catch_up();
        }
        reread(self);
    }

    /// Applies the room's state, unless a newer one is known.
    pub fn apply_state(self, rev: Rev, state: RoomState) {
        // No subscriber of the timeline needs to know.
        let follow = self.timeline.write_untracked().follow(rev);
        if follow == Follow::Skipped {
            self.catch_up();
        }
        self.set_state(rev, state);
    }

    fn set_state(self, rev: Rev, state: RoomState) {
        if self.standing.with_untracked(|standing| rev >= standing.state_rev && standing.state != state) {
            self.standing.update(|standing| (standing.state, standing.state_rev) = (state, rev));
        }
    }

    /// Applies what an answer of `bind` says of room and person, except for messages and their changes.
    pub fn apply_standing(self, bound: &mut BindReply) {
        self.is_behind.set_value(false);
        let is_same_epoch = bound.epoch == *self.timeline.read_untracked().epoch();
        self.standing.update(|standing| {
            if let Some(state) = bound.state.take()
                && (!is_same_epoch || bound.rev >= standing.state_rev)
            {
                (standing.state, standing.state_rev) = (state, bound.rev);
            }
            standing.rank = bound.rank;
            standing.restraint = bound.restraint.take();
            standing.warning = bound.warning.take();
        });
    }

    /// Shows a refusal of a message: a restraint in place of the box, every other one as a notice.
    pub fn show_refusal(self, refusal: Refusal) {
        match refusal {
            Refusal::Muted(restraint) | Refusal::Banned(restraint) => self.standing.update(|standing| {
                let is_warning = restraint.kind == RestraintKind::Warning;
                *(if is_warning { &mut standing.warning } else { &mut standing.restraint }) = Some(restraint);
            }),
            refusal => self.notice.set(Some(refusal)),
        }
    }

    /// Binds again: the answer has the changes that were missed. Once, until it comes.
    pub fn catch_up(self) {
        if !self.is_behind.get_value() {
            self.is_behind.set_value(true);
            self.rebind.update(|count| *count += 1);
        }
    }
}
