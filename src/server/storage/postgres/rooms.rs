//! Rooms. What decides about a send (closed, deleted, slow mode, host) changes under the lock of the room's row in `heads`, which
//! is its place in the commit order: a send that waits for the lock is judged by the new state.
//!
//! The epoch that pages get is the room's, with the timeline of the server. After a failover that lost messages the timeline is
//! another one, and pages begin anew.

use super::{PostgresStore, corrupt, from_sql, to_sql};
use crate::domain::id::{RoomId, Uid};
use crate::server::storage::raw_rows::RawRoom;
use crate::server::storage::{Result, RoomRow, RoomSettings};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Tries to number a room. A try fails only if an operator adds a room under the same number meanwhile.
const TRIES: usize = 8;

fn into_rooms(rows: Vec<RawRoom>) -> Result<Vec<RoomRow>> {
    rows.into_iter().map(RawRoom::into_room).collect()
}

fn ids(rooms: &[RoomId]) -> Vec<&str> {
    rooms.iter().map(RoomId::as_str).collect()
}

impl PostgresStore {
    pub(crate) async fn room(&self, room: &RoomId) -> Result<Option<RoomRow>> {
        let room = room.as_str();
        let row = self.readers.read(async |db| {
            sqlx::query_file_as!(RawRoom, "src/server/storage/postgres/room.sql", room).fetch_optional(db).await
        });
        row.await?.map(RawRoom::into_room).transpose()
    }

    pub(crate) async fn rooms(&self, limit: u32) -> Result<Vec<RoomRow>> {
        let limit = i64::from(limit);
        let rows = self.readers.read(async |db| {
            sqlx::query_file_as!(RawRoom, "src/server/storage/postgres/newest_rooms.sql", limit).fetch_all(db).await
        });
        into_rooms(rows.await?)
    }

    /// Of the rooms that it skips it reads their entries in the index of open rooms, and no rows.
    pub(crate) async fn open_rooms_without(&self, rooms: Vec<RoomId>, limit: u32, skip: u32) -> Result<Vec<RoomRow>> {
        let (rooms, limit, skip) = (ids(&rooms), i64::from(limit), i64::from(skip));
        let rows = self.readers.read(async |db| {
            let path = sqlx::query_file_as!(
                RawRoom,
                "src/server/storage/postgres/newest_rooms_without.sql",
                &rooms as &[&str],
                limit,
                skip
            );
            path.fetch_all(db).await
        });
        into_rooms(rows.await?)
    }

    /// The LATERAL join makes PostgreSQL take the ids in their order, so it stops at the limit.
    pub(crate) async fn rooms_by_id(&self, rooms: Vec<RoomId>, limit: u32) -> Result<Vec<RoomRow>> {
        if rooms.is_empty() {
            return Ok(Vec::new());
        }
        let (rooms, limit) = (ids(&rooms), i64::from(limit));
        let rows = self.readers.read(async |db| {
            sqlx::query_file_as!(RawRoom, "src/server/storage/postgres/rooms_by_id.sql", &rooms as &[&str], limit)
                .fetch_all(db)
                .await
        });
        into_rooms(rows.await?)
    }

    pub(crate) async fn room_settings(&self, mut rooms: HashSet<RoomId>) -> Result<HashMap<RoomId, RoomSettings>> {
        let mut found = self.settings.take_known(&mut rooms);
        if !rooms.is_empty() {
            found.extend(self.read_settings(rooms).await?);
        }
        Ok(found)
    }

    pub(crate) async fn read_kept_settings(&self, rooms: HashSet<RoomId>) -> Result<Option<HashMap<RoomId, RoomSettings>>> {
        Ok(Some(self.read_settings(rooms).await?))
    }

    /// Reads the settings and keeps them.
    async fn read_settings(&self, rooms: HashSet<RoomId>) -> Result<HashMap<RoomId, RoomSettings>> {
        let rooms: Vec<_> = rooms.iter().map(RoomId::as_str).collect();
        // On the lanes' connections: a crowd of readers does not hold up the sends.
        let rows = self.lanes.read(async |db| {
            sqlx::query!(
                "SELECT room, host, slow_ms FROM roomcast.rooms WHERE room = ANY ($1) AND deleted_at IS NULL",
                &rooms as &[&str]
            )
            .fetch_all(db)
            .await
        });
        let read = rows.await?.into_iter().map(|row| {
            let room = row.room.parse().map_err(|_| corrupt("room"))?;
            let host = row.host.map(|uid| uid.parse().map_err(|_| corrupt("host"))).transpose()?;
            Ok((room, RoomSettings { host, slow_ms: from_sql(row.slow_ms)? }))
        });
        let read = read.collect::<Result<_>>()?;
        self.settings.keep(&read);
        Ok(read)
    }

