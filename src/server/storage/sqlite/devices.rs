//! Devices that signed in to an account before. The cookie itself is not stored, only its SHA-256.

use super::{SqliteStore, finish, to_sql};
use crate::domain::id::Uid;
use crate::server::storage::Result;
use sqlx::{Connection, SqliteConnection};

impl SqliteStore {
    pub(crate) async fn is_device_of(&self, uid: &Uid, hash: &[u8]) -> Result<bool> {
        let uid = uid.as_str();
        let found = sqlx::query_scalar!(r#"SELECT count(*) AS "count!: i64" FROM devices WHERE uid = ? AND hash = ?"#, uid, hash);
        Ok(found.fetch_one(&self.readers).await? > 0)
    }

    pub(crate) async fn put_device(&self, uid: &Uid, hash: &[u8], now: u64, keep: u32) -> Result<()> {
        let mut connection = self.writer.acquire().await?;
        let put = put_device(&mut connection, uid.as_str(), hash, to_sql(now), keep).await;
        finish(connection, put)
    }

    pub(crate) async fn remove_devices_of(&self, uid: &Uid) -> Result<()> {
        let uid = uid.as_str();
        sqlx::query!("DELETE FROM devices WHERE uid = ?", uid).execute(&self.writer).await?;
        Ok(())
    }
}

async fn put_device(connection: &mut SqliteConnection, uid: &str, hash: &[u8], now: i64, keep: u32) -> Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query!(
        "INSERT INTO devices (uid, hash, used_at) VALUES (?1, ?2, ?3) ON CONFLICT (uid, hash) DO UPDATE SET used_at = ?3",
        uid,
        hash,
        now
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "DELETE FROM devices WHERE uid = ?1
        AND hash NOT IN (SELECT hash FROM devices WHERE uid = ?1 ORDER BY used_at DESC LIMIT ?2)",
        uid,
        keep
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}
