//! Messages: appended in batches, read from one position to another.

use super::open::{from_sql, to_sql};
use super::{Result, Store, broken, settled};
use crate::domain::{
    id::{Nonce, RoomId, Seq, Uid},
    message::{Message, Role},
};
use serde::Serialize;
use sqlx::{Connection, SqliteConnection};
use std::collections::HashMap;
use uuid::Uuid;

/// A message that has no number yet.
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub room: RoomId,
    pub id: Uuid,
    pub user: Uid,
    pub nickname: String,
    pub role: Role,
    pub text: String,
    pub at: u64,
    pub nonce: Option<Nonce>,
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Appended {
    Stored(Message),
    /// The nonce was used before: this is what it stands for.
    Before {
        id: Uuid,
        seq: Seq,
    },
}

#[derive(Serialize)]
struct InsertRow<'a> {
    room: &'a str,
    seq: i64,
    id: Uuid,
    uid: &'a str,
    nickname: &'a str,
    role: &'a str,
    text: &'a str,
    at: i64,
    nonce: Option<&'a str>,
}

struct MessageRow {
    room: String,
    seq: i64,
    id: String,
    uid: String,
    nickname: String,
    role: String,
    text: String,
    at: i64,
}

impl MessageRow {
    fn into_message(self) -> Result<Message> {
        Ok(Message {
            room: self.room.parse().map_err(|_| broken("room"))?,
            seq: Seq(from_sql(self.seq)?),
            id: self.id.parse().map_err(broken)?,
            user: self.uid.parse().map_err(|_| broken("uid"))?,
            nickname: self.nickname,
            role: if self.role == "host" { Role::Host } else { Role::Viewer },
            text: self.text,
            at: from_sql(self.at)?,
        })
    }
}

impl Store {
    /// One transaction for all of them: either every message of the batch is durable when this returns, or none is.
    /// Statements do not grow with the batch. Rooms must exist.
    pub async fn append(&self, batch: Vec<NewMessage>) -> Result<Vec<Appended>> {
        let mut connection = self.writer.acquire().await?;
        let appended = append(&mut connection, batch).await;
        settled(connection, appended)
    }

    /// What a nonce stands for, if it was used.
    pub async fn sent_before(&self, user: &Uid, nonce: &Nonce, room: &RoomId) -> Result<Option<(Uuid, Seq)>> {
        let (uid, nonce, room) = (user.as_str(), nonce.as_str(), room.as_str());
        let row = sqlx::query!(
            r#"SELECT id, seq AS "seq!: i64" FROM messages WHERE uid = ? AND nonce = ? AND room = ?"#,
            uid,
            nonce,
            room
        )
        .fetch_optional(&self.readers)
        .await?;
        row.map(|row| Ok((row.id.parse().map_err(broken)?, Seq(from_sql(row.seq)?)))).transpose()
    }

