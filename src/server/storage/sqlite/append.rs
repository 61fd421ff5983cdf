//! The write path of messages: a batch of sends becomes rows with consecutive seqs, in one transaction.

use super::{SqliteStore, corrupt, finish, from_sql, to_sql};
use crate::domain::{
    id::{Nonce, RoomId, Seq},
    message::{Message, Role},
};
use crate::server::storage::{Appended, NewMessage, Result};
use serde::Serialize;
use sqlx::{Connection, SqliteConnection};
use std::collections::HashMap;
use uuid::Uuid;

/// Uid, nonce and room: a send with the key of an earlier one repeats it.
type SendKey = (String, String, String);

fn send_key(new: &NewMessage) -> Option<SendKey> {
    new.nonce.as_ref().map(|nonce| (new.user.to_string(), nonce.to_string(), new.room.to_string()))
}

impl SqliteStore {
    pub(crate) async fn append(&self, batch: Vec<NewMessage>) -> Result<Vec<Appended>> {
        let mut connection = self.writer.acquire().await?;
        let appended = append(&mut connection, batch).await;
        finish(connection, appended)
    }
}

/// Four statements, however large the batch is (begin, find repeats, insert, commit), and one per room for its newest seq.
async fn append(connection: &mut SqliteConnection, batch: Vec<NewMessage>) -> Result<Vec<Appended>> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let repeats = find_repeats(&mut transaction, &batch).await?;
    let keys: Vec<_> = batch.iter().map(send_key).collect();
    let newest = newest_seqs(&mut transaction, &batch, &keys, &repeats).await?;
    let (appended, nonces): (Vec<_>, Vec<_>) = number(batch, keys, repeats, newest).into_iter().unzip();
    insert(&mut transaction, &appended, &nonces).await?;
    transaction.commit().await?;
    Ok(appended)
}

/// Returns the messages that were stored earlier under a nonce of this batch.
async fn find_repeats(connection: &mut SqliteConnection, batch: &[NewMessage]) -> Result<HashMap<SendKey, (Uuid, Seq)>> {
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
    if attempts.is_empty() {
        return Ok(HashMap::new());
    }
    let attempts = serde_json::to_string(&attempts).map_err(corrupt)?;
    let rows = sqlx::query!(
                r#"SELECT m.uid AS "uid!", m.nonce AS "nonce!", m.room AS "room!", m.id AS "id!", m.seq AS "seq!: i64"
                FROM json_each(?) AS attempt JOIN messages AS m
                ON m.uid = attempt.value ->> 'uid' AND m.nonce = attempt.value ->> 'nonce' AND m.room = attempt.value ->> 'room'"#,
                attempts
            )
    .fetch_all(&mut *connection)
    .await?;
    rows.into_iter()
        .map(|row| Ok(((row.uid, row.nonce, row.room), (row.id.parse().map_err(corrupt)?, Seq(from_sql(row.seq)?)))))
        .collect()
}

/// Returns the newest seq of each room that gets a message; 0 for a room without messages.
async fn newest_seqs(
    connection: &mut SqliteConnection,
    batch: &[NewMessage],
    keys: &[Option<SendKey>],
    repeats: &HashMap<SendKey, (Uuid, Seq)>,
) -> Result<HashMap<RoomId, Seq>> {
    let mut newest = HashMap::new();
    for (new, key) in batch.iter().zip(keys) {
        let is_repeat = key.as_ref().is_some_and(|key| repeats.contains_key(key));
        if !is_repeat && !newest.contains_key(&new.room) {
            let room = new.room.as_str();
            let seq = sqlx::query_scalar!(r#"SELECT coalesce(max(seq), 0) AS "seq!: i64" FROM messages WHERE room = ?"#, room)
                .fetch_one(&mut *connection)
                .await?;
            newest.insert(new.room.clone(), Seq(from_sql(seq)?));
        }
    }
    Ok(newest)
}

/// Gives each message the next seq of its room. `keys` are those of the batch, in its order. A nonce that was used before, also within this batch, takes no seq.
fn number(
    batch: Vec<NewMessage>,
    keys: Vec<Option<SendKey>>,
    mut repeats: HashMap<SendKey, (Uuid, Seq)>,
    mut newest: HashMap<RoomId, Seq>,
) -> Vec<(Appended, Option<Nonce>)> {
    let mut appended = Vec::with_capacity(batch.len());
    for (new, key) in batch.into_iter().zip(keys) {
        let NewMessage { room, id, user, nickname, role, text, at, nonce } = new;
        if let Some((id, seq)) = key.as_ref().and_then(|key| repeats.get(key)) {
            appended.push((Appended::Repeated { id: *id, seq: *seq }, None));
            continue;
        }
        let last = newest.entry(room.clone()).or_default();
        *last = last.next();
        let seq = *last;
        if let Some(key) = key {
            repeats.insert(key, (id, seq));
        }
        appended.push((Appended::Stored(Message { room, seq, id, user, nickname, role, text, at }), nonce));
    }
    appended
}

/// One row to insert, as JSON for SQLite's `json_each`.
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

impl<'a> InsertRow<'a> {
    fn new(message: &'a Message, nonce: Option<&'a Nonce>) -> Self {
        Self {
            room: message.room.as_str(),
            seq: to_sql(message.seq.0),
            id: message.id,
            uid: message.user.as_str(),
            nickname: &message.nickname,
            role: if message.role == Role::Host { "host" } else { "viewer" },
            text: &message.text,
            at: to_sql(message.at),
            nonce: nonce.map(Nonce::as_str),
        }
    }
}

/// Inserts all stored messages with one statement. `nonces` are those of the batch, in its order.
async fn insert(connection: &mut SqliteConnection, appended: &[Appended], nonces: &[Option<Nonce>]) -> Result<()> {
    let rows: Vec<InsertRow> = appended
        .iter()
        .zip(nonces)
        .filter_map(|(appended, nonce)| match appended {
            Appended::Stored(message) => Some(InsertRow::new(message, nonce.as_ref())),
            Appended::Repeated { .. } => None,
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let rows = serde_json::to_string(&rows).map_err(corrupt)?;
    sqlx::query!(
        "INSERT INTO messages (room, seq, id, uid, nickname, role, text, at, nonce)
                SELECT value ->> 'room', value ->> 'seq', value ->> 'id', value ->> 'uid', value ->> 'nickname',
                    value ->> 'role', value ->> 'text', value ->> 'at', value ->> 'nonce' FROM json_each(?)",
        rows
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}
