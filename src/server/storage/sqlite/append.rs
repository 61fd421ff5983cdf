//! The write path of messages: a batch of sends is judged and becomes rows with consecutive seqs, in one transaction.

mod senders;

use super::last_messages::LastMessages;
use super::{corrupt, from_sql, to_sql};
use crate::domain::{
    id::{Nonce, Seq},
    message::{Message, ReplyTo},
    rank::Rank,
};
use crate::server::storage::{Appended, NewMessage, Result};
use senders::Senders;
use serde::Serialize;
use sqlx::SqliteConnection;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Uid, nonce and room: a send with the key of an earlier one repeats it.
type SendKey = (String, String, String);

fn send_key(new: &NewMessage) -> Option<SendKey> {
    new.nonce.as_ref().map(|nonce| (new.user.to_string(), nonce.to_string(), new.room.to_string()))
}

/// Messages to be appended.
pub(super) struct AppendWrite {
    pub(super) batch: Vec<NewMessage>,
    /// The cooldown of every room.
    pub(super) cooldown_ms: u64,
}

/// Appends a batch in the transaction of `connection`. Four statements, however large the batch is: find repeats, read the senders
/// and their rooms, insert, and move the rooms' numbering. Answers and networks cost one more each, and so does a room that is new to
/// `last`.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    write: AppendWrite,
    last: &mut LastMessages,
) -> Result<Vec<Appended>> {
    let AppendWrite { batch, cooldown_ms } = write;
    let repeats = find_repeats(connection, &batch).await?;
    let now = batch.iter().map(|new| new.at).min().unwrap_or_default();
    let mut senders = Senders::read(connection, &batch, now).await?;
    last.begin(now);
    for (room, head) in &senders.heads {
        let slow_ms = head.slow_ms;
        last.read(connection, room, (head.newest, slow_ms > cooldown_ms), slow_ms.max(cooldown_ms), now).await?;
    }
    let keys: Vec<_> = batch.iter().map(send_key).collect();
    let numbered = number(batch, keys, repeats, &mut senders, |new, slow_ms| {
        last.try_acquire(&new.room, &new.user, cooldown_ms.max(slow_ms), new.at)
    });
    let (appended, nonces): (Vec<_>, Vec<_>) = numbered.into_iter().unzip();
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

/// Judges each message, and gives it the next seq of its room. `keys` are those of the batch, in its order. A nonce that was used
/// before, also within this batch, takes no seq, and neither does a message that is refused. `start_cooldown` takes the slow mode that
/// concerns the sender, and fails with the milliseconds to wait.
fn number(
    batch: Vec<NewMessage>,
    keys: Vec<Option<SendKey>>,
    mut repeats: HashMap<SendKey, (Uuid, Seq)>,
    senders: &mut Senders,
    mut start_cooldown: impl FnMut(&NewMessage, u64) -> std::result::Result<(), u64>,
) -> Vec<(Appended, Option<Nonce>)> {
    let mut appended = Vec::with_capacity(batch.len());
    for (new, key) in batch.into_iter().zip(keys) {
        if let Some((id, seq)) = key.as_ref().and_then(|key| repeats.get(key)) {
            appended.push((Appended::Repeated { id: *id, seq: *seq }, None));
            continue;
        }
        let rank = senders.rank(&new);
        let refused = refusal(senders, &new, rank, &mut start_cooldown);
        let (None, Some(head)) = (&refused, senders.heads.get_mut(&new.room)) else {
            appended.extend(refused.map(|refused| (refused, None)));
            continue;
        };
        head.newest = head.newest.next();
        let (seq, role) = (head.newest, new.role(rank));
        let re = new.re.and_then(|re| {
            let nickname = senders.answered(&new.room, re)?.to_owned();
            Some(ReplyTo { seq: re, nickname })
        });
        let NewMessage { room, id, user, nickname, text, at, nonce, mentions, .. } = new;
        if let Some(key) = key {
            repeats.insert(key, (id, seq));
        }
        let message = Message { room, seq, id, user, nickname, role, text, at, re, mentions, removed: None };
        appended.push((Appended::Stored(message), nonce));
    }
    appended
}

/// Returns the reason to store nothing, in the order of the contract. Starts the cooldown of a message that may be stored.
fn refusal(
    senders: &Senders,
    new: &NewMessage,
    rank: Rank,
    start_cooldown: &mut impl FnMut(&NewMessage, u64) -> std::result::Result<(), u64>,
) -> Option<Appended> {
    let Some(head) = senders.heads.get(&new.room) else { return Some(Appended::NoSuchRoom) };
    if let Some(restraint) = senders.restraint(new) {
        return Some(Appended::Restrained(restraint));
    }
    if head.is_closed {
        return Some(Appended::RoomClosed);
    }
    if head.accounts && !new.has_account && !rank.is_exempt() {
        return Some(Appended::AccountsOnly);
    }
    let slow_ms = if rank.is_exempt() { 0 } else { head.slow_ms };
    start_cooldown(new, slow_ms).err().map(|retry_after_ms| Appended::TooFast { retry_after_ms })
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
    re: Option<i64>,
    mentions: Option<String>,
}

impl<'a> InsertRow<'a> {
    fn new(message: &'a Message, nonce: Option<&'a Nonce>) -> Result<Self> {
        let mentions = &message.mentions;
        Ok(Self {
            room: message.room.as_str(),
            seq: to_sql(message.seq.0),
            id: message.id,
            uid: message.user.as_str(),
            nickname: &message.nickname,
            role: message.role.as_str(),
            text: &message.text,
            at: to_sql(message.at),
            nonce: nonce.map(Nonce::as_str),
            re: message.re.as_ref().map(|re| to_sql(re.seq.0)),
            mentions: if mentions.is_empty() { None } else { Some(serde_json::to_string(mentions).map_err(corrupt)?) },
        })
    }
}

/// Inserts all stored messages with one statement. `nonces` are those of the batch, in its order.
async fn insert(connection: &mut SqliteConnection, appended: &[Appended], nonces: &[Option<Nonce>]) -> Result<()> {
    let rows: Vec<InsertRow> = appended
        .iter()
        .zip(nonces)
        .filter_map(|(appended, nonce)| match appended {
            Appended::Stored(message) => Some(InsertRow::new(message, nonce.as_ref())),
            _ => None,
        })
        .collect::<Result<_>>()?;
    if rows.is_empty() {
        return Ok(());
    }
    let rows = serde_json::to_string(&rows).map_err(corrupt)?;
    sqlx::query!(
        "INSERT INTO messages (room, seq, id, uid, nickname, role, text, at, nonce, re, mentions)
                SELECT value ->> 'room', value ->> 'seq', value ->> 'id', value ->> 'uid', value ->> 'nickname',
                    value ->> 'role', value ->> 'text', value ->> 'at', value ->> 'nonce', value ->> 're',
                    value ->> 'mentions' FROM json_each(?)",
        rows
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}
