//! The audit log: the chain of the act, its rows, and their texts.

use super::super::raw::{RawAction, RawHead};
use super::super::to_sql;
use super::SqliteAct;
use crate::domain::id::Uid;
use crate::server::storage::Result;
use crate::server::storage::moderation::{ActionRow, ChainHead};
use sqlx::SqliteConnection;
use uuid::Uuid;

/// The transaction is the only one that writes, so nothing is to be locked.
pub(super) async fn chain(act: &mut SqliteAct) -> Result<ChainHead> {
    let (connection, chain, _) = act.parts()?;
    let head = sqlx::query_as!(
        RawHead,
        r#"SELECT chain AS "chain!", n AS "n!: i64", hash AS "hash!: Vec<u8>" FROM chains WHERE chain = ?"#,
        chain
    );
    let head = head.fetch_optional(connection).await?;
    head.map_or(Ok(ChainHead { chain, n: 0, hash: [0; 32] }), RawHead::into_head)
}

pub(super) async fn put_action(act: &mut SqliteAct, row: &ActionRow) -> Result<()> {
    let ActionRow { chain, n, id, at, actor, verb, target, nonce, body, hash } = row;
    let (n, id, at, hash) = (to_sql(*n), id.to_string(), to_sql(*at), hash.as_slice());
    let connection = act.connection()?;
    sqlx::query!(
        "INSERT INTO actions (chain, n, id, at, actor, verb, target, nonce, body, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        chain,
        n,
        id,
        at,
        actor,
        verb,
        target,
        nonce,
        body,
        hash
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO chains (chain, n, hash) VALUES (?1, ?2, ?3) ON CONFLICT (chain) DO UPDATE SET n = ?2, hash = ?3",
        chain,
        n,
        hash
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns a row of any chain.
pub(in crate::server::storage::sqlite) async fn action_by_id(
    connection: &mut SqliteConnection,
    id: Uuid,
) -> Result<Option<ActionRow>> {
    let id = id.to_string();
    let row = sqlx::query_as!(
        RawAction,
        r#"SELECT chain AS "chain!", n AS "n!: i64", id AS "id!", at AS "at!: i64", actor AS "actor!", verb AS "verb!", target,
            nonce, body AS "body!", hash AS "hash!: Vec<u8>" FROM actions WHERE id = ?"#,
        id
    );
    row.fetch_optional(connection).await?.map(RawAction::into_action).transpose()
}

pub(super) async fn action_by_nonce(act: &mut SqliteAct, actor: &str, nonce: &str) -> Result<Option<ActionRow>> {
    let row = sqlx::query_as!(
        RawAction,
        r#"SELECT chain AS "chain!", n AS "n!: i64", id AS "id!", at AS "at!: i64", actor AS "actor!", verb AS "verb!", target,
            nonce, body AS "body!", hash AS "hash!: Vec<u8>" FROM actions WHERE actor = ? AND nonce = ?"#,
        actor,
        nonce
    );
    row.fetch_optional(act.connection()?).await?.map(RawAction::into_action).transpose()
}

pub(super) async fn action_text(act: &mut SqliteAct, action: Uuid, kind: &str) -> Result<Option<String>> {
    let action = action.to_string();
    let text = sqlx::query_scalar!(r#"SELECT text AS "text!" FROM action_texts WHERE action = ? AND kind = ?"#, action, kind);
    Ok(text.fetch_optional(act.connection()?).await?)
}

pub(super) async fn put_action_text(
    act: &mut SqliteAct,
    action: Uuid,
    kind: &str,
    uid: Option<&Uid>,
    text: &str,
    salt: &[u8],
    until: u64,
) -> Result<()> {
    let (action, uid, until) = (action.to_string(), uid.map(Uid::as_str), to_sql(until));
    sqlx::query!(
        "INSERT INTO action_texts (action, kind, uid, text, salt, until) VALUES (?, ?, ?, ?, ?, ?)",
        action,
        kind,
        uid,
        text,
        salt,
        until
    )
    .execute(act.connection()?)
    .await?;
    Ok(())
}
