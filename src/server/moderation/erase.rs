//! The operator's acts for a person's data and for the log: the erasure of a person's messages in a room, batch by batch, and the
//! note that the log was exported.

use super::act::Outcome;
use super::audit::Entry;
use super::batches::BATCH;
use super::carry_out::{Doing, Failure};
use super::changes::tell_restored;
use crate::domain::{
    change::{Seqs, Why},
    id::Uid,
    rank::Verb,
    refusal::Refusal,
    reply::ActReply,
};
use crate::server::storage::moderation::{ActQueries, NewRemoval};

impl<T: ActQueries> Doing<'_, T> {
    /// Erases the next messages of a person, and after the last one the person's traces in the records of others. Without any,
    /// nothing is logged, and the answer has no rev.
    pub(super) async fn erase_person(&mut self, user: &Uid) -> Result<Outcome, Failure> {
        if !self.is_operator() {
            return Err(Refusal::NotAllowed.into());
        }
        let record = self.record()?;
        let (rev, pinned) = (record.rev.next(), record.pinned);
        // Nothing is kept apart.
        let removal = NewRemoval { action: self.id, why: Why::Site, rev, until: self.now };
        let seqs = self.tx.erase_messages_of(user, removal, BATCH).await?;
        if seqs.is_empty() && self.tx.erase_traces_of(user, BATCH).await? == 0 {
            return Ok(Outcome { reply: ActReply { status: true, ..ActReply::default() }, ..Outcome::default() });
        }
        let ranges = Seqs::of(seqs.iter().copied());
        let changed = if seqs.is_empty() {
            // The pages have the mentions, and so has the tail of the room in memory, which ends with this rev.
            let room = self.record()?.room.clone();
            tell_restored(self.tx, &room, self.now, Why::Site, None).await?
        } else {
            self.tell_removed(Why::Site, ranges.clone()).await?
        };
        let mut outcome = Outcome::default();
        outcome.reply.rev = Some(changed.rev);
        if let (Some(_), Some(room)) = (pinned.filter(|pinned| seqs.contains(&pinned.seq)), &mut self.room) {
            room.pinned = None;
            self.tx.set_pin(None).await?;
            self.tell_state(&mut outcome).await?;
        }
        outcome.reply.state = None;
        let entry = Entry { seqs: ranges, rev: Some(changed.rev), ..Entry::new(Verb::Erase, Some(user)) };
        outcome.changed = Some(changed);
        self.log(entry, outcome).await
    }

    /// Notes an export of the log.
    pub(super) async fn export_log(&mut self) -> Result<Outcome, Failure> {
        if !self.is_operator() {
            return Err(Refusal::NotAllowed.into());
        }
        self.log(Entry::new(Verb::Log, None), Outcome::default()).await
    }
}
