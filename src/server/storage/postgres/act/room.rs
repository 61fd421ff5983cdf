//! The room of an act: its record, its changes, and what is set about it.

use super::super::raw::{RawRecord, RawStanding};
use super::super::{from_sql, to_sql};
use super::PostgresAct;
use crate::domain::{change::Rev, id::Uid};
use crate::server::storage::moderation::{GrantedRole, RoomRecord, SetPin, Standing};
use crate::server::storage::{Result, SetModes};

impl PostgresAct {
    pub(super) async fn read_room(&mut self) -> Result<Option<RoomRecord>> {
        let id = self.id();
        let row = self.transaction.run(async |db| {
            sqlx::query_as!(
                RawRecord,
                r#"SELECT rooms.room, title, host, epoch || '.' || (SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)) AS "epoch!",
                    seq, rev, slow_ms, accounts, closed_at IS NOT NULL AS "is_closed!", closed_by_operator, pinned_seq, pinned_until
                FROM roomcast.rooms JOIN roomcast.heads ON heads.room = rooms.room
                WHERE rooms.room = $1 AND deleted_at IS NULL"#,
                id
            )
            .fetch_optional(db)
            .await
        });
        row.await?.map(RawRecord::into_record).transpose()
    }

    pub(super) async fn read_standing(&mut self, uid: &Uid) -> Result<Option<Standing>> {
        let (id, uid) = (self.id(), uid.as_str());
        let row = self.transaction.run(async |db| {
            sqlx::query_file_as!(RawStanding, "src/server/storage/postgres/standing.sql", uid, id).fetch_optional(db).await
        });
        row.await?.map(RawStanding::into_standing).transpose()
    }

    pub(super) async fn store_change(&mut self, body: &str) -> Result<Rev> {
        let (id, now) = (self.id(), self.now_sql());
        let rev = self.transaction.run(async |db| {
            sqlx::query_scalar!(
                "WITH head AS (UPDATE roomcast.heads SET rev = rev + 1 WHERE room = $1 RETURNING room, rev, seq)
                INSERT INTO roomcast.changes (room, rev, seq, at, body) SELECT room, rev, seq, $2, $3 FROM head RETURNING rev",
                id,
                now,
                body
            )
            .fetch_one(db)
            .await
        });
        Ok(Rev(from_sql(rev.await?)?))
    }

    pub(super) async fn store_modes(&mut self, set: SetModes, by_operator: bool) -> Result<()> {
        let SetModes { slow_ms, closed, accounts } = set;
        let (id, now, slow_ms) = (self.id(), self.now_sql(), slow_ms.map(to_sql));
        let set = self.transaction.run(async |db| {
            sqlx::query!(
                "UPDATE roomcast.rooms SET slow_ms = coalesce($2, slow_ms), accounts = coalesce($3, accounts),
                    closed_by_operator = CASE WHEN $4::boolean THEN $6 OR closed_by_operator AND closed_at IS NOT NULL
                        WHEN NOT $4 THEN false ELSE closed_by_operator END,
                    closed_at = CASE WHEN $4 THEN coalesce(closed_at, $5) WHEN NOT $4 THEN NULL ELSE closed_at END
                WHERE room = $1",
                id,
                slow_ms,
                accounts,
                closed,
                now,
                by_operator
            )
            .execute(db)
            .await
        });
        set.await.map(|_| ())
    }

    pub(super) async fn store_title(&mut self, title: &str) -> Result<()> {
        let id = self.id();
        let set = self
            .transaction
            .run(async |db| sqlx::query!("UPDATE roomcast.rooms SET title = $2 WHERE room = $1", id, title).execute(db).await);
        set.await.map(|_| ())
    }

    pub(super) async fn store_host(&mut self, host: &Uid) -> Result<()> {
        let (id, host) = (self.id(), host.as_str());
        let set = self.transaction.run(async |db| {
            sqlx::query!("UPDATE roomcast.rooms SET host = $2 WHERE room = $1 AND deleted_at IS NULL", id, host).execute(db).await
        });
        set.await.map(|_| ())
    }

    pub(super) async fn store_pin(&mut self, pin: SetPin) -> Result<()> {
        let id = self.id();
        let (seq, until) = (pin.map(|pin| to_sql(pin.seq.0)), pin.and_then(|pin| pin.until).map(to_sql));
        let set = self.transaction.run(async |db| {
            sqlx::query!("UPDATE roomcast.rooms SET pinned_seq = $2, pinned_until = $3 WHERE room = $1", id, seq, until)
                .execute(db)
                .await
        });
        set.await.map(|_| ())
    }

    pub(super) async fn store_role(&mut self, uid: &Uid, role: Option<GrantedRole>, by: &str) -> Result<()> {
        let (id, uid, now, role) = (self.id(), uid.as_str(), self.now_sql(), role.map(GrantedRole::as_str));
        let set = self.transaction.run(async |db| match role {
            Some(role) => {
                sqlx::query!(
                    "INSERT INTO roomcast.roles (room, uid, role, by_uid, at) VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT (room, uid) DO UPDATE SET role = $3, by_uid = $4, at = $5",
                    id,
                    uid,
                    role,
                    by,
                    now
                )
                .execute(db)
                .await
            }
            None => sqlx::query!("DELETE FROM roomcast.roles WHERE room = $1 AND uid = $2", id, uid).execute(db).await,
        });
        set.await.map(|_| ())
    }
}
