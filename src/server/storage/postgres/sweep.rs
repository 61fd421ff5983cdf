//! Deletion, in batches: each call is one short transaction. The caller repeats it until a batch is not full.

use super::{PostgresStore, from_sql, to_sql};
use crate::domain::id::{RoomId, Uid};
use crate::server::storage::Result;
use crate::server::storage::raw_rows::found;
use sqlx::PgConnection;

/// Rooms that one search looks at.
const ROOMS_PER_SEARCH: i64 = 1000;
/// People that one search looks at.
const PEOPLE_PER_SEARCH: i64 = 2000;
/// Age at which a row of `paces` is removed, in milliseconds: a day is longer than every slow mode.
const KEPT_PACES_MS: i64 = 24 * 60 * 60 * 1000;

impl PostgresStore {
    pub(crate) async fn end_expired_sessions(&self, now: u64, limit: u32) -> Result<u64> {
        let (now, limit) = (to_sql(now), i64::from(limit));
        let ended = self.writers.write(async |db| {
            sqlx::query!(
                "DELETE FROM roomcast.sessions WHERE token_hash IN
                    (SELECT token_hash FROM roomcast.sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
                now,
                limit
            )
            .execute(db)
            .await
        });
        Ok(ended.await?.rows_affected())
    }

    pub(crate) async fn rooms_with_messages_before(
        &self,
        before: u64,
        after: Option<&RoomId>,
    ) -> Result<(Vec<RoomId>, Option<RoomId>)> {
        let (before, after) = (to_sql(before), after.map_or("", RoomId::as_str));
        let rooms = self.readers.read(async |db| {
            sqlx::query!(
                r#"SELECT room, coalesce(
                    (SELECT at FROM roomcast.messages WHERE messages.room = rooms.room ORDER BY seq LIMIT 1) < $2, false) AS "is_old!"
                FROM (SELECT room FROM roomcast.rooms WHERE room > $1 ORDER BY room LIMIT $3) AS rooms ORDER BY room"#,
                after,
                before,
                ROOMS_PER_SEARCH
            )
            .fetch_all(db)
            .await
        });
        let rooms = rooms.await?;
        let looked_at: Vec<_> = rooms.into_iter().map(|row| (row.room, row.is_old)).collect();
        found(&looked_at, ROOMS_PER_SEARCH)
    }

