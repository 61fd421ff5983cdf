//! Removals: messages of others, all messages of a person, a message of one's own; and the end of a kept text.

use super::act::Outcome;
use super::audit::{Detail, Entry, Part};
use super::batches::{BATCH, count};
use super::carry_out::{Doing, Failure};
use crate::domain::{
    change::{Changed, Purged, Seqs, Why},
    id::{Seq, Uid},
    message::Message,
    rank::Verb,
    refusal::Refusal,
};
use crate::server::storage::moderation::{ActQueries, NewRemoval, PurgeRow, PurgeState};

/// Messages of one removal.
const MAX_REMOVED: usize = 100;

impl<T: ActQueries> Doing<'_, T> {
    pub(super) async fn remove(&mut self, seqs: &[Seq]) -> Result<Outcome, Failure> {
        self.check(Verb::Remove, None)?;
        let mut seqs = seqs.to_vec();
        seqs.sort_unstable();
        seqs.dedup();
        if seqs.is_empty() || seqs.len() > MAX_REMOVED {
            return Err(Refusal::malformed("seq").into());
        }
        let (mut authors, mut is_removed) = (Vec::<Uid>::new(), false);
        for seq in &seqs {
            let message = self.existing(*seq).await?;
            is_removed |= message.removed.is_some();
            if !authors.contains(&message.user) {
                authors.push(message.user);
            }
        }
        for author in &authors {
            self.check_author(author).await?;
        }
        if is_removed {
            return Err(Refusal::AlreadyDecided.into());
        }
        // The log's row names the author if there is one.
        let target = (authors.len() == 1).then(|| authors.remove(0)).filter(|author| *author != Uid::nobody());
        self.remove_checked(Entry::new(Verb::Remove, target.as_ref()), Why::Moderator, &seqs).await
    }

    pub(super) async fn retract(&mut self, seq: Seq) -> Result<Outcome, Failure> {
        let uid = self.person()?.clone();
        let message = self.existing(seq).await?;
        if message.user != uid {
            return Err(Refusal::NotAllowed.into());
        }
        if message.removed.is_some() {
            return Err(Refusal::AlreadyDecided.into());
        }
        self.remove_checked(Entry::new(Verb::Retract, None), Why::Author, &[seq]).await
    }

    /// Removes messages that exist, are not removed, and whose removal is permitted.
    async fn remove_checked(&mut self, mut entry: Entry, why: Why, seqs: &[Seq]) -> Result<Outcome, Failure> {
        let ranges = Seqs::of(seqs.iter().copied());
        let changed = self.tell_removed(why, ranges.clone()).await?;
        let removal = self.removal(why, &changed);
        self.tx.remove(removal, seqs).await?;
        let mut outcome = Outcome::default();
        outcome.reply.rev = Some(changed.rev);
        let pinned = self.record()?.pinned.filter(|pinned| seqs.contains(&pinned.seq));
        if let (Some(pinned), Some(room)) = (pinned, &mut self.room) {
            // The store has removed the pin with the message.
            room.pinned = None;
            self.tell_state(&mut outcome).await?;
            let before = Part { pinned: Some(pinned), ..Part::default() };
            entry.detail = Some(Detail { before, after: Part::default() });
        }
        // The answer of a removal has no state.
        outcome.reply.state = None;
        (entry.seqs, entry.rev) = (ranges, Some(changed.rev));
        outcome.changed = Some(changed);
        self.log(entry, outcome).await
    }

    pub(super) async fn purge(&mut self, user: &Uid, seconds: u64) -> Result<Outcome, Failure> {
        self.check(Verb::Purge, None)?;
        self.check_author(user).await?;
        if self.tx.unfinished_purge(user).await?.is_some() {
            return Err(Refusal::Busy.into());
        }
        let since = if seconds == 0 { 0 } else { self.now.saturating_sub(seconds.saturating_mul(1000)) };
        let Some((from, upto)) = self.tx.range_of(user, since).await? else {
            return Err(Refusal::AlreadyDecided.into());
        };
        let pinned = match self.record()?.pinned {
            Some(pinned) if (from..=upto).contains(&pinned.seq) => {
                let is_of_user = |message: &Message| message.user == *user;
                self.tx.message(pinned.seq).await?.is_some_and(|stored| is_of_user(&stored.message)).then_some(pinned)
            }
            _ => None,
        };
        let (why, room) = (Why::Moderator, self.record()?.room.clone());
        let changed = self.tell_purged(why, Purged { user: user.clone(), from, upto }).await?;
        let NewRemoval { action, rev, until, .. } = self.removal(why, &changed);
        let (uid, state) = (user.clone(), PurgeState::Blanking);
        let purge = PurgeRow { action, room, uid, from, upto, rev, why, state, next: from, until };
        self.tx.put_purge(&purge).await?;
        let blanked = self.tx.blank_next(&purge, BATCH).await?;
        count("blanking", blanked);
        let left = self.tx.purge(action).await?.is_some_and(|purge| purge.state != PurgeState::Done);
        if blanked == 0 && !left {
            return Err(Refusal::AlreadyDecided.into());
        }
        let mut outcome = Outcome { has_batches: left, ..Outcome::default() };
        let mut entry = Entry::new(Verb::Purge, Some(user));
        outcome.reply.rev = Some(rev);
        if let (Some(pinned), Some(room)) = (pinned, &mut self.room) {
            room.pinned = None;
            self.tx.set_pin(None).await?;
            self.tell_state(&mut outcome).await?;
            let before = Part { pinned: Some(pinned), ..Part::default() };
            entry.detail = Some(Detail { before, after: Part::default() });
        }
        outcome.reply.state = None;
        (entry.seqs, entry.rev) = (vec![Seqs { from, to: upto }], Some(rev));
        outcome.changed = Some(changed);
        self.log(entry, outcome).await
    }

    pub(super) async fn erase_text(&mut self, seq: Seq) -> Result<Outcome, Failure> {
        self.check(Verb::Erase, None)?;
        let message = self.existing(seq).await?;
        if message.removed.is_none() {
            return Err(Refusal::malformed("seq").into());
        }
        if !self.tx.erase_text(seq).await? {
            return Err(Refusal::AlreadyDecided.into());
        }
        let target = Some(&message.user).filter(|user| **user != Uid::nobody());
        let entry = Entry { seqs: Seqs::of([seq]), ..Entry::new(Verb::Erase, target) };
        self.log(entry, Outcome::default()).await
    }

    /// Returns a message of the room. Fails with `malformed` if the room does not keep it.
    pub(super) async fn existing(&mut self, seq: Seq) -> Result<Message, Failure> {
        self.record()?;
        let stored = self.tx.message(seq).await?.ok_or(Refusal::malformed("seq"))?;
        Ok(stored.message)
    }

    /// Fails with `not_allowed` for the author's rank of now, so also for one's own messages, which are retracted. An author who is
    /// unknown or was erased has no rank.
    async fn check_author(&mut self, author: &Uid) -> Result<(), Failure> {
        if *author == Uid::nobody() {
            return Ok(());
        }
        let rank = self.tx.standing(author).await?.map(|standing| standing.rank());
        Ok(self.check(Verb::Remove, rank)?)
    }

    fn removal(&self, why: Why, changed: &Changed) -> NewRemoval {
        let until = self.now.saturating_add(self.rules.keep_removed_ms);
        NewRemoval { action: self.id, why, rev: changed.rev, until }
    }
}
