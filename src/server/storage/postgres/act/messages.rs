//! The messages that an act removes, restores and erases. Nickname and text of a removed message are in `removed_texts` alone.

use super::super::raw::{RawShown, messages, seqs};
use super::super::{from_sql, to_sql};
use super::{PostgresAct, seqs_sql};
use crate::domain::{
    id::{Seq, Uid},
    message::Message,
};
use crate::server::storage::Result;
use crate::server::storage::moderation::{NewRemoval, StoredMessage};
use uuid::Uuid;

impl PostgresAct {
    pub(super) async fn read_message(&mut self, seq: Seq) -> Result<Option<StoredMessage>> {
        let (id, seq) = (self.id(), to_sql(seq.0));
        let row = self.transaction.run(async |db| {
            let shown = sqlx::query_as!(RawShown, "SELECT * FROM roomcast.shown_messages WHERE room = $1 AND seq = $2", id, seq);
            let Some(shown) = shown.fetch_optional(&mut *db).await? else { return Ok(None) };
            let action = sqlx::query_scalar!("SELECT action FROM roomcast.removed_texts WHERE room = $1 AND seq = $2", id, seq);
            let action = action.fetch_optional(db).await?;
            Ok(Some((shown, action)))
        });
        let Some((shown, action)) = row.await? else { return Ok(None) };
        let action = shown.mark.or(action);
        Ok(Some(StoredMessage { message: shown.into_message()?, action }))
    }

    /// A message under the mark of a purge is removed already.
    pub(super) async fn remove_messages(&mut self, removal: NewRemoval, wanted: &[Seq]) -> Result<Vec<Seq>> {
        let (id, now, wanted) = (self.id(), self.now_sql(), seqs_sql(wanted));
        let NewRemoval { action, why, rev, until } = removal;
        let (why, rev, until) = (why.as_str(), to_sql(rev.0), to_sql(until));
        let removed = self.transaction.run(async |db| {
            sqlx::query_scalar!(
                r#"WITH gone AS (
                    SELECT m.seq, m.nickname, m.text
                    FROM roomcast.shown_messages AS s JOIN roomcast.messages AS m ON m.room = s.room AND m.seq = s.seq
                    WHERE s.room = $1 AND s.seq = ANY ($2) AND s.removed_why IS NULL
                ), kept AS (
                    INSERT INTO roomcast.removed_texts (room, seq, action, nickname, text, until)
                    SELECT $1, seq, $3, nickname, text, $4 FROM gone
                ), unpinned AS (
                    UPDATE roomcast.rooms SET pinned_seq = NULL, pinned_until = NULL
                    WHERE room = $1 AND pinned_seq IN (SELECT seq FROM gone)
                ), settled AS (
                    UPDATE roomcast.reports SET settled_at = $7
                    WHERE room = $1 AND seq IN (SELECT seq FROM gone) AND settled_at IS NULL
                ), blanked AS (
                    UPDATE roomcast.messages AS m SET nickname = '', text = '', removed_why = $5, removed_rev = $6
                    FROM gone WHERE m.room = $1 AND m.seq = gone.seq RETURNING m.seq
                )
                SELECT seq AS "seq!" FROM blanked ORDER BY seq"#,
                id,
                &wanted,
                action,
                until,
                why,
                rev,
                now
            )
            .fetch_all(db)
            .await
        });
        seqs(removed.await?)
    }

    pub(super) async fn restore_messages(&mut self, action: Uuid, limit: u32) -> Result<Vec<Message>> {
        let (id, limit) = (self.id(), i64::from(limit));
        let rows = self.transaction.run(async |db| {
            let restored = sqlx::query_scalar!(
                "WITH kept AS (
                    DELETE FROM roomcast.removed_texts WHERE room = $1 AND action = $2 AND seq IN (
                        SELECT seq FROM roomcast.removed_texts WHERE room = $1 AND action = $2 ORDER BY seq LIMIT $3
                    ) RETURNING seq, nickname, text
                )
                UPDATE roomcast.messages AS m SET nickname = kept.nickname, text = kept.text, removed_why = NULL, removed_rev = NULL
                FROM kept WHERE m.room = $1 AND m.seq = kept.seq RETURNING m.seq",
                id,
                action,
                limit
            );
            let restored = restored.fetch_all(&mut *db).await?;
            sqlx::query_as!(
                RawShown,
                "SELECT * FROM roomcast.shown_messages WHERE room = $1 AND seq = ANY ($2) ORDER BY seq",
                id,
                &restored
            )
            .fetch_all(db)
            .await
        });
        messages(rows.await?)
    }

    pub(super) async fn count_restorable(&mut self, action: Uuid) -> Result<u64> {
        let id = self.id();
        let count = self.transaction.run(async |db| {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM roomcast.removed_texts AS t WHERE room = $1 AND action = $2
                    AND EXISTS (SELECT 1 FROM roomcast.messages AS m WHERE m.room = t.room AND m.seq = t.seq)"#,
                id,
                action
            )
            .fetch_one(db)
            .await
        });
        from_sql(count.await?)
    }

    /// A room's seqs have no holes: the first one of a time is found by halving.
    pub(super) async fn find_range(&mut self, uid: &Uid, since: u64) -> Result<Option<(Seq, Seq)>> {
        let (id, uid, since) = (self.id(), uid.as_str(), to_sql(since));
        let row = self.transaction.run(async |db| {
            sqlx::query!(
                "WITH RECURSIVE search (low, high) AS (
                    SELECT (SELECT min(seq) FROM roomcast.messages WHERE room = $1), seq + 1 FROM roomcast.heads WHERE room = $1
                    UNION ALL
                    SELECT CASE WHEN is_before THEN middle + 1 ELSE low END, CASE WHEN is_before THEN high ELSE middle END
                    FROM (SELECT low, high, (low + high) / 2 AS middle FROM search WHERE low < high) AS half
                    CROSS JOIN LATERAL (
                        SELECT coalesce((SELECT at FROM roomcast.messages WHERE room = $1 AND seq = middle), 0) < $3 AS is_before
                    ) AS look
                )
                SELECT
                    (SELECT min(seq) FROM roomcast.messages WHERE uid = $2 AND room = $1 AND seq > 0 AND seq >= low) AS lowest,
                    (SELECT max(seq) FROM roomcast.messages WHERE uid = $2 AND room = $1 AND seq > 0) AS highest
                FROM search WHERE low >= high LIMIT 1",
                id,
                uid,
                since
            )
            .fetch_optional(db)
            .await
        });
        let Some(row) = row.await? else { return Ok(None) };
        let (Some(lowest), Some(highest)) = (row.lowest, row.highest) else { return Ok(None) };
        Ok(Some((Seq(from_sql(lowest)?), Seq(from_sql(highest)?))))
    }
}
