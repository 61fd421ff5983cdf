//! Erasure for good: of a person's messages, of the traces that a person leaves in the records of others, and of a removed text.

use super::super::raw::seqs;
use super::super::{corrupt, from_sql, to_sql};
use super::PostgresAct;
use crate::domain::id::{Seq, Uid};
use crate::server::storage::Result;
use crate::server::storage::moderation::NewRemoval;

impl PostgresAct {
    /// A message that was removed before keeps the reason of that removal.
    pub(super) async fn erase_messages(&mut self, uid: &Uid, removal: NewRemoval, limit: u32) -> Result<Vec<Seq>> {
        let (id, uid, now, limit) = (self.id(), uid.as_str(), self.now_sql(), i64::from(limit));
        let (why, rev) = (removal.why.as_str(), to_sql(removal.rev.0));
        let erased = self.transaction.run(async |db| {
            sqlx::query_scalar!(
                r#"WITH gone AS (
                    SELECT seq FROM roomcast.messages WHERE uid = $2 AND room = $1 AND seq > 0 ORDER BY seq LIMIT $3
                ), destroyed AS (
                    DELETE FROM roomcast.removed_texts WHERE room = $1 AND seq IN (SELECT seq FROM gone)
                ), unpinned AS (
                    UPDATE roomcast.rooms SET pinned_seq = NULL, pinned_until = NULL
                    WHERE room = $1 AND pinned_seq IN (SELECT seq FROM gone)
                ), settled AS (
                    UPDATE roomcast.reports SET settled_at = $6
                    WHERE room = $1 AND seq IN (SELECT seq FROM gone) AND settled_at IS NULL
                ), erased AS (
                    UPDATE roomcast.messages AS m SET uid = '-', nonce = m.id::text, nickname = '', text = '', mentions = NULL,
                        removed_why = coalesce(m.removed_why, $4), removed_rev = coalesce(m.removed_rev, $5)
                    FROM gone WHERE m.room = $1 AND m.seq = gone.seq RETURNING m.seq
                )
                SELECT seq AS "seq!" FROM erased ORDER BY seq"#,
                id,
                uid,
                limit,
                why,
                rev,
                now
            )
            .fetch_all(db)
            .await
        });
        seqs(erased.await?)
    }

    pub(super) async fn erase_traces(&mut self, uid: &Uid, limit: u32) -> Result<u64> {
        let (id, limit) = (self.id(), i64::from(limit));
        // As it stands in a list of mentions.
        let (uid, quoted) = (uid.as_str(), serde_json::to_string(uid).map_err(corrupt)?);
        let erased = self.transaction.run(async |db| {
            sqlx::query_scalar!(
                r#"WITH unpurged AS (
                    DELETE FROM roomcast.purges WHERE room = $1 AND uid = $2 RETURNING 1
                ), changed AS (
                    UPDATE roomcast.changes SET body = (body::jsonb - 'purged' || '{"reread":true}')::text
                    WHERE room = $1 AND body::jsonb #>> '{purged,0}' = $2 RETURNING 1
                ), unmentioned AS (
                    UPDATE roomcast.messages AS m SET mentions = (
                        SELECT json_agg(one)::text FROM json_array_elements_text(m.mentions::json) AS one WHERE one <> $2
                    )
                    WHERE m.room = $1 AND m.seq IN (
                        SELECT seq FROM roomcast.messages WHERE room = $1 AND mentions IS NOT NULL AND strpos(mentions, $3) > 0 LIMIT $4
                    ) RETURNING 1
                )
                SELECT (SELECT count(*) FROM unpurged) + (SELECT count(*) FROM changed) + (SELECT count(*) FROM unmentioned) AS "rows!""#,
                id,
                uid,
                quoted,
                limit
            )
            .fetch_one(db)
            .await
        });
        from_sql(erased.await?)
    }

    /// A message under the mark of a purge has its text still: it is blanked.
    pub(super) async fn destroy_text(&mut self, seq: Seq) -> Result<bool> {
        let (id, seq) = (self.id(), to_sql(seq.0));
        let destroyed = self.transaction.run(async |db| {
            sqlx::query_scalar!(
                r#"WITH blanked AS (
                    UPDATE roomcast.messages AS m
                    SET nickname = '', text = '', removed_why = s.removed_why, removed_rev = s.removed_rev
                    FROM roomcast.shown_messages AS s
                    WHERE s.room = $1 AND s.seq = $2 AND s.mark IS NOT NULL AND m.room = $1 AND m.seq = $2 RETURNING 1
                ), destroyed AS (
                    DELETE FROM roomcast.removed_texts WHERE room = $1 AND seq = $2 RETURNING 1
                )
                SELECT EXISTS (SELECT 1 FROM blanked) OR EXISTS (SELECT 1 FROM destroyed) AS "any!""#,
                id,
                seq
            )
            .fetch_one(db)
            .await
        });
        destroyed.await
    }
}
