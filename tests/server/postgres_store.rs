//! What PostgreSQL alone can do wrong: races between servers, lost answers, a server in recovery, plans that read too much.

use crate::postgres_open::{open, settings};
use crate::storage::set_closed;
use crate::support::eventually;
use crate::support::postgres::{Database, Postgres, Stop};
use crate::support::proxy::{Link, Proxy};
use futures_util::future::join_all;
use roomcast::domain::id::{RoomId, Uid};
use roomcast::server::config::StorageSettings as Settings;
use roomcast::server::storage::{NewPerson, NewSessionRow, Result, StorageError, Store};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The number of sessions that wait for a lock.
pub const WAITS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

pub fn uid(text: &str) -> Uid {
    text.parse().unwrap()
}

pub fn room(text: &str) -> RoomId {
    text.parse().unwrap()
}

fn session<'a>(uid: &'a Uid, token_hash: &'a [u8]) -> NewSessionRow<'a> {
    NewSessionRow { token_hash, uid, label: "Firefox", created_at: 1, expires_at: 100 }
}

#[tokio::test]
async fn a_server_and_a_command_number_rooms_without_holes_and_keep_a_hosts_limit() {
    let Some(database) = Postgres::shared() else { return };
    let (folder, first) = open(&database).await;
    let second = Store::open_unlocked(&settings(&folder, &database.url())).await.unwrap();
    first.put_nickname(&uid("host"), "Host", 1).await.unwrap();
    first.add_room(&room("3"), "the operator's", None, 1).await.unwrap();
    let stores = [&first, &second];
    let opened = join_all((0..20).map(|n| stores[n % 2].open_room("t", None, 1))).await;
    let ids: BTreeSet<u32> = opened.into_iter().map(|id| id.unwrap().as_str().parse().unwrap()).collect();
    assert_eq!(ids, (1..=21).filter(|n| *n != 3).collect(), "each number once, and none left out");
    assert_eq!(database.sql("SELECT count(*) FROM roomcast.heads"), "21", "every room has a head");
    let host = uid("host");
    let opened = join_all((0..12).map(|n| stores[n % 2].open_hosted_room("t", &host, 3, 1))).await;
    assert_eq!(opened.into_iter().filter(|opened| opened.as_ref().unwrap().is_some()).count(), 3);
}

#[tokio::test]
async fn what_decides_about_a_send_waits_for_the_rooms_place_in_the_commit_order() {
    let Some(database) = Postgres::shared() else { return };
    let folder = TempDir::new().unwrap();
    let quick = Settings { busy_within_ms: 200, ..settings(&folder, &database.url()) };
    let store = Store::open(&quick).await.unwrap();
    let (one, host) = (room("1"), uid("host"));
    store.put_nickname(&host, "Host", 1).await.unwrap();
    store.add_room(&one, "t", Some(&host), 1).await.unwrap();
    let mut sender = PgConnection::connect(&database.url()).await.unwrap();
    let mut sending = sender.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM roomcast.heads WHERE room = '1' FOR UPDATE").execute(&mut *sending).await.unwrap();
    assert!(matches!(store.delete_room(&one, 2).await, Err(StorageError::Busy(_))), "delete");
    assert!(matches!(store.begin_act(&one, 2).await, Err(StorageError::Busy(_))), "an act");
    sending.commit().await.unwrap();
    set_closed(&store, &one, true).await;
    assert!(store.room(&one).await.unwrap().unwrap().is_closed);
    assert!(store.delete_room(&one, 2).await.unwrap());
}

#[tokio::test]
async fn two_sweeps_leave_no_message_without_its_room() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    store.add_room(&room("1"), "t", None, 1).await.unwrap();
    database.sql(
        "INSERT INTO roomcast.messages (room, seq, id, uid, nickname, role, text, at, nonce)
        SELECT '1', n, gen_random_uuid(), 'u', 'U', 'viewer', 't', 1, n::text FROM generate_series(1, 12) AS n",
    );
    store.delete_room(&room("1"), 2).await.unwrap();
    let mut other = PgConnection::connect(&database.url()).await.unwrap();
    let mut sweeping = other.begin().await.unwrap();
    for step in ["SELECT 1 FROM roomcast.heads FOR UPDATE", "DELETE FROM roomcast.messages WHERE seq <= 5"] {
        sqlx::query(step).execute(&mut *sweeping).await.unwrap();
    }
    let first = async {
        eventually("the second sweep waits", async || database.sql(WAITS) == "1").await;
        sweeping.commit().await.unwrap();
    };
    let (second, ()) = tokio::join!(store.sweep_deleted_rooms(5), first);
    assert_eq!(second.unwrap(), 5);
    assert_eq!(store.sweep_deleted_rooms(5).await.unwrap(), 3, "the last messages, and the room");
    assert_eq!(database.sql("SELECT (SELECT count(*) FROM roomcast.messages) + (SELECT count(*) FROM roomcast.heads)"), "0");
    assert_eq!(store.sweep_deleted_rooms(5).await.unwrap(), 0);
}

