//! The write path of messages: a batch of sends is judged and stored by the function `roomcast.append_2`, in one round trip.
//!
//! A lost answer does not say whether the batch is stored. The same ids and nonces are then sent again on another connection:
//! the locks of the rooms make that call wait for a first one that still runs, and the nonces tell what it stored.

use super::error::is_conflict;
use super::open::LANES;
use super::raw::{reply_to, restraint_kind};
use super::{PostgresStore, corrupt, from_sql, to_sql};
use crate::domain::{
    change::Restraint,
    id::{Nonce, RoomId, Seq, Uid},
    message::{Message, Role},
};
use crate::server::storage::{Appended, NewMessage, Result, StorageError};
use sqlx::PgConnection;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Calls that are repeated after a deadlock or a conflict, in which nothing was stored.
const CONFLICTS: u32 = 3;
/// Pauses between the calls after a lost answer, in milliseconds: the first and the longest.
const PAUSE_MS: (u64, u64) = (20, 200);

/// The messages of a batch as the columns of the call, without those that repeat a nonce of the batch.
struct Call {
    cooldown_ms: i64,
    messages: Vec<NewMessage>,
    /// A message without a nonce has its id as its nonce.
    nonces: Vec<String>,
    /// For each message of the batch its place in the call, and whether it repeats the nonce of an earlier one.
    places: Vec<(usize, bool)>,
}

/// A row of the answer.
struct Judged {
    outcome: String,
    id: Uuid,
    seq: Option<i64>,
    at: i64,
    role: String,
    wait_ms: Option<i64>,
    restraint: Option<Uuid>,
    kind: Option<String>,
    until: Option<i64>,
    reason: Option<String>,
    re: Option<i64>,
    re_nickname: Option<String>,
}

impl PostgresStore {
    pub(crate) fn lanes(&self) -> usize {
        LANES as usize
    }

    pub(crate) async fn append(&self, batch: Vec<NewMessage>, cooldown_ms: u64) -> Result<Vec<Appended>> {
        let call = Call::new(batch, cooldown_ms);
        let rows = self.call_until_answered(&call).await?;
        call.answers(rows)
    }

    async fn call_until_answered(&self, call: &Call) -> Result<Vec<Judged>> {
        let deadline = self.lanes.deadline();
        let (mut lost, mut conflicts, mut pause_ms) = (None, 0, PAUSE_MS.0);
        loop {
            match self.lanes.write_by(deadline, async |db| call.send(db).await).await {
                Ok(rows) => return Ok(rows),
                Err(StorageError::Busy(error)) if is_conflict(&error) && conflicts < CONFLICTS => {
                    conflicts += 1;
                    continue;
                }
                Err(StorageError::Uncertain(error)) => lost = Some(error),
                // After a lost answer an error of a later call does not say that the first one stored nothing.
                Err(error) if lost.is_none() => return Err(error),
                Err(_) => {}
            }
            if let Some(error) = lost.take_if(|_| Instant::now() >= deadline) {
                return Err(StorageError::Uncertain(error));
            }
            sleep(Duration::from_millis(pause_ms)).await;
            pause_ms = PAUSE_MS.1.min(pause_ms * 2);
        }
    }
}

impl Call {
    fn new(batch: Vec<NewMessage>, cooldown_ms: u64) -> Self {
        let (mut messages, mut nonces, mut places) = (Vec::with_capacity(batch.len()), Vec::new(), Vec::new());
        let mut known: HashMap<(RoomId, Uid, Nonce), usize> = HashMap::new();
        for new in batch {
            let next = messages.len();
            if let Some(nonce) = &new.nonce {
                let place = *known.entry((new.room.clone(), new.user.clone(), nonce.clone())).or_insert(next);
                if place != next {
                    places.push((place, true));
                    continue;
                }
            }
            places.push((next, false));
            nonces.push(new.nonce.as_ref().map_or_else(|| new.id.to_string(), Nonce::to_string));
            messages.push(new);
        }
        Self { cooldown_ms: to_sql(cooldown_ms), messages, nonces, places }
    }

