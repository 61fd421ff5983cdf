//! The rows of arriving people: guests, nicknames, sessions and their extensions. A batch of them is three statements, however
//! large it is, in the transaction of the [`writer`](super::writer).

use super::{SqliteStore, corrupt, to_sql};
use crate::domain::id::Uid;
use crate::server::storage::{NewSessionRow, Result, StorageError};
use serde::Serialize;
use sqlx::SqliteConnection;
use std::collections::HashSet;
use std::fmt::Write;

/// One write of a person's rows.
#[derive(Clone, Default, Debug)]
pub(super) struct PersonWrite {
    /// Added, or, if the person is stored already, renamed.
    person: Option<PersonRow>,
    /// Added; the write fails if the person does not exist.
    session: Option<SessionRow>,
    /// Gets another last use and expiry, if it exists.
    extension: Option<Extension>,
}

#[derive(Clone, Serialize, Debug)]
struct PersonRow {
    uid: String,
    nickname: String,
    created_at: i64,
}

#[derive(Clone, Serialize, Debug)]
struct SessionRow {
    /// Hash of the token, in hexadecimal digits.
    token: String,
    uid: String,
    label: String,
    created_at: i64,
    expires_at: i64,
}

#[derive(Clone, Serialize, Debug)]
struct Extension {
    /// Hash of the token, in hexadecimal digits.
    token: String,
    used_at: i64,
    expires_at: i64,
}

impl SqliteStore {
    pub(crate) async fn put_guest(&self, nickname: &str, new: NewSessionRow<'_>) -> Result<()> {
        let person = Some(PersonRow::new(new.uid, nickname, new.created_at));
        self.write_person(PersonWrite { person, session: Some(SessionRow::new(&new)), extension: None }).await
    }

    pub(crate) async fn put_nickname(&self, uid: &Uid, nickname: &str, now: u64) -> Result<()> {
        let person = Some(PersonRow::new(uid, nickname, now));
        self.write_person(PersonWrite { person, ..PersonWrite::default() }).await
    }

    pub(crate) async fn put_session(&self, new: NewSessionRow<'_>) -> Result<()> {
        self.write_person(PersonWrite { session: Some(SessionRow::new(&new)), ..PersonWrite::default() }).await
    }

    pub(crate) async fn extend_session(&self, token_hash: &[u8], now: u64, expires_at: u64) -> Result<()> {
        let extension = Some(Extension { token: hex(token_hash), used_at: to_sql(now), expires_at: to_sql(expires_at) });
        self.write_person(PersonWrite { extension, ..PersonWrite::default() }).await
    }
}

impl PersonRow {
    fn new(uid: &Uid, nickname: &str, now: u64) -> Self {
        Self { uid: uid.to_string(), nickname: nickname.into(), created_at: to_sql(now) }
    }
}

impl SessionRow {
    fn new(new: &NewSessionRow<'_>) -> Self {
        Self {
            token: hex(new.token_hash),
            uid: new.uid.to_string(),
            label: new.label.into(),
            created_at: to_sql(new.created_at),
            expires_at: to_sql(new.expires_at),
        }
    }
}

/// Writes a batch and returns the result of each write, in its order. A write that fails by its own data leaves the others
/// alone; an error of the whole means that nothing may be committed.
pub(super) async fn write(connection: &mut SqliteConnection, batch: &[PersonWrite]) -> Result<Vec<Result<()>>> {
    put_people(connection, &batch.iter().filter_map(|write| write.person.as_ref()).collect::<Vec<_>>()).await?;
    let sessions: Vec<_> = batch.iter().filter_map(|write| write.session.as_ref()).collect();
    let mut added = add_sessions(connection, &sessions).await?;
    extend_sessions(connection, &batch.iter().filter_map(|write| write.extension.as_ref()).collect::<Vec<_>>()).await?;
    let result = |write: &PersonWrite| match &write.session {
        // `remove`: of two sessions with one token the first is the one that was added.
        Some(session) if !added.remove(&session.token) => Err(no_person(&session.uid)),
        _ => Ok(()),
    };
    Ok(batch.iter().map(result).collect())
}

async fn put_people(connection: &mut SqliteConnection, people: &[&PersonRow]) -> Result<()> {
    let Some(rows) = json(people)? else { return Ok(()) };
    // `WHERE true` separates the SELECT from ON CONFLICT, which could be the constraint of a join.
    sqlx::query!(
        "INSERT INTO people (uid, nickname, created_at)
        SELECT value ->> 'uid', value ->> 'nickname', value ->> 'created_at' FROM json_each(?) WHERE true
        ON CONFLICT (uid) DO UPDATE SET nickname = excluded.nickname",
        rows
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds the sessions of people who exist, and returns the tokens of those that were added.
async fn add_sessions(connection: &mut SqliteConnection, sessions: &[&SessionRow]) -> Result<HashSet<String>> {
    let Some(rows) = json(sessions)? else { return Ok(HashSet::new()) };
    let added = sqlx::query_scalar!(
        r#"INSERT INTO sessions (token_hash, uid, label, created_at, used_at, expires_at)
        SELECT unhex(value ->> 'token'), value ->> 'uid', value ->> 'label', value ->> 'created_at', value ->> 'created_at',
            value ->> 'expires_at' FROM json_each(?)
        WHERE EXISTS (SELECT 1 FROM people WHERE people.uid = value ->> 'uid')
        ON CONFLICT (token_hash) DO NOTHING RETURNING lower(hex(token_hash)) AS "token!: String""#,
        rows
    )
    .fetch_all(connection)
    .await?;
    Ok(added.into_iter().collect())
}

async fn extend_sessions(connection: &mut SqliteConnection, extensions: &[&Extension]) -> Result<()> {
    let Some(rows) = json(extensions)? else { return Ok(()) };
    sqlx::query!(
        "UPDATE sessions SET used_at = extension.value ->> 'used_at', expires_at = extension.value ->> 'expires_at'
        FROM json_each(?) AS extension WHERE sessions.token_hash = unhex(extension.value ->> 'token')",
        rows
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The rows as JSON for SQLite's `json_each`; `None` if there are none.
fn json<T: Serialize>(rows: &[T]) -> Result<Option<String>> {
    if rows.is_empty() { Ok(None) } else { serde_json::to_string(rows).map(Some).map_err(corrupt) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn no_person(uid: &str) -> StorageError {
    StorageError::Failed(std::sync::Arc::new(sqlx::Error::Protocol(format!("no person {uid}, or the token is in use"))))
}
