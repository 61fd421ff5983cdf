//! Rows of moderation as SQLite returns them, and their values checked.

use super::{corrupt, from_sql};
use crate::domain::{
    change::{Removed, Rev, Why},
    id::RoomId,
    message::{Message, Role},
};
use crate::server::storage::Result;
use crate::server::storage::moderation::raw;
pub(super) use crate::server::storage::moderation::raw::{
    RawChange, RawHead, RawRecord, RawReport, RawStanding, SITE, granted_role, parse, reply_to, restraint_kind, seq, seqs,
    state_word,
};
use serde::Serialize;
use uuid::Uuid;

pub(super) type RawAction = raw::RawAction<String>;
pub(super) type RawNote = raw::RawNote<String>;
pub(super) type RawPurge = raw::RawPurge<String>;
pub(super) type RawRestraint = raw::RawRestraint<String>;

pub(super) fn uuid(text: &str) -> Result<Uuid> {
    text.parse().map_err(corrupt)
}

/// Seqs or uids as JSON for SQLite's `json_each`.
pub(super) fn json_of(values: &[impl Serialize]) -> Result<String> {
    serde_json::to_string(values).map_err(corrupt)
}

/// The room in the database: `*` for the whole site.
pub(super) fn room_or_site(room: Option<&RoomId>) -> &str {
    room.map_or(SITE, RoomId::as_str)
}

/// A row of the view `shown_messages`.
pub(super) struct RawShown {
    pub(super) room: String,
    pub(super) seq: i64,
    pub(super) id: String,
    pub(super) uid: String,
    pub(super) nickname: String,
    pub(super) role: String,
    pub(super) text: String,
    pub(super) at: i64,
    pub(super) re: Option<i64>,
    pub(super) re_nickname: Option<String>,
    pub(super) mentions: Option<String>,
    pub(super) removed_why: Option<String>,
    pub(super) removed_rev: Option<i64>,
}

impl RawShown {
    pub(super) fn into_message(self) -> Result<Message> {
        let rev = |rev: Option<i64>| rev.map(from_sql).transpose().map(|rev| Rev(rev.unwrap_or_default()));
        Ok(Message {
            room: parse(&self.room, "room")?,
            seq: seq(self.seq)?,
            id: uuid(&self.id)?,
            user: parse(&self.uid, "uid")?,
            nickname: self.nickname,
            role: Role::from_word(&self.role),
            text: self.text,
            at: from_sql(self.at)?,
            re: reply_to(self.re, self.re_nickname)?,
            mentions: self.mentions.map(|json| serde_json::from_str(&json).map_err(corrupt)).transpose()?.unwrap_or_default(),
            removed: match self.removed_why {
                Some(why) => Some(Removed { why: Why::from_word(&why), rev: rev(self.removed_rev)? }),
                None => None,
            },
        })
    }
}
