//! Removal and restoring of messages. A removed text is moved, never copied: it is in `removed_texts` until its end, and the row is
//! empty, so that no read can return it.

use super::super::messages::shown_at;
use super::super::raw::{json_of, seqs, uuid};
use super::super::to_sql;
use super::SqliteAct;
use crate::domain::{id::Seq, message::Message};
use crate::server::storage::Result;
use crate::server::storage::moderation::{NewRemoval, StoredMessage};
use sqlx::SqliteConnection;
use uuid::Uuid;

pub(super) async fn message(act: &mut SqliteAct, seq: Seq) -> Result<Option<StoredMessage>> {
    let (connection, room, _) = act.parts()?;
    let Some(message) = shown_at(&mut *connection, &room, &[seq]).await?.pop() else { return Ok(None) };
    let seq = to_sql(seq.0);
    let action = sqlx::query_scalar!(
        r#"SELECT coalesce(mark, (SELECT action FROM removed_texts WHERE removed_texts.room = ?1 AND removed_texts.seq = ?2))
            AS "action?: String"
        FROM shown_messages WHERE room = ?1 AND seq = ?2"#,
        room,
        seq
    );
    let action = action.fetch_optional(connection).await?.flatten();
    Ok(Some(StoredMessage { message, action: action.as_deref().map(uuid).transpose()? }))
}

pub(super) async fn remove(act: &mut SqliteAct, removal: NewRemoval, wanted: &[Seq]) -> Result<Vec<Seq>> {
    let (connection, room, now) = act.parts()?;
    let (wanted, now) = (json_of(wanted)?, to_sql(now));
    // Those that no removal and no mark has.
    let shown = sqlx::query_scalar!(
        r#"SELECT m.seq AS "seq!: i64" FROM json_each(?2) AS wanted JOIN shown_messages AS m ON m.room = ?1 AND m.seq = wanted.value
        WHERE m.removed_why IS NULL GROUP BY m.seq ORDER BY m.seq"#,
        room,
        wanted
    );
    let shown = seqs(shown.fetch_all(&mut *connection).await?)?;
    blank(connection, &room, removal, &shown).await?;
    let removed = json_of(&shown)?;
    sqlx::query!(
        "UPDATE rooms SET pinned_seq = NULL, pinned_until = NULL
        WHERE room = ? AND pinned_seq IN (SELECT value FROM json_each(?))",
        room,
        removed
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE reports SET settled_at = ? WHERE room = ? AND seq IN (SELECT value FROM json_each(?)) AND settled_at IS NULL",
        now,
        room,
        removed
    )
    .execute(connection)
    .await?;
    Ok(shown)
}

/// Moves nickname and text of messages, which are not removed, to `removed_texts`.
pub(super) async fn blank(connection: &mut SqliteConnection, room: &str, removal: NewRemoval, of: &[Seq]) -> Result<()> {
    let (of, action) = (json_of(of)?, removal.action.to_string());
    let (why, rev, until) = (removal.why.as_str(), to_sql(removal.rev.0), to_sql(removal.until));
    sqlx::query!(
        "INSERT INTO removed_texts (room, seq, action, nickname, text, until)
        SELECT m.room, m.seq, ?3, m.nickname, m.text, ?4 FROM json_each(?2) AS wanted
        CROSS JOIN messages AS m ON m.room = ?1 AND m.seq = wanted.value WHERE m.removed_why IS NULL",
        room,
        of,
        action,
        until
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE messages SET nickname = '', text = '', removed_why = ?, removed_rev = ?
        WHERE room = ? AND seq IN (SELECT value FROM json_each(?)) AND removed_why IS NULL",
        why,
        rev,
        room,
        of
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn restore(act: &mut SqliteAct, action: Uuid, limit: u32) -> Result<Vec<Message>> {
    let (connection, room, _) = act.parts()?;
    let action = action.to_string();
    let kept = sqlx::query_scalar!(
        r#"SELECT t.seq AS "seq!: i64" FROM removed_texts AS t
        WHERE t.action = ?1 AND t.room = ?2 AND EXISTS (SELECT 1 FROM messages AS m WHERE m.room = t.room AND m.seq = t.seq)
        ORDER BY t.seq LIMIT ?3"#,
        action,
        room,
        limit
    );
    let kept = seqs(kept.fetch_all(&mut *connection).await?)?;
    let wanted = json_of(&kept)?;
    sqlx::query!(
        "UPDATE messages SET (nickname, text) = (
                SELECT t.nickname, t.text FROM removed_texts AS t WHERE t.room = messages.room AND t.seq = messages.seq
            ), removed_why = NULL, removed_rev = NULL
        WHERE room = ? AND seq IN (SELECT value FROM json_each(?))",
        room,
        wanted
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("DELETE FROM removed_texts WHERE room = ? AND seq IN (SELECT value FROM json_each(?))", room, wanted)
        .execute(&mut *connection)
        .await?;
    shown_at(connection, &room, &kept).await
}

pub(super) async fn restorable(act: &mut SqliteAct, action: Uuid) -> Result<u64> {
    let (connection, room, _) = act.parts()?;
    let action = action.to_string();
    let kept = sqlx::query_scalar!(
        r#"SELECT count(*) AS "kept!: i64" FROM removed_texts AS t
        WHERE t.action = ?1 AND t.room = ?2 AND EXISTS (SELECT 1 FROM messages AS m WHERE m.room = t.room AND m.seq = t.seq)"#,
        action,
        room
    );
    super::from_sql(kept.fetch_one(connection).await?)
}