    /// Looks at the room's first `limit` messages only, so that a batch costs the same wherever the room's old messages end.
    pub(crate) async fn remove_messages_before(&self, room: &RoomId, before: u64, limit: u32) -> Result<u64> {
        let (room, before, limit) = (room.as_str(), to_sql(before), i64::from(limit));
        let removed = self.writers.write(async |db| {
            sqlx::query_scalar!(
                r#"WITH first AS (
                    SELECT seq, at FROM roomcast.messages WHERE room = $1 ORDER BY seq LIMIT $2
                ), old AS (
                    DELETE FROM roomcast.messages WHERE room = $1 AND seq <= (SELECT max(seq) FROM first)
                        AND seq < coalesce((SELECT min(seq) FROM first WHERE at >= $3), 9223372036854775807)
                    RETURNING seq
                ), texts AS (
                    DELETE FROM roomcast.removed_texts WHERE room = $1 AND seq IN (SELECT seq FROM old)
                ), reports AS (
                    DELETE FROM roomcast.reports WHERE room = $1 AND seq IN (SELECT seq FROM old)
                ), unpinned AS (
                    UPDATE roomcast.rooms SET pinned_seq = NULL, pinned_until = NULL
                    WHERE room = $1 AND pinned_seq IN (SELECT seq FROM old)
                )
                SELECT count(*) AS "count!" FROM old"#,
                room,
                limit,
                before
            )
            .fetch_one(db)
            .await
        });
        from_sql(removed.await?)
    }

    /// Removes up to `limit` messages of one deleted room, and its row after the last one. The lock keeps another process from the
    /// same room: messages that it is removing would look like the last ones, and the rest would be left without a room.
    pub(crate) async fn sweep_deleted_rooms(&self, limit: u32) -> Result<u64> {
        let limit = i64::from(limit);
        let removed = self.writers.transaction(async |db| {
            let room = sqlx::query_scalar!(
                "SELECT heads.room FROM roomcast.rooms JOIN roomcast.heads ON heads.room = rooms.room
                WHERE deleted_at IS NOT NULL ORDER BY deleted_at LIMIT 1 FOR UPDATE OF heads"
            );
            let Some(room) = room.fetch_optional(&mut *db).await? else { return Ok(0) };
            let messages = sqlx::query_scalar!(
                r#"WITH gone AS (
                    DELETE FROM roomcast.messages WHERE room = $1
                        AND seq IN (SELECT seq FROM roomcast.messages WHERE room = $1 ORDER BY seq LIMIT $2)
                    RETURNING seq
                ), texts AS (
                    DELETE FROM roomcast.removed_texts WHERE room = $1 AND seq IN (SELECT seq FROM gone)
                )
                SELECT count(*) AS "count!" FROM gone"#,
                room,
                limit
            );
            let mut removed = messages.fetch_one(&mut *db).await?.unsigned_abs();
            if removed < limit.unsigned_abs() {
                remove_traces(&mut *db, &room).await?;
                removed += sqlx::query!("DELETE FROM roomcast.rooms WHERE room = $1", room).execute(db).await?.rows_affected();
            }
            Ok(removed)
        });
        removed.await
    }

    pub(crate) async fn idle_guests(&self, before: u64, now: u64, after: Option<&Uid>) -> Result<(Vec<Uid>, Option<Uid>)> {
        let (before, now, after) = (to_sql(before), to_sql(now), after.map_or("", Uid::as_str));
        let people = self.readers.read(async |db| {
            sqlx::query!(
                r#"SELECT uid, account IS NULL AND NOT is_owner AND created_at < $1
                    AND NOT EXISTS (SELECT 1 FROM roomcast.sessions WHERE sessions.uid = people.uid AND expires_at > $2)
                    AND NOT EXISTS (SELECT 1 FROM roomcast.rooms WHERE rooms.host = people.uid)
                    AND NOT EXISTS (SELECT 1 FROM roomcast.messages WHERE messages.uid = people.uid)
                    AND NOT EXISTS (SELECT 1 FROM roomcast.restraints
                        WHERE restraints.uid = people.uid AND lifted_at IS NULL AND (until IS NULL OR until > $2))
                    AND NOT EXISTS (SELECT 1 FROM roomcast.notes WHERE notes.uid = people.uid)
                    AND NOT EXISTS (SELECT 1 FROM roomcast.reports WHERE reports.uid = people.uid) AS "is_idle!"
                FROM (SELECT uid, account, is_owner, created_at FROM roomcast.people WHERE uid > $3 ORDER BY uid LIMIT $4) AS people
                ORDER BY uid"#,
                before,
                now,
                after,
                PEOPLE_PER_SEARCH
            )
            .fetch_all(db)
            .await
        });
        let people = people.await?;
        let looked_at: Vec<_> = people.into_iter().map(|row| (row.uid, row.is_idle)).collect();
        found(&looked_at, PEOPLE_PER_SEARCH)
    }

    /// Locks the guests and checks each again: one may have come back since [`PostgresStore::idle_guests`]. A guest who comes back
    /// from now on waits for the lock and is then a stranger.
    pub(crate) async fn remove_idle_guests(&self, guests: &[Uid], now: u64) -> Result<u64> {
        let (guests, now) = (guests.iter().map(Uid::as_str).collect::<Vec<_>>(), to_sql(now));
        let removed = self.writers.transaction(async |db| {
            sqlx::query!("SELECT 1 AS one FROM roomcast.people WHERE uid = ANY ($1) ORDER BY uid FOR UPDATE", &guests as &[&str])
                .fetch_all(&mut *db)
                .await?;
            sqlx::query!(
                "DELETE FROM roomcast.people WHERE uid = ANY ($1) AND account IS NULL AND NOT is_owner
                    AND NOT EXISTS (SELECT 1 FROM roomcast.sessions WHERE sessions.uid = people.uid AND expires_at > $2)
                    AND NOT EXISTS (SELECT 1 FROM roomcast.rooms WHERE rooms.host = people.uid)
                    AND NOT EXISTS (SELECT 1 FROM roomcast.messages WHERE messages.uid = people.uid)
                    AND NOT EXISTS (SELECT 1 FROM roomcast.restraints
                        WHERE restraints.uid = people.uid AND lifted_at IS NULL AND (until IS NULL OR until > $2))
                    AND NOT EXISTS (SELECT 1 FROM roomcast.notes WHERE notes.uid = people.uid)
                    AND NOT EXISTS (SELECT 1 FROM roomcast.reports WHERE reports.uid = people.uid)",
                &guests as &[&str],
                now
            )
            .execute(db)
            .await
        });
        Ok(removed.await?.rows_affected())
    }

    /// Removes old rows of `paces`. A row that is renewed meanwhile stays.
    pub(crate) async fn sweep_paces(&self, limit: u32) -> Result<u64> {
        let limit = i64::from(limit);
        let removed = self.writers.write(async |db| {
            sqlx::query!(
                "WITH old AS (SELECT floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint - $1::bigint AS until)
                DELETE FROM roomcast.paces WHERE at < (SELECT until FROM old) AND (room, uid) IN (
                    SELECT room, uid FROM roomcast.paces WHERE at < (SELECT until FROM old) ORDER BY at LIMIT $2
                )",
                KEPT_PACES_MS,
                limit
            )
            .execute(db)
            .await
        });
        Ok(removed.await?.rows_affected())
    }

    /// Does nothing: PostgreSQL itself overwrites deleted rows, when VACUUM has freed their place. A node cannot do that.
    pub(crate) async fn scrub(&self) -> Result<bool> {
        Ok(true)
    }

    /// Returns the earlier one of `now` and the time of PostgreSQL's clock.
    pub(crate) async fn earlier_now(&self, now: u64) -> Result<u64> {
        let now = to_sql(now);
        let earlier = self.readers.read(async |db| {
            let clock = "SELECT least($1, floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint)";
            sqlx::query_scalar::<_, i64>(clock).bind(now).fetch_one(db).await
        });
        Ok(earlier.await?.unsigned_abs())
    }
}

