//! News, as the triggers of `0006_news.sql` write it.

use super::{PostgresStore, corrupt, from_sql, to_sql};
use crate::domain::id::RoomId;
use crate::server::storage::Result;
use crate::server::storage::news::{NewsPage, SessionHash, parse};
use crate::server::storage::raw_rows::hashes;
use std::sync::Arc;
use tokio::sync::Notify;

/// Time for which news are kept: 1 hour. A node that read none for longer asks for everything that it holds.
const KEPT_MS: i64 = 3_600_000;

impl PostgresStore {
    pub(crate) fn written(&self) -> Arc<Notify> {
        self.written.clone()
    }

    /// Of the rows, not of the sequence: an id that was drawn may belong to a transaction that commits just now.
    pub(crate) async fn newest_news(&self) -> Result<u64> {
        let newest = self.readers.read(async |db| {
            let newest = sqlx::query_scalar!(
                r#"SELECT greatest(
                    (SELECT max(id) FROM roomcast.news),
                    (SELECT convert_from(value, 'UTF8')::bigint FROM roomcast.facts WHERE name = 'news_removed'), 0
                ) AS "newest!""#
            );
            newest.fetch_one(db).await
        });
        from_sql(newest.await?)
    }

    /// News are cut if rows after the id were removed, or if the sequence never gave the id: another server answers, which lacks the
    /// last commits of the former one.
    pub(crate) async fn news_after(&self, after: u64, limit: u32) -> Result<NewsPage> {
        let (from, most) = (to_sql(after), i64::from(limit));
        let read = self.readers.read(async |db| {
            let rows = sqlx::query!(
                r#"SELECT id, (jsonb_build_object('kind', kind) || what)::text AS "what!" FROM roomcast.news
                WHERE id > $1 ORDER BY id LIMIT $2"#,
                from,
                most
            );
            let rows = rows.fetch_all(&mut *db).await?;
            // After the rows: what is removed meanwhile is told as cut.
            let is_cut = sqlx::query_scalar!(
                r#"SELECT $1 > last_value OR EXISTS (
                    SELECT 1 FROM roomcast.facts WHERE name = 'news_removed' AND convert_from(value, 'UTF8')::bigint > $1
                ) AS "is_cut!" FROM roomcast.news_id_seq"#,
                from
            );
            Ok((rows, is_cut.fetch_one(db).await?))
        });
        let (rows, is_cut) = read.await?;
        let has_more = rows.len() == limit as usize;
        let news = rows.iter().map(|row| Ok((from_sql(row.id)?, parse(&row.what)))).collect::<Result<_>>()?;
        Ok(NewsPage { news, has_more, is_cut })
    }

    pub(crate) async fn sweep_news(&self, limit: u32) -> Result<u64> {
        let limit = i64::from(limit);
        let removed = self.writers.transaction(async |db| {
            let removed = sqlx::query!(
                r#"WITH removed AS (
                    DELETE FROM roomcast.news WHERE id IN (
                        SELECT id FROM roomcast.news WHERE at < roomcast.now_ms() - $1 ORDER BY id LIMIT $2
                    ) RETURNING id
                ) SELECT count(*) AS "count!", max(id) AS last FROM removed"#,
                KEPT_MS,
                limit
            );
            let removed = removed.fetch_one(&mut *db).await?;
            if let Some(last) = removed.last {
                let last = last.to_string().into_bytes();
                let note = sqlx::query!(
                    "INSERT INTO roomcast.facts (name, value) VALUES ('news_removed', $1)
                    ON CONFLICT (name) DO UPDATE SET value = $1
                    WHERE convert_from(facts.value, 'UTF8')::bigint < convert_from($1, 'UTF8')::bigint",
                    last
                );
                note.execute(db).await?;
            }
            Ok(removed.count)
        });
        from_sql(removed.await?)
    }

    pub(crate) async fn ended_among(&self, sessions: &[SessionHash]) -> Result<Vec<SessionHash>> {
        let asked: Vec<&[u8]> = sessions.iter().map(|hash| &hash[..]).collect();
        let ended = self.readers.read(async |db| {
            let ended = sqlx::query_scalar!(
                r#"SELECT asked AS "asked!" FROM unnest($1::bytea[]) AS asked
                WHERE NOT EXISTS (SELECT 1 FROM roomcast.sessions WHERE token_hash = asked)"#,
                &asked as &[&[u8]]
            );
            ended.fetch_all(db).await
        });
        hashes(ended.await?)
    }

    pub(crate) async fn deleted_among(&self, rooms: &[RoomId]) -> Result<Vec<RoomId>> {
        let asked: Vec<_> = rooms.iter().map(RoomId::as_str).collect();
        let found = self.readers.read(async |db| {
            let found = sqlx::query_scalar!(
                "SELECT room FROM roomcast.rooms WHERE room = ANY ($1) AND deleted_at IS NOT NULL",
                &asked as &[&str]
            );
            found.fetch_all(db).await
        });
        found.await?.into_iter().map(|room| room.parse().map_err(|_| corrupt("room"))).collect()
    }
}
