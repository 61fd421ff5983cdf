//! PostgreSQL's part in a cluster: news of each change in the order of the commits, leases of jobs, turns and forms
//! that hold on all nodes.

use crate::postgres_open::{open, settings};
use crate::postgres_store::{WAITS, room, uid};
use crate::storage::{set_host, set_title};
use crate::support::eventually;
use crate::support::postgres::{Database, Postgres};
use roomcast::server::storage::{ApiKeyRow, Job, NewSessionRow, News, Store, Turns};
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};

/// The end of sessions that have not expired.
const LATER: u64 = 9_000_000_000_000;

async fn sign_in(store: &Store, person: &str, token_hash: &[u8; 32], expires_at: u64) {
    let uid = uid(person);
    store.put_nickname(&uid, person, 1).await.unwrap();
    let session = NewSessionRow { token_hash, uid: &uid, label: "Firefox", created_at: 1, expires_at };
    store.put_session(session).await.unwrap();
}

async fn news(store: &Store, after: u64) -> Vec<News> {
    store.news_after(after, 100).await.unwrap().news.into_iter().map(|(_, news)| news).collect()
}

fn changed(id: &str, is_deleted: bool, hosts: &[&str]) -> News {
    News::RoomChanged { room: room(id), is_deleted, hosts: hosts.iter().map(|host| uid(host)).collect() }
}

#[tokio::test]
async fn each_change_has_its_news() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    let (one, two) = ([1; 32], [2; 32]);
    sign_in(&store, "a", &one, LATER).await;
    sign_in(&store, "a", &two, 5).await;
    assert_eq!(news(&store, 0).await, [], "nobody holds anything of a new session");
    store.put_nickname(&uid("a"), "B", 1).await.unwrap();
    store.end_session(&one).await.unwrap();
    assert_eq!(store.end_expired_sessions(LATER, 10).await.unwrap(), 1, "an expired one is no news");
    assert_eq!(news(&store, 0).await, [News::PersonChanged(vec![one, two]), News::SessionEnded(one)]);

    let last = store.newest_news().await.unwrap();
    store.put_nickname(&uid("c"), "C", 1).await.unwrap();
    store.add_room(&room("r"), "title", None, 1).await.unwrap();
    set_title(&store, &room("r"), "another").await;
    set_title(&store, &room("r"), "another").await;
    set_host(&store, &room("r"), &uid("a")).await;
    set_host(&store, &room("r"), &uid("c")).await;
    store.delete_room(&room("r"), 2).await.unwrap();
    let rooms = [
        changed("r", false, &[]),
        changed("r", false, &[]),
        changed("r", false, &["a"]),
        changed("r", false, &["a", "c"]),
        changed("r", true, &["c"]),
    ];
    assert_eq!(news(&store, last).await, rooms);
    assert_eq!(store.deleted_among(&[room("r"), room("never")]).await.unwrap(), [room("r")]);

    let last = store.newest_news().await.unwrap();
    for statement in [
        "INSERT INTO roomcast.roles VALUES ('r', 'a', 'moderator', 'c', 1)",
        "DELETE FROM roomcast.roles",
        "INSERT INTO roomcast.restraints (id, room, uid, kind, since, by_uid) VALUES (gen_random_uuid(), '*', 'a', 'ban', 1, 'c')",
        "UPDATE roomcast.restraints SET lifted_at = 2",
        "UPDATE roomcast.restraints SET reason = ''",
    ] {
        database.sql(statement);
    }
    let key = ApiKeyRow { name: "shop".into(), scopes: "push".into(), rooms: String::new(), expires_at: None };
    store.put_api_key(&key, &one, 1).await.unwrap();
    store.remove_api_key("shop").await.unwrap();
    let role = News::RoleChanged(room("r"), uid("a"));
    let restrained = News::Restrained(None, uid("a"));
    let expected = [role.clone(), role, restrained.clone(), restrained, News::KeysChanged, News::KeysChanged];
    assert_eq!(news(&store, last).await, expected);
    assert_eq!(store.ended_among(&[one, two]).await.unwrap(), [one, two]);
}

/// Without the lock the second writer commits first, under the higher id, and a reader that has seen it never sees the first one's.
#[tokio::test]
async fn news_come_in_the_order_of_their_commits() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    sign_in(&store, "a", &[1; 32], LATER).await;
    sign_in(&store, "b", &[2; 32], LATER).await;
    let mut other = PgConnection::connect(&database.url()).await.unwrap();
    let mut ending = other.begin().await.unwrap();
    for step in ["SET CONSTRAINTS ALL IMMEDIATE", "DELETE FROM roomcast.sessions WHERE uid = 'a'"] {
        sqlx::query(step).execute(&mut *ending).await.unwrap();
    }
    let first = async {
        eventually("the second one waits", async || database.sql(WAITS) == "1").await;
        assert_eq!(news(&store, 0).await, [], "neither is committed");
        ending.commit().await.unwrap();
    };
    let second = [2; 32];
    let (ended, ()) = tokio::join!(store.end_session(&second), first);
    ended.unwrap();
    assert_eq!(news(&store, 0).await, [News::SessionEnded([1; 32]), News::SessionEnded([2; 32])]);
}

