//! The deletion of the records of moderation that have ended. Each statement is a short transaction; rows that another server is
//! deleting are passed over.

use super::{PostgresStore, to_sql};
use crate::domain::id::Uid;
use crate::server::storage::Result;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Age at which changes end: a page that was away for longer reads its window again.
const KEPT_CHANGES_MS: u64 = DAY_MS;
/// Age at which the networks of guests end: their key is of a week.
const KEPT_NETWORKS_MS: u64 = 7 * DAY_MS;
/// Age at which reports end, and the reasons of restraints after their end.
const KEPT_REPORTS_MS: u64 = 30 * DAY_MS;

/// Runs a statement that deletes rows, with a time and the limit, and returns their number.
macro_rules! swept {
    ($store:ident, $statement:literal, $before:expr, $limit:ident) => {
        $store.writers.write(async |db| sqlx::query!($statement, $before, $limit).execute(db).await).await?.rows_affected()
    };
}

impl PostgresStore {
    pub(crate) async fn sweep_moderation(&self, now: u64, limit: u32) -> Result<u64> {
        let limit = i64::from(limit);
        Ok(self.sweep_ended(to_sql(now), limit).await? + self.sweep_old(now, limit).await?)
    }

    /// Removes the rows that say themselves when they end.
    async fn sweep_ended(&self, now: i64, limit: i64) -> Result<u64> {
        let mut rows = swept!(
            self,
            "DELETE FROM roomcast.removed_texts WHERE (room, seq) IN (
                SELECT room, seq FROM roomcast.removed_texts WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED
            )",
            now,
            limit
        );
        // A purge that is not done has texts in the messages still.
        rows += swept!(
            self,
            "DELETE FROM roomcast.purges WHERE action IN (
                SELECT action FROM roomcast.purges WHERE until <= $1 AND state = 'done' LIMIT $2 FOR UPDATE SKIP LOCKED
            )",
            now,
            limit
        );
        rows += swept!(
            self,
            "DELETE FROM roomcast.action_texts WHERE (action, kind) IN (
                SELECT action, kind FROM roomcast.action_texts WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED
            )",
            now,
            limit
        );
        rows += swept!(
            self,
            "DELETE FROM roomcast.notes WHERE id IN (
                SELECT id FROM roomcast.notes WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED
            )",
            now,
            limit
        );
        rows += swept!(
            self,
            "DELETE FROM roomcast.network_restraints WHERE (room, hash, restraint) IN (
                SELECT room, hash, restraint FROM roomcast.network_restraints WHERE until <= $1 ORDER BY until LIMIT $2
                FOR UPDATE SKIP LOCKED
            )",
            now,
            limit
        );
        Ok(rows)
    }

    /// Removes the rows of an age, and the reasons of old restraints.
    async fn sweep_old(&self, now: u64, limit: i64) -> Result<u64> {
        let before = |kept_ms| to_sql(now.saturating_sub(kept_ms));
        let (changes, networks, reports) = (before(KEPT_CHANGES_MS), before(KEPT_NETWORKS_MS), before(KEPT_REPORTS_MS));
        let mut rows = swept!(
            self,
            "DELETE FROM roomcast.networks WHERE (room, uid, hash) IN (
                SELECT room, uid, hash FROM roomcast.networks WHERE at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
            )",
            networks,
            limit
        );
        rows += swept!(
            self,
            "DELETE FROM roomcast.reports WHERE (room, seq, by_uid) IN (
                SELECT room, seq, by_uid FROM roomcast.reports WHERE at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
            )",
            reports,
            limit
        );
        rows += swept!(
            self,
            "UPDATE roomcast.restraints SET reason = '' WHERE id IN (
                SELECT id FROM roomcast.restraints WHERE least(until, lifted_at) <= $1 AND reason <> ''
                ORDER BY least(until, lifted_at) LIMIT $2 FOR UPDATE SKIP LOCKED
            )",
            reports,
            limit
        );
        rows += swept!(
            self,
            "DELETE FROM roomcast.changes WHERE (room, rev) IN (
                SELECT room, rev FROM roomcast.changes WHERE at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
            )",
            changes,
            limit
        );
        Ok(rows)
    }

    /// The lock of the person's row comes first, as it does where people arrive.
    pub(crate) async fn forget_person(&self, uid: &Uid) -> Result<bool> {
        let uid = uid.as_str();
        let forgotten = self.writers.transaction(async |db| {
            let person = sqlx::query_scalar!(
                r#"SELECT NOT is_owner AND NOT EXISTS (SELECT 1 FROM roomcast.rooms WHERE host = $1) AS "may_go!"
                FROM roomcast.people WHERE uid = $1 FOR UPDATE"#,
                uid
            );
            if person.fetch_optional(&mut *db).await? != Some(true) {
                return Ok(false);
            }
            sqlx::query!("DELETE FROM roomcast.notes WHERE uid = $1", uid).execute(&mut *db).await?;
            sqlx::query!("DELETE FROM roomcast.action_texts WHERE uid = $1", uid).execute(&mut *db).await?;
            sqlx::query!("DELETE FROM roomcast.reports WHERE uid = $1 OR by_uid = $1", uid).execute(&mut *db).await?;
            sqlx::query!("DELETE FROM roomcast.networks WHERE uid = $1", uid).execute(&mut *db).await?;
            sqlx::query!("UPDATE roomcast.restraints SET reason = '' WHERE uid = $1 AND reason <> ''", uid)
                .execute(&mut *db)
                .await?;
            // With sessions, devices and roles.
            sqlx::query!("DELETE FROM roomcast.people WHERE uid = $1", uid).execute(db).await?;
            Ok(true)
        });
        forgotten.await
    }
}
