//! Restraints: warnings, timeouts and bans, their end, and the acknowledgement of a warning. A restraint's case has the id of its act.

use super::act::Outcome;
use super::audit::{ACKNOWLEDGE, Detail, Entry, Part};
use super::carry_out::{Doing, Failure};
use super::networks::SHARED_FOR_MS;
use crate::domain::{
    change::{Restraint, RestraintKind},
    id::Uid,
    rank::Verb,
    refusal::Refusal,
};
use crate::server::storage::moderation::{ActQueries, RestraintRow, Standing};
use uuid::Uuid;

/// Longest timeout, in seconds: two weeks.
const MAX_TIMEOUT: u64 = 1_209_600;

/// Returns a restraint as its person sees it.
pub fn restraint_of(row: &RestraintRow) -> Restraint {
    Restraint { kind: row.kind, until: row.until, reason: row.reason.clone(), case: row.id }
}

/// Returns the restraint that a person is told of, and the warning, of those that are in force, bans first.
pub fn told_restraints(rows: &[RestraintRow]) -> (Option<Restraint>, Option<Restraint>) {
    let is_warning = |row: &&RestraintRow| row.kind == RestraintKind::Warning;
    let restraint = rows.iter().filter(|row| !is_warning(row)).min_by_key(|row| row.kind);
    (restraint.map(restraint_of), rows.iter().find(is_warning).map(restraint_of))
}

