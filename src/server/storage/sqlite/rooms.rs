//! Rooms.

use super::{SqliteStore, corrupt, finish, from_sql, to_sql};
use crate::domain::id::{RoomId, Uid};
use crate::server::storage::raw_rows::RawRoom;
use crate::server::storage::{Result, RoomRow, RoomSettings};
use sqlx::{Connection, SqliteConnection};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

impl SqliteStore {
    pub(crate) async fn room(&self, room: &RoomId) -> Result<Option<RoomRow>> {
        let room = room.as_str();
        sqlx::query_as!(
            RawRoom,
            r#"SELECT rooms.room, rooms.title, rooms.host, people.nickname AS "host_nickname?", rooms.epoch, rooms.slow_ms,
                rooms.closed_at IS NOT NULL AS "is_closed!: bool"
            FROM rooms LEFT JOIN people ON people.uid = rooms.host WHERE rooms.room = ? AND rooms.deleted_at IS NULL"#,
            room
        )
        .fetch_optional(&self.readers)
        .await?
        .map(RawRoom::into_room)
        .transpose()
    }

    pub(crate) async fn rooms(&self, limit: u32) -> Result<Vec<RoomRow>> {
        sqlx::query_file_as!(RawRoom, "src/server/storage/sqlite/newest_rooms.sql", limit)
            .fetch_all(&self.readers)
            .await?
            .into_iter()
            .map(RawRoom::into_room)
            .collect()
    }

    /// Of the rooms that it skips it reads their entries in the index of open rooms, and no rows.
    pub(crate) async fn open_rooms_without(&self, rooms: Vec<RoomId>, limit: u32, skip: u32) -> Result<Vec<RoomRow>> {
        let rooms = serde_json::to_string(&rooms).map_err(corrupt)?;
        sqlx::query_file_as!(RawRoom, "src/server/storage/sqlite/newest_rooms_without.sql", rooms, limit, skip)
            .fetch_all(&self.readers)
            .await?
            .into_iter()
            .map(RawRoom::into_room)
            .collect()
    }

    /// The CROSS JOIN makes SQLite take the ids in their order, so it stops at the limit and has nothing to sort.
    pub(crate) async fn rooms_by_id(&self, rooms: Vec<RoomId>, limit: u32) -> Result<Vec<RoomRow>> {
        if rooms.is_empty() {
            return Ok(Vec::new());
        }
        let rooms = serde_json::to_string(&rooms).map_err(corrupt)?;
        sqlx::query_file_as!(RawRoom, "src/server/storage/sqlite/rooms_by_id.sql", rooms, limit)
            .fetch_all(&self.readers)
            .await?
            .into_iter()
            .map(RawRoom::into_room)
            .collect()
    }

    pub(crate) async fn room_settings(&self, rooms: HashSet<RoomId>) -> Result<HashMap<RoomId, RoomSettings>> {
        let rooms = serde_json::to_string(&rooms).map_err(corrupt)?;
        let rows = sqlx::query!(
            r#"SELECT rooms.room AS "room!", rooms.host, rooms.slow_ms AS "slow_ms!: i64" FROM json_each(?) AS asked
            JOIN rooms ON rooms.room = asked.value WHERE rooms.deleted_at IS NULL"#,
            rooms
        )
        .fetch_all(&self.commit_reader)
        .await?;
        rows.into_iter()
            .map(|row| {
                let room = row.room.parse().map_err(|_| corrupt("room"))?;
                let host = row.host.map(|uid| uid.parse().map_err(|_| corrupt("host"))).transpose()?;
                Ok((room, RoomSettings { host, slow_ms: from_sql(row.slow_ms)? }))
            })
            .collect()
    }

    /// None are kept: a read of them costs no round trip.
    pub(crate) async fn read_kept_settings(&self, _: HashSet<RoomId>) -> Result<Option<HashMap<RoomId, RoomSettings>>> {
        Ok(None)
    }

    pub(crate) fn forget_room_settings(&self) {}

    pub(crate) async fn has_numbered_rooms(&self) -> Result<bool> {
        let number = self.fact("room_number").await?;
        Ok(number.is_some_and(|number| number != b"0"))
    }

