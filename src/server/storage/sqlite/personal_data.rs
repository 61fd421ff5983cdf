//! The reads that export a person's data.

use super::SqliteStore;
use super::raw::RawAction;
use crate::domain::id::Uid;
use crate::server::storage::moderation::ActionRow;
use crate::server::storage::{PersonalTable, Result};
use uuid::Uuid;

impl SqliteStore {
    pub(crate) async fn personal_rows(&self, uid: &Uid, table: PersonalTable, skip: u32, limit: u32) -> Result<Vec<String>> {
        let uid = uid.as_str();
        /// Runs one query of the table.
        macro_rules! rows {
            ($sql:literal) => {
                sqlx::query_scalar!($sql, uid, limit, skip).fetch_all(&self.readers).await?
            };
        }
        Ok(match table {
            PersonalTable::Person => rows!(
                r#"SELECT json_object('type', 'person', 'uid', uid, 'nickname', nickname, 'account', account,
                        'is_owner', json(iif(is_owner, 'true', 'false')), 'created_at', created_at) AS "row!: String"
                    FROM people WHERE uid = ?1 ORDER BY uid LIMIT ?2 OFFSET ?3"#
            ),
            PersonalTable::Sessions => rows!(
                r#"SELECT json_object('type', 'session', 'label', label, 'created_at', created_at, 'used_at', used_at,
                        'expires_at', expires_at) AS "row!: String"
                    FROM sessions WHERE uid = ?1 ORDER BY created_at, token_hash LIMIT ?2 OFFSET ?3"#
            ),
            PersonalTable::Devices => rows!(
                r#"SELECT json_object('type', 'device', 'used_at', used_at) AS "row!: String"
                    FROM devices WHERE uid = ?1 ORDER BY used_at, hash LIMIT ?2 OFFSET ?3"#
            ),
            PersonalTable::Roles => rows!(
                r#"SELECT json_object('type', 'role', 'room', room, 'role', role, 'by', by_uid, 'at', at) AS "row!: String"
                    FROM roles WHERE uid = ?1 ORDER BY room LIMIT ?2 OFFSET ?3"#
            ),
            PersonalTable::Restraints => rows!(
                r#"SELECT json_object('type', 'restraint', 'case', id, 'room', room, 'kind', kind, 'since', since, 'until', until,
                        'reason', reason, 'by', by_uid, 'lifted_at', lifted_at) AS "row!: String"
                    FROM restraints WHERE uid = ?1 ORDER BY id LIMIT ?2 OFFSET ?3"#
            ),
            PersonalTable::Notes => rows!(
                r#"SELECT json_object('type', 'note', 'id', id, 'room', room, 'by', by_uid, 'at', at, 'text', text, 'until', until) AS "row!: String"
                    FROM notes WHERE uid = ?1 ORDER BY id LIMIT ?2 OFFSET ?3"#
            ),
            PersonalTable::Reports => rows!(
                r#"SELECT json_object('type', 'report', 'room', room, 'seq', seq, 'reason', reason, 'at', at,
                        'settled_at', settled_at) AS "row!: String"
                    FROM reports WHERE by_uid = ?1 ORDER BY room, seq LIMIT ?2 OFFSET ?3"#
            ),
            PersonalTable::Networks => rows!(
                r#"SELECT json_object('type', 'network', 'room', room, 'hash', lower(hex(hash)), 'at', at) AS "row!: String"
                    FROM networks WHERE uid = ?1 ORDER BY room, hash LIMIT ?2 OFFSET ?3"#
            ),
        })
    }

    pub(crate) async fn actions_with(&self, uid: &Uid, after: Option<Uuid>, limit: u32) -> Result<Vec<ActionRow>> {
        let (uid, after) = (uid.as_str(), after.map(|id| id.to_string()).unwrap_or_default());
        let rows = sqlx::query_as!(
            RawAction,
            r#"SELECT chain AS "chain!", n AS "n!: i64", id AS "id!", at AS "at!: i64", actor AS "actor!", verb AS "verb!", target,
                nonce, body AS "body!", hash AS "hash!: Vec<u8>" FROM actions
            WHERE (target = ?1 OR actor = ?1) AND id > ?2 ORDER BY id LIMIT ?3"#,
            uid,
            after,
            limit
        );
        rows.fetch_all(&self.readers).await?.into_iter().map(RawAction::into_action).collect()
    }
}
