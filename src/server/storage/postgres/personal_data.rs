//! The reads that export a person's data.

use super::PostgresStore;
use super::raw::RawAction;
use crate::domain::id::Uid;
use crate::server::storage::moderation::ActionRow;
use crate::server::storage::{PersonalTable, Result};
use uuid::Uuid;

impl PostgresStore {
    pub(crate) async fn personal_rows(&self, uid: &Uid, table: PersonalTable, skip: u32, limit: u32) -> Result<Vec<String>> {
        let (uid, limit, skip) = (uid.as_str(), i64::from(limit), i64::from(skip));
        /// Runs one query of the table.
        macro_rules! rows {
            ($sql:literal) => {
                self.readers.read(async |db| sqlx::query_scalar!($sql, uid, limit, skip).fetch_all(db).await).await?
            };
        }
        Ok(match table {
            PersonalTable::Person => rows!(
                r#"SELECT json_build_object('type', 'person', 'uid', uid, 'nickname', nickname, 'account', account, 'is_owner', is_owner,
                        'created_at', created_at)::text AS "row!: String"
                    FROM roomcast.people WHERE uid = $1 ORDER BY uid LIMIT $2 OFFSET $3"#
            ),
            PersonalTable::Sessions => rows!(
                r#"SELECT json_build_object('type', 'session', 'label', label, 'created_at', created_at, 'used_at', used_at,
                        'expires_at', expires_at)::text AS "row!: String"
                    FROM roomcast.sessions WHERE uid = $1 ORDER BY created_at, token_hash LIMIT $2 OFFSET $3"#
            ),
            PersonalTable::Devices => rows!(
                r#"SELECT json_build_object('type', 'device', 'used_at', used_at)::text AS "row!: String"
                    FROM roomcast.devices WHERE uid = $1 ORDER BY used_at, hash LIMIT $2 OFFSET $3"#
            ),
            PersonalTable::Roles => rows!(
                r#"SELECT json_build_object('type', 'role', 'room', room, 'role', role, 'by', by_uid, 'at', at)::text AS "row!: String"
                    FROM roomcast.roles WHERE uid = $1 ORDER BY room LIMIT $2 OFFSET $3"#
            ),
            PersonalTable::Restraints => rows!(
                r#"SELECT json_build_object('type', 'restraint', 'case', id, 'room', room, 'kind', kind, 'since', since, 'until', until,
                        'reason', reason, 'by', by_uid, 'lifted_at', lifted_at)::text AS "row!: String"
                    FROM roomcast.restraints WHERE uid = $1 ORDER BY id LIMIT $2 OFFSET $3"#
            ),
            PersonalTable::Notes => rows!(
                r#"SELECT json_build_object('type', 'note', 'id', id, 'room', room, 'by', by_uid, 'at', at, 'text', text, 'until', until)::text AS "row!: String"
                    FROM roomcast.notes WHERE uid = $1 ORDER BY id LIMIT $2 OFFSET $3"#
            ),
            PersonalTable::Reports => rows!(
                r#"SELECT json_build_object('type', 'report', 'room', room, 'seq', seq, 'reason', reason, 'at', at,
                        'settled_at', settled_at)::text AS "row!: String"
                    FROM roomcast.reports WHERE by_uid = $1 ORDER BY room, seq LIMIT $2 OFFSET $3"#
            ),
            PersonalTable::Networks => rows!(
                r#"SELECT json_build_object('type', 'network', 'room', room, 'hash', encode(hash, 'hex'), 'at', at)::text AS "row!: String"
                    FROM roomcast.networks WHERE uid = $1 ORDER BY room, hash LIMIT $2 OFFSET $3"#
            ),
        })
    }

    pub(crate) async fn actions_with(&self, uid: &Uid, after: Option<Uuid>, limit: u32) -> Result<Vec<ActionRow>> {
        let (uid, after, limit) = (uid.as_str(), after.unwrap_or_default(), i64::from(limit));
        let rows = self.readers.read(async |db| {
            sqlx::query_as!(
                RawAction,
                "SELECT chain, n, id, at, actor, verb, target, nonce, body, hash FROM roomcast.actions
                WHERE (target = $1 OR actor = $1) AND id > $2 ORDER BY id LIMIT $3",
                uid,
                after,
                limit
            )
            .fetch_all(db)
            .await
        });
        rows.await?.into_iter().map(RawAction::into_action).collect()
    }
}
