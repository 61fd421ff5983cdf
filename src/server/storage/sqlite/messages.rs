//! Reads messages by position and by nonce. Every message that goes out is from the view `shown_messages`, which has no removed text.

use super::raw::{RawShown, json_of};
use super::{SqliteStore, corrupt, from_sql, to_sql};
use crate::domain::{
    id::{Nonce, RoomId, Seq, Uid},
    message::Message,
};
use crate::server::storage::moderation::WithText;
use crate::server::storage::{Result, SeqRange};
use sqlx::SqliteConnection;
use std::collections::HashMap;
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
            RawShown,
            r#"SELECT room AS "room!", seq AS "seq!: i64", id AS "id!", uid AS "uid!", nickname AS "nickname!: String", role AS "role!",
                text AS "text!: String", at AS "at!: i64", re AS "re?: i64", re_nickname AS "re_nickname?: String",
                mentions AS "mentions?: String", removed_why AS "removed_why?: String", removed_rev AS "removed_rev?: i64"
            FROM shown_messages WHERE room = ? AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?"#,
            room,
            after,
            before,
            limit
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().rev().map(RawShown::into_message).collect()
    }
}

/// Returns those of the messages that are kept, ascending; removed ones as tombstones.
pub(super) async fn shown_at(connection: &mut SqliteConnection, room: &str, seqs: &[Seq]) -> Result<Vec<Message>> {
    let seqs = json_of(seqs)?;
    let rows = sqlx::query_as!(
        RawShown,
        r#"SELECT room AS "room!", seq AS "seq!: i64", id AS "id!", uid AS "uid!", nickname AS "nickname!: String", role AS "role!",
            text AS "text!: String", at AS "at!: i64", re AS "re?: i64", re_nickname AS "re_nickname?: String",
            mentions AS "mentions?: String", removed_why AS "removed_why?: String", removed_rev AS "removed_rev?: i64"
        FROM shown_messages WHERE room = ? AND seq IN (SELECT value FROM json_each(?)) ORDER BY seq"#,
        room,
        seqs
    );
    rows.fetch_all(connection).await?.into_iter().map(RawShown::into_message).collect()
}

/// A removed text that is kept: in `removed_texts`, or still in the row of a message that only a mark removes.
struct RawKept {
    seq: i64,
    nickname: String,
    text: String,
}

/// Returns messages with the removed texts that are kept, ascending; for the staff only.
pub(super) async fn with_texts_at(connection: &mut SqliteConnection, room: &str, seqs: &[Seq]) -> Result<Vec<WithText>> {
    let messages = shown_at(&mut *connection, room, seqs).await?;
    let removed = messages.iter().filter(|message| message.removed.is_some()).map(|message| message.seq);
    let removed = json_of(&removed.collect::<Vec<_>>())?;
    let kept = sqlx::query_as!(
        RawKept,
        r#"SELECT seq AS "seq!: i64", nickname AS "nickname!", text AS "text!" FROM removed_texts
        WHERE room = ?1 AND seq IN (SELECT value FROM json_each(?2))
        UNION ALL SELECT seq, nickname, text FROM messages
        WHERE room = ?1 AND seq IN (SELECT value FROM json_each(?2)) AND removed_why IS NULL"#,
        room,
        removed
    );
    let kept = kept.fetch_all(connection).await?.into_iter().map(|row| Ok((from_sql(row.seq)?, (row.nickname, row.text))));
    let mut kept = kept.collect::<Result<HashMap<_, _>>>()?;
    Ok(messages.into_iter().map(|message| WithText { removed: kept.remove(&message.seq.0), message }).collect())
}
