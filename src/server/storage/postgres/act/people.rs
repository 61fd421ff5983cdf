//! Notes about persons, and the reports of viewers.

use super::super::{from_sql, to_sql};
use super::PostgresAct;
use crate::domain::id::{Seq, Uid};
use crate::server::storage::Result;
use crate::server::storage::moderation::{NoteRow, ReportRow};
use uuid::Uuid;

impl PostgresAct {
    pub(super) async fn store_note(&mut self, note: &NoteRow) -> Result<()> {
        let NoteRow { id, room, uid, by, at, text, until } = note;
        let (room, uid, at, until) = (room.as_str(), uid.as_str(), to_sql(*at), to_sql(*until));
        let stored = self.transaction.run(async |db| {
            sqlx::query!(
                "INSERT INTO roomcast.notes (id, room, uid, by_uid, at, text, until) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                id,
                room,
                uid,
                by,
                at,
                text,
                until
            )
            .execute(db)
            .await
        });
        stored.await.map(|_| ())
    }

    pub(super) async fn delete_note(&mut self, note: Uuid) -> Result<bool> {
        let id = self.id();
        let removed = self
            .transaction
            .run(async |db| sqlx::query!("DELETE FROM roomcast.notes WHERE id = $1 AND room = $2", note, id).execute(db).await);
        Ok(removed.await?.rows_affected() > 0)
    }

    pub(super) async fn store_report(&mut self, report: &ReportRow) -> Result<bool> {
        let ReportRow { room, seq, by, uid, reason, at } = report;
        let (room, seq, by, uid, at) = (room.as_str(), to_sql(seq.0), by.as_str(), uid.as_str(), to_sql(*at));
        let stored = self.transaction.run(async |db| {
            sqlx::query!(
                "INSERT INTO roomcast.reports (room, seq, by_uid, uid, reason, at) VALUES ($1, $2, $3, $4, $5, $6)
                ON CONFLICT DO NOTHING",
                room,
                seq,
                by,
                uid,
                reason,
                at
            )
            .execute(db)
            .await
        });
        Ok(stored.await?.rows_affected() > 0)
    }

    pub(super) async fn count_reports(&mut self, uid: &Uid, since: u64) -> Result<u64> {
        let (uid, since) = (uid.as_str(), to_sql(since));
        let count = self.transaction.run(async |db| {
            let count = sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM roomcast.reports WHERE by_uid = $1 AND at >= $2"#,
                uid,
                since
            );
            count.fetch_one(db).await
        });
        from_sql(count.await?)
    }

    pub(super) async fn settle_reports_of(&mut self, seq: Seq) -> Result<()> {
        let (id, seq, now) = (self.id(), to_sql(seq.0), self.now_sql());
        let settled = self.transaction.run(async |db| {
            sqlx::query!(
                "UPDATE roomcast.reports SET settled_at = $3 WHERE room = $1 AND seq = $2 AND settled_at IS NULL",
                id,
                seq,
                now
            )
            .execute(db)
            .await
        });
        settled.await.map(|_| ())
    }
}