impl<T: ActQueries> Doing<'_, T> {
    pub(super) async fn warn(&mut self, user: &Uid) -> Result<Outcome, Failure> {
        self.record()?;
        self.subject(Verb::Warn, user).await?;
        if self.reason.is_empty() {
            return Err(Refusal::blank("reason").into());
        }
        if self.in_force(user, false).await?.iter().any(|row| row.kind == RestraintKind::Warning) {
            return Err(Refusal::AlreadyDecided.into());
        }
        self.put(user, RestraintKind::Warning, None).await?;
        let entry = Entry { case: Some(self.id), ..Entry::new(Verb::Warn, Some(user)) };
        self.log_restraint(user, entry).await
    }

    pub(super) async fn time_out(&mut self, user: &Uid, seconds: u64) -> Result<Outcome, Failure> {
        self.record()?;
        let standing = self.subject(Verb::Timeout, user).await?;
        if !(1..=MAX_TIMEOUT).contains(&seconds) {
            return Err(Refusal::malformed("seconds").into());
        }
        let in_force = self.in_force(user, true).await?;
        if in_force.iter().any(|row| row.kind == RestraintKind::Ban) {
            return Err(Refusal::AlreadyDecided.into());
        }
        let replaced = in_force.iter().find(|row| row.kind == RestraintKind::Timeout && row.room.is_some());
        if let Some(replaced) = replaced {
            self.tx.lift(replaced.id, self.now).await?;
        }
        let until = self.now + seconds * 1000;
        self.put(user, RestraintKind::Timeout, Some(until)).await?;
        self.share(user, &standing, Some(until)).await?;
        let replaced = replaced.map(|row| Part { case: Some(row.id), ..Part::default() });
        let detail = replaced.map(|before| Detail { before, after: Part::default() });
        let entry = Entry { case: Some(self.id), until: Some(until), detail, ..Entry::new(Verb::Timeout, Some(user)) };
        self.log_restraint(user, entry).await
    }

    pub(super) async fn ban(&mut self, user: &Uid) -> Result<Outcome, Failure> {
        let verb = if self.room.is_some() { Verb::Ban } else { Verb::BanSite };
        let standing = self.subject(verb, user).await?;
        if self.in_force(user, false).await?.iter().any(|row| row.kind == RestraintKind::Ban) {
            return Err(Refusal::AlreadyDecided.into());
        }
        self.put(user, RestraintKind::Ban, None).await?;
        self.share(user, &standing, None).await?;
        let entry = Entry { case: Some(self.id), ..Entry::new(verb, Some(user)) };
        self.log_restraint(user, entry).await
    }

    pub(super) async fn lift(&mut self, case: Uuid) -> Result<Outcome, Failure> {
        self.check(Verb::Lift, None)?;
        let row = self.restraint_here(case).await?;
        self.check_restraint(&row).await?;
        if !row.is_in_force(self.now) {
            return Err(Refusal::AlreadyDecided.into());
        }
        self.tx.lift(case, self.now).await?;
        let entry = Entry { case: Some(case), ..Entry::new(Verb::Lift, Some(&row.uid)) };
        self.log_restraint(&row.uid, entry).await
    }

    pub(super) async fn acknowledge(&mut self, case: Uuid) -> Result<Outcome, Failure> {
        let uid = self.person()?.clone();
        let row = self.restraint_here(case).await?;
        if row.uid != uid || row.kind != RestraintKind::Warning {
            return Err(Refusal::NotAllowed.into());
        }
        if !row.is_in_force(self.now) {
            return Err(Refusal::AlreadyDecided.into());
        }
        self.tx.lift(case, self.now).await?;
        let entry = Entry { case: Some(case), ..Entry::of_word(ACKNOWLEDGE, None) };
        self.log_restraint(&uid, entry).await
    }

    /// Returns a restraint of the act's place. Fails with `malformed` for any other id.
    pub(super) async fn restraint_here(&mut self, case: Uuid) -> Result<RestraintRow, Failure> {
        let row = self.tx.restraint(case).await?.filter(|row| row.room == self.act_room());
        Ok(row.ok_or(Refusal::malformed("case"))?)
    }

    /// Fails with `not_allowed` unless the actor may restrain the person in this way now, so that nobody ends or renews what is above
    /// the own rank, or a restraint of the own.
    pub(super) async fn check_restraint(&mut self, row: &RestraintRow) -> Result<(), Failure> {
        let verb = match (row.kind, &row.room) {
            (_, None) => Verb::BanSite,
            (RestraintKind::Ban, _) => Verb::Ban,
            (RestraintKind::Timeout, _) => Verb::Timeout,
            (RestraintKind::Warning, _) => Verb::Warn,
        };
        let rank = self.tx.standing(&row.uid).await?.map(|standing| standing.rank());
        Ok(self.check(verb, rank)?)
    }

    async fn in_force(&mut self, user: &Uid, with_site: bool) -> Result<Vec<RestraintRow>, Failure> {
        let mut rows = self.tx.restraints_of(user, with_site).await?;
        rows.retain(|row| row.is_in_force(self.now));
        Ok(rows)
    }

    async fn put(&mut self, user: &Uid, kind: RestraintKind, until: Option<u64>) -> Result<(), Failure> {
        let restraint = RestraintRow {
            id: self.id,
            room: self.act_room(),
            uid: user.clone(),
            kind,
            since: self.now,
            until,
            reason: self.reason.clone(),
            by: self.actor.clone(),
            lifted_at: None,
        };
        Ok(self.tx.put_restraint(&restraint).await?)
    }

    /// Lets a guest's networks share the restraint, if the operator wants it.
    async fn share(&mut self, user: &Uid, standing: &Standing, until: Option<u64>) -> Result<(), Failure> {
        if self.rules.network_bans && standing.account.is_none() {
            let latest = self.now + SHARED_FOR_MS;
            self.tx.restrain_networks(user, self.id, until.unwrap_or(latest).min(latest)).await?;
        }
        Ok(())
    }

    /// Appends the row, and tells the person which restraint is in force now.
    pub(super) async fn log_restraint(&mut self, user: &Uid, entry: Entry) -> Result<Outcome, Failure> {
        let (restraint, warning) = told_restraints(&self.in_force(user, true).await?);
        let outcome = Outcome { you: Some((user.clone(), restraint, warning)), ..Outcome::default() };
        self.log(entry, outcome).await
    }
}
