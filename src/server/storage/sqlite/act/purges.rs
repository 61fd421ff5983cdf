//! Removal of a person's messages: its mark, and the blanking of its rows in batches.

use super::super::raw::{RawPurge, json_of, seqs, state_word, uuid};
use super::super::{from_sql, to_sql};
use super::SqliteAct;
use super::messages::blank;
use crate::domain::id::{Seq, Uid};
use crate::server::storage::Result;
use crate::server::storage::moderation::{NewRemoval, PurgeRow, PurgeState};
use uuid::Uuid;

pub(super) async fn range_of(act: &mut SqliteAct, uid: &Uid, since: u64) -> Result<Option<(Seq, Seq)>> {
    let (connection, room, _) = act.parts()?;
    let (uid, since) = (uid.as_str(), to_sql(since));
    // A room's seqs have no holes: the first one of a time is found by halving. SQLite seeks the first bound that is written.
    let range = sqlx::query!(
        r#"WITH RECURSIVE search (low, high) AS (
            SELECT (SELECT min(seq) FROM messages WHERE room = ?1), (SELECT max(seq) + 1 FROM messages WHERE room = ?1)
            UNION ALL
            SELECT
                CASE WHEN coalesce((SELECT at FROM messages WHERE room = ?1 AND seq = (low + high) / 2), 0) < ?3
                    THEN (low + high) / 2 + 1 ELSE low END,
                CASE WHEN coalesce((SELECT at FROM messages WHERE room = ?1 AND seq = (low + high) / 2), 0) < ?3
                    THEN high ELSE (low + high) / 2 END
            FROM search WHERE low < high
        )
        SELECT
            (SELECT min(seq) FROM messages INDEXED BY messages_of WHERE uid = ?2 AND room = ?1 AND seq >= low AND seq > 0)
                AS "from_seq?: i64",
            (SELECT max(seq) FROM messages INDEXED BY messages_of WHERE uid = ?2 AND room = ?1 AND seq > 0) AS "upto_seq?: i64"
        FROM search WHERE low >= high LIMIT 1"#,
        room,
        uid,
        since
    );
    let Some(range) = range.fetch_optional(connection).await? else { return Ok(None) };
    let (Some(from), Some(upto)) = (range.from_seq, range.upto_seq) else { return Ok(None) };
    Ok(Some((Seq(from_sql(from)?), Seq(from_sql(upto)?))))
}

pub(super) async fn put_purge(act: &mut SqliteAct, purge: &PurgeRow) -> Result<()> {
    let (connection, _, now) = act.parts()?;
    let (action, room, uid) = (purge.action.to_string(), purge.room.as_str(), purge.uid.as_str());
    let (from, upto, rev) = (to_sql(purge.from.0), to_sql(purge.upto.0), to_sql(purge.rev.0));
    let (why, state, next, until) = (purge.why.as_str(), state_word(purge.state), to_sql(purge.next.0), to_sql(purge.until));
    sqlx::query!(
        "INSERT INTO purges (action, room, uid, from_seq, upto_seq, rev, why, state, next_seq, until)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (action) DO UPDATE SET state = ?8, next_seq = ?9",
        action,
        room,
        uid,
        from,
        upto,
        rev,
        why,
        state,
        next,
        until
    )
    .execute(&mut *connection)
    .await?;
    if purge.state != PurgeState::Blanking {
        return Ok(());
    }
    // The mark removes the messages at once: also from the pin, and from the open reports.
    sqlx::query!(
        "UPDATE rooms SET pinned_seq = NULL, pinned_until = NULL WHERE room = ?1 AND pinned_seq BETWEEN ?2 AND ?3
            AND EXISTS (SELECT 1 FROM messages AS m WHERE m.room = ?1 AND m.seq = pinned_seq AND m.uid = ?4)",
        room,
        from,
        upto,
        uid
    )
    .execute(&mut *connection)
    .await?;
    let now = to_sql(now);
    sqlx::query!(
        "UPDATE reports SET settled_at = ? WHERE room = ? AND uid = ? AND seq BETWEEN ? AND ? AND settled_at IS NULL",
        now,
        room,
        uid,
        from,
        upto
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn purge(act: &mut SqliteAct, action: Uuid) -> Result<Option<PurgeRow>> {
    let (connection, room, _) = act.parts()?;
    let action = action.to_string();
    let row = sqlx::query_as!(
        RawPurge,
        r#"SELECT action AS "action!", room AS "room!", uid AS "uid!", from_seq AS "from_seq!: i64", upto_seq AS "upto_seq!: i64",
            rev AS "rev!: i64", why AS "why!", state AS "state!", next_seq AS "next_seq!: i64", until AS "until!: i64"
        FROM purges WHERE action = ? AND room = ?"#,
        action,
        room
    );
    row.fetch_optional(connection).await?.map(RawPurge::into_purge).transpose()
}

pub(super) async fn unfinished_purge(act: &mut SqliteAct, uid: &Uid) -> Result<Option<Uuid>> {
    let (connection, room, _) = act.parts()?;
    let uid = uid.as_str();
    let action = sqlx::query_scalar!(
        r#"SELECT action AS "action!" FROM purges WHERE room = ? AND uid = ? AND state <> 'done' LIMIT 1"#,
        room,
        uid
    );
    action.fetch_optional(connection).await?.as_deref().map(uuid).transpose()
}

/// The stored purge counts, not the caller's: it may have been taken back meanwhile.
pub(super) async fn blank_next(act: &mut SqliteAct, given: &PurgeRow, limit: u32) -> Result<u64> {
    let Some(purge) = purge(act, given.action).await?.filter(|purge| purge.state == PurgeState::Blanking) else { return Ok(0) };
    let (connection, room, _) = act.parts()?;
    let (uid, upto) = (purge.uid.as_str(), to_sql(purge.upto.0));
    let from = to_sql(purge.next.0);
    // The index has the person's seqs, so that only these rows are read, and of those that were removed before no more than of others.
    let of_person = sqlx::query_scalar!(
        r#"SELECT seq AS "seq!: i64" FROM messages INDEXED BY messages_of
        WHERE uid = ?1 AND room = ?2 AND seq > 0 AND seq BETWEEN ?3 AND ?4 ORDER BY seq LIMIT ?5"#,
        uid,
        room,
        from,
        upto,
        limit
    );
    let of_person = seqs(of_person.fetch_all(&mut *connection).await?)?;
    let wanted = json_of(&of_person)?;
    let shown = sqlx::query_scalar!(
        r#"SELECT seq AS "seq!: i64" FROM messages
        WHERE room = ? AND seq IN (SELECT value FROM json_each(?)) AND removed_why IS NULL ORDER BY seq"#,
        room,
        wanted
    );
    let shown = seqs(shown.fetch_all(&mut *connection).await?)?;
    let PurgeRow { action, why, rev, until, .. } = purge;
    blank(connection, &room, NewRemoval { action, why, rev, until }, &shown).await?;
    let is_last = of_person.len() < limit as usize;
    let state = if is_last { PurgeState::Done } else { PurgeState::Blanking };
    let next = of_person.last().map_or(purge.next, |last| last.next());
    let (action, state, next) = (action.to_string(), state_word(state), to_sql(next.0));
    sqlx::query!("UPDATE purges SET state = ?, next_seq = ? WHERE action = ?", state, next, action).execute(connection).await?;
    Ok(shown.len() as u64)
}
