//! The write path of messages: a batch of sends becomes rows with consecutive seqs, in one transaction.

use super::{corrupt, from_sql, to_sql};
use crate::domain::{
    id::{Nonce, RoomId, Seq},
    message::{Message, Role},
};
use crate::server::storage::{Appended, NewMessage, Result};
use serde::Serialize;
use sqlx::SqliteConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Uid, nonce and room: a send with the key of an earlier one repeats it.
type SendKey = (String, String, String);

fn send_key(new: &NewMessage) -> Option<SendKey> {
    new.nonce.as_ref().map(|nonce| (new.user.to_string(), nonce.to_string(), new.room.to_string()))
}

/// The numbering of a room, as it was read in the batch's transaction.
struct Head {
    newest: Seq,
    is_closed: bool,
}

/// Appends a batch in the transaction of `connection`. Four statements, however large the batch is: find repeats, find rooms,
/// insert, and move the rooms' numbering.
pub(super) async fn append(connection: &mut SqliteConnection, batch: Vec<NewMessage>) -> Result<Vec<Appended>> {
    let repeats = find_repeats(connection, &batch).await?;
    let mut heads = read_heads(connection, &batch).await?;
    let keys: Vec<_> = batch.iter().map(send_key).collect();
    let (appended, nonces): (Vec<_>, Vec<_>) = number(batch, keys, repeats, &mut heads).into_iter().unzip();
    insert(connection, &appended, &nonces).await?;
    move_heads(connection, &appended).await?;
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

/// Returns the numbering of each room of the batch; a room that does not exist is missing.
async fn read_heads(connection: &mut SqliteConnection, batch: &[NewMessage]) -> Result<HashMap<RoomId, Head>> {
    let rooms: BTreeSet<_> = batch.iter().map(|new| new.room.as_str()).collect();
    let rooms = serde_json::to_string(&rooms).map_err(corrupt)?;
    let rows = sqlx::query!(
        r#"SELECT rooms.room AS "room!", rooms.newest_seq AS "newest_seq!: i64", rooms.closed_at IS NOT NULL AS "is_closed!: bool"
        FROM json_each(?) AS wanted JOIN rooms ON rooms.room = wanted.value WHERE rooms.deleted_at IS NULL"#,
        rooms
    )
    .fetch_all(&mut *connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let room = row.room.parse().map_err(|_| corrupt("room"))?;
            Ok((room, Head { newest: Seq(from_sql(row.newest_seq)?), is_closed: row.is_closed }))
        })
        .collect()
}

/// Gives each message the next seq of its room. `keys` are those of the batch, in its order. A nonce that was used before, also
/// within this batch, takes no seq, and neither does a message to a room that is closed or does not exist.
fn number(
    batch: Vec<NewMessage>,
    keys: Vec<Option<SendKey>>,
    mut repeats: HashMap<SendKey, (Uuid, Seq)>,
    heads: &mut HashMap<RoomId, Head>,
) -> Vec<(Appended, Option<Nonce>)> {
    let mut appended = Vec::with_capacity(batch.len());
    for (new, key) in batch.into_iter().zip(keys) {
        let NewMessage { room, id, user, nickname, role, text, at, nonce } = new;
        if let Some((id, seq)) = key.as_ref().and_then(|key| repeats.get(key)) {
            appended.push((Appended::Repeated { id: *id, seq: *seq }, None));
            continue;
        }
        let seq = match heads.get_mut(&room) {
            None => {
                appended.push((Appended::NoSuchRoom, None));
                continue;
            }
            Some(head) if head.is_closed => {
                appended.push((Appended::RoomClosed, None));
                continue;
            }
            Some(head) => {
                head.newest = head.newest.next();
                head.newest
            }
        };
        if let Some(key) = key {
            repeats.insert(key, (id, seq));
        }
        appended.push((Appended::Stored(Message { room, seq, id, user, nickname, role, text, at }), nonce));
    }
    appended
}

/// Stores the newest seq of each room that got a message.
async fn move_heads(connection: &mut SqliteConnection, appended: &[Appended]) -> Result<()> {
    let newest: BTreeMap<_, _> = appended
        .iter()
        .filter_map(|appended| match appended {
            // In the batch's order: the last one of a room is its newest.
            Appended::Stored(message) => Some((message.room.as_str(), to_sql(message.seq.0))),
            _ => None,
        })
        .collect();
    if newest.is_empty() {
        return Ok(());
    }
    let newest = serde_json::to_string(&newest).map_err(corrupt)?;
    sqlx::query!("UPDATE rooms SET newest_seq = head.value FROM json_each(?) AS head WHERE rooms.room = head.key", newest)
        .execute(&mut *connection)
        .await?;
    Ok(())
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
            Appended::Repeated { .. } | Appended::NoSuchRoom | Appended::RoomClosed => None,
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
