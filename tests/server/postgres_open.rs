//! Opening a PostgreSQL store: the schema, the session, and the errors, none of which shows the password.

use crate::support::eventually;
use crate::support::postgres::{Database, Postgres, Stop};
use crate::support::proxy::{Link, Proxy};
use roomcast::server::config::{DatabaseUrl, StorageSettings as Settings};
use roomcast::server::storage::{OpenError, PostgresProblem as Problem, Store};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub fn settings(folder: &TempDir, url: &str) -> Settings {
    Settings { url: DatabaseUrl::from(url), data_dir: folder.path().into(), busy_within_ms: 1_500, ..Settings::default() }
}

/// Opens a store as a server does, in a data folder of its own.
pub async fn open(database: &Database) -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&settings(&folder, &database.url())).await.unwrap();
    (folder, store)
}

/// The session of a server's keeper is the one with the lock.
const KEEPERS: &str = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'roomcast keeper%'";

/// A server waits for the lock, and the connection of the one that holds it breaks.
#[tokio::test]
async fn a_server_whose_connection_broke_keeps_the_database() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, first) = open(&database).await;
    let holder = database.sql(&format!("SELECT pid {KEEPERS}"));
    let other = async {
        eventually("the second one waits", async || database.sql(&format!("SELECT count(*) {KEEPERS}")) == "2").await;
        let began = Instant::now();
        eventually("its first attempt failed", async || began.elapsed() > Duration::from_millis(500)).await;
        database.sql(&format!("SELECT pg_terminate_backend({holder})"));
    };
    let url = database.url();
    let (second, ()) = tokio::join!(problem(&url, database.password()), other);
    assert!(matches!(second, Problem::Taken), "{second:?}");
    assert!(first.is_serving());
    first.set_fact("a", b"1").await.unwrap();
}

/// The problem of a store that does not open. No text of it may hold the password.
async fn problem(url: &str, password: &str) -> Problem {
    let folder = TempDir::new().unwrap();
    let Err(error) = Store::open(&settings(&folder, url)).await else { panic!("it opens") };
    assert!(!error.to_string().contains(password) && !format!("{error:?}").contains(password), "{error:?}");
    let OpenError::Postgres { problem, .. } = error else { panic!("{error:?}") };
    problem
}