#[tokio::test]
async fn the_owners_rooms_wait_for_their_place_too() {
    let Some(database) = Postgres::shared() else { return };
    let folder = TempDir::new().unwrap();
    let quick = Settings { busy_within_ms: 200, ..settings(&folder, &database.url()) };
    let store = Store::open(&quick).await.unwrap();
    let owner = uid("owner");
    store.put_nickname(&owner, "Owner", 1).await.unwrap();
    store.add_room(&room("1"), "t", None, 1).await.unwrap();
    store.set_fact("owner_link", b"link").await.unwrap();
    let mut sender = PgConnection::connect(&database.url()).await.unwrap();
    let mut sending = sender.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM roomcast.heads WHERE room = '1' FOR UPDATE").execute(&mut *sending).await.unwrap();
    let sent = async {
        eventually("the claim waits for the room", async || database.sql(WAITS) == "1").await;
        assert!(store.is_owner(&owner).await.unwrap(), "the person is the owner already");
        // Longer than a wait for a lock: the claim tries again.
        let since = Instant::now();
        eventually("the wait for the lock has ended", async || since.elapsed() > Duration::from_millis(500)).await;
        sending.commit().await.unwrap();
    };
    let (claimed, ()) = tokio::join!(store.claim_ownership(&owner, b"link"), sent);
    assert!(claimed.unwrap());
    assert_eq!(store.room(&room("1")).await.unwrap().unwrap().host, Some(owner));
}

#[tokio::test]
async fn a_device_is_not_added_behind_a_new_password() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    let ming = uid("ming");
    let account = NewPerson { uid: &ming, nickname: "Ming", account: "ming", password: "old", created_at: 1 };
    store.put_account(account).await.unwrap();
    let mut other = PgConnection::connect(&database.url()).await.unwrap();
    let mut changing = other.begin().await.unwrap();
    sqlx::query("UPDATE roomcast.people SET password = 'new'").execute(&mut *changing).await.unwrap();
    let change = async {
        eventually("the device waits for the password", async || database.sql(WAITS) == "1").await;
        changing.commit().await.unwrap();
    };
    let (put, ()) = tokio::join!(store.put_device(&ming, b"device", "old", 2, 5), change);
    assert!(!put.unwrap());
    assert!(!store.is_device_of(&ming, b"device").await.unwrap());
}

#[tokio::test]
async fn a_guest_who_comes_back_is_not_removed() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    let guest = uid("guest");
    store.put_nickname(&guest, "Guest", 1).await.unwrap();
    assert_eq!(store.idle_guests(2, 50, None).await.unwrap(), (vec![guest.clone()], None));
    let mut other = PgConnection::connect(&database.url()).await.unwrap();
    let mut arriving = other.begin().await.unwrap();
    let back =
        "INSERT INTO roomcast.sessions (token_hash, uid, created_at, used_at, expires_at) VALUES ('x', 'guest', 3, 3, 100)";
    sqlx::query(back).execute(&mut *arriving).await.unwrap();
    let arrival = async {
        eventually("the sweep waits for the guest's row", async || database.sql(WAITS) == "1").await;
        arriving.commit().await.unwrap();
    };
    let (removed, ()) = tokio::join!(store.remove_idle_guests(std::slice::from_ref(&guest), 50), arrival);
    assert_eq!(removed.unwrap(), 0);
    assert_eq!(database.sql("SELECT count(*) FROM roomcast.sessions"), "1");
}