    pub(crate) fn forget_room_settings(&self) {
        self.settings.forget_all();
    }

    pub(crate) async fn has_numbered_rooms(&self) -> Result<bool> {
        let number = self.fact("room_number").await?;
        Ok(number.is_some_and(|number| number != b"0"))
    }

    /// `most`: rooms that the host may have; `None` for no limit. The lock of the fact keeps two servers from one number, and two
    /// requests of a host from one room too many.
    pub(crate) async fn open_room(&self, title: &str, host: Option<&Uid>, most: Option<u32>, now: u64) -> Result<Option<RoomId>> {
        let (host, most, now, epoch) = (host.map(Uid::as_str), most.map(i64::from), to_sql(now), Uuid::now_v7().to_string());
        let opened = self.writers.transaction(async |db| {
            sqlx::query!("SELECT 1 AS one FROM roomcast.facts WHERE name = 'room_number' FOR UPDATE").fetch_one(&mut *db).await?;
            if let Some(most) = most {
                let hosted = sqlx::query_scalar!(
                    r#"SELECT count(*) AS "count!" FROM roomcast.rooms WHERE host = $1 AND deleted_at IS NULL"#,
                    host
                );
                if hosted.fetch_one(&mut *db).await? >= most {
                    return Ok(None);
                }
            }
            for _ in 0..TRIES {
                let room = sqlx::query_file_scalar!("src/server/storage/postgres/open_room.sql", title, host, epoch, now);
                if let Some(room) = room.fetch_optional(&mut *db).await? {
                    return Ok(Some(room));
                }
            }
            Err(sqlx::Error::RowNotFound)
        });
        opened.await?.map(|room| room.parse().map_err(|_| corrupt("room"))).transpose()
    }

    /// The lock of the fact lets one of several nodes open it.
    pub(crate) async fn open_first_room(&self, title: &str, now: u64) -> Result<()> {
        let (host, now, epoch) = (None::<&str>, to_sql(now), Uuid::now_v7().to_string());
        let opened = self.writers.transaction(async |db| {
            let number = sqlx::query_scalar!("SELECT value FROM roomcast.facts WHERE name = 'room_number' FOR UPDATE");
            if number.fetch_one(&mut *db).await? == b"0" {
                let room = sqlx::query_file_scalar!("src/server/storage/postgres/open_room.sql", title, host, epoch, now);
                room.fetch_optional(db).await?;
            }
            Ok(())
        });
        opened.await
    }

    pub(crate) async fn add_room(&self, room: &RoomId, title: &str, host: Option<&Uid>, now: u64) -> Result<bool> {
        let (room, host, now, epoch) = (room.as_str(), host.map(Uid::as_str), to_sql(now), Uuid::now_v7().to_string());
        let added = self.writers.write(async |db| {
            sqlx::query!(
                "WITH added AS (
                    INSERT INTO roomcast.rooms (room, title, host, epoch, created_at) VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT DO NOTHING RETURNING room
                ) INSERT INTO roomcast.heads (room) SELECT room FROM added",
                room,
                title,
                host,
                epoch,
                now
            )
            .execute(db)
            .await
        });
        Ok(added.await?.rows_affected() == 1)
    }

    pub(crate) async fn delete_room(&self, room: &RoomId, now: u64) -> Result<bool> {
        let (room, now) = (room.as_str(), to_sql(now));
        let deleted = self.writers.write(async |db| {
            sqlx::query!(
                "WITH head AS (SELECT room FROM roomcast.heads WHERE room = $1 FOR UPDATE)
                UPDATE roomcast.rooms SET deleted_at = $2, host = NULL
                FROM head WHERE rooms.room = head.room AND deleted_at IS NULL",
                room,
                now
            )
            .execute(db)
            .await
        });
        let deleted = deleted.await;
        self.settings.forget(room);
        Ok(deleted?.rows_affected() == 1)
    }
}
