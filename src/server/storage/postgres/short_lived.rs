//! Turns of log-ins and forms that wait for their page, in the tables of `0007_short_lived.sql`. PostgreSQL's clock counts.

use super::{PostgresStore, from_sql, to_sql};
use crate::server::storage::{Result, Turns};

impl PostgresStore {
    pub(crate) async fn take_turn(&self, key: &[u8; 32], turns: Turns) -> Result<u64> {
        let (key, every, burst) = (&key[..], to_sql(turns.every_ms), i64::from(turns.burst));
        let wait = self.writers.write(async |db| {
            sqlx::query_scalar!(r#"SELECT roomcast.take_turn_1($1, $2, $3) AS "wait!""#, key, every, burst).fetch_one(db).await
        });
        from_sql(wait.await?)
    }

    pub(crate) async fn sweep_turns(&self, limit: u32) -> Result<u64> {
        let limit = i64::from(limit);
        let removed = self.writers.write(async |db| {
            let removed = sqlx::query!(
                "DELETE FROM roomcast.turns WHERE full_at < roomcast.now_ms() AND key IN (
                    SELECT key FROM roomcast.turns WHERE full_at < roomcast.now_ms() ORDER BY full_at LIMIT $1
                )",
                limit
            );
            removed.execute(db).await
        });
        Ok(removed.await?.rows_affected())
    }

    pub(crate) async fn keep_form(&self, key: &[u8; 32], form: &str, ttl_ms: u64) -> Result<()> {
        let (key, ttl) = (&key[..], to_sql(ttl_ms));
        let kept = self.writers.write(async |db| {
            let kept = sqlx::query!(
                "INSERT INTO roomcast.returned_forms (place, key, form, until)
                VALUES (nextval('roomcast.returned_forms_place'), $1, $2, roomcast.now_ms() + $3)
                ON CONFLICT (place) DO UPDATE SET key = excluded.key, form = excluded.form, until = excluded.until",
                key,
                form,
                ttl
            );
            kept.execute(db).await
        });
        kept.await.map(|_| ())
    }

    pub(crate) async fn kept_form(&self, key: &[u8; 32]) -> Result<Option<String>> {
        let key = &key[..];
        let kept = self.readers.read(async |db| {
            let kept =
                sqlx::query_scalar!("SELECT form FROM roomcast.returned_forms WHERE key = $1 AND until > roomcast.now_ms()", key);
            kept.fetch_optional(db).await
        });
        kept.await
    }

    pub(crate) async fn take_form(&self, key: &[u8; 32]) -> Result<Option<String>> {
        let key = &key[..];
        let taken = self.writers.write(async |db| {
            let taken = sqlx::query!(
                r#"DELETE FROM roomcast.returned_forms WHERE key = $1 RETURNING form, until > roomcast.now_ms() AS "is_valid!""#,
                key
            );
            taken.fetch_optional(db).await
        });
        Ok(taken.await?.filter(|row| row.is_valid).map(|row| row.form))
    }
}
