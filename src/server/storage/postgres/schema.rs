//! The schema's version: the server creates and migrates it; a command only checks it. The rules are those of the SQLite store:
//! versions are the numbers of the migrations, and the fact `schema.compatible_from` is the oldest version whose server may
//! serve from the database.

use super::error::no_answer;
use super::open::connect;
use super::problem::PostgresProblem;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;

/// Longest wait for another server that migrates, in milliseconds.
const LOCK_MS: u64 = 60_000;
/// Longest statement of a migration, in milliseconds.
const STATEMENT_MS: u64 = 600_000;
/// Time for all migrations together.
const MIGRATE_WITHIN: Duration = Duration::from_secs(1200);

/// Time for the look at the schema's version: a server that is silent ends a start soon.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// The migrations of this program. Those that only a newer one knows are checked by [`check_newer`].
fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("src/server/storage/postgres/migrations");
    migrator.set_ignore_missing(true);
    migrator
}

/// The newest version that this program knows.
fn known_version() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Creates the schema if it is missing and brings it up to date. Of several servers one migrates and the others wait.
pub(super) async fn migrate(options: &PgConnectOptions) -> Result<(), PostgresProblem> {
    let mut connection = connect_unhurried(options).await?;
    let looked = async {
        check_server(&mut connection).await?;
        let applied = applied(&mut connection).await?;
        check_newer(&mut connection, &applied).await?;
        Ok::<_, PostgresProblem>(applied)
    };
    let applied = timeout(LOOK_WITHIN, looked).await.unwrap_or_else(|_| Err(no_answer().into()))?;
    let migrated = async {
        let migrator = migrator();
        if migrator.iter().any(|migration| !applied.contains(&migration.version)) {
            create_schema(&mut connection).await?;
            migrator.run(&mut connection).await?;
        }
        // The end of the connection also ends the lock of a failed migration.
        Ok(connection.close().await?)
    };
    unhurried(migrated).await
}

/// Opens a connection whose statements may take as long as those of a migration.
pub(super) async fn connect_unhurried(options: &PgConnectOptions) -> Result<PgConnection, PostgresProblem> {
    connect(&options.clone().options([("lock_timeout", LOCK_MS), ("statement_timeout", STATEMENT_MS)])).await
}

/// Ends the work after the time for all migrations.
pub(super) async fn unhurried<T, E: From<sqlx::Error>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    timeout(MIGRATE_WITHIN, work).await.unwrap_or_else(|_| Err(no_answer().into()))
}

/// Fails if the schema is missing, older than this program's, or of a server with which it is not compatible.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), PostgresProblem> {
    check_server(connection).await?;
    let applied = applied(connection).await?;
    check_newer(connection, &applied).await?;
    if migrator().iter().any(|migration| !applied.contains(&migration.version)) {
        let found = applied.last().copied().unwrap_or_default();
        return Err(PostgresProblem::SchemaOlder { found, known: known_version() });
    }
    Ok(())
}

/// Fails if the server takes no writes, or the database cannot hold every text.
async fn check_server(connection: &mut PgConnection) -> Result<(), PostgresProblem> {
    let facts = sqlx::query_as::<_, (String, String)>(
        "SELECT current_setting('transaction_read_only'), current_setting('server_encoding')",
    );
    match facts.fetch_one(connection).await? {
        (read_only, _) if read_only == "on" => Err(PostgresProblem::ReadOnly),
        (_, encoding) if encoding != "UTF8" => Err(PostgresProblem::NotUtf8(encoding)),
        _ => Ok(()),
    }
}

/// Fails if a migration that this program does not know made the database incompatible with it.
async fn check_newer(connection: &mut PgConnection, applied: &BTreeSet<i64>) -> Result<(), PostgresProblem> {
    let (found, known) = (applied.last().copied().unwrap_or_default(), known_version());
    if found <= known {
        return Ok(());
    }
    let compatible_from = sqlx::query_scalar!(
        r#"SELECT convert_from(value, 'UTF8')::bigint AS "version!" FROM roomcast.facts WHERE name = 'schema.compatible_from'"#
    );
    match compatible_from.fetch_optional(connection).await? {
        Some(from) if from <= known => Ok(()),
        _ => Err(PostgresProblem::SchemaNewer { found, known }),
    }
}

/// The versions of the migrations that the database has; none in a new one.
async fn applied(connection: &mut PgConnection) -> Result<BTreeSet<i64>, sqlx::Error> {
    // sqlx makes this table with the first migration.
    let is_new = sqlx::query_scalar::<_, bool>("SELECT to_regclass('roomcast._sqlx_migrations') IS NULL");
    if is_new.fetch_one(&mut *connection).await? {
        return Ok(BTreeSet::new());
    }
    let versions = sqlx::query_scalar::<_, i64>("SELECT version FROM roomcast._sqlx_migrations WHERE success");
    Ok(versions.fetch_all(connection).await?.into_iter().collect())
}

/// Creates the schema, unless it exists: CREATE SCHEMA IF NOT EXISTS would ask for the right to create it all the same.
async fn create_schema(connection: &mut PgConnection) -> Result<(), PostgresProblem> {
    let exists = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'roomcast')";
    if sqlx::query_scalar::<_, bool>(exists).fetch_one(&mut *connection).await? {
        return Ok(());
    }
    match sqlx::query("CREATE SCHEMA roomcast").execute(&mut *connection).await {
        // Another server was first.
        Err(error)
            if error.as_database_error().is_some_and(|error| matches!(error.code().as_deref(), Some("42P06" | "23505"))) =>
        {
            Ok(())
        }
        created => Ok(created.map(|_| ())?),
    }
}