    /// Sends the call and reads its answer to the end: the commit comes after the rows.
    async fn send(&self, db: &mut PgConnection) -> sqlx::Result<Vec<Judged>> {
        fn column<'a, T: ?Sized>(messages: &'a [NewMessage], of: impl Fn(&'a NewMessage) -> &'a T) -> Vec<&'a T> {
            messages.iter().map(of).collect()
        }
        fn values<T>(messages: &[NewMessage], of: impl Fn(&NewMessage) -> T) -> Vec<T> {
            messages.iter().map(of).collect()
        }
        let messages = &self.messages;
        let ids = values(messages, |new| new.id);
        sqlx::query_as!(
            Judged,
            r#"SELECT outcome AS "outcome!", id AS "id!", seq, at AS "at!", role AS "role!", wait_ms, restraint, kind, until, reason,
                re, re_nickname
            FROM roomcast.append_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ORDER BY ordinal"#,
            self.cooldown_ms,
            &column(messages, |new| new.room.as_str()) as &[&str],
            &column(messages, |new| new.user.as_str()) as &[&str],
            &self.nonces,
            &ids,
            &column(messages, |new| new.nickname.as_str()) as &[&str],
            &column(messages, |new| new.text.as_str()) as &[&str],
            &values(messages, |new| new.has_account),
            &values(messages, |new| new.is_bot),
            &values(messages, |new| new.re.map_or(0, |seq| to_sql(seq.0))),
            &values(messages, mentions),
            &values(messages, networks)
        )
        .fetch_all(db)
        .await
    }

    /// Returns the answer for each message of the batch, in its order.
    fn answers(self, rows: Vec<Judged>) -> Result<Vec<Appended>> {
        let Self { messages, places, .. } = self;
        if rows.len() != messages.len() {
            return Err(corrupt("an answer of append_2"));
        }
        let judged: Vec<Appended> = messages.into_iter().zip(rows).map(|(new, row)| appended(new, row)).collect::<Result<_>>()?;
        let mut answers = Vec::with_capacity(places.len());
        for (place, is_repeat) in places {
            answers.push(match &judged[place] {
                Appended::Stored(Message { id, seq, .. }) if is_repeat => Appended::Repeated { id: *id, seq: *seq },
                answer => answer.clone(),
            });
        }
        Ok(answers)
    }
}

/// A JSON array; empty without one.
fn mentions(new: &NewMessage) -> String {
    let json = (!new.mentions.is_empty()).then(|| serde_json::to_string(&new.mentions));
    json.and_then(std::result::Result::ok).unwrap_or_default()
}

/// Hexadecimal digits with commas.
fn networks(new: &NewMessage) -> String {
    let hex = new.networks.iter().map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    hex.collect::<Vec<_>>().join(",")
}

fn appended(new: NewMessage, row: Judged) -> Result<Appended> {
    let seq = || row.seq.ok_or_else(|| corrupt("seq")).and_then(from_sql).map(Seq);
    Ok(match row.outcome.as_str() {
        "before" if row.id != new.id => Appended::Repeated { id: row.id, seq: seq()? },
        // With this message's id it was stored by a call whose answer was lost.
        "stored" | "before" => {
            let (seq, at, role) = (seq()?, from_sql(row.at)?, Role::from_word(&row.role));
            let re = reply_to(row.re, row.re_nickname)?;
            let NewMessage { room, id, user, nickname, text, mentions, .. } = new;
            Appended::Stored(Message { room, seq, id, user, nickname, role, text, at, re, mentions, removed: None })
        }
        "no_room" => Appended::NoSuchRoom,
        "closed" => Appended::RoomClosed,
        "accounts" => Appended::AccountsOnly,
        "restrained" => Appended::Restrained(restraint(row)?),
        "too_fast" => Appended::TooFast { retry_after_ms: from_sql(row.wait_ms.ok_or_else(|| corrupt("wait_ms"))?)? },
        outcome => return Err(corrupt(format!("outcome {outcome} of append_2"))),
    })
}

fn restraint(row: Judged) -> Result<Restraint> {
    let missing = || corrupt("a restraint");
    Ok(Restraint {
        kind: restraint_kind(&row.kind.ok_or_else(missing)?)?,
        until: row.until.map(from_sql).transpose()?,
        reason: row.reason.unwrap_or_default(),
        case: row.restraint.ok_or_else(missing)?,
    })
}