    /// `most`: rooms that the host may have; `None` for no limit.
    pub(crate) async fn open_room(&self, title: &str, host: Option<&Uid>, most: Option<u32>, now: u64) -> Result<Option<RoomId>> {
        let mut connection = self.writer.acquire().await?;
        let opened = open_room(&mut connection, title, host, most, now).await;
        finish(connection, opened)
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

    pub(crate) async fn delete_room(&self, room: &RoomId, now: u64) -> Result<bool> {
        let (room, now) = (room.as_str(), to_sql(now));
        let deleted =
            sqlx::query!("UPDATE rooms SET deleted_at = ?, host = NULL WHERE room = ? AND deleted_at IS NULL", now, room);
        Ok(deleted.execute(&self.writer).await?.rows_affected() == 1)
    }
}

/// Adds a room under the number after the newest one that was given; numbers that are in use as an id are passed over. So an
/// id that an operator chose does not move the numbering, and a deleted room's number is not given again.
async fn open_room(
    connection: &mut SqliteConnection,
    title: &str,
    host: Option<&Uid>,
    most: Option<u32>,
    now: u64,
) -> Result<Option<RoomId>> {
    let (host, now, epoch) = (host.map(Uid::as_str), to_sql(now), Uuid::now_v7().to_string());
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    if let Some(most) = most {
        let hosted = sqlx::query_scalar!("SELECT count(*) FROM rooms WHERE host = ? AND deleted_at IS NULL", host);
        if hosted.fetch_one(&mut *transaction).await? >= i64::from(most) {
            return Ok(None);
        }
    }
    let number = sqlx::query_scalar!(
        r#"WITH RECURSIVE candidate (number) AS (
            SELECT CAST(value AS INTEGER) + 1 FROM facts WHERE name = 'room_number'
            UNION ALL SELECT number + 1 FROM candidate WHERE EXISTS (SELECT 1 FROM rooms WHERE room = CAST(number AS TEXT))
        ) SELECT max(number) AS "number!: i64" FROM candidate"#
    )
    .fetch_one(&mut *transaction)
    .await?;
    let room = number.to_string();
    sqlx::query!("UPDATE facts SET value = CAST(? AS BLOB) WHERE name = 'room_number'", room).execute(&mut *transaction).await?;
    sqlx::query!(
        "INSERT INTO rooms (room, title, host, epoch, created_at) VALUES (?, ?, ?, ?, ?)",
        room,
        title,
        host,
        epoch,
        now
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    room.parse().map(Some).map_err(|_| corrupt("room"))
}

#[cfg(test)]
mod tests {
    use crate::server::config::StorageSettings;
    use crate::server::storage::DataDirLock;
    use crate::server::storage::sqlite::SqliteStore;
    use sqlx::Row;

    /// The steps of SQLite's plan for a query, which does not depend on its parameters.
    async fn plan(store: &SqliteStore, query: &str) -> Vec<String> {
        let mut explained = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")));
        for _ in query.matches('?') {
            explained = explained.bind("[]");
        }
        let rows = explained.fetch_all(&store.readers).await.unwrap();
        rows.iter().map(|row| row.get("detail")).collect()
    }

    async fn open(settings: &StorageSettings) -> SqliteStore {
        SqliteStore::open(settings, DataDirLock::acquire(&settings.data_dir).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn f26_the_lobby_reads_no_more_rooms_than_it_shows() {
        let folder = tempfile::TempDir::new().unwrap();
        let settings = StorageSettings { data_dir: folder.path().into(), ..StorageSettings::default() };
        let store = open(&settings).await;
        let newest = plan(&store, include_str!("newest_rooms.sql")).await;
        assert!(newest.iter().any(|step| step.contains("USING INDEX rooms_created_at")), "{newest:?}");
        assert!(!newest.iter().any(|step| step.contains("TEMP B-TREE")), "all rooms are sorted: {newest:?}");
        let busiest = plan(&store, include_str!("rooms_by_id.sql")).await;
        assert!(busiest.iter().any(|step| step.starts_with("SEARCH rooms USING PRIMARY KEY")), "{busiest:?}");
        assert!(!busiest.iter().any(|step| step.contains("TEMP B-TREE")), "more rooms than the limit are read: {busiest:?}");
        let rest = plan(&store, include_str!("newest_rooms_without.sql")).await;
        assert!(rest.iter().any(|step| step.contains("USING COVERING INDEX rooms_open")), "rows are read to skip them: {rest:?}");
    }

    #[tokio::test]
    async fn f10_rooms_by_id_keep_the_order_of_the_ids() {
        let folder = tempfile::TempDir::new().unwrap();
        let settings = StorageSettings { data_dir: folder.path().into(), ..StorageSettings::default() };
        let store = open(&settings).await;
        for n in 1..=20 {
            store.add_room(&n.to_string().parse().unwrap(), "a title", None, n).await.unwrap();
        }
        let asked = ["9", "nowhere", "20", "1", "13", "2"].map(|id| id.parse().unwrap()).to_vec();
        let found = store.rooms_by_id(asked, 4).await.unwrap();
        assert_eq!(found.iter().map(|row| row.room.as_str()).collect::<Vec<_>>(), ["9", "20", "1", "13"]);
    }
}
