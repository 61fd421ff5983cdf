//! The database's identity: the cluster, the database and the table `facts` in it, by their numbers. A dump that is restored makes
//! other tables, so the fact `database` that it brings tells a database from an earlier copy of itself, which would give seqs a
//! second time. Recovery to a point in time keeps the numbers and begins another timeline, which is part of each epoch.

use super::problem::PostgresProblem;
use super::schema;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

/// Name of the fact that holds the identity.
const FACT: &str = "database";

/// Compares the database with its fact. If the database was restored, gives every room a new epoch and returns the number of
/// rooms. Many rooms take longer than a query of the pools may: the time limits are those of a migration.
pub(super) async fn check(options: &PgConnectOptions) -> Result<Option<u64>, PostgresProblem> {
    let mut connection = schema::connect_unhurried(options).await?;
    let checked = async {
        let mut transaction = connection.begin().await?;
        let restored = compare(&mut transaction).await?;
        transaction.commit().await?;
        connection.close().await?;
        Ok(restored)
    };
    schema::unhurried(checked).await.map_err(PostgresProblem::Identity)
}

/// Another server waits for the end of the transaction.
async fn compare(db: &mut PgConnection) -> sqlx::Result<Option<u64>> {
    let identity = sqlx::query_scalar!(
        r#"SELECT concat_ws('.', (SELECT system_identifier FROM pg_control_system()),
            (SELECT oid FROM pg_database WHERE datname = current_database()), 'roomcast.facts'::regclass::oid) AS "identity!""#
    )
    .fetch_one(&mut *db)
    .await?
    .into_bytes();
    let known =
        sqlx::query_scalar!("SELECT value FROM roomcast.facts WHERE name = $1 FOR UPDATE", FACT).fetch_optional(&mut *db).await?;
    if known.as_ref() == Some(&identity) {
        return Ok(None);
    }
    sqlx::query!(
        "INSERT INTO roomcast.facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2",
        FACT,
        identity
    )
    .execute(&mut *db)
    .await?;
    if known.is_none() {
        return Ok(None);
    }
    let renewed = sqlx::query!("UPDATE roomcast.rooms SET epoch = gen_random_uuid()::text").execute(db).await?;
    Ok(Some(renewed.rows_affected()))
}