#[tokio::test]
async fn everything_is_in_the_schema_and_a_closed_store_has_no_connection() {
    let Some(database) = Postgres::shared() else { return };
    let (_folder, store) = open(&database).await;
    store.set_fact("a", b"1").await.unwrap();
    assert_eq!(store.fact("a").await.unwrap(), Some(b"1".to_vec()));
    assert_eq!(database.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    assert_eq!(
        database.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'roomcast' AND tablename = '_sqlx_migrations'"),
        "1"
    );
    let open = "FROM pg_stat_activity WHERE datname = current_database() AND usename = 'roomcast'";
    assert_eq!(database.sql(&format!("SELECT bool_and(application_name ~ '^roomcast') {open}")), "t");
    store.close().await;
    let open = format!("SELECT count(*) {open}");
    crate::support::eventually("a closed store has no connection", async || database.sql(&open) == "0").await;
}

#[tokio::test]
async fn only_the_server_makes_the_schema() {
    let Some(database) = Postgres::shared() else { return };
    let folder = TempDir::new().unwrap();
    let settings = settings(&folder, &database.url());
    let Err(OpenError::Postgres { problem: Problem::SchemaOlder { found: 0, .. }, .. }) = Store::open_unlocked(&settings).await
    else {
        panic!("a command made the schema")
    };
    let server = Store::open(&settings).await.unwrap();
    let command = Store::open_unlocked(&settings).await.unwrap();
    assert!(server.is_serving() && !command.is_serving());
    assert!(
        Store::open(&settings).await.is_err_and(|error| matches!(error, OpenError::InUse { .. })),
        "the data folder is in use"
    );
    command.ping().await.unwrap();
}

#[tokio::test]
async fn an_older_server_starts_beside_a_newer_schema_that_is_compatible_with_it() {
    let Some(database) = Postgres::shared() else { return };
    open(&database).await;
    database.sql(
        "INSERT INTO roomcast._sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9000, '', true, '', 0)",
    );
    open(&database).await;
    database.sql("UPDATE roomcast.facts SET value = '9000' WHERE name = 'schema.compatible_from'");
    let found = problem(&database.url(), database.password()).await;
    assert!(matches!(found, Problem::SchemaNewer { found: 9000, .. }), "{found:?}");
}

#[tokio::test]
async fn a_role_without_the_right_gets_a_schema_of_its_own() {
    let Some(database) = Postgres::shared() else { return };
    let name = &database.name;
    database.sql(&format!("ALTER DATABASE {name} OWNER TO postgres"));
    let found = problem(&database.url(), database.password()).await;
    assert!(
        matches!(found, Problem::NoRight(_)) && found.to_string().contains("CREATE SCHEMA roomcast AUTHORIZATION"),
        "{found}"
    );
    database.sql("CREATE SCHEMA roomcast");
    let found = problem(&database.url(), database.password()).await;
    assert!(matches!(found, Problem::NoRight(_)), "a schema of another role: {found:?}");
    database.sql("ALTER SCHEMA roomcast OWNER TO roomcast");
    open(&database).await;
}

#[tokio::test]
async fn errors_name_the_server_and_never_the_password() {
    let Some(database) = Postgres::shared() else { return };
    let (url, password) = (database.url(), database.password());
    let wrong = problem(&url.replace(password, "wr0ng-passw0rd"), "wr0ng-passw0rd").await;
    assert!(matches!(wrong, Problem::LogIn(_)), "{wrong:?}");
    let nowhere = problem(&url.replace(&database.name, "nowhere"), password).await;
    assert!(matches!(nowhere, Problem::LogIn(_)) && nowhere.to_string().contains("nowhere"), "{nowhere:?}");
    let closed = problem(&database.url_at("127.0.0.1:1".parse().unwrap()), password).await;
    assert!(matches!(closed, Problem::Unreachable(_)), "{closed:?}");
    let unknown = problem(&format!("{url}?passwd={password}"), password).await;
    assert!(matches!(&unknown, Problem::UnknownParameter(name) if name == "passwd"), "{unknown:?}");
    let tls = problem(&format!("{url}?sslmode=require"), password).await;
    assert!(matches!(tls, Problem::Unreachable(_)), "a server without TLS: {tls:?}");
    let mode = problem(&format!("{url}?sslmode=maybe"), password).await;
    assert!(matches!(mode, Problem::SslMode) && !mode.to_string().contains("maybe"), "{mode:?}");
    for parameter in [format!("sslmode={password}"), format!("port={password}"), format!("{password}@h/d")] {
        problem(&format!("{url}?{parameter}"), password).await;
    }
    let folder = TempDir::new().unwrap();
    let Err(error) = Store::open(&settings(&folder, &url.replace(&database.name, "nowhere"))).await else { panic!("it opens") };
    let place = format!("PostgreSQL {}, database nowhere, role roomcast", database.postgres.address());
    assert!(error.to_string().starts_with(&place), "{error}");
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused() {
    let Some(database) = Postgres::shared() else { return };
    let latin = format!("{}_latin", database.name);
    let create = "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc OWNER roomcast";
    database.postgres.sql("postgres", &format!("CREATE DATABASE {latin} {create}"));
    let found = problem(&database.url().replace(&database.name, &latin), database.password()).await;
    assert!(matches!(&found, Problem::NotUtf8(encoding) if encoding == "LATIN1"), "{found:?}");
    database.postgres.sql("postgres", &format!("DROP DATABASE {latin}"));
}

#[tokio::test]
async fn a_silent_server_ends_the_start_in_time() {
    let Some(database) = Postgres::shared() else { return };
    let proxy = Proxy::to(database.postgres.address());
    proxy.set(Link::BlackHole);
    let began = Instant::now();
    let found = problem(&database.url_at(proxy.address), database.password()).await;
    assert!(matches!(found, Problem::Unreachable(_)) && began.elapsed() < Duration::from_secs(20), "{found:?}");
}

#[tokio::test]
async fn a_standby_is_refused_and_a_stopped_server_named() {
    let Some(postgres) = Postgres::own() else { return };
    let database = postgres.database();
    open(&database).await;
    postgres.restart_as_standby();
    let found = problem(&database.url(), database.password()).await;
    assert!(matches!(found, Problem::ReadOnly), "{found:?}");
    postgres.stop(Stop::Fast);
    let found = problem(&database.url(), database.password()).await;
    assert!(matches!(found, Problem::Unreachable(_)), "{found:?}");
}
