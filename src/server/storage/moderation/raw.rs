//! Rows and words as both drivers return them, and their values checked. A driver has ids as text or as uuids.

use super::rows::{
    ActionRow, ChainHead, GrantedRole, NoteRow, PurgeRow, PurgeState, ReportRow, RestraintRow, RoomRecord, Standing, StoredChange,
};
use crate::domain::{
    change::{Pinned, RestraintKind, Rev, Why},
    id::Seq,
    message::ReplyTo,
};
use crate::server::storage::Result;
use crate::server::storage::error::corrupt;
use crate::server::storage::raw_rows::from_sql;
use std::str::FromStr;
use uuid::Uuid;

/// The room of restraints, acts and chains of the whole site.
pub(in crate::server::storage) const SITE: &str = "*";

/// Parses a column; `name` stands in the error of a value that does not parse.
pub(in crate::server::storage) fn parse<T: FromStr>(text: &str, name: &'static str) -> Result<T> {
    text.parse().map_err(|_| corrupt(name))
}

/// A person with the role in a room.
pub(in crate::server::storage) struct RawStanding {
    pub(in crate::server::storage) nickname: String,
    pub(in crate::server::storage) account: Option<String>,
    pub(in crate::server::storage) is_owner: bool,
    pub(in crate::server::storage) is_host: bool,
    pub(in crate::server::storage) role: Option<String>,
    pub(in crate::server::storage) created_at: i64,
}

impl RawStanding {
    pub(in crate::server::storage) fn into_standing(self) -> Result<Standing> {
        Ok(Standing {
            nickname: self.nickname,
            account: self.account,
            is_owner: self.is_owner,
            is_host: self.is_host,
            role: self.role.map(|role| granted_role(&role)).transpose()?,
            created_at: from_sql(self.created_at)?,
        })
    }
}

pub(in crate::server::storage) fn granted_role(word: &str) -> Result<GrantedRole> {
    match word {
        "moderator" => Ok(GrantedRole::Moderator),
        "vip" => Ok(GrantedRole::Vip),
        _ => Err(corrupt("role")),
    }
}

pub(in crate::server::storage) fn restraint_kind(word: &str) -> Result<RestraintKind> {
    let kinds = [RestraintKind::Ban, RestraintKind::Timeout, RestraintKind::Warning];
    kinds.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| corrupt("kind"))
}

/// The id of a row.
pub(in crate::server::storage) trait RowId {
    fn into_uuid(self) -> Result<Uuid>;
}

impl RowId for Uuid {
    fn into_uuid(self) -> Result<Uuid> {
        Ok(self)
    }
}

impl RowId for String {
    fn into_uuid(self) -> Result<Uuid> {
        self.parse().map_err(corrupt)
    }
}

pub(in crate::server::storage) fn seq(stored: i64) -> Result<Seq> {
    from_sql(stored).map(Seq)
}

pub(in crate::server::storage) fn seqs(stored: Vec<i64>) -> Result<Vec<Seq>> {
    stored.into_iter().map(seq).collect()
}

/// The answered message; without a nickname if it was removed or is not kept.
pub(in crate::server::storage) fn reply_to(re: Option<i64>, nickname: Option<String>) -> Result<Option<ReplyTo>> {
    re.map(|re| Ok(ReplyTo { seq: seq(re)?, nickname: nickname.unwrap_or_default() })).transpose()
}

/// A row of a room with its numbering.
pub(in crate::server::storage) struct RawRecord {
    pub(in crate::server::storage) room: String,
    pub(in crate::server::storage) title: String,
    pub(in crate::server::storage) host: Option<String>,
    pub(in crate::server::storage) epoch: String,
    pub(in crate::server::storage) seq: i64,
    pub(in crate::server::storage) rev: i64,
    pub(in crate::server::storage) slow_ms: i64,
    pub(in crate::server::storage) accounts: bool,
    pub(in crate::server::storage) is_closed: bool,
    pub(in crate::server::storage) closed_by_operator: bool,
    pub(in crate::server::storage) pinned_seq: Option<i64>,
    pub(in crate::server::storage) pinned_until: Option<i64>,
}

