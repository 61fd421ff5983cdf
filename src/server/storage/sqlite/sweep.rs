//! Deletion, in batches: each call is one short transaction between the writer's batches, so that sends do not wait for a
//! sweep. The caller repeats it until a batch is not full.

use super::{SqliteStore, corrupt, finish, to_sql};
use crate::domain::id::{RoomId, Uid};
use crate::server::storage::Result;
use crate::server::storage::raw_rows::found;
use sqlx::{Connection, SqliteConnection};

/// Rooms that one search looks at.
const ROOMS_PER_SEARCH: i64 = 1000;
/// Busy timeout of a checkpoint, in milliseconds.
const SCRUB_BUSY_MS: i64 = 20;
/// People that one search looks at.
const PEOPLE_PER_SEARCH: i64 = 2000;

impl SqliteStore {
    /// The node's clock is the only one.
    pub(crate) async fn earlier_now(&self, now: u64) -> Result<u64> {
        Ok(now)
    }

    /// No such notes are stored.
    pub(crate) async fn sweep_paces(&self, _limit: u32) -> Result<u64> {
        Ok(0)
    }

    pub(crate) async fn end_expired_sessions(&self, now: u64, limit: u32) -> Result<u64> {
        let now = to_sql(now);
        let ended = sqlx::query!(
            "DELETE FROM sessions WHERE token_hash IN
                (SELECT token_hash FROM sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
            now,
            limit
        );
        Ok(ended.execute(&self.writer).await?.rows_affected())
    }

    pub(crate) async fn rooms_with_messages_before(
        &self,
        before: u64,
        after: Option<&RoomId>,
    ) -> Result<(Vec<RoomId>, Option<RoomId>)> {
        let (before, after) = (to_sql(before), after.map_or("", RoomId::as_str));
        let rooms = sqlx::query!(
            r#"SELECT room AS "room!", coalesce((SELECT at FROM messages WHERE messages.room = rooms.room ORDER BY seq LIMIT 1) < ?, 0)
                AS "is_old!: bool"
            FROM (SELECT room FROM rooms WHERE room > ? ORDER BY room LIMIT ?) AS rooms ORDER BY room"#,
            before,
            after,
            ROOMS_PER_SEARCH
        );
        let rooms = rooms.fetch_all(&self.readers).await?;
        let looked_at: Vec<_> = rooms.into_iter().map(|row| (row.room, row.is_old)).collect();
        found(&looked_at, ROOMS_PER_SEARCH)
    }

    /// Looks at the room's first `limit` messages only, so that a batch costs the same wherever the room's old messages end.
    pub(crate) async fn remove_messages_before(&self, room: &RoomId, before: u64, limit: u32) -> Result<u64> {
        let mut connection = self.writer.acquire().await?;
        let removed = remove_messages_before(&mut connection, room.as_str(), to_sql(before), limit).await;
        finish(connection, removed)
    }

    pub(crate) async fn sweep_deleted_rooms(&self, limit: u32) -> Result<u64> {
        let mut connection = self.writer.acquire().await?;
        let swept = sweep_deleted_rooms(&mut connection, limit).await;
        finish(connection, swept)
    }

    pub(crate) async fn idle_guests(&self, before: u64, now: u64, after: Option<&Uid>) -> Result<(Vec<Uid>, Option<Uid>)> {
        let (before, now, after) = (to_sql(before), to_sql(now), after.map_or("", Uid::as_str));
        let people = sqlx::query!(
            r#"SELECT uid AS "uid!", account IS NULL AND is_owner = 0 AND created_at < ?
                AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.uid = people.uid AND expires_at > ?)
                AND NOT EXISTS (SELECT 1 FROM rooms WHERE rooms.host = people.uid)
                AND NOT EXISTS (SELECT 1 FROM restraints AS r
                    WHERE r.uid = people.uid AND r.lifted_at IS NULL AND (r.until IS NULL OR r.until > ?))
                AND NOT EXISTS (SELECT 1 FROM notes WHERE notes.uid = people.uid)
                AND NOT EXISTS (SELECT 1 FROM reports WHERE reports.uid = people.uid)
                AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.uid = people.uid AND nonce IS NOT NULL)
                AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.uid = people.uid AND nonce IS NULL) AS "is_idle!: bool"
            FROM (SELECT uid, account, is_owner, created_at FROM people WHERE uid > ? ORDER BY uid LIMIT ?) AS people ORDER BY uid"#,
            before,
            now,
            now,
            after,
            PEOPLE_PER_SEARCH
        );
        let people = people.fetch_all(&self.readers).await?;
        let looked_at: Vec<_> = people.into_iter().map(|row| (row.uid, row.is_idle)).collect();
        found(&looked_at, PEOPLE_PER_SEARCH)
    }

    /// Checks each guest again in the transaction: one may have come back since [`SqliteStore::idle_guests`].
    pub(crate) async fn remove_idle_guests(&self, guests: &[Uid], now: u64) -> Result<u64> {
        let (guests, now) = (serde_json::to_string(guests).map_err(corrupt)?, to_sql(now));
        let removed = sqlx::query!(
            "DELETE FROM people WHERE uid IN (SELECT value FROM json_each(?)) AND account IS NULL AND is_owner = 0
                AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.uid = people.uid AND expires_at > ?)
                AND NOT EXISTS (SELECT 1 FROM rooms WHERE rooms.host = people.uid)
                AND NOT EXISTS (SELECT 1 FROM restraints AS r
                    WHERE r.uid = people.uid AND r.lifted_at IS NULL AND (r.until IS NULL OR r.until > ?))
                AND NOT EXISTS (SELECT 1 FROM notes WHERE notes.uid = people.uid)
                AND NOT EXISTS (SELECT 1 FROM reports WHERE reports.uid = people.uid)
                AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.uid = people.uid AND nonce IS NOT NULL)
                AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.uid = people.uid AND nonce IS NULL)",
            guests,
            now,
            now
        );
        Ok(removed.execute(&self.writer).await?.rows_affected())
    }

    /// A deleted text is overwritten in its page (`secure_delete`), but older pages stay in the write-ahead log until a
    /// checkpoint. Readers at work may keep a part of it; then the result is false.
    pub(crate) async fn scrub(&self) -> Result<bool> {
        let mut connection = self.writer.acquire().await?;
        let scrubbed = scrub(&mut connection).await;
        finish(connection, scrubbed)
    }
}

