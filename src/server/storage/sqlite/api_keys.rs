//! API keys of back ends, stored by the hash of their secret.

use super::{SqliteStore, from_sql, to_sql};
use crate::server::storage::{ApiKeyRow, Result, StorageError};

impl SqliteStore {
    pub(crate) async fn put_api_key(&self, row: &ApiKeyRow, hash: &[u8], now: u64) -> Result<()> {
        let (name, scopes, now, expires_at) = (&row.name, &row.scopes, to_sql(now), row.expires_at.map(to_sql));
        let put = sqlx::query!(
            "INSERT INTO api_keys (name, hash, scopes, rooms, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            name,
            hash,
            scopes,
            row.rooms,
            now,
            expires_at
        );
        match put.execute(&self.writer).await?.rows_affected() {
            0 => Err(StorageError::NameTaken),
            _ => Ok(()),
        }
    }

    pub(crate) async fn api_key(&self, hash: &[u8]) -> Result<Option<ApiKeyRow>> {
        let row = sqlx::query!("SELECT name, scopes, rooms, expires_at FROM api_keys WHERE hash = ?", hash);
        let Some(row) = row.fetch_optional(&self.readers).await? else { return Ok(None) };
        let expires_at = row.expires_at.map(from_sql).transpose()?;
        Ok(Some(ApiKeyRow { name: row.name, scopes: row.scopes, rooms: row.rooms, expires_at }))
    }

    pub(crate) async fn api_keys(&self) -> Result<Vec<ApiKeyRow>> {
        let rows =
            sqlx::query!("SELECT name, scopes, rooms, expires_at FROM api_keys ORDER BY name").fetch_all(&self.readers).await?;
        let end = |expires_at: Option<i64>| expires_at.map(from_sql).transpose();
        rows.into_iter()
            .map(|row| Ok(ApiKeyRow { name: row.name, scopes: row.scopes, rooms: row.rooms, expires_at: end(row.expires_at)? }))
            .collect()
    }

    pub(crate) async fn remove_api_key(&self, name: &str) -> Result<bool> {
        Ok(sqlx::query!("DELETE FROM api_keys WHERE name = ?", name).execute(&self.writer).await?.rows_affected() > 0)
    }
}
