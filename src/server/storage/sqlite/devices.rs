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

    pub(crate) async fn put_device(&self, uid: &Uid, hash: &[u8], password: &str, now: u64, keep: u32) -> Result<bool> {
        let mut connection = self.writer.acquire().await?;
        let put = put_device(&mut connection, (uid.as_str(), hash, password), to_sql(now), keep).await;
        finish(connection, put)
    }
}

async fn put_device(
    connection: &mut SqliteConnection,
    (uid, hash, password): (&str, &[u8], &str),
    now: i64,
    keep: u32,
) -> Result<bool> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let put = sqlx::query!(
        "INSERT INTO devices (uid, hash, used_at) SELECT uid, ?2, ?3 FROM people WHERE uid = ?1 AND password = ?4
        ON CONFLICT (uid, hash) DO UPDATE SET used_at = ?3",
        uid,
        hash,
        now,
        password
    )
    .execute(&mut *transaction)
    .await?;
    if put.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "DELETE FROM devices WHERE uid = ?1
        AND hash NOT IN (SELECT hash FROM devices WHERE uid = ?1 ORDER BY used_at DESC LIMIT ?2)",
        uid,
        keep
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}
