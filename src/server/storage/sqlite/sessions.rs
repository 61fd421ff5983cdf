//! Login sessions. The token itself is not stored, only its SHA-256.

use super::{SqliteStore, corrupt, from_sql, to_sql};
use crate::domain::{id::Uid, room::Person};
use crate::server::storage::{Result, SessionRow};

impl SqliteStore {
    pub(crate) async fn put_session(&self, token_hash: &[u8], uid: &Uid, now: u64, expires_at: u64) -> Result<()> {
        let (uid, now, expires_at) = (uid.as_str(), to_sql(now), to_sql(expires_at));
        sqlx::query!(
            "INSERT INTO sessions (token_hash, uid, created_at, expires_at) VALUES (?, ?, ?, ?)",
            token_hash,
            uid,
            now,
            expires_at
        )
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    pub(crate) async fn session(&self, token_hash: &[u8]) -> Result<Option<SessionRow>> {
        let row = sqlx::query!(
            "SELECT people.uid, people.nickname, people.account, sessions.expires_at FROM sessions
            JOIN people ON people.uid = sessions.uid WHERE sessions.token_hash = ?",
            token_hash
        )
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let uid = row.uid.parse().map_err(|_| corrupt("uid"))?;
        let person = Person { uid, nickname: row.nickname, account: row.account };
        Ok(Some(SessionRow { person, expires_at: from_sql(row.expires_at)? }))
    }

    pub(crate) async fn extend_session(&self, token_hash: &[u8], expires_at: u64) -> Result<()> {
        let expires_at = to_sql(expires_at);
        sqlx::query!("UPDATE sessions SET expires_at = ? WHERE token_hash = ?", expires_at, token_hash)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    pub(crate) async fn end_session(&self, token_hash: &[u8]) -> Result<()> {
        sqlx::query!("DELETE FROM sessions WHERE token_hash = ?", token_hash).execute(&self.writer).await?;
        Ok(())
    }

    pub(crate) async fn end_sessions_of(&self, uid: &Uid) -> Result<u64> {
        let uid = uid.as_str();
        Ok(sqlx::query!("DELETE FROM sessions WHERE uid = ?", uid).execute(&self.writer).await?.rows_affected())
    }

    pub(crate) async fn end_expired_sessions(&self, now: u64) -> Result<u64> {
        let now = to_sql(now);
        Ok(sqlx::query!("DELETE FROM sessions WHERE expires_at <= ?", now).execute(&self.writer).await?.rows_affected())
    }
}
