//! Login sessions. The token itself is not stored, only its SHA-256. They are added and extended in [`arrivals`](super::arrivals).

use super::SqliteStore;
use crate::domain::id::Uid;
use crate::server::storage::raw_rows::{RawSession, hashes};
use crate::server::storage::{Result, SessionRow};

impl SqliteStore {
    pub(crate) async fn session(&self, token_hash: &[u8]) -> Result<Option<SessionRow>> {
        sqlx::query_as!(
            RawSession,
            "SELECT token_hash, people.uid, nickname, account, label, sessions.created_at, used_at, expires_at FROM sessions
            JOIN people ON people.uid = sessions.uid WHERE token_hash = ?",
            token_hash
        )
        .fetch_optional(&self.readers)
        .await?
        .map(RawSession::into_session)
        .transpose()
    }

    pub(crate) async fn sessions_of(&self, uid: &Uid, limit: u32) -> Result<Vec<SessionRow>> {
        let uid = uid.as_str();
        sqlx::query_as!(
            RawSession,
            "SELECT token_hash, people.uid, nickname, account, label, sessions.created_at, used_at, expires_at FROM sessions
            JOIN people ON people.uid = sessions.uid WHERE sessions.uid = ? ORDER BY sessions.created_at DESC LIMIT ?",
            uid,
            limit
        )
        .fetch_all(&self.readers)
        .await?
        .into_iter()
        .map(RawSession::into_session)
        .collect()
    }

    pub(crate) async fn end_session(&self, token_hash: &[u8]) -> Result<()> {
        sqlx::query!("DELETE FROM sessions WHERE token_hash = ?", token_hash).execute(&self.writer).await?;
        Ok(())
    }

    pub(crate) async fn end_sessions_of(&self, uid: &Uid, except: Option<&[u8]>) -> Result<Vec<[u8; 32]>> {
        let uid = uid.as_str();
        // Without an exception the comparison is with an empty hash, which no session has.
        let except = except.unwrap_or_default();
        let ended =
            sqlx::query_scalar!("DELETE FROM sessions WHERE uid = ? AND token_hash <> ? RETURNING token_hash", uid, except);
        hashes(ended.fetch_all(&self.writer).await?)
    }

    pub(crate) async fn end_oldest_sessions(&self, uid: &Uid, keep: u32) -> Result<Vec<[u8; 32]>> {
        let uid = uid.as_str();
        let ended = sqlx::query_scalar!(
            "DELETE FROM sessions WHERE uid = ?1 AND token_hash NOT IN
            (SELECT token_hash FROM sessions WHERE uid = ?1 ORDER BY created_at DESC, token_hash LIMIT ?2) RETURNING token_hash",
            uid,
            keep
        );
        hashes(ended.fetch_all(&self.writer).await?)
    }
}
