//! Rooms.

use super::{SqliteStore, corrupt, to_sql};
use crate::domain::id::{RoomId, Uid};
use crate::server::storage::{Result, RoomRow};
use uuid::Uuid;

struct RawRoom {
    room: String,
    title: String,
    host: Option<String>,
    host_nickname: Option<String>,
    epoch: String,
}

impl RawRoom {
    fn into_room(self) -> Result<RoomRow> {
        Ok(RoomRow {
            room: self.room.parse().map_err(|_| corrupt("room"))?,
            title: self.title,
            host: self.host.map(|uid| uid.parse().map_err(|_| corrupt("host"))).transpose()?,
            host_nickname: self.host_nickname,
            epoch: self.epoch.parse().map_err(|_| corrupt("epoch"))?,
        })
    }
}

impl SqliteStore {
    pub(crate) async fn room(&self, room: &RoomId) -> Result<Option<RoomRow>> {
        let room = room.as_str();
        sqlx::query_as!(
            RawRoom,
            r#"SELECT rooms.room, rooms.title, rooms.host, people.nickname AS "host_nickname?", rooms.epoch FROM rooms
            LEFT JOIN people ON people.uid = rooms.host WHERE rooms.room = ?"#,
            room
        )
        .fetch_optional(&self.readers)
        .await?
        .map(RawRoom::into_room)
        .transpose()
    }

    pub(crate) async fn rooms(&self, limit: u32) -> Result<Vec<RoomRow>> {
        sqlx::query_as!(
            RawRoom,
            r#"SELECT rooms.room, rooms.title, rooms.host, people.nickname AS "host_nickname?", rooms.epoch FROM rooms
            LEFT JOIN people ON people.uid = rooms.host ORDER BY rooms.created_at DESC, rooms.room DESC LIMIT ?"#,
            limit
        )
        .fetch_all(&self.readers)
        .await?
        .into_iter()
        .map(RawRoom::into_room)
        .collect()
    }

    pub(crate) async fn room_count_of(&self, host: &Uid) -> Result<u32> {
        let host = host.as_str();
        let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!: i64" FROM rooms WHERE host = ?"#, host)
            .fetch_one(&self.readers)
            .await?;
        u32::try_from(count).map_err(corrupt)
    }

    pub(crate) async fn open_room(&self, title: &str, host: Option<&Uid>, now: u64) -> Result<RoomId> {
        let (host, now, epoch) = (host.map(Uid::as_str), to_sql(now), Uuid::now_v7().to_string());
        let room = sqlx::query_scalar!(
            r#"INSERT INTO rooms (room, title, host, epoch, created_at)
            SELECT CAST(coalesce(max(CAST(room AS INTEGER)), 0) + 1 AS TEXT), ?, ?, ?, ? FROM rooms
            WHERE room NOT GLOB '*[^0-9]*' AND length(room) < 16
            RETURNING room AS "room!""#,
            title,
            host,
            epoch,
            now
        )
        .fetch_one(&self.writer)
        .await?;
        room.parse().map_err(|_| corrupt("room"))
    }

    pub(crate) async fn add_room(&self, room: &RoomId, title: &str, host: Option<&Uid>, now: u64) -> Result<bool> {
        let (room, host, now, epoch) = (room.as_str(), host.map(Uid::as_str), to_sql(now), Uuid::now_v7().to_string());
        let added = sqlx::query!(
            "INSERT INTO rooms (room, title, host, epoch, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (room) DO NOTHING",
            room,
            title,
            host,
            epoch,
            now
        )
        .execute(&self.writer)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    pub(crate) async fn set_room_title(&self, room: &RoomId, title: &str) -> Result<bool> {
        let room = room.as_str();
        Ok(sqlx::query!("UPDATE rooms SET title = ? WHERE room = ?", title, room).execute(&self.writer).await?.rows_affected()
            == 1)
    }

    pub(crate) async fn set_room_host(&self, room: &RoomId, host: &Uid) -> Result<bool> {
        let (room, host) = (room.as_str(), host.as_str());
        Ok(sqlx::query!("UPDATE rooms SET host = ? WHERE room = ?", host, room).execute(&self.writer).await?.rows_affected() == 1)
    }
}
