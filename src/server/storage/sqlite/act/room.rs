//! The room of an act: its record, its changes, its modes, and the persons' standing in it.

use super::super::raw::{RawRecord, RawStanding};
use super::super::{from_sql, to_sql};
use super::{Of, SqliteAct};
use crate::domain::{change::Rev, id::Uid};
use crate::server::storage::moderation::{GrantedRole, RoomRecord, SetPin, Standing};
use crate::server::storage::{Result, SetModes};
use sqlx::SqliteConnection;

pub(super) async fn room(act: &mut SqliteAct) -> Result<Option<RoomRecord>> {
    if matches!(act.of, Of::Site(_)) {
        return Ok(None);
    }
    let (connection, room, _) = act.parts()?;
    record(connection, &room).await
}

/// Returns a room that is not being deleted.
pub(in crate::server::storage::sqlite) async fn record(
    connection: &mut SqliteConnection,
    room: &str,
) -> Result<Option<RoomRecord>> {
    let row = sqlx::query_as!(
        RawRecord,
        r#"SELECT room AS "room!", title AS "title!", host, epoch AS "epoch!", newest_seq AS "seq!: i64", rev AS "rev!: i64",
            slow_ms AS "slow_ms!: i64", accounts AS "accounts!: bool", closed_at IS NOT NULL AS "is_closed!: bool",
            closed_by_operator AS "closed_by_operator!: bool", pinned_seq AS "pinned_seq?: i64", pinned_until AS "pinned_until?: i64"
        FROM rooms WHERE room = ? AND deleted_at IS NULL"#,
        room
    );
    row.fetch_optional(connection).await?.map(RawRecord::into_record).transpose()
}

pub(super) async fn standing(act: &mut SqliteAct, uid: &Uid) -> Result<Option<Standing>> {
    let (connection, room, _) = act.parts()?;
    standing_in(connection, &room, uid).await
}

/// Returns a person's standing in a room. On the site, which is no room, nobody is host and nobody has a role.
pub(in crate::server::storage::sqlite) async fn standing_in(
    connection: &mut SqliteConnection,
    room: &str,
    uid: &Uid,
) -> Result<Option<Standing>> {
    let uid = uid.as_str();
    let row = sqlx::query_as!(
        RawStanding,
        r#"SELECT p.nickname AS "nickname!", p.account, p.is_owner AS "is_owner!: bool",
            EXISTS (SELECT 1 FROM rooms WHERE rooms.room = ?1 AND rooms.host = p.uid) AS "is_host!: bool",
            (SELECT role FROM roles WHERE roles.room = ?1 AND roles.uid = p.uid) AS "role?: String",
            p.created_at AS "created_at!: i64"
        FROM people AS p WHERE p.uid = ?2"#,
        room,
        uid
    );
    row.fetch_optional(connection).await?.map(RawStanding::into_standing).transpose()
}

pub(super) async fn add_change(act: &mut SqliteAct, body: &str) -> Result<Rev> {
    let (connection, room, now) = act.parts()?;
    let now = to_sql(now);
    let head = sqlx::query!(
        r#"UPDATE rooms SET rev = rev + 1 WHERE room = ? RETURNING rev AS "rev!: i64", newest_seq AS "newest_seq!: i64""#,
        room
    );
    let head = head.fetch_one(&mut *connection).await?;
    sqlx::query!(
        "INSERT INTO changes (room, rev, seq, at, body) VALUES (?, ?, ?, ?, ?)",
        room,
        head.rev,
        head.newest_seq,
        now,
        body
    )
    .execute(connection)
    .await?;
    Ok(Rev(from_sql(head.rev)?))
}

pub(super) async fn set_modes(act: &mut SqliteAct, set: SetModes, by_operator: bool) -> Result<()> {
    let (connection, room, now) = act.parts()?;
    let SetModes { slow_ms, closed, accounts } = set;
    let (slow_ms, now) = (slow_ms.map(to_sql), to_sql(now));
    sqlx::query!(
        "UPDATE rooms SET slow_ms = coalesce(?1, slow_ms), accounts = coalesce(?2, accounts),
            closed_at = CASE ?3 WHEN TRUE THEN coalesce(closed_at, ?4) WHEN FALSE THEN NULL ELSE closed_at END,
            closed_by_operator = CASE ?3 WHEN TRUE THEN closed_by_operator OR ?5 WHEN FALSE THEN 0 ELSE closed_by_operator END
        WHERE room = ?6",
        slow_ms,
        accounts,
        closed,
        now,
        by_operator,
        room
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn set_title(act: &mut SqliteAct, title: &str) -> Result<()> {
    let (connection, room, _) = act.parts()?;
    sqlx::query!("UPDATE rooms SET title = ? WHERE room = ?", title, room).execute(connection).await?;
    Ok(())
}

pub(super) async fn set_host(act: &mut SqliteAct, host: &Uid) -> Result<()> {
    let (connection, room, _) = act.parts()?;
    let host = host.as_str();
    sqlx::query!("UPDATE rooms SET host = ? WHERE room = ? AND deleted_at IS NULL", host, room).execute(connection).await?;
    Ok(())
}

pub(super) async fn set_pin(act: &mut SqliteAct, pin: SetPin) -> Result<()> {
    let (connection, room, _) = act.parts()?;
    let (seq, until) = (pin.map(|pin| to_sql(pin.seq.0)), pin.and_then(|pin| pin.until).map(to_sql));
    sqlx::query!("UPDATE rooms SET pinned_seq = ?, pinned_until = ? WHERE room = ?", seq, until, room)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn set_role(act: &mut SqliteAct, uid: &Uid, role: Option<GrantedRole>, by: &str) -> Result<()> {
    let (connection, room, now) = act.parts()?;
    let (uid, now) = (uid.as_str(), to_sql(now));
    let Some(role) = role.map(GrantedRole::as_str) else {
        sqlx::query!("DELETE FROM roles WHERE room = ? AND uid = ?", room, uid).execute(connection).await?;
        return Ok(());
    };
    sqlx::query!(
        "INSERT INTO roles (room, uid, role, by_uid, at) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (room, uid) DO UPDATE SET role = ?3, by_uid = ?4, at = ?5",
        room,
        uid,
        role,
        by,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}
