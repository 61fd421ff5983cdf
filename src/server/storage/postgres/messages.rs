//! Reads messages by position and by nonce, and the recent senders.

use super::raw::{RawShown, messages};
use super::{PostgresStore, from_sql, to_sql};
use crate::domain::{
    id::{Nonce, RoomId, Seq, Uid},
    message::Message,
};
use crate::server::storage::{Result, SeqRange};
use uuid::Uuid;

impl PostgresStore {
    pub(crate) async fn sent_before(&self, user: &Uid, nonce: &Nonce, room: &RoomId) -> Result<Option<(Uuid, Seq)>> {
        let (uid, nonce, room) = (user.as_str(), nonce.as_str(), room.as_str());
        let row = self.readers.read(async |db| {
            sqlx::query!("SELECT id, seq FROM roomcast.messages WHERE uid = $1 AND nonce = $2 AND room = $3", uid, nonce, room)
                .fetch_optional(db)
                .await
        });
        row.await?.map(|row| Ok((row.id, Seq(from_sql(row.seq)?)))).transpose()
    }

    pub(crate) async fn seq_range(&self, room: &RoomId) -> Result<SeqRange> {
        let room = room.as_str();
        let row = self.readers.read(async |db| {
            sqlx::query!(
                r#"SELECT seq AS newest, (SELECT min(seq) FROM roomcast.messages WHERE room = $1) AS "oldest?"
                FROM roomcast.heads WHERE room = $1"#,
                room
            )
            .fetch_optional(db)
            .await
        });
        let Some(row) = row.await? else { return Ok(SeqRange { oldest: Seq(1), newest: Seq(0) }) };
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
        let limit = i64::from(limit);
        let rows = self.readers.read(async |db| {
            sqlx::query_as!(
                RawShown,
                "SELECT * FROM (
                    SELECT * FROM roomcast.shown_messages WHERE room = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4
                ) AS newest ORDER BY seq",
                room,
                after,
                before,
                limit
            )
            .fetch_all(db)
            .await
        });
        messages(rows.await?)
    }
}
