//! Restraints of persons and of networks.

use super::super::raw::{RawRestraint, SITE};
use super::super::{corrupt, to_sql};
use super::PostgresAct;
use crate::domain::id::{RoomId, Uid};
use crate::server::storage::Result;
use crate::server::storage::moderation::{NetworkHash, RestraintRow};
use uuid::Uuid;

impl PostgresAct {
    pub(super) async fn store_restraint(&mut self, restraint: &RestraintRow) -> Result<()> {
        let RestraintRow { id, room, uid, kind, since, until, reason, by, lifted_at } = restraint;
        let (room, uid, kind) = (room.as_ref().map_or(SITE, RoomId::as_str), uid.as_str(), kind.as_str());
        let (since, until, lifted_at) = (to_sql(*since), until.map(to_sql), lifted_at.map(to_sql));
        let stored = self.transaction.run(async |db| {
            sqlx::query!(
                "INSERT INTO roomcast.restraints (id, room, uid, kind, since, until, reason, by_uid, lifted_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
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
            .execute(db)
            .await
        });
        stored.await.map(|_| ())
    }

    pub(super) async fn read_restraints(&mut self, uid: &Uid, with_site: bool) -> Result<Vec<RestraintRow>> {
        let (id, uid, now) = (self.id(), uid.as_str(), self.now_sql());
        let rows = self.transaction.run(async |db| {
            sqlx::query_as!(
                RawRestraint,
                "SELECT id, room, uid, kind, since, until, reason, by_uid, lifted_at FROM roomcast.restraints
                WHERE uid = $1 AND (room = $2 OR $3 AND room = '*') AND lifted_at IS NULL AND (until IS NULL OR until > $4)
                ORDER BY kind, until DESC NULLS FIRST, id",
                uid,
                id,
                with_site,
                now
            )
            .fetch_all(db)
            .await
        });
        rows.await?.into_iter().map(RawRestraint::into_restraint).collect()
    }

    pub(super) async fn read_restraint(&mut self, case: Uuid) -> Result<Option<RestraintRow>> {
        let row = self.transaction.run(async |db| {
            sqlx::query_as!(
                RawRestraint,
                "SELECT id, room, uid, kind, since, until, reason, by_uid, lifted_at
                FROM roomcast.restraints WHERE id = $1",
                case
            )
            .fetch_optional(db)
            .await
        });
        row.await?.map(RawRestraint::into_restraint).transpose()
    }

    /// The restraints of networks that follow from it count only while it is in force.
    pub(super) async fn set_lifted(&mut self, case: Uuid, at: Option<u64>) -> Result<()> {
        let at = at.map(to_sql);
        let set = self.transaction.run(async |db| {
            sqlx::query!("UPDATE roomcast.restraints SET lifted_at = $2 WHERE id = $1", case, at).execute(db).await
        });
        set.await.map(|_| ())
    }

    /// An act of the site is on the networks of all rooms: their hashes are of one room each.
    pub(super) async fn store_networks(&mut self, uid: &Uid, case: Uuid, until: u64) -> Result<Vec<NetworkHash>> {
        let (room, uid, until) = (self.room.as_ref().map(RoomId::as_str), uid.as_str(), to_sql(until));
        let hashes = self.transaction.run(async |db| {
            sqlx::query_scalar!(
                "INSERT INTO roomcast.network_restraints (room, hash, restraint, until)
                SELECT room, hash, $3, $4 FROM roomcast.networks WHERE uid = $2 AND ($1::text IS NULL OR room = $1)
                ON CONFLICT (room, hash, restraint) DO UPDATE SET until = $4 RETURNING hash",
                room,
                uid,
                case,
                until
            )
            .fetch_all(db)
            .await
        });
        hashes.await?.into_iter().map(|hash| hash.try_into().map_err(|_| corrupt("hash"))).collect()
    }
}
