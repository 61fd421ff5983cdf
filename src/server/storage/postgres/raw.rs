//! Rows of moderation as PostgreSQL returns them, and their values checked.

use super::{corrupt, from_sql};
use crate::domain::{
    change::{Removed, Rev, Why},
    message::{Message, Role},
};
use crate::server::storage::Result;
use crate::server::storage::moderation::raw;
pub(super) use crate::server::storage::moderation::raw::{
    RawHead, RawRecord, RawReport, RawStanding, SITE, granted_role, parse, reply_to, restraint_kind, seq, seqs, state_word,
};
use uuid::Uuid;

pub(super) type RawAction = raw::RawAction<Uuid>;
pub(super) type RawNote = raw::RawNote<Uuid>;
pub(super) type RawPurge = raw::RawPurge<Uuid>;
pub(super) type RawRestraint = raw::RawRestraint<Uuid>;

/// A row of the view `shown_messages`, whose columns PostgreSQL takes for nullable.
pub(super) struct RawShown {
    pub(super) room: Option<String>,
    pub(super) seq: Option<i64>,
    pub(super) id: Option<Uuid>,
    pub(super) uid: Option<String>,
    pub(super) role: Option<String>,
    pub(super) at: Option<i64>,
    pub(super) re: Option<i64>,
    pub(super) nickname: Option<String>,
    pub(super) text: Option<String>,
    pub(super) mentions: Option<String>,
    pub(super) removed_why: Option<String>,
    pub(super) removed_rev: Option<i64>,
    /// The purge whose mark removes it.
    pub(super) mark: Option<Uuid>,
    pub(super) re_nickname: Option<String>,
}

impl RawShown {
    pub(super) fn into_message(self) -> Result<Message> {
        let column = || corrupt("a column of a message");
        let removed = match (self.removed_why, self.removed_rev) {
            (None, _) => None,
            (Some(why), rev) => Some(Removed { why: Why::from_word(&why), rev: Rev(from_sql(rev.ok_or_else(column)?)?) }),
        };
        Ok(Message {
            room: parse(&self.room.ok_or_else(column)?, "room")?,
            seq: seq(self.seq.ok_or_else(column)?)?,
            id: self.id.ok_or_else(column)?,
            user: parse(&self.uid.ok_or_else(column)?, "uid")?,
            nickname: self.nickname.ok_or_else(column)?,
            role: Role::from_word(&self.role.ok_or_else(column)?),
            text: self.text.ok_or_else(column)?,
            at: from_sql(self.at.ok_or_else(column)?)?,
            re: reply_to(self.re, self.re_nickname)?,
            mentions: self.mentions.map(|json| serde_json::from_str(&json).map_err(corrupt)).transpose()?.unwrap_or_default(),
            removed,
        })
    }
}

pub(super) fn messages(rows: Vec<RawShown>) -> Result<Vec<Message>> {
    rows.into_iter().map(RawShown::into_message).collect()
}