impl RawRecord {
    pub(in crate::server::storage) fn into_record(self) -> Result<RoomRecord> {
        let until = self.pinned_until.map(from_sql).transpose()?;
        Ok(RoomRecord {
            room: parse(&self.room, "room")?,
            title: self.title,
            host: self.host.map(|uid| parse(&uid, "host")).transpose()?,
            epoch: parse(&self.epoch, "epoch")?,
            newest: seq(self.seq)?,
            rev: Rev(from_sql(self.rev)?),
            slow_ms: from_sql(self.slow_ms)?,
            accounts: self.accounts,
            is_closed: self.is_closed,
            closed_by_operator: self.closed_by_operator,
            pinned: match self.pinned_seq {
                Some(pinned) => Some(Pinned { seq: seq(pinned)?, until }),
                None => None,
            },
        })
    }
}

/// A row of the table `changes`.
pub(in crate::server::storage) struct RawChange {
    pub(in crate::server::storage) rev: i64,
    pub(in crate::server::storage) seq: i64,
    pub(in crate::server::storage) at: i64,
    pub(in crate::server::storage) body: String,
}

impl RawChange {
    pub(in crate::server::storage) fn into_change(self) -> Result<StoredChange> {
        Ok(StoredChange { rev: Rev(from_sql(self.rev)?), seq: seq(self.seq)?, at: from_sql(self.at)?, body: self.body })
    }
}

/// A row of the table `restraints`.
pub(in crate::server::storage) struct RawRestraint<Id> {
    pub(in crate::server::storage) id: Id,
    pub(in crate::server::storage) room: String,
    pub(in crate::server::storage) uid: String,
    pub(in crate::server::storage) kind: String,
    pub(in crate::server::storage) since: i64,
    pub(in crate::server::storage) until: Option<i64>,
    pub(in crate::server::storage) reason: String,
    pub(in crate::server::storage) by_uid: String,
    pub(in crate::server::storage) lifted_at: Option<i64>,
}

impl<Id: RowId> RawRestraint<Id> {
    pub(in crate::server::storage) fn into_restraint(self) -> Result<RestraintRow> {
        Ok(RestraintRow {
            id: self.id.into_uuid()?,
            room: if self.room == SITE { None } else { Some(parse(&self.room, "room")?) },
            uid: parse(&self.uid, "uid")?,
            kind: restraint_kind(&self.kind)?,
            since: from_sql(self.since)?,
            until: self.until.map(from_sql).transpose()?,
            reason: self.reason,
            by: self.by_uid,
            lifted_at: self.lifted_at.map(from_sql).transpose()?,
        })
    }
}

/// A row of the table `purges`.
pub(in crate::server::storage) struct RawPurge<Id> {
    pub(in crate::server::storage) action: Id,
    pub(in crate::server::storage) room: String,
    pub(in crate::server::storage) uid: String,
    pub(in crate::server::storage) from_seq: i64,
    pub(in crate::server::storage) upto_seq: i64,
    pub(in crate::server::storage) rev: i64,
    pub(in crate::server::storage) why: String,
    pub(in crate::server::storage) state: String,
    pub(in crate::server::storage) next_seq: i64,
    pub(in crate::server::storage) until: i64,
}

impl<Id: RowId> RawPurge<Id> {
    pub(in crate::server::storage) fn into_purge(self) -> Result<PurgeRow> {
        let states = [PurgeState::Blanking, PurgeState::Done, PurgeState::Restoring];
        Ok(PurgeRow {
            action: self.action.into_uuid()?,
            room: parse(&self.room, "room")?,
            uid: parse(&self.uid, "uid")?,
            from: seq(self.from_seq)?,
            upto: seq(self.upto_seq)?,
            rev: Rev(from_sql(self.rev)?),
            why: Why::from_word(&self.why),
            state: states.into_iter().find(|state| state_word(*state) == self.state).ok_or_else(|| corrupt("state"))?,
            next: seq(self.next_seq)?,
            until: from_sql(self.until)?,
        })
    }
}

