//! The undoing of an act: it restores exactly what the act replaced, within 24 hours, and once. The row of the undo names the act.

use super::act::Outcome;
use super::audit::{Body, Detail, Entry, Part, TITLE_AFTER, TITLE_BEFORE};
use super::batches::BATCH;
use super::carry_out::{Doing, Failure};
use super::changes::tell_restored;
use super::judge::Power;
use super::room::{role_of, role_part};
use crate::domain::{
    change::{Seqs, Why},
    id::{Seq, Uid},
    rank::Verb,
    refusal::Refusal,
};
use crate::server::storage::SetModes;
use crate::server::storage::moderation::{ActQueries, ActionRow, PurgeState};
use uuid::Uuid;

/// Time within which an act is undone: 24 hours.
pub(super) const UNDONE_WITHIN_MS: u64 = 24 * 3600 * 1000;

/// An act to be undone.
struct Undone {
    row: ActionRow,
    body: Body,
    verb: Verb,
}

impl<T: ActQueries> Doing<'_, T> {
    pub(super) async fn undo(&mut self, action: Uuid) -> Result<Outcome, Failure> {
        let row = self.tx.action(action).await?.filter(|row| row.chain == self.chain_name());
        let row = row.ok_or(Refusal::malformed("action"))?;
        let verb = Verb::from_word(&row.verb).ok_or(Refusal::malformed("action"))?;
        let body = serde_json::from_str(&row.body).map_err(|_| Refusal::malformed("action"))?;
        if verb == Verb::Retract {
            // The own delete is final: its author, who may be banned by now, could otherwise show a text that no rule of sending saw.
            return Err(Refusal::malformed("action").into());
        }
        let undone = Undone { row, body, verb };
        self.check_undo(&undone).await?;
        if self.now >= undone.row.at.saturating_add(UNDONE_WITHIN_MS) {
            return Err(Refusal::TooLate.into());
        }
        match verb {
            Verb::Remove => self.undo_removal(undone).await,
            Verb::Purge => self.undo_purge(undone).await,
            Verb::Warn | Verb::Timeout | Verb::Ban | Verb::BanSite => self.undo_restraint(undone).await,
            Verb::Lift => self.undo_lift(undone).await,
            Verb::Mode => self.undo_modes(undone).await,
            Verb::Title => self.undo_title(undone).await,
            Verb::Pin | Verb::Unpin => self.undo_pin(undone).await,
            Verb::Role => self.undo_role(undone).await,
            Verb::Retract | Verb::Undo | Verb::Note | Verb::Log | Verb::Erase => Err(Refusal::malformed("action").into()),
        }
    }

    /// An act is undone by a rank that may do it, and that is not below its actor's.
    async fn check_undo(&mut self, undone: &Undone) -> Result<(), Failure> {
        self.check(Verb::Undo, None)?;
        self.check(undone.verb, None)?;
        if self.actor != undone.row.actor && self.power < Power::of_word(self.tx, &undone.row.actor).await? {
            return Err(Refusal::NotAllowed.into());
        }
        Ok(())
    }

    async fn undo_removal(&mut self, undone: Undone) -> Result<Outcome, Failure> {
        let restored = self.tx.restore(undone.row.id, BATCH).await?;
        if restored.is_empty() {
            return Err(self.nothing_left(&undone).into());
        }
        if restored.iter().any(|message| message.removed.is_some()) {
            // The mark of a later purge is on them, and would take them as its own.
            return Err(Refusal::Busy.into());
        }
        let mut entry = undone.entry();
        entry.seqs = Seqs::of(restored.iter().map(|message| message.seq));
        let seqs: Vec<Seq> = restored.iter().map(|message| message.seq).collect();
        let room = self.record()?.room.clone();
        let changed = tell_restored(self.tx, &room, self.now, Why::Undo, Some(restored)).await?;
        let mut outcome = Outcome::default();
        (outcome.reply.rev, entry.rev) = (Some(changed.rev), Some(changed.rev));
        outcome.changed = Some(changed);
        self.pin_again(&undone, &seqs, &mut outcome).await?;
        self.log(entry, outcome).await
    }

    async fn undo_purge(&mut self, undone: Undone) -> Result<Outcome, Failure> {
        let Some(mut purge) = self.tx.purge(undone.row.id).await? else { return Err(Refusal::TooLate.into()) };
        // Two purges of a person at work would each have rows of the other.
        if self.tx.unfinished_purge(&purge.uid).await?.is_some_and(|other| other != purge.action) {
            return Err(Refusal::Busy.into());
        }
        let is_small = purge.state == PurgeState::Done && self.tx.restorable(purge.action).await? <= u64::from(BATCH);
        if is_small {
            return self.undo_removal(undone).await;
        }
        if purge.state == PurgeState::Restoring {
            return Err(Refusal::AlreadyDecided.into());
        }
        purge.state = PurgeState::Restoring;
        self.tx.put_purge(&purge).await?;
        let mut entry = undone.entry();
        entry.seqs = vec![Seqs { from: purge.from, to: purge.upto }];
        let mut outcome = Outcome { has_batches: true, ..Outcome::default() };
        let seqs: Vec<Seq> = undone.before().pinned.map(|pinned| pinned.seq).into_iter().collect();
        self.pin_again(&undone, &seqs, &mut outcome).await?;
        self.log(entry, outcome).await
    }

    /// Pins a restored message that was pinned when the act removed it, unless another one is pinned now.
    async fn pin_again(&mut self, undone: &Undone, seqs: &[Seq], outcome: &mut Outcome) -> Result<(), Failure> {
        let pinned = undone.before().pinned.filter(|pinned| seqs.contains(&pinned.seq));
        if pinned.is_some() && self.state()?.pinned.is_none() {
            self.apply_pin(pinned).await?;
            self.tell_state(outcome).await?;
            outcome.reply.state = None;
        }
        Ok(())
    }

    async fn undo_restraint(&mut self, undone: Undone) -> Result<Outcome, Failure> {
        let row = self.restraint_here(undone.case()?).await?;
        self.check_restraint(&row).await?;
        if !row.is_in_force(self.now) {
            return Err(Refusal::AlreadyDecided.into());
        }
        self.tx.lift(row.id, self.now).await?;
        if let Some(replaced) = undone.before().case
            && let Some(before) = self.tx.restraint(replaced).await?
            && before.until.is_none_or(|until| until > self.now)
        {
            self.tx.restrain_again(replaced).await?;
        }
        let entry = Entry { case: Some(row.id), ..undone.entry() };
        self.log_restraint(&row.uid, entry).await
    }

    async fn undo_lift(&mut self, undone: Undone) -> Result<Outcome, Failure> {
        let row = self.restraint_here(undone.case()?).await?;
        self.check_restraint(&row).await?;
        let has_ended = row.until.is_some_and(|until| until <= self.now);
        if row.lifted_at.is_none() || has_ended {
            return Err(Refusal::AlreadyDecided.into());
        }
        // A later restraint of its kind has taken its place.
        let in_force = self.tx.restraints_of(&row.uid, false).await?;
        if in_force.iter().any(|other| other.kind == row.kind && other.is_in_force(self.now)) {
            return Err(Refusal::AlreadyDecided.into());
        }
        self.tx.restrain_again(row.id).await?;
        let entry = Entry { case: Some(row.id), until: row.until, ..undone.entry() };
        self.log_restraint(&row.uid, entry).await
    }

    async fn undo_modes(&mut self, undone: Undone) -> Result<Outcome, Failure> {
        let now = self.modes()?;
        let before = undone.unless_changed(&now)?.clone();
        let set = SetModes { slow_ms: before.slow_ms, closed: before.closed, accounts: before.accounts };
        if before.closed == Some(false) && now.by_operator == Some(true) && !self.is_operator() {
            return Err(Refusal::NotAllowed.into());
        }
        self.apply_modes(set, before.by_operator == Some(true)).await?;
        let detail = Some(Detail { before: now, after: self.modes()? });
        self.log_state(Entry { detail, ..undone.entry() }).await
    }

    async fn undo_title(&mut self, undone: Undone) -> Result<Outcome, Failure> {
        let before = self.tx.action_text(undone.row.id, TITLE_BEFORE).await?;
        let after = self.tx.action_text(undone.row.id, TITLE_AFTER).await?;
        // The texts have ended, or their person was erased.
        let (Some(before), Some(after)) = (before, after) else { return Err(Refusal::TooLate.into()) };
        if after != self.record()?.title || before == after {
            return Err(Refusal::AlreadyDecided.into());
        }
        let now = self.apply_title(&before).await?;
        self.log_state(Entry { titles: Some((now, before)), ..undone.entry() }).await
    }

    async fn undo_pin(&mut self, undone: Undone) -> Result<Outcome, Failure> {
        let now = self.pinned()?;
        let mut pinned = undone.unless_changed(&now)?.pinned.filter(|pinned| pinned.until.is_none_or(|until| until > self.now));
        if let Some(before) = pinned {
            let is_there = self.tx.message(before.seq).await?.is_some_and(|stored| stored.message.removed.is_none());
            pinned = pinned.filter(|_| is_there);
        }
        if pinned == now.pinned {
            return Err(Refusal::AlreadyDecided.into());
        }
        self.apply_pin(pinned).await?;
        let detail = Some(Detail { before: now, after: self.pinned()? });
        self.log_state(Entry { detail, ..undone.entry() }).await
    }

    async fn undo_role(&mut self, undone: Undone) -> Result<Outcome, Failure> {
        let user = undone.target().ok_or(Refusal::malformed("action"))?;
        let standing = self.subject(Verb::Role, &user).await?;
        let now = role_part(standing.role);
        let before = undone.unless_changed(&now)?.clone();
        let role = role_of(&before);
        let entry = Entry { detail: Some(Detail { before: now, after: before }), ..undone.entry() };
        self.apply_role(&user, standing.role, role, entry).await
    }

    /// Nothing of the act is left to be restored: its texts have ended, or it was undone.
    fn nothing_left(&self, undone: &Undone) -> Refusal {
        let has_ended = self.now >= undone.row.at.saturating_add(self.rules.keep_removed_ms);
        if has_ended { Refusal::TooLate } else { Refusal::AlreadyDecided }
    }
}

impl Undone {
    fn entry(&self) -> Entry {
        Entry { undoes: Some(self.row.id), ..Entry::new(Verb::Undo, self.target().as_ref()) }
    }

    fn target(&self) -> Option<Uid> {
        self.row.target.as_deref().and_then(|uid| uid.parse().ok())
    }

    fn case(&self) -> Result<Uuid, Refusal> {
        self.body.case.ok_or(Refusal::malformed("action"))
    }

    fn before(&self) -> Part {
        self.body.detail.as_ref().map(|detail| detail.before.clone()).unwrap_or_default()
    }

    /// Returns the state before the act. Fails with `already_decided` if the state is no longer the one that the act left: it was
    /// undone, or another act changed it.
    fn unless_changed(&self, now: &Part) -> Result<&Part, Refusal> {
        let detail = self.body.detail.as_ref().ok_or(Refusal::malformed("action"))?;
        let is_as_left = detail.after == *now && detail.before != detail.after;
        if is_as_left { Ok(&detail.before) } else { Err(Refusal::AlreadyDecided) }
    }
}
