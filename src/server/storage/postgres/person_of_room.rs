//! A person in a room, for the staff: standing, numbers, and messages with the removed texts that are kept.

use super::raw::{RawShown, RawStanding, parse};
use super::{PostgresStore, corrupt, from_sql, to_sql};
use crate::domain::id::{RoomId, Seq, Uid};
use crate::server::storage::moderation::{PersonHistory, Standing, WithText};
use crate::server::storage::{Result, StorageError};
use uuid::Uuid;

/// Messages that are counted.
const COUNTED: i64 = 10_000;
/// Newest messages among which nicknames are looked for, their age in milliseconds, and the nicknames that are told.
const LOOKED_AT: i64 = 1_000;
const NICKNAMES_MS: u64 = 30 * 24 * 60 * 60 * 1000;
const NICKNAMES: i64 = 10;

/// A message with the text that is kept: apart, or in its own row while the mark of a purge hides it.
struct RawWithText {
    room: Option<String>,
    seq: Option<i64>,
    id: Option<Uuid>,
    uid: Option<String>,
    role: Option<String>,
    at: Option<i64>,
    re: Option<i64>,
    nickname: Option<String>,
    text: Option<String>,
    mentions: Option<String>,
    removed_why: Option<String>,
    removed_rev: Option<i64>,
    mark: Option<Uuid>,
    re_nickname: Option<String>,
    kept_nickname: Option<String>,
    kept_text: Option<String>,
}

impl RawWithText {
    fn into_with_text(self) -> Result<WithText> {
        let Self {
            room, seq, id, uid, role, at, re, nickname, text, mentions, removed_why, removed_rev, mark, re_nickname, ..
        } = self;
        let removed = self.kept_nickname.zip(self.kept_text);
        let shown =
            RawShown { room, seq, id, uid, role, at, re, nickname, text, mentions, removed_why, removed_rev, mark, re_nickname };
        Ok(WithText { message: shown.into_message()?, removed })
    }
}

impl PostgresStore {
    pub(crate) async fn standing(&self, room: &RoomId, uid: &Uid) -> Result<Option<Standing>> {
        let (room, uid) = (room.as_str(), uid.as_str());
        let row = self.readers.read(async |db| {
            sqlx::query_file_as!(RawStanding, "src/server/storage/postgres/standing.sql", uid, room).fetch_optional(db).await
        });
        row.await?.map(RawStanding::into_standing).transpose()
    }

    pub(crate) async fn standings(&self, room: &RoomId, uids: &[Uid]) -> Result<Vec<(Uid, Standing)>> {
        let (room, uids) = (room.as_str(), uids.iter().map(Uid::as_str).collect::<Vec<_>>());
        let rows = self.readers.read(async |db| {
            sqlx::query!(
                r#"SELECT uid, nickname, account, is_owner, created_at,
                    EXISTS (SELECT 1 FROM roomcast.rooms WHERE room = $2 AND host = people.uid AND deleted_at IS NULL) AS "is_host!",
                    (SELECT role FROM roomcast.roles WHERE roles.room = $2 AND roles.uid = people.uid) AS "role?"
                FROM roomcast.people WHERE uid = ANY ($1)"#,
                &uids as &[&str],
                room
            )
            .fetch_all(db)
            .await
        });
        let standing = |uid: String, raw: RawStanding| Ok((parse(&uid, "uid")?, raw.into_standing()?));
        let rows = rows.await?.into_iter().map(|row| {
            let (nickname, account, is_owner, is_host, role) = (row.nickname, row.account, row.is_owner, row.is_host, row.role);
            standing(row.uid, RawStanding { nickname, account, is_owner, is_host, role, created_at: row.created_at })
        });
        rows.collect()
    }

    /// The counts are bounded, so that a person with many messages costs no more.
    pub(crate) async fn person_history(&self, room: &RoomId, uid: &Uid, now: u64) -> Result<Option<PersonHistory>> {
        let Some(standing) = self.standing(room, uid).await? else { return Ok(None) };
        let (room, uid, since, now) = (room.as_str(), uid.as_str(), to_sql(now.saturating_sub(NICKNAMES_MS)), to_sql(now));
        let row = self.readers.read(async |db| {
            sqlx::query!(
                r#"SELECT count(*) AS "messages!", count(removed_why) AS "removed!",
                    (SELECT count(*) FROM roomcast.restraints WHERE uid = $2 AND room = $1 AND kind <> 'warning') AS "restraints!",
                    (SELECT at FROM roomcast.messages WHERE uid = $2 AND room = $1 AND seq > 0 ORDER BY seq LIMIT 1) AS "first?",
                    (SELECT at FROM roomcast.messages WHERE uid = $2 AND room = $1 AND seq > 0 ORDER BY seq DESC LIMIT 1) AS "last?",
                    ARRAY (
                        SELECT nickname FROM (
                            SELECT m.seq, m.at, coalesce(t.nickname, m.nickname) AS nickname
                            FROM roomcast.messages AS m LEFT JOIN roomcast.removed_texts AS t ON t.room = m.room AND t.seq = m.seq
                            WHERE m.uid = $2 AND m.room = $1 AND m.seq > 0 ORDER BY m.seq DESC LIMIT $4
                        ) AS newest
                        WHERE at >= $5 AND nickname <> '' GROUP BY nickname ORDER BY max(seq) DESC LIMIT $6
                    ) AS "nicknames!",
                    EXISTS (
                        SELECT 1 FROM roomcast.networks AS n
                        JOIN roomcast.network_restraints AS w ON w.room = n.room AND w.hash = n.hash AND w.until > $7
                        JOIN roomcast.restraints AS r ON r.id = w.restraint AND r.uid <> $2 AND r.lifted_at IS NULL
                            AND (r.until IS NULL OR r.until > $7)
                        WHERE n.uid = $2 AND n.room = $1
                    ) AS "shares_network!"
                FROM (
                    SELECT removed_why FROM roomcast.shown_messages WHERE uid = $2 AND room = $1 AND seq > 0 LIMIT $3
                ) AS counted"#,
                room,
                uid,
                COUNTED,
                LOOKED_AT,
                since,
                NICKNAMES,
                now
            )
            .fetch_one(db)
            .await
        });
        let row = row.await?;
        let seen = row.first.zip(row.last).map(|(first, last)| Ok::<_, StorageError>((from_sql(first)?, from_sql(last)?)));
        Ok(Some(PersonHistory {
            standing,
            messages: from_sql(row.messages)?,
            removed: from_sql(row.removed)?,
            restraints: from_sql(row.restraints)?,
            seen: seen.transpose()?,
            nicknames: row.nicknames,
            shares_network: row.shares_network,
        }))
    }

