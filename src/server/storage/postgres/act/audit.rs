//! The audit log of an act. The lock of the chain's row comes last, after those of rooms and persons.

use super::super::raw::{RawAction, RawHead};
use super::super::to_sql;
use super::PostgresAct;
use crate::domain::id::Uid;
use crate::server::storage::Result;
use crate::server::storage::moderation::{ActionRow, ChainHead};
use uuid::Uuid;

impl PostgresAct {
    /// The statement adds the chain's row, or locks it and returns it as it is now.
    pub(super) async fn lock_chain(&mut self) -> Result<ChainHead> {
        let (id, zeros) = (self.id(), [0; 32]);
        let row = self.transaction.run(async |db| {
            sqlx::query_as!(
                RawHead,
                "INSERT INTO roomcast.chains (chain, n, hash) VALUES ($1, 0, $2)
                ON CONFLICT (chain) DO UPDATE SET chain = excluded.chain RETURNING chain, n, hash",
                id,
                &zeros
            )
            .fetch_one(db)
            .await
        });
        row.await?.into_head()
    }

    pub(super) async fn store_action(&mut self, row: &ActionRow) -> Result<()> {
        let ActionRow { chain, n, id, at, actor, verb, target, nonce, body, hash } = row;
        let (n, at, hash) = (to_sql(*n), to_sql(*at), hash.as_slice());
        let stored = self.transaction.run(async |db| {
            sqlx::query!(
                "WITH head AS (
                    INSERT INTO roomcast.chains (chain, n, hash) VALUES ($1, $2, $10)
                    ON CONFLICT (chain) DO UPDATE SET n = excluded.n, hash = excluded.hash
                )
                INSERT INTO roomcast.actions (chain, n, id, at, actor, verb, target, nonce, body, hash)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                chain,
                n,
                id,
                at,
                actor,
                verb,
                target.as_deref(),
                nonce.as_deref(),
                body,
                hash
            )
            .execute(db)
            .await
        });
        stored.await.map(|_| ())
    }

    pub(super) async fn read_action(&mut self, action: Uuid) -> Result<Option<ActionRow>> {
        let row = self.transaction.run(async |db| {
            sqlx::query_as!(
                RawAction,
                "SELECT chain, n, id, at, actor, verb, target, nonce, body, hash
                FROM roomcast.actions WHERE id = $1",
                action
            )
            .fetch_optional(db)
            .await
        });
        row.await?.map(RawAction::into_action).transpose()
    }

    pub(super) async fn find_action(&mut self, actor: &str, nonce: &str) -> Result<Option<ActionRow>> {
        let row = self.transaction.run(async |db| {
            sqlx::query_as!(
                RawAction,
                "SELECT chain, n, id, at, actor, verb, target, nonce, body, hash
                FROM roomcast.actions WHERE actor = $1 AND nonce = $2",
                actor,
                nonce
            )
            .fetch_optional(db)
            .await
        });
        row.await?.map(RawAction::into_action).transpose()
    }

    pub(super) async fn read_action_text(&mut self, action: Uuid, kind: &str) -> Result<Option<String>> {
        let text = self.transaction.run(async |db| {
            sqlx::query_scalar!("SELECT text FROM roomcast.action_texts WHERE action = $1 AND kind = $2", action, kind)
                .fetch_optional(db)
                .await
        });
        text.await
    }

    pub(super) async fn store_action_text(
        &mut self,
        action: Uuid,
        kind: &str,
        uid: Option<&Uid>,
        text: &str,
        salt: &[u8],
        until: u64,
    ) -> Result<()> {
        let (uid, until) = (uid.map(Uid::as_str), to_sql(until));
        let stored = self.transaction.run(async |db| {
            sqlx::query!(
                "INSERT INTO roomcast.action_texts (action, kind, uid, text, salt, until) VALUES ($1, $2, $3, $4, $5, $6)
                ON CONFLICT (action, kind) DO UPDATE SET text = $4, salt = $5, until = $6",
                action,
                kind,
                uid,
                text,
                salt,
                until
            )
            .execute(db)
            .await
        });
        stored.await.map(|_| ())
    }
}
