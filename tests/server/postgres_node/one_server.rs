//! One server serves from a database: a second one, a lost lock, a reload.

use super::{LOCK, Talk, elsewhere, start, stderr, stored, until_store_is};
use crate::operating::run;
use crate::support::postgres::Postgres;
use crate::support::{DEADLINE, eventually};
use sqlx::{Connection, PgConnection};
use std::sync::atomic::Ordering;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_never_serve_from_one_database() {
    let Some(database) = Postgres::shared() else { return };
    let mut first = start(&database.url());
    let second = elsewhere(&database.url(), &["serve"]).await;
    assert!(!second.status.success());
    let text = stderr(&second);
    assert!(text.contains("another roomcast already serves") && !text.contains(database.password()), "{text}");
    assert_eq!(first.guest("a").await.send("hello").await.status, 200);
    // A lock of a killed server ends with its connection.
    first.kill();
    let next = start(&database.url());
    assert_eq!(next.guest("b").await.send("hello").await.body["seq"], 2);
}

/// While another server holds the lock, nothing is written; afterwards the node serves again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lock_stops_the_writes() {
    let Some(database) = Postgres::shared() else { return };
    let server = start(&database.url());
    let person = server.guest("a").await;
    assert_eq!(person.send("first").await.status, 200);
    let mut other = PgConnection::connect(&database.url()).await.unwrap();
    let keeper = format!(
        "FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = \
        (SELECT oid FROM pg_database WHERE datname = '{}')",
        database.name
    );
    let waits = tokio::spawn(async move {
        sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut other).await.unwrap();
        other
    });
    eventually("another session waits", async || {
        database.sql(&format!("SELECT count(*) {}", keeper.replace("granted", "NOT granted"))) == "1"
    })
    .await;
    database.sql(&format!("SELECT pg_terminate_backend(pid) {keeper}"));
    let other = timeout(DEADLINE, waits).await.unwrap().unwrap();
    until_store_is(&server, 0).await;
    for _ in 0..3 {
        let answer = person.send("beside it").await;
        assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (503, Some("busy")), "{}", answer.body);
    }
    assert_eq!(stored(&database), [(1, "first".into())]);
    let errors = server.errors();
    assert!(errors.len() == 1 && errors[0].contains("another roomcast serves"), "{errors:?}");
    other.close().await.unwrap();
    until_store_is(&server, 1).await;
    assert_eq!(person.send("again").await.body["seq"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_hands_the_database_over() {
    let Some(database) = Postgres::shared() else { return };
    let mut server = start(&database.url());
    let talk = Talk::start(&server).await;
    for _ in 0..2 {
        let output = run(&server, &["reload"]);
        assert!(output.status.success(), "{}", stderr(&output));
        talk.go_on().await;
    }
    let refused = talk.refused.load(Ordering::Relaxed);
    talk.end(&database).await;
    assert_eq!(refused, 0, "no send is refused");
    assert!(run(&server, &["stop"]).status.success());
    assert!(server.exit_status().await.success());
}

/// The new process takes the lock and fails after that: the old one takes it back.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_reload_the_old_process_serves_from_the_database() {
    let Some(database) = Postgres::shared() else { return };
    let server = start(&database.url());
    let person = server.guest("a").await;
    assert_eq!(person.send("before").await.status, 200);
    database.sql(
        "INSERT INTO roomcast._sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of a newer version', true, '', 0); \
         UPDATE roomcast.facts SET value = '9999' WHERE name = 'schema.compatible_from'",
    );
    let output = run(&server, &["reload"]);
    assert!(!output.status.success() && stderr(&output).contains("this process keeps serving"), "{}", stderr(&output));
    assert!(server.log().contains("needs a newer roomcast"), "{}", server.log());
    until_store_is(&server, 1).await;
    assert_eq!(person.send("after").await.body["seq"], 2);
    let second = elsewhere(&database.url(), &["serve"]).await;
    assert!(stderr(&second).contains("another roomcast already serves"), "{}", stderr(&second));
}