/// The word of a state in the database.
pub(in crate::server::storage) fn state_word(state: PurgeState) -> &'static str {
    match state {
        PurgeState::Blanking => "blanking",
        PurgeState::Done => "done",
        PurgeState::Restoring => "restoring",
    }
}

/// A row of the table `actions`.
pub(in crate::server::storage) struct RawAction<Id> {
    pub(in crate::server::storage) chain: String,
    pub(in crate::server::storage) n: i64,
    pub(in crate::server::storage) id: Id,
    pub(in crate::server::storage) at: i64,
    pub(in crate::server::storage) actor: String,
    pub(in crate::server::storage) verb: String,
    pub(in crate::server::storage) target: Option<String>,
    pub(in crate::server::storage) nonce: Option<String>,
    pub(in crate::server::storage) body: String,
    pub(in crate::server::storage) hash: Vec<u8>,
}

impl<Id: RowId> RawAction<Id> {
    pub(in crate::server::storage) fn into_action(self) -> Result<ActionRow> {
        let Self { chain, n, id, at, actor, verb, target, nonce, body, hash } = self;
        let hash = hash.try_into().map_err(|_| corrupt("hash"))?;
        Ok(ActionRow { chain, n: from_sql(n)?, id: id.into_uuid()?, at: from_sql(at)?, actor, verb, target, nonce, body, hash })
    }
}

/// A row of the table `chains`.
pub(in crate::server::storage) struct RawHead {
    pub(in crate::server::storage) chain: String,
    pub(in crate::server::storage) n: i64,
    pub(in crate::server::storage) hash: Vec<u8>,
}

impl RawHead {
    pub(in crate::server::storage) fn into_head(self) -> Result<ChainHead> {
        let hash = self.hash.try_into().map_err(|_| corrupt("hash"))?;
        Ok(ChainHead { chain: self.chain, n: from_sql(self.n)?, hash })
    }
}

/// A row of the table `notes`.
pub(in crate::server::storage) struct RawNote<Id> {
    pub(in crate::server::storage) id: Id,
    pub(in crate::server::storage) room: String,
    pub(in crate::server::storage) uid: String,
    pub(in crate::server::storage) by_uid: String,
    pub(in crate::server::storage) at: i64,
    pub(in crate::server::storage) text: String,
    pub(in crate::server::storage) until: i64,
}

impl<Id: RowId> RawNote<Id> {
    pub(in crate::server::storage) fn into_note(self) -> Result<NoteRow> {
        Ok(NoteRow {
            id: self.id.into_uuid()?,
            room: parse(&self.room, "room")?,
            uid: parse(&self.uid, "uid")?,
            by: self.by_uid,
            at: from_sql(self.at)?,
            text: self.text,
            until: from_sql(self.until)?,
        })
    }
}

/// A row of the table `reports`.
pub(in crate::server::storage) struct RawReport {
    pub(in crate::server::storage) room: String,
    pub(in crate::server::storage) seq: i64,
    pub(in crate::server::storage) by_uid: String,
    pub(in crate::server::storage) uid: String,
    pub(in crate::server::storage) reason: String,
    pub(in crate::server::storage) at: i64,
}

impl RawReport {
    pub(in crate::server::storage) fn into_report(self) -> Result<ReportRow> {
        Ok(ReportRow {
            room: parse(&self.room, "room")?,
            seq: seq(self.seq)?,
            by: parse(&self.by_uid, "by_uid")?,
            uid: parse(&self.uid, "uid")?,
            reason: self.reason,
            at: from_sql(self.at)?,
        })
    }
}
