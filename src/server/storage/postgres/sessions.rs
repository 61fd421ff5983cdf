//! Login sessions. The token itself is not stored, only its SHA-256. They are added and extended in [`arrivals`](super::arrivals).

use super::PostgresStore;
use crate::domain::id::Uid;
use crate::server::storage::raw_rows::{RawSession, hashes};
use crate::server::storage::{Result, SessionRow};

impl PostgresStore {
    pub(crate) async fn session(&self, token_hash: &[u8]) -> Result<Option<SessionRow>> {
        let session = self.readers.read(async |db| {
            sqlx::query_as!(
                RawSession,
                "SELECT token_hash, people.uid, nickname, account, label, sessions.created_at, used_at, expires_at
                FROM roomcast.sessions JOIN roomcast.people ON people.uid = sessions.uid WHERE token_hash = $1",
                token_hash
            )
            .fetch_optional(db)
            .await
        });
        session.await?.map(RawSession::into_session).transpose()
    }

    pub(crate) async fn sessions_of(&self, uid: &Uid, limit: u32) -> Result<Vec<SessionRow>> {
        let (uid, limit) = (uid.as_str(), i64::from(limit));
        let sessions = self.readers.read(async |db| {
            sqlx::query_as!(
                RawSession,
                "SELECT token_hash, people.uid, nickname, account, label, sessions.created_at, used_at, expires_at
                FROM roomcast.sessions JOIN roomcast.people ON people.uid = sessions.uid
                WHERE sessions.uid = $1 ORDER BY sessions.created_at DESC LIMIT $2",
                uid,
                limit
            )
            .fetch_all(db)
            .await
        });
        sessions.await?.into_iter().map(RawSession::into_session).collect()
    }

    pub(crate) async fn end_session(&self, token_hash: &[u8]) -> Result<()> {
        let ended = self
            .writers
            .write(async |db| sqlx::query!("DELETE FROM roomcast.sessions WHERE token_hash = $1", token_hash).execute(db).await);
        ended.await.map(|_| ())
    }

    pub(crate) async fn end_sessions_of(&self, uid: &Uid, except: Option<&[u8]>) -> Result<Vec<[u8; 32]>> {
        // Without an exception the comparison is with an empty hash, which no session has.
        let (uid, except) = (uid.as_str(), except.unwrap_or_default());
        let ended = self.writers.write(async |db| {
            sqlx::query_scalar!(
                "DELETE FROM roomcast.sessions WHERE uid = $1 AND token_hash <> $2 RETURNING token_hash",
                uid,
                except
            )
            .fetch_all(db)
            .await
        });
        hashes(ended.await?)
    }

    pub(crate) async fn end_oldest_sessions(&self, uid: &Uid, keep: u32) -> Result<Vec<[u8; 32]>> {
        let (uid, keep) = (uid.as_str(), i64::from(keep));
        let ended = self.writers.write(async |db| {
            sqlx::query_scalar!(
                "DELETE FROM roomcast.sessions WHERE token_hash IN (
                    SELECT token_hash FROM roomcast.sessions WHERE uid = $1 ORDER BY created_at DESC, token_hash OFFSET $2
                ) RETURNING token_hash",
                uid,
                keep
            )
            .fetch_all(db)
            .await
        });
        hashes(ended.await?)
    }
}
