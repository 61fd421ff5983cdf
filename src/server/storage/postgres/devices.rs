//! Devices that signed in to an account before. The cookie itself is not stored, only its SHA-256.

use super::{PostgresStore, to_sql};
use crate::domain::id::Uid;
use crate::server::storage::Result;

impl PostgresStore {
    pub(crate) async fn is_device_of(&self, uid: &Uid, hash: &[u8]) -> Result<bool> {
        let uid = uid.as_str();
        let is_known = self.readers.read(async |db| {
            sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT 1 FROM roomcast.devices WHERE uid = $1 AND hash = $2) AS "is_known!""#,
                uid,
                hash
            )
            .fetch_one(db)
            .await
        });
        is_known.await
    }

    pub(crate) async fn put_device(&self, uid: &Uid, hash: &[u8], password: &str, now: u64, keep: u32) -> Result<bool> {
        let (uid, now, keep) = (uid.as_str(), to_sql(now), i64::from(keep));
        let put = self.writers.transaction(async |db| {
            // A new password removes the devices: its row is locked, so that none is added after that.
            let person =
                sqlx::query!("SELECT 1 AS one FROM roomcast.people WHERE uid = $1 AND password = $2 FOR SHARE", uid, password);
            if person.fetch_optional(&mut *db).await?.is_none() {
                return Ok(false);
            }
            sqlx::query!(
                "INSERT INTO roomcast.devices (uid, hash, used_at) VALUES ($1, $2, $3)
                ON CONFLICT (uid, hash) DO UPDATE SET used_at = $3",
                uid,
                hash,
                now
            )
            .execute(&mut *db)
            .await?;
            sqlx::query!(
                "DELETE FROM roomcast.devices WHERE uid = $1 AND hash IN
                    (SELECT hash FROM roomcast.devices WHERE uid = $1 ORDER BY used_at DESC OFFSET $2)",
                uid,
                keep
            )
            .execute(db)
            .await?;
            Ok(true)
        });
        put.await
    }
}
