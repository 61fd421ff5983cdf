//! Reads messages by position and by nonce.

use super::{SqliteStore, corrupt, from_sql, to_sql};
use crate::domain::{
    id::{Nonce, RoomId, Seq, Uid},
    message::Message,
};
use crate::server::storage::raw_rows::RawMessage;
use crate::server::storage::{Result, SeqRange};
use uuid::Uuid;

impl SqliteStore {
    pub(crate) async fn sent_before(&self, user: &Uid, nonce: &Nonce, room: &RoomId) -> Result<Option<(Uuid, Seq)>> {
        let (uid, nonce, room) = (user.as_str(), nonce.as_str(), room.as_str());
        let row = sqlx::query!(
            r#"SELECT id, seq AS "seq!: i64" FROM messages WHERE uid = ? AND nonce = ? AND room = ?"#,
            uid,
            nonce,
            room
        )
        .fetch_optional(&self.readers)
        .await?;
        row.map(|row| Ok((row.id.parse().map_err(corrupt)?, Seq(from_sql(row.seq)?)))).transpose()
    }

    pub(crate) async fn seq_range(&self, room: &RoomId) -> Result<SeqRange> {
        let room = room.as_str();
        let row = sqlx::query!(
            r#"SELECT newest_seq AS "newest!: i64", (SELECT min(seq) FROM messages WHERE room = ?1) AS "oldest?: i64"
            FROM rooms WHERE room = ?1"#,
            room
        )
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(SeqRange { oldest: Seq(1), newest: Seq(0) }) };
        let newest = Seq(from_sql(row.newest)?);
        let oldest = row.oldest.map(from_sql).transpose()?.map_or(newest.next(), Seq);
        Ok(SeqRange { oldest, newest })
    }

    pub(crate) async fn messages_between(
        &self,
        room: &RoomId,
        after: Seq,
        before: Option<Seq>,
        limit: u32,
    ) -> Result<Vec<Message>> {
        let (room, after, before) = (room.as_str(), to_sql(after.0), before.map_or(i64::MAX, |seq| to_sql(seq.0)));
        let rows = sqlx::query_as!(
            RawMessage,
            "SELECT room, seq, id, uid, nickname, role, text, at FROM messages
            WHERE room = ? AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?",
            room,
            after,
            before,
            limit
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().rev().map(|row| row.into_message(|id: String| id.parse().map_err(corrupt))).collect()
    }
}
