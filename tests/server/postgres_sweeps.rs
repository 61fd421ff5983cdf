//! Work on many rows of PostgreSQL: sweeps, the rooms of an owner, a restored database.

use crate::postgres_open::open;
use crate::postgres_store::{WAITS, room, uid};
use crate::support::eventually;
use crate::support::postgres::{Database, Postgres};
use sqlx::{Connection, PgConnection};

#[tokio::test]
async fn old_rows_of_the_cooldown_are_removed() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    let ago = "(extract(epoch FROM now()) * 1000)::bigint - 86400000";
    database.sql(&format!("INSERT INTO roomcast.paces SELECT '1', 'old' || n, {ago} - 1000 FROM generate_series(1, 7000) AS n"));
    database.sql(&format!("INSERT INTO roomcast.paces SELECT '1', 'new' || n, {ago} + 60000 FROM generate_series(1, 10) AS n"));
    assert_eq!(store.sweep_paces(5000).await.unwrap(), 5000);
    assert_eq!(store.sweep_paces(5000).await.unwrap(), 2000);
    assert_eq!(store.sweep_paces(5000).await.unwrap(), 0);
    assert_eq!(database.sql("SELECT count(*), min(uid) FROM roomcast.paces"), "10|new1");
}

#[tokio::test]
async fn a_cooldown_that_begins_again_meanwhile_stays() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    database.sql("INSERT INTO roomcast.paces VALUES ('1', 'u', 1)");
    let mut other = PgConnection::connect(&database.url()).await.unwrap();
    let mut sending = other.begin().await.unwrap();
    let again = "UPDATE roomcast.paces SET at = (extract(epoch FROM now()) * 1000)::bigint";
    sqlx::query(again).execute(&mut *sending).await.unwrap();
    let sent = async {
        eventually("the sweep waits for the row", async || database.sql(WAITS) == "1").await;
        sending.commit().await.unwrap();
    };
    let (removed, ()) = tokio::join!(store.sweep_paces(10), sent);
    assert_eq!((removed.unwrap(), database.sql("SELECT count(*) FROM roomcast.paces").as_str()), (0, "1"));
}

#[tokio::test]
async fn a_clock_that_is_ahead_removes_nothing_early() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    let now = crate::storage::now_ms();
    let seen = store.earlier_now(now + 31 * 24 * 3_600_000).await.unwrap();
    assert!((now - 60_000..now + 60_000).contains(&seen), "{seen} at {now}");
    assert_eq!(store.earlier_now(7).await.unwrap(), 7, "nor does one that is behind");
}

#[tokio::test]
async fn a_room_leaves_nothing_to_the_next_one_with_its_id() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    store.add_room(&room("1"), "t", None, 1).await.unwrap();
    database.sql(
        "INSERT INTO roomcast.paces VALUES ('1', 'u', 1), ('2', 'u', 1); \
        INSERT INTO roomcast.changes VALUES ('1', 1, 1, 1, '{}'), ('2', 1, 1, 1, '{}'); \
        INSERT INTO roomcast.restraints (id, room, uid, kind, since, by_uid) \
        SELECT gen_random_uuid(), room, 'u', 'ban', 1, 'h' FROM unnest(ARRAY['1', '2', '*']) AS room",
    );
    assert!(store.delete_room(&room("1"), 2).await.unwrap());
    assert_eq!(store.sweep_deleted_rooms(5).await.unwrap(), 1);
    let left = "SELECT string_agg(room, ',' ORDER BY room) FROM \
        (SELECT room FROM roomcast.paces UNION ALL SELECT room FROM roomcast.changes UNION ALL SELECT room FROM roomcast.restraints) AS t";
    assert_eq!(database.sql(left), "*,2,2,2");
}

/// The longest a query of the pools may take is 2 s; a change of a row takes 1 ms here.
#[tokio::test]
async fn the_owner_of_many_rooms_gets_them_in_steps() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    let owner = uid("owner");
    store.put_nickname(&owner, "Owner", 1).await.unwrap();
    store.set_fact("owner_link", b"link").await.unwrap();
    many_slow_rooms(&database, 3000);
    assert!(store.claim_ownership(&owner, b"link").await.unwrap());
    assert_eq!(database.sql("SELECT count(*) FROM roomcast.rooms WHERE host = 'owner'"), "3000");
    assert!(!store.claim_ownership(&owner, b"link").await.unwrap(), "once");
}

#[tokio::test]
async fn a_restored_database_with_many_rooms_starts() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    store.close().await;
    drop(store);
    many_slow_rooms(&database, 3000);
    database.sql("UPDATE roomcast.facts SET value = 'another' WHERE name = 'database'");
    open(&database).await;
    assert_eq!(database.sql("SELECT count(*) FROM roomcast.rooms WHERE epoch = 'old'"), "0");
}

/// Adds rooms whose changes take at least 1 ms each.
fn many_slow_rooms(database: &Database, count: u32) {
    database.sql(&format!(
        "INSERT INTO roomcast.rooms (room, title, epoch, created_at) SELECT n, 't', 'old', 1 FROM generate_series(1, {count}) AS n; \
        INSERT INTO roomcast.heads (room) SELECT room FROM roomcast.rooms; \
        CREATE FUNCTION roomcast.slow() RETURNS trigger LANGUAGE plpgsql AS \
        'BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END'; \
        CREATE TRIGGER slow BEFORE UPDATE ON roomcast.rooms FOR EACH ROW EXECUTE FUNCTION roomcast.slow()"
    ));
}
