//! Notes of the staff about persons, and reports of messages by viewers.

use super::act::{Outcome, Told};
use super::audit::{Entry, REMOVE_NOTE, SETTLE};
use super::carry_out::{Doing, Failure};
use crate::domain::{
    change::Seqs,
    id::{Seq, Uid},
    rank::Verb,
    refusal::Refusal,
    staff::REPORT_REASONS,
};
use crate::server::storage::moderation::{ActQueries, NoteRow, ReportRow};
use uuid::Uuid;

/// Reports of one person within [`REPORTS_WITHIN_MS`].
const MAX_REPORTS: u64 = 5;
const REPORTS_WITHIN_MS: u64 = 600_000;

impl<T: ActQueries> Doing<'_, T> {
    pub(super) async fn note(&mut self, user: &Uid) -> Result<Outcome, Failure> {
        let room = self.record()?.room.clone();
        self.check(Verb::Note, None)?;
        self.tx.standing(user).await?.ok_or(Refusal::malformed("user"))?;
        if self.reason.is_empty() {
            return Err(Refusal::blank("text").into());
        }
        let (uid, by, text) = (user.clone(), self.actor.clone(), self.reason.clone());
        let until = self.now.saturating_add(self.rules.keep_notes_ms);
        self.tx.put_note(&NoteRow { id: self.id, room, uid, by, at: self.now, text, until }).await?;
        // The note has the text: the log keeps no second one, which would outlive it.
        self.log(Entry { drops_text: true, ..Entry::new(Verb::Note, Some(user)) }, Outcome::default()).await
    }

    pub(super) async fn remove_note(&mut self, note: Uuid) -> Result<Outcome, Failure> {
        self.record()?;
        self.check(Verb::Note, None)?;
        if !self.tx.remove_note(note).await? {
            return Err(Refusal::AlreadyDecided.into());
        }
        self.log(Entry { undoes: Some(note), ..Entry::of_word(REMOVE_NOTE, None) }, Outcome::default()).await
    }

    /// A report is no act of moderation: it changes nothing for viewers, and has no row in the log. A person's report of a message that
    /// the person reported before succeeds, and adds nothing: the answer to the first may be lost.
    pub(super) async fn report(&mut self, seq: Seq) -> Result<Outcome, Failure> {
        let by = self.person()?.clone();
        let reason = REPORT_REASONS.into_iter().find(|word| *word == self.reason).ok_or(Refusal::malformed("reason"))?;
        let message = self.existing(seq).await?;
        if message.user == by {
            return Err(Refusal::NotAllowed.into());
        }
        let is_removed = message.removed.is_some();
        let (room, reason) = (self.record()?.room.clone(), reason.to_owned());
        let row = ReportRow { room, seq, by: by.clone(), uid: message.user, reason: reason.clone(), at: self.now };
        let mut outcome = Outcome::default();
        outcome.reply.status = true;
        if !self.tx.put_report(&row).await? {
            return Ok(outcome);
        }
        if is_removed {
            return Err(Refusal::AlreadyDecided.into());
        }
        if self.tx.reports_by(&by, self.now.saturating_sub(REPORTS_WITHIN_MS)).await? > MAX_REPORTS {
            return Err(Refusal::TooFast { retry_after_ms: REPORTS_WITHIN_MS }.into());
        }
        outcome.told = Some(Told::Report { seq, reason });
        Ok(outcome)
    }

    pub(super) async fn settle_reports(&mut self, seq: Seq) -> Result<Outcome, Failure> {
        self.check(Verb::Remove, None)?;
        self.existing(seq).await?;
        self.tx.settle_reports(seq).await?;
        self.log(Entry { seqs: Seqs::of([seq]), ..Entry::of_word(SETTLE, None) }, Outcome::default()).await
    }
}