/// A checkpoint waits for readers as long as the busy timeout lets it, and sends wait for the checkpoint: so the timeout is
/// short meanwhile.
async fn scrub(connection: &mut SqliteConnection) -> Result<bool> {
    let timeout_ms: i64 = sqlx::query_scalar("PRAGMA busy_timeout").fetch_one(&mut *connection).await?;
    set_busy_timeout(connection, SCRUB_BUSY_MS).await?;
    let checkpoint = sqlx::query_as::<_, (i64, i64, i64)>("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
    set_busy_timeout(connection, timeout_ms).await?;
    let (is_busy, ..) = checkpoint?;
    Ok(is_busy == 0)
}

async fn set_busy_timeout(connection: &mut SqliteConnection, ms: i64) -> Result<()> {
    // A pragma takes no parameter; a number needs no quotes.
    sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA busy_timeout = {ms}"))).execute(connection).await?;
    Ok(())
}

/// Removes up to `limit` messages of one deleted room, and its row after the last one. Returns the number of rows.
async fn sweep_deleted_rooms(connection: &mut SqliteConnection, limit: u32) -> Result<u64> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let room = sqlx::query_scalar!("SELECT room FROM rooms WHERE deleted_at IS NOT NULL ORDER BY deleted_at LIMIT 1")
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(room) = room else { return Ok(0) };
    let messages = sqlx::query!(
        "DELETE FROM messages WHERE room = ?1 AND seq IN (SELECT seq FROM messages WHERE room = ?1 ORDER BY seq LIMIT ?2)",
        room,
        limit
    );
    let mut removed = messages.execute(&mut *transaction).await?.rows_affected();
    removed += remove_records_of(&mut transaction, &room, u64::from(limit) - removed).await?;
    if removed < u64::from(limit) {
        removed += sqlx::query!("DELETE FROM rooms WHERE room = ?", room).execute(&mut *transaction).await?.rows_affected();
    }
    transaction.commit().await?;
    Ok(removed)
}

