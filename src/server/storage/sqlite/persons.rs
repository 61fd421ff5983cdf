//! The records of a person under moderation: the history in a room, the networks of guests, and the end of it all.

use super::act::standing_in;
use super::raw::parse;
use super::{SqliteStore, corrupt, finish, from_sql, to_sql};
use crate::domain::id::{RoomId, Uid};
use crate::server::storage::Result;
use crate::server::storage::moderation::{NetworkHash, PersonHistory};
use sqlx::{Connection, SqliteConnection};

/// Newest messages of a person that a history looks at.
const MAX_COUNTED: i64 = 10_000;
/// Nicknames of a history.
const MAX_NICKNAMES: i64 = 10;
/// Age of the messages whose nicknames are told: 30 days, in milliseconds.
const NICKNAMES_MS: u64 = 30 * 24 * 3600 * 1000;

impl SqliteStore {
    /// Reads the person's entries in the index by uid, and the rows of the newest [`MAX_COUNTED`].
    pub(crate) async fn person_history(&self, room: &RoomId, uid: &Uid, now: u64) -> Result<Option<PersonHistory>> {
        let mut snapshot = self.readers.begin().await?;
        let Some(standing) = standing_in(&mut snapshot, room.as_str(), uid).await? else { return Ok(None) };
        let (room, uid, since, now) = (room.as_str(), uid.as_str(), to_sql(now.saturating_sub(NICKNAMES_MS)), to_sql(now));
        let messages = sqlx::query!(
            r#"WITH mine (seq) AS (
                SELECT seq FROM messages INDEXED BY messages_of WHERE uid = ?1 AND room = ?2 AND seq > 0 ORDER BY seq DESC LIMIT ?3
            )
            SELECT count(*) AS "messages!: i64", count(m.removed_why) AS "removed!: i64", min(m.at) AS "first?: i64",
                max(m.at) AS "last?: i64" FROM mine CROSS JOIN shown_messages AS m ON m.room = ?2 AND m.seq = mine.seq"#,
            uid,
            room,
            MAX_COUNTED
        )
        .fetch_one(&mut *snapshot)
        .await?;
        let nicknames = sqlx::query_scalar!(
            r#"WITH mine (seq) AS (
                SELECT seq FROM messages INDEXED BY messages_of WHERE uid = ?1 AND room = ?2 AND seq > 0 ORDER BY seq DESC LIMIT ?3
            )
            SELECT m.nickname AS "nickname!: String" FROM mine CROSS JOIN shown_messages AS m ON m.room = ?2 AND m.seq = mine.seq
            WHERE m.nickname <> '' AND m.at >= ?4 GROUP BY m.nickname ORDER BY max(m.seq) DESC LIMIT ?5"#,
            uid,
            room,
            MAX_COUNTED,
            since,
            MAX_NICKNAMES
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let rest = sqlx::query!(
            r#"SELECT (SELECT count(*) FROM restraints WHERE uid = ?1 AND room = ?2 AND kind IN ('ban', 'timeout')) AS "restraints!: i64",
                EXISTS (SELECT 1 FROM networks AS n JOIN network_restraints AS r ON r.room = n.room AND r.hash = n.hash
                    JOIN restraints AS of ON of.id = r.restraint AND of.lifted_at IS NULL AND (of.until IS NULL OR of.until > ?3)
                    WHERE n.room = ?2 AND n.uid = ?1 AND r.until > ?3 AND of.uid <> ?1) AS "shares_network!: bool""#,
            uid,
            room,
            now
        )
        .fetch_one(&mut *snapshot)
        .await?;
        let seen = match (messages.first, messages.last) {
            (Some(first), Some(last)) => Some((from_sql(first)?, from_sql(last)?)),
            _ => None,
        };
        Ok(Some(PersonHistory {
            standing,
            messages: from_sql(messages.messages)?,
            removed: from_sql(messages.removed)?,
            restraints: from_sql(rest.restraints)?,
            seen,
            nicknames,
            shares_network: rest.shares_network,
        }))
    }

    pub(crate) async fn note_network(&self, room: &RoomId, uid: &Uid, hash: NetworkHash, now: u64) -> Result<()> {
        let (room, uid, hash, now) = (room.as_str(), uid.as_str(), hash.as_slice(), to_sql(now));
        sqlx::query!(
            "INSERT INTO networks (room, uid, hash, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (room, uid, hash) DO UPDATE SET at = ?4",
            room,
            uid,
            hash,
            now
        )
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    pub(crate) async fn rooms_of_person(&self, uid: &Uid) -> Result<Vec<RoomId>> {
        let (uid, quoted) = (uid.as_str(), serde_json::to_string(uid).map_err(corrupt)?);
        let rooms = sqlx::query_scalar!(
            r#"SELECT room AS "room!: String" FROM (
                SELECT room FROM messages WHERE uid = ?1 AND nonce IS NOT NULL
                UNION SELECT room FROM messages WHERE uid = ?1 AND nonce IS NULL
                UNION SELECT room FROM restraints WHERE uid = ?1 UNION SELECT room FROM notes WHERE uid = ?1
                UNION SELECT room FROM roles WHERE uid = ?1 UNION SELECT room FROM purges WHERE uid = ?1
                UNION SELECT room FROM messages INDEXED BY messages_mentions WHERE mentions IS NOT NULL AND instr(mentions, ?2) > 0
            ) WHERE room <> '*' ORDER BY room"#,
            uid,
            quoted
        );
        rooms.fetch_all(&self.readers).await?.iter().map(|room| parse(room, "room")).collect()
    }

    pub(crate) async fn forget_person(&self, uid: &Uid) -> Result<bool> {
        let mut connection = self.writer.acquire().await?;
        let forgotten = forget(&mut connection, uid.as_str()).await;
        finish(connection, forgotten)
    }
}

/// Sessions, devices and roles go with the person's row.
async fn forget(connection: &mut SqliteConnection, uid: &str) -> Result<bool> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let person = sqlx::query!(
        "DELETE FROM people WHERE uid = ? AND is_owner = 0 AND NOT EXISTS (SELECT 1 FROM rooms WHERE rooms.host = people.uid)",
        uid
    );
    if person.execute(&mut *transaction).await?.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!("DELETE FROM notes WHERE uid = ?", uid).execute(&mut *transaction).await?;
    sqlx::query!("DELETE FROM action_texts WHERE uid = ?", uid).execute(&mut *transaction).await?;
    sqlx::query!("DELETE FROM reports WHERE uid = ?1 OR by_uid = ?1", uid).execute(&mut *transaction).await?;
    sqlx::query!("DELETE FROM networks WHERE uid = ?", uid).execute(&mut *transaction).await?;
    sqlx::query!("UPDATE restraints SET reason = '' WHERE uid = ?", uid).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}