/// Removes what the room has besides its messages: another room may get its id. Its chain of the audit log stays.
async fn remove_traces(db: &mut PgConnection, room: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM roomcast.paces WHERE room = $1", room).execute(&mut *db).await?;
    sqlx::query!("DELETE FROM roomcast.changes WHERE room = $1", room).execute(&mut *db).await?;
    sqlx::query!("DELETE FROM roomcast.restraints WHERE room = $1", room).execute(&mut *db).await?;
    sqlx::query!("DELETE FROM roomcast.removed_texts WHERE room = $1", room).execute(&mut *db).await?;
    sqlx::query!("DELETE FROM roomcast.purges WHERE room = $1", room).execute(&mut *db).await?;
    sqlx::query!("DELETE FROM roomcast.roles WHERE room = $1", room).execute(&mut *db).await?;
    sqlx::query!("DELETE FROM roomcast.notes WHERE room = $1", room).execute(&mut *db).await?;
    sqlx::query!("DELETE FROM roomcast.reports WHERE room = $1", room).execute(&mut *db).await?;
    sqlx::query!("DELETE FROM roomcast.networks WHERE room = $1", room).execute(&mut *db).await?;
    sqlx::query!("DELETE FROM roomcast.network_restraints WHERE room = $1", room).execute(db).await?;
    Ok(())
}