/// Removes at most `limit` rows that moderation stored of a room. The audit log stays: it says by whom a room was led.
async fn remove_records_of(connection: &mut SqliteConnection, room: &str, limit: u64) -> Result<u64> {
    let mut left = limit;
    /// Deletes rows of a table by its key, as many as are left.
    macro_rules! remove {
        ($($sql:literal),+ $(,)?) => {
            $(if left > 0 {
                let most = to_sql(left);
                left -= sqlx::query!($sql, room, most).execute(&mut *connection).await?.rows_affected();
            })+
        };
    }
    remove!(
        "DELETE FROM removed_texts WHERE room = ?1 AND seq IN (SELECT seq FROM removed_texts WHERE room = ?1 LIMIT ?2)",
        "DELETE FROM changes WHERE room = ?1 AND rev IN (SELECT rev FROM changes WHERE room = ?1 LIMIT ?2)",
        "DELETE FROM purges WHERE action IN (SELECT action FROM purges WHERE room = ?1 LIMIT ?2)",
        "DELETE FROM roles WHERE room = ?1 AND uid IN (SELECT uid FROM roles WHERE room = ?1 LIMIT ?2)",
        "DELETE FROM restraints WHERE id IN (SELECT id FROM restraints WHERE room = ?1 LIMIT ?2)",
        "DELETE FROM notes WHERE id IN (SELECT id FROM notes WHERE room = ?1 LIMIT ?2)",
        "DELETE FROM reports WHERE (room, seq, by_uid) IN (SELECT room, seq, by_uid FROM reports WHERE room = ?1 LIMIT ?2)",
        "DELETE FROM networks WHERE (room, uid, hash) IN (SELECT room, uid, hash FROM networks WHERE room = ?1 LIMIT ?2)",
        "DELETE FROM network_restraints WHERE (room, hash, restraint) IN
            (SELECT room, hash, restraint FROM network_restraints WHERE room = ?1 LIMIT ?2)",
    );
    Ok(limit - left)
}

/// Removes messages, and what is kept of those that are gone: their removed texts, their reports, and a pin.
async fn remove_messages_before(connection: &mut SqliteConnection, room: &str, before: i64, limit: u32) -> Result<u64> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let removed = sqlx::query!(
        "WITH first (seq, at) AS (SELECT seq, at FROM messages WHERE room = ?1 ORDER BY seq LIMIT ?2)
        DELETE FROM messages WHERE room = ?1 AND seq <= (SELECT max(seq) FROM first)
            AND seq < coalesce((SELECT min(seq) FROM first WHERE at >= ?3), 9223372036854775807)",
        room,
        limit,
        before
    );
    let removed = removed.execute(&mut *transaction).await?.rows_affected();
    if removed == 0 {
        return Ok(0);
    }
    let oldest = sqlx::query_scalar!(
        r#"SELECT coalesce((SELECT min(seq) FROM messages WHERE room = ?1), 9223372036854775807) AS "oldest!: i64""#,
        room
    );
    let oldest = oldest.fetch_one(&mut *transaction).await?;
    sqlx::query!("DELETE FROM removed_texts WHERE room = ? AND seq < ?", room, oldest).execute(&mut *transaction).await?;
    sqlx::query!("DELETE FROM reports WHERE room = ? AND seq < ?", room, oldest).execute(&mut *transaction).await?;
    sqlx::query!("UPDATE rooms SET pinned_seq = NULL, pinned_until = NULL WHERE room = ? AND pinned_seq < ?", room, oldest)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(removed)
}
