//! Rows as the drivers of both stores return them, and their values checked. A value that does not parse is corrupt.

use super::error::corrupt;
use super::{Result, RoomRow, SessionRow};
use crate::domain::room::Person;
use std::str::FromStr;

/// A row of a room.
pub(super) struct RawRoom {
    pub(super) room: String,
    pub(super) title: String,
    pub(super) host: Option<String>,
    pub(super) host_nickname: Option<String>,
    pub(super) epoch: String,
    pub(super) slow_ms: i64,
    pub(super) is_closed: bool,
}

impl RawRoom {
    pub(super) fn into_room(self) -> Result<RoomRow> {
        Ok(RoomRow {
            room: self.room.parse().map_err(|_| corrupt("room"))?,
            title: self.title,
            host: self.host.map(|uid| uid.parse().map_err(|_| corrupt("host"))).transpose()?,
            host_nickname: self.host_nickname,
            epoch: self.epoch.parse().map_err(|_| corrupt("epoch"))?,
            slow_ms: from_sql(self.slow_ms)?,
            is_closed: self.is_closed,
        })
    }
}

/// A row of a session, with its person.
pub(super) struct RawSession {
    pub(super) token_hash: Vec<u8>,
    pub(super) uid: String,
    pub(super) nickname: String,
    pub(super) account: Option<String>,
    pub(super) label: String,
    pub(super) created_at: i64,
    pub(super) used_at: i64,
    pub(super) expires_at: i64,
}

impl RawSession {
    pub(super) fn into_session(self) -> Result<SessionRow> {
        let uid = self.uid.parse().map_err(|_| corrupt("uid"))?;
        Ok(SessionRow {
            token_hash: hash(self.token_hash)?,
            person: Person { uid, nickname: self.nickname, account: self.account },
            label: self.label,
            created_at: from_sql(self.created_at)?,
            used_at: from_sql(self.used_at)?,
            expires_at: from_sql(self.expires_at)?,
        })
    }
}

/// Of ids that a search looked at, returns those that it found; and the last one, to go on after, if it looked at `most`.
pub(super) fn found<T: FromStr>(looked_at: &[(String, bool)], most: i64) -> Result<(Vec<T>, Option<T>)> {
    let parse = |id: &str| id.parse().map_err(|_| corrupt("the id of a room or a person"));
    let last = looked_at.last().filter(|_| looked_at.len() as i64 == most);
    let found = looked_at.iter().filter(|(_, is_found)| *is_found).map(|(id, _)| parse(id));
    Ok((found.collect::<Result<_>>()?, last.map(|(id, _)| parse(id)).transpose()?))
}

/// The hashes of tokens.
pub(super) fn hashes(stored: Vec<Vec<u8>>) -> Result<Vec<[u8; 32]>> {
    stored.into_iter().map(hash).collect()
}

fn hash(stored: Vec<u8>) -> Result<[u8; 32]> {
    stored.try_into().map_err(|_| corrupt("token_hash"))
}

/// Times and counts are u64 in Rust and signed 64-bit integers in the databases. A value above `i64::MAX` is stored as that.
pub(super) fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The inverse of [`to_sql`]. A negative value is corrupt.
pub(super) fn from_sql(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(corrupt)
}
