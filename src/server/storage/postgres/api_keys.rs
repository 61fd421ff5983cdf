//! API keys of back ends, stored by the hash of their secret. Their names are compared without regard to the case of ASCII
//! letters, as the index `api_keys_name` holds them.

use super::{PostgresStore, from_sql, to_sql};
use crate::server::storage::{ApiKeyRow, Result, StorageError};

impl PostgresStore {
    pub(crate) async fn put_api_key(&self, row: &ApiKeyRow, hash: &[u8], now: u64) -> Result<()> {
        let (name, scopes, now, expires_at) = (&row.name, &row.scopes, to_sql(now), row.expires_at.map(to_sql));
        let put = self.writers.write(async |db| {
            sqlx::query!(
                "INSERT INTO roomcast.api_keys (name, hash, scopes, rooms, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
                ON CONFLICT DO NOTHING",
                name,
                hash,
                scopes,
                row.rooms,
                now,
                expires_at
            )
            .execute(db)
            .await
        });
        if put.await?.rows_affected() == 1 { Ok(()) } else { Err(StorageError::NameTaken) }
    }

    pub(crate) async fn api_key(&self, hash: &[u8]) -> Result<Option<ApiKeyRow>> {
        let row = self.readers.read(async |db| {
            sqlx::query!("SELECT name, scopes, rooms, expires_at FROM roomcast.api_keys WHERE hash = $1", hash)
                .fetch_optional(db)
                .await
        });
        row.await?.map(|row| key(row.name, row.scopes, row.rooms, row.expires_at)).transpose()
    }

    pub(crate) async fn api_keys(&self) -> Result<Vec<ApiKeyRow>> {
        let rows = self.readers.read(async |db| {
            sqlx::query!("SELECT name, scopes, rooms, expires_at FROM roomcast.api_keys ORDER BY lower(name)").fetch_all(db).await
        });
        rows.await?.into_iter().map(|row| key(row.name, row.scopes, row.rooms, row.expires_at)).collect()
    }

    pub(crate) async fn remove_api_key(&self, name: &str) -> Result<bool> {
        let removed = self.writers.write(async |db| {
            sqlx::query!(r#"DELETE FROM roomcast.api_keys WHERE lower(name) = lower($1 COLLATE "C")"#, name).execute(db).await
        });
        Ok(removed.await?.rows_affected() > 0)
    }
}

fn key(name: String, scopes: String, rooms: String, expires_at: Option<i64>) -> Result<ApiKeyRow> {
    Ok(ApiKeyRow { name, scopes, rooms, expires_at: expires_at.map(from_sql).transpose()? })
}