#[tokio::test]
async fn of_people_who_arrive_together_one_bad_row_harms_no_other() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    let people: Vec<Uid> = (0..300).map(|n| uid(&format!("guest{n}"))).collect();
    let tokens: Vec<[u8; 32]> = (0..300u16).map(|n| std::array::from_fn(|i| n.to_le_bytes()[i % 2])).collect();
    let arrive = |n: usize| {
        let (store, uid, token) = (store.clone(), people[n].clone(), tokens[n]);
        async move {
            match n {
                7 => store.put_session(session(&uid, &token)).await,
                8 => store.put_guest("a\0b", session(&uid, &token)).await,
                _ => store.put_guest("a nickname", session(&uid, &token)).await,
            }
        }
    };
    let results = join_all((0..300).map(arrive)).await;
    for (n, result) in results.into_iter().enumerate() {
        assert_eq!(matches!(result, Err(StorageError::Failed(_))), n == 7 || n == 8, "{n}: {result:?}");
    }
    assert_eq!(database.sql("SELECT count(*) FROM roomcast.sessions"), "298");
    assert_eq!(database.sql("SELECT count(*) FROM roomcast.people"), "298");
    let renamed = join_all((0..50).map(|n| store.put_nickname(&people[0], if n == 49 { "last" } else { "other" }, 1))).await;
    assert!(renamed.iter().all(std::result::Result::is_ok));
    assert_eq!(database.sql("SELECT nickname FROM roomcast.people WHERE uid = 'guest0'"), "last");
    let extended = join_all((0..50).map(|n| store.extend_session(&tokens[0], n, 1000 + n))).await;
    assert!(extended.iter().all(std::result::Result::is_ok));
    assert_eq!(store.session(&tokens[0]).await.unwrap().unwrap().expires_at, 1049);
}

#[tokio::test]
async fn a_lost_answer_of_a_write_is_uncertain_and_of_a_read_busy() {
    let Some(database) = Postgres::shared() else { return };
    let proxy = Proxy::to(database.postgres.address());
    let folder = TempDir::new().unwrap();
    let store = Store::open(&settings(&folder, &database.url_at(proxy.address))).await.unwrap();
    let host = uid("host");
    store.put_nickname(&host, "Host", 1).await.unwrap();
    for link in [Link::BlackHole, Link::HalfOpen] {
        store.ping().await.unwrap();
        proxy.set(link);
        let began = Instant::now();
        assert!(matches!(store.ping().await, Err(StorageError::Busy(_))), "{link:?}: a read");
        assert!(matches!(store.set_fact("a", b"1").await, Err(StorageError::Busy(_))), "{link:?}: no connection answers");
        assert!(began.elapsed() < Duration::from_secs(6), "{link:?}: {:?}", began.elapsed());
        proxy.reset();
        proxy.set(Link::Forward);
        eventually("writes go on", async || store.set_fact("a", b"2").await.is_ok()).await;
        store.ping().await.unwrap();
    }
    // The statement waits for a lock when its connection breaks: it was sent, so it may be stored.
    let mut other = PgConnection::connect(&database.url()).await.unwrap();
    let mut holding = other.begin().await.unwrap();
    sqlx::query("UPDATE roomcast.facts SET value = 'x' WHERE name = 'a'").execute(&mut *holding).await.unwrap();
    let cut = async {
        eventually("the write waits for the lock", async || database.sql(WAITS) == "1").await;
        proxy.reset();
        proxy.set(Link::Forward);
        holding.commit().await.unwrap();
    };
    let (written, ()) = tokio::join!(store.set_fact("a", b"3"), cut);
    assert!(matches!(written, Err(StorageError::Uncertain(_))), "{written:?}");
}

#[tokio::test]
async fn a_server_in_recovery_is_busy_and_a_promotion_is_another_epoch() {
    let Some(postgres) = Postgres::own() else { return };
    let database = postgres.database();
    let (_folder, store) = open(&database).await;
    let one = room("1");
    store.add_room(&one, "t", None, 1).await.unwrap();
    let epoch = async || store.room(&one).await.unwrap().unwrap().epoch.as_str().to_owned();
    let before = epoch().await;
    assert!(before.ends_with(".00000001"), "{before}");
    postgres.restart_as_standby();
    eventually("pages are busy", async || matches!(store.room(&one).await, Err(StorageError::Busy(_)))).await;
    let busy = |result: Result<()>| matches!(result, Err(StorageError::Busy(_)));
    assert!(busy(store.rooms(5).await.map(|_| ())) && busy(store.rooms_by_id(vec![one.clone()], 5).await.map(|_| ())));
    assert!(busy(store.set_fact("a", b"1").await) && busy(store.delete_room(&one, 1).await.map(|_| ())));
    assert!(busy(store.put_nickname(&uid("guest"), "Guest", 1).await));
    postgres.promote();
    eventually("the primary writes", async || store.set_fact("a", b"1").await.is_ok()).await;
    let after = epoch().await;
    assert!(after.ends_with(".00000002") && after[..36] == before[..36], "{before} {after}");
}