    /// Position of the newest message; 0 in a silent room.
    pub async fn newest_seq(&self, room: &RoomId) -> Result<Seq> {
        let room = room.as_str();
        let seq = sqlx::query_scalar!(r#"SELECT coalesce(max(seq), 0) AS "seq!: i64" FROM messages WHERE room = ?"#, room)
            .fetch_one(&self.readers)
            .await?;
        Ok(Seq(from_sql(seq)?))
    }

    /// The last `limit` with a seq in `after + 1 ..= before - 1`, newest last.
    pub async fn messages_between(&self, room: &RoomId, after: Seq, before: Option<Seq>, limit: u32) -> Result<Vec<Message>> {
        let (room, after, before) = (room.as_str(), to_sql(after.0), before.map_or(i64::MAX, |seq| to_sql(seq.0)));
        let rows = sqlx::query_as!(
            MessageRow,
            "SELECT room, seq, id, uid, nickname, role, text, at FROM messages
            WHERE room = ? AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?",
            room,
            after,
            before,
            limit
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().rev().map(MessageRow::into_message).collect()
    }

    /// Who spoke when, among the last `limit` messages of every room, not before `since`: for the cooldowns of a node
    /// that starts.
    pub async fn recent_speakers(&self, since: u64, limit: u32) -> Result<Vec<(RoomId, Uid, u64)>> {
        let since = to_sql(since);
        let rows = sqlx::query!(
            r#"SELECT rooms.room AS "room!", m.uid AS "uid!", m.at AS "at!: i64" FROM rooms JOIN messages AS m ON m.room = rooms.room
            WHERE m.seq > (SELECT max(seq) FROM messages WHERE room = rooms.room) - ? AND m.at >= ?"#,
            limit,
            since
        )
        .fetch_all(&self.readers)
        .await?;
        let speaker = |room: String, uid: String, at| Some((room.parse().ok()?, uid.parse().ok()?, from_sql(at).ok()?));
        Ok(rows.into_iter().filter_map(|row| speaker(row.room, row.uid, row.at)).collect())
    }
}

async fn append(connection: &mut SqliteConnection, batch: Vec<NewMessage>) -> Result<Vec<Appended>> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    #[derive(Serialize)]
    struct Attempt<'a> {
        uid: &'a str,
        nonce: &'a str,
        room: &'a str,
    }
    let attempts: Vec<Attempt> = batch
        .iter()
        .filter_map(|new| {
            let nonce = new.nonce.as_ref()?.as_str();
            Some(Attempt { uid: new.user.as_str(), nonce, room: new.room.as_str() })
        })
        .collect();
    let mut before: HashMap<(String, String, String), (Uuid, Seq)> = HashMap::new();
    if !attempts.is_empty() {
        let attempts = serde_json::to_string(&attempts).map_err(broken)?;
        let rows = sqlx::query!(
                r#"SELECT m.uid AS "uid!", m.nonce AS "nonce!", m.room AS "room!", m.id AS "id!", m.seq AS "seq!: i64"
                FROM json_each(?) AS attempt JOIN messages AS m
                ON m.uid = attempt.value ->> 'uid' AND m.nonce = attempt.value ->> 'nonce' AND m.room = attempt.value ->> 'room'"#,
                attempts
            )
            .fetch_all(&mut *transaction)
            .await?;
        for row in rows {
            let first = (row.id.parse().map_err(broken)?, Seq(from_sql(row.seq)?));
            before.insert((row.uid, row.nonce, row.room), first);
        }
    }

    let mut newest: HashMap<RoomId, Seq> = HashMap::new();
    let mut results = Vec::with_capacity(batch.len());
    let mut nonces: Vec<Option<Nonce>> = Vec::with_capacity(batch.len());
    for new in batch {
        let attempt = new.nonce.as_ref().map(|nonce| (new.user.to_string(), nonce.to_string(), new.room.to_string()));
        if let Some((id, seq)) = attempt.as_ref().and_then(|attempt| before.get(attempt)) {
            results.push(Appended::Before { id: *id, seq: *seq });
            nonces.push(None);
            continue;
        }
        let last = match newest.get(&new.room) {
            Some(seq) => *seq,
            None => {
                let room = new.room.as_str();
                let seq =
                    sqlx::query_scalar!(r#"SELECT coalesce(max(seq), 0) AS "seq!: i64" FROM messages WHERE room = ?"#, room)
                        .fetch_one(&mut *transaction)
                        .await?;
                Seq(from_sql(seq)?)
            }
        };
        let seq = last.next();
        newest.insert(new.room.clone(), seq);
        if let Some(attempt) = attempt {
            before.insert(attempt, (new.id, seq));
        }
        let NewMessage { room, id, user, nickname, role, text, at, nonce } = new;
        results.push(Appended::Stored(Message { room, seq, id, user, nickname, role, text, at }));
        nonces.push(nonce);
    }

    let rows: Vec<InsertRow> = results
        .iter()
        .zip(&nonces)
        .filter_map(|(result, nonce)| match result {
            Appended::Stored(message) => Some(InsertRow {
                room: message.room.as_str(),
                seq: to_sql(message.seq.0),
                id: message.id,
                uid: message.user.as_str(),
                nickname: &message.nickname,
                role: if message.role == Role::Host { "host" } else { "viewer" },
                text: &message.text,
                at: to_sql(message.at),
                nonce: nonce.as_ref().map(Nonce::as_str),
            }),
            Appended::Before { .. } => None,
        })
        .collect();
    if !rows.is_empty() {
        let rows = serde_json::to_string(&rows).map_err(broken)?;
        sqlx::query!(
            "INSERT INTO messages (room, seq, id, uid, nickname, role, text, at, nonce)
                SELECT value ->> 'room', value ->> 'seq', value ->> 'id', value ->> 'uid', value ->> 'nickname',
                    value ->> 'role', value ->> 'text', value ->> 'at', value ->> 'nonce' FROM json_each(?)",
            rows
        )
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(results)
}
