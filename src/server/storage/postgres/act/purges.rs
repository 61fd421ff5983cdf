//! Purges: the mark that removes a person's messages at once, and the rows behind it, which are blanked in batches.

use super::super::raw::{RawPurge, state_word};
use super::super::{from_sql, to_sql};
use super::PostgresAct;
use crate::domain::id::Uid;
use crate::server::storage::Result;
use crate::server::storage::moderation::PurgeRow;
use uuid::Uuid;

impl PostgresAct {
    /// The mark removes the messages at once: also from the pin, and from the open reports.
    pub(super) async fn store_purge(&mut self, purge: &PurgeRow) -> Result<()> {
        let (room, uid, state, why) = (purge.room.as_str(), purge.uid.as_str(), state_word(purge.state), purge.why.as_str());
        let (from, upto, next) = (to_sql(purge.from.0), to_sql(purge.upto.0), to_sql(purge.next.0));
        let (rev, until) = (to_sql(purge.rev.0), to_sql(purge.until));
        let now = self.now_sql();
        let stored = self.transaction.run(async |db| {
            sqlx::query!(
                "WITH unpinned AS (
                    UPDATE roomcast.rooms SET pinned_seq = NULL, pinned_until = NULL
                    WHERE room = $2 AND $8 = 'blanking' AND pinned_seq BETWEEN $4 AND $5 AND EXISTS (
                        SELECT 1 FROM roomcast.messages AS m WHERE m.room = $2 AND m.seq = pinned_seq AND m.uid = $3
                    )
                ), settled AS (
                    UPDATE roomcast.reports SET settled_at = $11
                    WHERE room = $2 AND uid = $3 AND $8 = 'blanking' AND seq BETWEEN $4 AND $5 AND settled_at IS NULL
                )
                INSERT INTO roomcast.purges (action, room, uid, from_seq, upto_seq, rev, why, state, next_seq, until)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                ON CONFLICT (action) DO UPDATE SET state = $8, next_seq = $9",
                purge.action,
                room,
                uid,
                from,
                upto,
                rev,
                why,
                state,
                next,
                until,
                now
            )
            .execute(db)
            .await
        });
        stored.await.map(|_| ())
    }

    pub(super) async fn read_purge(&mut self, action: Uuid) -> Result<Option<PurgeRow>> {
        let id = self.id();
        let row = self.transaction.run(async |db| {
            sqlx::query_as!(
                RawPurge,
                "SELECT action, room, uid, from_seq, upto_seq, rev, why, state, next_seq, until
                FROM roomcast.purges WHERE action = $1 AND room = $2",
                action,
                id
            )
            .fetch_optional(db)
            .await
        });
        row.await?.map(RawPurge::into_purge).transpose()
    }

    pub(super) async fn read_unfinished_purge(&mut self, uid: &Uid) -> Result<Option<Uuid>> {
        let (id, uid) = (self.id(), uid.as_str());
        let action = self.transaction.run(async |db| {
            sqlx::query_scalar!(
                "SELECT action FROM roomcast.purges WHERE room = $1 AND uid = $2 AND state <> 'done' LIMIT 1",
                id,
                uid
            )
            .fetch_optional(db)
            .await
        });
        action.await
    }

    /// Blanks the next rows of a purge, and returns their number: 0 if it is not blanking.
    pub(super) async fn blank_purged(&mut self, action: Uuid, limit: u32) -> Result<u64> {
        let (id, limit) = (self.id(), i64::from(limit));
        let blanked = self.transaction.run(async |db| {
            sqlx::query_scalar!(
                r#"WITH page AS (
                    SELECT m.seq, m.nickname, m.text, m.removed_why, q.why, q.rev, q.until
                    FROM roomcast.purges AS q CROSS JOIN LATERAL (
                        SELECT seq, nickname, text, removed_why FROM roomcast.messages
                        WHERE uid = q.uid AND room = q.room AND seq > 0 AND seq BETWEEN q.next_seq AND q.upto_seq
                        ORDER BY seq LIMIT $3
                    ) AS m
                    WHERE q.action = $2 AND q.room = $1 AND q.state = 'blanking'
                ), gone AS (
                    SELECT * FROM page WHERE removed_why IS NULL
                ), kept AS (
                    INSERT INTO roomcast.removed_texts (room, seq, action, nickname, text, until)
                    SELECT $1, seq, $2, nickname, text, until FROM gone
                ), blanked AS (
                    UPDATE roomcast.messages AS m SET nickname = '', text = '', removed_why = gone.why, removed_rev = gone.rev
                    FROM gone WHERE m.room = $1 AND m.seq = gone.seq
                ), moved AS (
                    UPDATE roomcast.purges SET
                        state = CASE WHEN (SELECT count(*) FROM page) < $3 THEN 'done' ELSE state END,
                        next_seq = CASE WHEN (SELECT count(*) FROM page) < $3 THEN upto_seq + 1
                            ELSE (SELECT max(seq) + 1 FROM page) END
                    WHERE action = $2 AND room = $1 AND state = 'blanking'
                )
                SELECT count(*) AS "count!" FROM gone"#,
                id,
                action,
                limit
            )
            .fetch_one(db)
            .await
        });
        from_sql(blanked.await?)
    }
}