#[tokio::test]
async fn a_restart_of_the_server_costs_no_write() {
    let Some(postgres) = Postgres::own() else { return };
    let database = postgres.database();
    let (_folder, store) = open(&database).await;
    store.set_fact("a", b"1").await.unwrap();
    postgres.stop(Stop::Immediate);
    postgres.start();
    store.set_fact("a", b"2").await.unwrap();
    postgres.stop(Stop::Immediate);
    assert!(matches!(store.set_fact("a", b"2").await, Err(StorageError::Busy(_))), "nothing was sent");
    postgres.start();
    eventually("writes go on", async || store.set_fact("a", b"3").await.is_ok()).await;
    eventually("reads go on", async || store.fact("a").await.is_ok_and(|fact| fact == Some(b"3".to_vec()))).await;
}

#[tokio::test]
async fn stopped_writes_are_busy() {
    let Some(database) = Postgres::shared() else { return };
    let folder = TempDir::new().unwrap();
    let quick = Settings { busy_within_ms: 100, ..settings(&folder, &database.url()) };
    let store = Store::open(&quick).await.unwrap();
    store.stop_writes().await.unwrap();
    assert!(matches!(store.set_fact("a", b"1").await, Err(StorageError::Busy(_))));
    assert!(matches!(store.put_nickname(&uid("guest"), "Guest", 1).await, Err(StorageError::Busy(_))));
    store.ping().await.unwrap();
    store.resume_writes().await;
    store.set_fact("a", b"1").await.unwrap();
}

/// A transaction that fails by its data leaves its connection in use.
#[tokio::test]
async fn a_refused_transaction_keeps_its_connection() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    store.add_room(&room("1"), "t", None, 1).await.unwrap();
    let sessions = "SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND application_name = 'roomcast'";
    let before = database.sql(sessions);
    assert!(matches!(store.open_room("t", Some(&uid("nobody")), 1).await, Err(StorageError::Failed(_))));
    assert_eq!(database.sql(sessions), before);
    assert!(store.delete_room(&room("1"), 2).await.unwrap(), "nothing of the transaction is left");
    assert_eq!(database.sql(sessions), before);
}

/// The plan of a query that does not know its parameters.
fn plan(database: &Database, query: &str, parameters: &str) -> String {
    let query = query.replace("?\"", "\"");
    let types = parameters.split(", ").map(|one| if one.starts_with('\'') { "text[]" } else { "bigint" }).collect::<Vec<_>>();
    database.sql(&format!(
        "SET plan_cache_mode = force_generic_plan; SET search_path = roomcast; PREPARE q ({}) AS {query}; EXPLAIN EXECUTE q ({parameters})",
        types.join(", ")
    ))
}

#[tokio::test]
async fn the_lobby_reads_no_more_rooms_than_it_shows() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    database.sql(
        "INSERT INTO roomcast.people (uid, nickname, created_at) SELECT 'h' || n, 'n', 1 FROM generate_series(1, 5000) AS n;
        INSERT INTO roomcast.rooms (room, title, host, epoch, created_at)
        SELECT 'r' || n, 't', 'h' || (1 + n % 5000), 'e', n FROM generate_series(1, 20000) AS n",
    );
    database.sql("VACUUM ANALYZE roomcast.rooms");
    database.sql("VACUUM ANALYZE roomcast.people");
    let newest = plan(&database, include_str!("../../src/server/storage/postgres/newest_rooms.sql"), "51");
    let rest = plan(&database, include_str!("../../src/server/storage/postgres/newest_rooms_without.sql"), "'{r1,r2}', 51, 2000");
    let busiest = plan(&database, include_str!("../../src/server/storage/postgres/rooms_by_id.sql"), "'{r1,r2}', 51");
    assert!(newest.contains("rooms_created_at") && !newest.contains("Sort"), "all rooms are sorted: {newest}");
    assert!(rest.contains("Index Only Scan Backward using rooms_open"), "rows are read to skip them: {rest}");
    for plan in [newest, rest, busiest] {
        assert!(!plan.contains("Seq Scan") && !plan.contains("Hash"), "a table is read as a whole: {plan}");
    }
    let asked = ["r9", "nowhere", "r200", "r1", "r13", "r2"].map(room).to_vec();
    let found = store.rooms_by_id(asked, 4).await.unwrap();
    assert_eq!(found.iter().map(|row| row.room.as_str()).collect::<Vec<_>>(), ["r9", "r200", "r1", "r13"]);
    let after = store.open_rooms_without(vec![room("r19999")], 2, 1).await.unwrap();
    assert_eq!(after.iter().map(|row| row.room.as_str()).collect::<Vec<_>>(), ["r19998", "r19997"]);
    assert_eq!(after[0].host_nickname.as_deref(), Some("n"));
}