#[tokio::test]
async fn a_reader_learns_that_news_are_missing() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    for n in 1..=4 {
        sign_in(&store, "a", &[n; 32], LATER).await;
        store.end_session(&[n; 32]).await.unwrap();
    }
    let page = store.news_after(0, 3).await.unwrap();
    assert!((page.news.len(), page.has_more, page.is_cut) == (3, true, false), "{page:?}");
    assert_eq!(store.sweep_news(10).await.unwrap(), 0, "they are kept for an hour");
    database.sql("UPDATE roomcast.news SET at = at - 3600001 WHERE id <= 3");
    assert_eq!(store.sweep_news(2).await.unwrap(), 2);
    assert_eq!(store.sweep_news(10).await.unwrap(), 1);
    assert!(store.news_after(2, 10).await.unwrap().is_cut, "the third is gone");
    assert!(!store.news_after(3, 10).await.unwrap().is_cut);
    assert!(!store.news_after(4, 10).await.unwrap().is_cut);
    assert!(store.news_after(5, 10).await.unwrap().is_cut, "no news had this id");
    database.sql("DELETE FROM roomcast.news");
    assert_eq!(store.newest_news().await.unwrap(), 3, "of those that it knows of");
}

/// The number of a job's lock, and its class.
fn lock(job: Job) -> String {
    format!("1919902818, {}", job as i32)
}

#[tokio::test]
async fn a_job_has_one_holder_and_the_next_one_gets_it_within_5_s() {
    let Some(database) = Postgres::shared() else { return };
    let mut other = PgConnection::connect(&database.url()).await.unwrap();
    let take = format!("SELECT pg_advisory_lock({})", lock(Job::Retention));
    sqlx::query(sqlx::AssertSqlSafe(take)).execute(&mut other).await.unwrap();
    let (_folder, store) = open(&database).await;
    store.take(Job::Purges).await;
    assert!(!store.holds(Job::Retention), "another node has it");
    let since = Instant::now();
    drop(other);
    store.take(Job::Retention).await;
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    // A holder that lost its connection gives the job up, and takes it again.
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
        WHERE datname = current_database() AND application_name = 'roomcast jobs'";
    let (_, ended) = tokio::join!(store.lose(Job::Retention), async { database.sql(end) });
    assert_eq!(ended, "1");
    store.take(Job::Retention).await;
    store.stop_writes().await.unwrap();
    let since = Instant::now();
    store.lose(Job::Retention).await;
    assert!(since.elapsed() < Duration::from_secs(1), "a successor gets it at once");
}

#[tokio::test]
async fn turns_are_counted_for_all_nodes() {
    let Some(database) = Postgres::shared() else { return };
    let (folder, first) = open(&database).await;
    let second = Store::open_unlocked(&settings(&folder, &database.url())).await.unwrap();
    let (stores, turns, key) = ([first, second], Turns { burst: 10, every_ms: 60_000 }, [7; 32]);
    let taken = futures_util::future::join_all((0..30).map(|n| stores[n % 2].take_turn(&key, turns))).await;
    let waits: Vec<u64> = taken.into_iter().map(Result::unwrap).collect();
    assert_eq!(waits.iter().filter(|wait| **wait == 0).count(), 10);
    assert!(waits.iter().all(|wait| *wait == 0 || (50_000..=60_000).contains(wait)), "{waits:?}");
    assert_eq!(stores[1].take_turn(&[8; 32], turns).await.unwrap(), 0, "another key");
    assert_eq!(stores[0].sweep_turns(10).await.unwrap(), 0);
    database.sql("UPDATE roomcast.turns SET full_at = 1 WHERE key = decode(repeat('08', 32), 'hex')");
    assert_eq!(stores[0].sweep_turns(10).await.unwrap(), 1);
    assert_ne!(stores[0].take_turn(&key, turns).await.unwrap(), 0);
}

#[tokio::test]
async fn a_form_waits_for_its_page_on_any_node_and_is_given_once() {
    let Some(database) = Postgres::shared() else { return };
    let (folder, first) = open(&database).await;
    let second = Store::open_unlocked(&settings(&folder, &database.url())).await.unwrap();
    first.keep_form(&[1; 32], "one", 60_000).await.unwrap();
    first.keep_form(&[2; 32], "two", 0).await.unwrap();
    assert_eq!(second.kept_form(&[1; 32]).await.unwrap().as_deref(), Some("one"));
    let (here, there) = ([1; 32], [1; 32]);
    let taken = tokio::join!(first.take_form(&here), second.take_form(&there));
    let mut taken = [taken.0.unwrap(), taken.1.unwrap()];
    taken.sort();
    assert_eq!(taken, [None, Some("one".into())], "one gets it");
    assert_eq!(second.kept_form(&[2; 32]).await.unwrap(), None, "its time is over");
    assert_eq!(second.take_form(&[2; 32]).await.unwrap(), None);
    keeps_the_newest(&database, &first).await;
}

async fn keeps_the_newest(database: &Database, store: &Store) {
    database.sql("SELECT setval('roomcast.returned_forms_place', 4095)");
    for n in 0..3 {
        store.keep_form(&[10 + n; 32], "form", 60_000).await.unwrap();
    }
    database.sql("SELECT setval('roomcast.returned_forms_place', 4095)");
    store.keep_form(&[20; 32], "newest", 60_000).await.unwrap();
    assert_eq!(store.kept_form(&[10; 32]).await.unwrap(), None, "the oldest one's place is taken");
    assert_eq!(store.kept_form(&[11; 32]).await.unwrap().as_deref(), Some("form"));
    assert_eq!(store.kept_form(&[20; 32]).await.unwrap().as_deref(), Some("newest"));
}
