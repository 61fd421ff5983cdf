//! Erasure for good: of a person's messages, of the traces that a person leaves in the records of others, and of a removed text.

use super::super::raw::{json_of, seqs};
use super::super::{corrupt, to_sql};
use super::SqliteAct;
use crate::domain::id::{Seq, Uid};
use crate::server::storage::Result;
use crate::server::storage::moderation::NewRemoval;

/// A message keeps its seq, its time and, if it was removed before, the reason of that removal.
pub(super) async fn erase_messages_of(act: &mut SqliteAct, uid: &Uid, removal: NewRemoval, limit: u32) -> Result<Vec<Seq>> {
    let (connection, room, _) = act.parts()?;
    let (uid, why, rev) = (uid.as_str(), removal.why.as_str(), to_sql(removal.rev.0));
    let of_person = sqlx::query_scalar!(
        r#"SELECT seq AS "seq!: i64" FROM messages INDEXED BY messages_of
        WHERE uid = ?1 AND room = ?2 AND seq > 0 ORDER BY seq LIMIT ?3"#,
        uid,
        room,
        limit
    );
    let erased = seqs(of_person.fetch_all(&mut *connection).await?)?;
    let wanted = json_of(&erased)?;
    sqlx::query!("DELETE FROM removed_texts WHERE room = ? AND seq IN (SELECT value FROM json_each(?))", room, wanted)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "UPDATE messages SET uid = '-', nonce = id, nickname = '', text = '', mentions = NULL,
            removed_why = coalesce(removed_why, ?1), removed_rev = coalesce(removed_rev, ?2)
        WHERE room = ?3 AND seq IN (SELECT value FROM json_each(?4))",
        why,
        rev,
        room,
        wanted
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE rooms SET pinned_seq = NULL, pinned_until = NULL
        WHERE room = ? AND pinned_seq IN (SELECT value FROM json_each(?))",
        room,
        wanted
    )
    .execute(connection)
    .await?;
    Ok(erased)
}

pub(super) async fn erase_traces_of(act: &mut SqliteAct, uid: &Uid, limit: u32) -> Result<u64> {
    let (connection, room, _) = act.parts()?;
    // As it stands in a list of mentions.
    let (uid, quoted) = (uid.as_str(), serde_json::to_string(uid).map_err(corrupt)?);
    let purges = sqlx::query!("DELETE FROM purges WHERE room = ? AND uid = ?", room, uid).execute(&mut *connection).await?;
    let changes = sqlx::query!(
        "UPDATE changes SET body = json_set(json_remove(body, '$.purged'), '$.reread', json('true'))
        WHERE room = ? AND body ->> '$.purged[0]' = ?",
        room,
        uid
    );
    let changes = changes.execute(&mut *connection).await?;
    let mentions = sqlx::query!(
        "UPDATE messages SET mentions = (
                SELECT nullif(json_group_array(value), '[]') FROM json_each(mentions) WHERE value <> ?1
            )
        WHERE room = ?2 AND seq IN (
            SELECT seq FROM messages INDEXED BY messages_mentions
            WHERE room = ?2 AND mentions IS NOT NULL AND instr(mentions, ?3) > 0 LIMIT ?4
        )",
        uid,
        room,
        quoted,
        limit
    );
    let mentions = mentions.execute(connection).await?;
    Ok(purges.rows_affected() + changes.rows_affected() + mentions.rows_affected())
}

pub(super) async fn erase_text(act: &mut SqliteAct, seq: Seq) -> Result<bool> {
    let (connection, room, _) = act.parts()?;
    let seq = to_sql(seq.0);
    let kept = sqlx::query!("DELETE FROM removed_texts WHERE room = ? AND seq = ?", room, seq).execute(&mut *connection).await?;
    // The text of a message that only a mark removes is in its row still.
    let marked = sqlx::query!(
        "UPDATE messages SET nickname = '', text = '', removed_why = shown.removed_why, removed_rev = shown.removed_rev
        FROM shown_messages AS shown
        WHERE messages.room = ?1 AND messages.seq = ?2 AND shown.room = ?1 AND shown.seq = ?2 AND shown.mark IS NOT NULL",
        room,
        seq
    );
    let marked = marked.execute(connection).await?;
    Ok(kept.rows_affected() + marked.rows_affected() > 0)
}
