//! The end of the records that moderation keeps for a time. Each statement is a short transaction of its own.

use super::{SqliteStore, to_sql};
use crate::server::storage::Result;

/// Age at which networks end: the key of their hashes is destroyed then.
const NETWORKS_MS: u64 = 7 * DAY_MS;
/// Age at which reports end, and time after its end at which a restraint loses its reason.
const REPORTS_MS: u64 = 30 * DAY_MS;
/// Age at which changes end: a page that was away for longer reads its window again.
const CHANGES_MS: u64 = DAY_MS;
const DAY_MS: u64 = 24 * 3600 * 1000;

impl SqliteStore {
    pub(crate) async fn sweep_moderation(&self, now: u64, limit: u32) -> Result<u64> {
        let age = |age: u64| to_sql(now.saturating_sub(age));
        let (networks, reports, changes, now) = (age(NETWORKS_MS), age(REPORTS_MS), age(CHANGES_MS), to_sql(now));
        let mut swept = 0;
        /// Changes at most `limit` rows that ended at a time or before.
        macro_rules! sweep {
            ($(($sql:literal, $end:expr)),+ $(,)?) => {
                $(swept += sqlx::query!($sql, $end, limit).execute(&self.writer).await?.rows_affected();)+
            };
        }
        sweep!(
            (
                "DELETE FROM removed_texts WHERE (room, seq) IN
                    (SELECT room, seq FROM removed_texts WHERE until <= ? ORDER BY until LIMIT ?)",
                now
            ),
            ("DELETE FROM purges WHERE action IN (SELECT action FROM purges WHERE state = 'done' AND until <= ? LIMIT ?)", now),
            (
                "DELETE FROM action_texts WHERE (action, kind) IN
                    (SELECT action, kind FROM action_texts WHERE until <= ? ORDER BY until LIMIT ?)",
                now
            ),
            ("DELETE FROM notes WHERE id IN (SELECT id FROM notes WHERE until <= ? ORDER BY until LIMIT ?)", now),
            (
                "DELETE FROM networks WHERE (room, uid, hash) IN
                    (SELECT room, uid, hash FROM networks WHERE at <= ? ORDER BY at LIMIT ?)",
                networks
            ),
            (
                "DELETE FROM network_restraints WHERE (room, hash, restraint) IN
                    (SELECT room, hash, restraint FROM network_restraints WHERE until <= ? ORDER BY until LIMIT ?)",
                now
            ),
            (
                "DELETE FROM reports WHERE (room, seq, by_uid) IN
                    (SELECT room, seq, by_uid FROM reports WHERE at <= ? ORDER BY at LIMIT ?)",
                reports
            ),
            (
                "UPDATE restraints SET reason = '' WHERE id IN (SELECT id FROM restraints
                    WHERE reason <> '' AND coalesce(lifted_at, until) <= ? ORDER BY coalesce(lifted_at, until) LIMIT ?)",
                reports
            ),
            (
                "DELETE FROM changes WHERE (room, rev) IN (SELECT room, rev FROM changes WHERE at <= ? ORDER BY at LIMIT ?)",
                changes
            ),
        );
        Ok(swept)
    }
}