    pub(crate) async fn messages_of(&self, room: &RoomId, uid: &Uid, before: Option<Seq>, limit: u32) -> Result<Vec<WithText>> {
        let (room, uid, before) = (room.as_str(), uid.as_str(), before.map_or(i64::MAX, |seq| to_sql(seq.0)));
        let limit = i64::from(limit);
        let rows = self.readers.read(async |db| {
            sqlx::query_as!(
                RawWithText,
                "SELECT s.*, CASE WHEN s.mark IS NULL THEN t.nickname ELSE m.nickname END AS kept_nickname,
                    CASE WHEN s.mark IS NULL THEN t.text ELSE m.text END AS kept_text
                FROM roomcast.shown_messages AS s JOIN roomcast.messages AS m ON m.room = s.room AND m.seq = s.seq
                LEFT JOIN roomcast.removed_texts AS t ON t.room = s.room AND t.seq = s.seq
                WHERE s.uid = $2 AND s.room = $1 AND s.seq > 0 AND s.seq < $3 ORDER BY s.seq DESC LIMIT $4",
                room,
                uid,
                before,
                limit
            )
            .fetch_all(db)
            .await
        });
        rows.await?.into_iter().map(RawWithText::into_with_text).collect()
    }

    pub(crate) async fn with_texts(&self, room: &RoomId, after: Seq, before: Seq, limit: u32) -> Result<Vec<WithText>> {
        let (room, after, before, limit) = (room.as_str(), to_sql(after.0), to_sql(before.0), i64::from(limit));
        let rows = self.readers.read(async |db| {
            sqlx::query_as!(
                RawWithText,
                "SELECT s.*, CASE WHEN s.mark IS NULL THEN t.nickname ELSE m.nickname END AS kept_nickname,
                    CASE WHEN s.mark IS NULL THEN t.text ELSE m.text END AS kept_text
                FROM roomcast.shown_messages AS s JOIN roomcast.messages AS m ON m.room = s.room AND m.seq = s.seq
                LEFT JOIN roomcast.removed_texts AS t ON t.room = s.room AND t.seq = s.seq
                WHERE s.room = $1 AND s.seq > $2 AND s.seq < $3 ORDER BY s.seq LIMIT $4",
                room,
                after,
                before,
                limit
            )
            .fetch_all(db)
            .await
        });
        rows.await?.into_iter().map(RawWithText::into_with_text).collect()
    }

    pub(crate) async fn rooms_of_person(&self, uid: &Uid) -> Result<Vec<RoomId>> {
        let (uid, quoted) = (uid.as_str(), serde_json::to_string(uid).map_err(corrupt)?);
        let rows = self.readers.read(async |db| {
            sqlx::query_scalar!(
                r#"WITH RECURSIVE found (room) AS (
                    (SELECT room FROM roomcast.messages WHERE uid = $1 AND seq > 0 ORDER BY room LIMIT 1)
                    UNION ALL
                    SELECT (SELECT room FROM roomcast.messages AS m WHERE m.uid = $1 AND m.seq > 0 AND m.room > found.room
                        ORDER BY m.room LIMIT 1)
                    FROM found WHERE found.room IS NOT NULL
                )
                SELECT room AS "room!" FROM (
                    SELECT room FROM found WHERE room IS NOT NULL
                    UNION SELECT room FROM roomcast.restraints WHERE uid = $1 AND room <> '*'
                    UNION SELECT room FROM roomcast.notes WHERE uid = $1
                    UNION SELECT room FROM roomcast.roles WHERE uid = $1
                    UNION SELECT room FROM roomcast.purges WHERE uid = $1
                    UNION SELECT room FROM roomcast.messages WHERE mentions IS NOT NULL AND strpos(mentions, $2) > 0
                ) AS rooms ORDER BY room"#,
                uid,
                quoted
            )
            .fetch_all(db)
            .await
        });
        rows.await?.into_iter().map(|room| room.parse().map_err(|_| corrupt("room"))).collect()
    }
}
