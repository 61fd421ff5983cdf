//! Notes of the staff about persons, and reports of messages by viewers.

use super::super::{from_sql, to_sql};
use super::SqliteAct;
use crate::domain::id::{Seq, Uid};
use crate::server::storage::Result;
use crate::server::storage::moderation::{NoteRow, ReportRow};
use uuid::Uuid;

pub(super) async fn put_note(act: &mut SqliteAct, note: &NoteRow) -> Result<()> {
    let NoteRow { id, room, uid, by, at, text, until } = note;
    let (id, room, uid, at, until) = (id.to_string(), room.as_str(), uid.as_str(), to_sql(*at), to_sql(*until));
    sqlx::query!(
        "INSERT INTO notes (id, room, uid, by_uid, at, text, until) VALUES (?, ?, ?, ?, ?, ?, ?)",
        id,
        room,
        uid,
        by,
        at,
        text,
        until
    )
    .execute(act.connection()?)
    .await?;
    Ok(())
}

pub(super) async fn remove_note(act: &mut SqliteAct, id: Uuid) -> Result<bool> {
    let (connection, room, _) = act.parts()?;
    let id = id.to_string();
    let removed = sqlx::query!("DELETE FROM notes WHERE id = ? AND room = ?", id, room).execute(connection).await?;
    Ok(removed.rows_affected() == 1)
}

pub(super) async fn put_report(act: &mut SqliteAct, report: &ReportRow) -> Result<bool> {
    let ReportRow { room, seq, by, uid, reason, at } = report;
    let (room, seq, by, uid, at) = (room.as_str(), to_sql(seq.0), by.as_str(), uid.as_str(), to_sql(*at));
    let added = sqlx::query!(
        "INSERT INTO reports (room, seq, by_uid, uid, reason, at) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (room, seq, by_uid) DO NOTHING",
        room,
        seq,
        by,
        uid,
        reason,
        at
    )
    .execute(act.connection()?)
    .await?;
    Ok(added.rows_affected() == 1)
}

pub(super) async fn reports_by(act: &mut SqliteAct, uid: &Uid, since: u64) -> Result<u64> {
    let (uid, since) = (uid.as_str(), to_sql(since));
    let reports =
        sqlx::query_scalar!(r#"SELECT count(*) AS "reports!: i64" FROM reports WHERE by_uid = ? AND at >= ?"#, uid, since);
    from_sql(reports.fetch_one(act.connection()?).await?)
}

pub(super) async fn settle_reports(act: &mut SqliteAct, seq: Seq) -> Result<()> {
    let (connection, room, now) = act.parts()?;
    let (seq, now) = (to_sql(seq.0), to_sql(now));
    sqlx::query!("UPDATE reports SET settled_at = ? WHERE room = ? AND seq = ? AND settled_at IS NULL", now, room, seq)
        .execute(connection)
        .await?;
    Ok(())
}
