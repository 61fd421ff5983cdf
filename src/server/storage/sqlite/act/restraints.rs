//! Bans, timeouts and warnings, and the networks of restrained guests.

use super::super::raw::{RawRestraint, SITE, room_or_site};
use super::super::{corrupt, to_sql};
use super::{Of, SqliteAct};
use crate::domain::id::Uid;
use crate::server::storage::Result;
use crate::server::storage::moderation::{NetworkHash, RestraintRow};
use sqlx::SqliteConnection;
use uuid::Uuid;

pub(super) async fn put_restraint(act: &mut SqliteAct, restraint: &RestraintRow) -> Result<()> {
    let RestraintRow { id, room, uid, kind, since, until, reason, by, lifted_at } = restraint;
    let (id, room, uid, kind) = (id.to_string(), room_or_site(room.as_ref()), uid.as_str(), kind.as_str());
    let (since, until, lifted_at) = (to_sql(*since), until.map(to_sql), lifted_at.map(to_sql));
    sqlx::query!(
        "INSERT INTO restraints (id, room, uid, kind, since, until, reason, by_uid, lifted_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        room,
        uid,
        kind,
        since,
        until,
        reason,
        by,
        lifted_at
    )
    .execute(act.connection()?)
    .await?;
    Ok(())
}

pub(super) async fn restraints_of(act: &mut SqliteAct, uid: &Uid, with_site: bool) -> Result<Vec<RestraintRow>> {
    let (connection, room, now) = act.parts()?;
    let also = if with_site { SITE } else { &room };
    restraints_in_force(connection, [&room, also], uid, now).await
}

/// Returns the restraints of a person that are in force in two rooms: bans first, then timeouts, then warnings; the longest first.
pub(in crate::server::storage::sqlite) async fn restraints_in_force(
    connection: &mut SqliteConnection,
    [room, also]: [&str; 2],
    uid: &Uid,
    now: u64,
) -> Result<Vec<RestraintRow>> {
    let (uid, now) = (uid.as_str(), to_sql(now));
    // In the order of the alphabet: ban, timeout, warning.
    let rows = sqlx::query_as!(
        RawRestraint,
        r#"SELECT id AS "id!", room AS "room!", uid AS "uid!", kind AS "kind!", since AS "since!: i64", until AS "until?: i64",
            reason AS "reason!", by_uid AS "by_uid!", lifted_at AS "lifted_at?: i64"
        FROM restraints WHERE uid = ? AND room IN (?, ?) AND lifted_at IS NULL AND (until IS NULL OR until > ?)
        ORDER BY kind, until DESC NULLS FIRST, id"#,
        uid,
        room,
        also,
        now
    );
    rows.fetch_all(connection).await?.into_iter().map(RawRestraint::into_restraint).collect()
}

/// Returns a restraint of any room.
pub(in crate::server::storage::sqlite) async fn restraint_by_case(
    connection: &mut SqliteConnection,
    case: Uuid,
) -> Result<Option<RestraintRow>> {
    let case = case.to_string();
    let row = sqlx::query_as!(
        RawRestraint,
        r#"SELECT id AS "id!", room AS "room!", uid AS "uid!", kind AS "kind!", since AS "since!: i64", until AS "until?: i64",
            reason AS "reason!", by_uid AS "by_uid!", lifted_at AS "lifted_at?: i64"
        FROM restraints WHERE id = ?"#,
        case
    );
    row.fetch_optional(connection).await?.map(RawRestraint::into_restraint).transpose()
}

pub(super) async fn lift(act: &mut SqliteAct, case: Uuid, at: u64) -> Result<()> {
    let (case, at) = (case.to_string(), to_sql(at));
    sqlx::query!("UPDATE restraints SET lifted_at = ? WHERE id = ?", at, case).execute(act.connection()?).await?;
    Ok(())
}

pub(super) async fn restrain_again(act: &mut SqliteAct, case: Uuid) -> Result<()> {
    let case = case.to_string();
    sqlx::query!("UPDATE restraints SET lifted_at = NULL WHERE id = ?", case).execute(act.connection()?).await?;
    Ok(())
}

/// A hash is of one room: an act on the site restrains each room that the guest sent in.
pub(super) async fn restrain_networks(act: &mut SqliteAct, uid: &Uid, case: Uuid, until: u64) -> Result<Vec<NetworkHash>> {
    let is_of_site = matches!(act.of, Of::Site(_));
    let (connection, room, _) = act.parts()?;
    let (uid, case, until) = (uid.as_str(), case.to_string(), to_sql(until));
    let rows = sqlx::query!(
        r#"SELECT room AS "room!", hash AS "hash!: Vec<u8>" FROM networks WHERE uid = ? AND (room = ? OR ?) ORDER BY room, hash"#,
        uid,
        room,
        is_of_site
    );
    let rows = rows.fetch_all(&mut *connection).await?;
    let mut hashes = Vec::with_capacity(rows.len());
    for row in rows {
        sqlx::query!(
            "INSERT INTO network_restraints (room, hash, restraint, until) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (room, hash, restraint) DO UPDATE SET until = ?4",
            row.room,
            row.hash,
            case,
            until
        )
        .execute(&mut *connection)
        .await?;
        hashes.push(row.hash.try_into().map_err(|_| corrupt("hash"))?);
    }
    Ok(hashes)
}
