//! Acts on the room itself: modes, title, pin, roles.

use super::act::Outcome;
use super::audit::{Detail, Entry, HOST, Part};
use super::carry_out::{Doing, Failure};
use crate::domain::{
    change::{Pinned, Seqs},
    id::{Seq, Uid},
    rank::Verb,
    refusal::Refusal,
    room::MAX_SLOW_MS,
};
use crate::server::storage::SetModes;
use crate::server::storage::moderation::{ActQueries, GrantedRole};

/// How long a message is pinned, in seconds.
const PINNED_FOR: std::ops::RangeInclusive<u64> = 30..=86_400;

impl<T: ActQueries> Doing<'_, T> {
    pub(super) async fn set_modes(&mut self, set: SetModes) -> Result<Outcome, Failure> {
        self.check(Verb::Mode, None)?;
        if set.slow_ms.is_some_and(|slow_ms| slow_ms > MAX_SLOW_MS) {
            return Err(Refusal::malformed("slow_ms").into());
        }
        let before = self.modes()?;
        let is_operators = self.record()?.closed_by_operator;
        if set.closed == Some(false) && is_operators && !self.is_operator() {
            return Err(Refusal::NotAllowed.into());
        }
        self.apply_modes(set, self.is_operator()).await?;
        let after = self.modes()?;
        self.log_set(Entry { detail: Some(Detail { before, after }), ..Entry::new(Verb::Mode, None) }).await
    }

    /// Sets modes in the store and in the record.
    pub(super) async fn apply_modes(&mut self, set: SetModes, by_operator: bool) -> Result<(), Failure> {
        let Some(room) = &mut self.room else { return Err(Refusal::malformed("room").into()) };
        // A room that the operator closed stays the operator's.
        let closed = set.closed.filter(|closed| !(*closed && room.closed_by_operator));
        let set = SetModes { closed, ..set };
        if let Some(closed) = closed {
            (room.is_closed, room.closed_by_operator) = (closed, closed && by_operator);
        }
        room.slow_ms = set.slow_ms.unwrap_or(room.slow_ms);
        room.accounts = set.accounts.unwrap_or(room.accounts);
        Ok(self.tx.set_modes(set, by_operator).await?)
    }

    /// The modes as the log has them.
    pub(super) fn modes(&self) -> Result<Part, Refusal> {
        let record = self.record()?;
        Ok(Part {
            slow_ms: Some(record.slow_ms),
            accounts: Some(record.accounts),
            closed: Some(record.is_closed),
            by_operator: record.closed_by_operator.then_some(true),
            ..Part::default()
        })
    }

    pub(super) async fn set_title(&mut self, title: &str) -> Result<Outcome, Failure> {
        self.check(Verb::Title, None)?;
        let before = self.apply_title(title).await?;
        self.log_set(Entry { titles: Some((before, title.to_owned())), ..Entry::new(Verb::Title, None) }).await
    }

    /// Sets the title in the store and in the record, and returns the one before.
    pub(super) async fn apply_title(&mut self, title: &str) -> Result<String, Failure> {
        let Some(room) = &mut self.room else { return Err(Refusal::malformed("room").into()) };
        let before = std::mem::replace(&mut room.title, title.to_owned());
        self.tx.set_title(title).await?;
        Ok(before)
    }

    pub(super) async fn pin(&mut self, seq: Seq, seconds: Option<u64>) -> Result<Outcome, Failure> {
        self.check(Verb::Pin, None)?;
        if seconds.is_some_and(|seconds| !PINNED_FOR.contains(&seconds)) {
            return Err(Refusal::malformed("seconds").into());
        }
        if self.existing(seq).await?.removed.is_some() {
            return Err(Refusal::AlreadyDecided.into());
        }
        let before = self.pinned()?;
        let until = seconds.map(|seconds| self.now + seconds * 1000);
        self.apply_pin(Some(Pinned { seq, until })).await?;
        let detail = Some(Detail { before, after: self.pinned()? });
        self.log_state(Entry { seqs: Seqs::of([seq]), until, detail, ..Entry::new(Verb::Pin, None) }).await
    }

    pub(super) async fn unpin(&mut self) -> Result<Outcome, Failure> {
        self.check(Verb::Unpin, None)?;
        let before = self.pinned()?;
        let Some(pinned) = before.pinned else { return Err(Refusal::AlreadyDecided.into()) };
        self.apply_pin(None).await?;
        let detail = Some(Detail { before, after: self.pinned()? });
        self.log_state(Entry { seqs: Seqs::of([pinned.seq]), detail, ..Entry::new(Verb::Unpin, None) }).await
    }

    pub(super) async fn apply_pin(&mut self, pinned: Option<Pinned>) -> Result<(), Failure> {
        let Some(room) = &mut self.room else { return Err(Refusal::malformed("room").into()) };
        room.pinned = pinned;
        Ok(self.tx.set_pin(pinned).await?)
    }

    pub(super) fn pinned(&self) -> Result<Part, Refusal> {
        Ok(Part { pinned: self.state()?.pinned, ..Part::default() })
    }

    pub(super) async fn set_role(&mut self, user: &Uid, role: Option<GrantedRole>) -> Result<Outcome, Failure> {
        self.record()?;
        let standing = self.subject(Verb::Role, user).await?;
        if standing.account.is_none() {
            return Err(Refusal::malformed("user").into());
        }
        if standing.is_host || standing.is_owner {
            return Err(Refusal::NotAllowed.into());
        }
        if standing.role == role {
            return Err(Refusal::AlreadyDecided.into());
        }
        let detail = Some(Detail { before: role_part(standing.role), after: role_part(role) });
        self.apply_role(user, standing.role, role, Entry { detail, ..Entry::new(Verb::Role, Some(user)) }).await
    }

    /// Sets a role, and appends the row of the act.
    pub(super) async fn apply_role(
        &mut self,
        user: &Uid,
        before: Option<GrantedRole>,
        role: Option<GrantedRole>,
        entry: Entry,
    ) -> Result<Outcome, Failure> {
        self.tx.set_role(user, role, &self.actor).await?;
        let moderator = Some(GrantedRole::Moderator);
        let (revoked, granted) = (before == moderator && role != before, role == moderator && role != before);
        let outcome =
            Outcome { revoked: revoked.then(|| user.clone()), granted: granted.then(|| user.clone()), ..Outcome::default() };
        self.log(entry, outcome).await
    }

    /// Makes an account the host. The connections of the former one leave the staff, unless another rank keeps the person there.
    pub(super) async fn set_host(&mut self, user: &Uid) -> Result<Outcome, Failure> {
        let before = self.record()?.host.clone();
        if !self.is_operator() {
            return Err(Refusal::NotAllowed.into());
        }
        if self.tx.standing(user).await?.is_none_or(|standing| standing.account.is_none()) {
            return Err(Refusal::malformed("user").into());
        }
        self.tx.set_host(user).await?;
        let mut outcome = Outcome { granted: Some(user.clone()), ..Outcome::default() };
        if let Some(former) = before.as_ref().filter(|former| *former != user) {
            let is_staff = self.tx.standing(former).await?.is_some_and(|standing| standing.rank().is_staff());
            outcome.revoked = (!is_staff).then(|| former.clone());
        }
        let detail = Some(Detail { before: host_part(before.as_ref()), after: host_part(Some(user)) });
        self.log(Entry { detail, ..Entry::of_word(HOST, Some(user)) }, outcome).await
    }

    /// Adds the change of the state, and appends the row.
    pub(super) async fn log_state(&mut self, mut entry: Entry) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::default();
        entry.rev = Some(self.tell_state(&mut outcome).await?);
        self.log(entry, outcome).await
    }

    /// The same for an act that may leave the state as it was: then nothing is told to the viewers.
    async fn log_set(&mut self, entry: Entry) -> Result<Outcome, Failure> {
        let has_other_title = entry.titles.as_ref().is_some_and(|(before, after)| before != after);
        if has_other_title || entry.detail.as_ref().is_some_and(|detail| detail.before != detail.after) {
            return self.log_state(entry).await;
        }
        let mut outcome = Outcome::default();
        (outcome.reply.rev, outcome.reply.state) = (Some(self.record()?.rev), Some(self.state()?));
        self.log(entry, outcome).await
    }
}

/// The host as the log has it.
fn host_part(host: Option<&Uid>) -> Part {
    Part { host: Some(host.map(Uid::as_str).unwrap_or_default().to_owned()), ..Part::default() }
}

/// A role as the log has it.
pub(super) fn role_part(role: Option<GrantedRole>) -> Part {
    Part { role: Some(role.map(GrantedRole::as_str).unwrap_or_default().to_owned()), ..Part::default() }
}

/// Returns the role of its word in the log.
pub(super) fn role_of(part: &Part) -> Option<GrantedRole> {
    [GrantedRole::Moderator, GrantedRole::Vip].into_iter().find(|role| part.role.as_deref() == Some(role.as_str()))
}
