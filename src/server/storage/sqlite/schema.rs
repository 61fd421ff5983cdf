//! The schema's version: the server migrates it, after a copy; a command only checks it.
//!
//! Versions are the numbers of the migrations. The fact `schema.compatible_from` is the oldest version whose server may serve
//! from the database: an older server starts beside newer migrations, unless one of them raised it above the server's version.

use super::copy::{self, CopyError};
use crate::server::storage::{OpenError, OpenNotice};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Copies of databases that are kept, the newest ones.
const KEPT_COPIES: usize = 2;
/// Names of copies: this, the version of their schema, and `.db`.
const COPY: &str = "roomcast.schema-";

/// The migrations of this program. Those that only a newer one knows are checked by [`check_newer`].
fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("src/server/storage/sqlite/migrations");
    migrator.set_ignore_missing(true);
    migrator
}

/// The newest version that this program knows.
fn known_version() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Brings the schema up to date. A database with data is copied first; a copy that cannot be made stops the migration.
pub(super) async fn migrate(writer: &SqlitePool, folder: &Path) -> Result<Option<OpenNotice>, OpenError> {
    let database = |source| OpenError::Database { path: folder.into(), source };
    let mut connection = writer.acquire().await.map_err(database)?;
    let applied = applied(&mut connection).await.map_err(database)?;
    check_newer(&mut connection, &applied, folder).await?;
    let migrator = migrator();
    let is_pending = migrator.iter().any(|migration| !applied.contains(&migration.version));
    let notice = match applied.last() {
        Some(version) if is_pending => Some(OpenNotice::Copied { path: copy_before(&mut connection, folder, *version).await? }),
        _ => None,
    };
    drop(connection);
    migrator.run(writer).await.map_err(|source| OpenError::Migration { path: folder.into(), source })?;
    Ok(notice)
}

/// Fails if the schema is older than this program's, or of a server with which it is not compatible.
pub(super) async fn check(connection: &mut SqliteConnection, folder: &Path) -> Result<(), OpenError> {
    let applied = applied(connection).await.map_err(|source| OpenError::Database { path: folder.into(), source })?;
    check_newer(connection, &applied, folder).await?;
    if migrator().iter().any(|migration| !applied.contains(&migration.version)) {
        let found = applied.last().copied().unwrap_or_default();
        return Err(OpenError::SchemaOlder { path: folder.into(), found, known: known_version() });
    }
    Ok(())
}

/// Fails if a migration that this program does not know made the database incompatible with it.
pub(super) async fn check_newer(
    connection: &mut SqliteConnection,
    applied: &BTreeSet<i64>,
    folder: &Path,
) -> Result<(), OpenError> {
    let (found, known) = (applied.last().copied().unwrap_or_default(), known_version());
    if found <= known {
        return Ok(());
    }
    let compatible_from = sqlx::query_scalar!(
        r#"SELECT CAST(value AS INTEGER) AS "version!: i64" FROM facts WHERE name = 'schema.compatible_from'"#
    )
    .fetch_optional(connection)
    .await
    .map_err(|source| OpenError::Database { path: folder.into(), source })?;
    match compatible_from {
        Some(from) if from <= known => Ok(()),
        _ => Err(OpenError::SchemaNewer { path: folder.into(), found, known }),
    }
}

/// The versions of the migrations that the database has; none in a new one.
pub(super) async fn applied(connection: &mut SqliteConnection) -> Result<BTreeSet<i64>, sqlx::Error> {
    // sqlx makes this table with the first migration.
    let is_new = sqlx::query_scalar::<_, i64>("SELECT count(*) = 0 FROM sqlite_schema WHERE name = '_sqlx_migrations'");
    if is_new.fetch_one(&mut *connection).await? == 1 {
        return Ok(BTreeSet::new());
    }
    let versions = sqlx::query_scalar::<_, i64>("SELECT version FROM _sqlx_migrations WHERE success");
    Ok(versions.fetch_all(connection).await?.into_iter().collect())
}

/// Whether the database's first migrations are this program's, by their checksums.
pub(super) async fn is_ours(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let rows = sqlx::query_as::<_, (i64, Vec<u8>)>("SELECT version, checksum FROM _sqlx_migrations WHERE success");
    let found = rows.fetch_all(connection).await?;
    let migrator = migrator();
    let known = |version| migrator.iter().find(|migration| migration.version == version);
    let is_same = |(version, checksum): &(i64, Vec<u8>)| known(*version).is_none_or(|known| *known.checksum == **checksum);
    Ok(found.iter().any(|(version, _)| *version == 1) && found.iter().all(is_same))
}

/// Returns a table, index or trigger that is missing, differs or is not Roomcast's in a database with these migrations. That of a
/// newer version is not known.
pub(super) async fn difference(
    connection: &mut SqliteConnection,
    applied: &BTreeSet<i64>,
) -> Result<Option<String>, sqlx::Error> {
    let version = applied.last().copied().unwrap_or_default();
    if version > known_version() {
        return Ok(None);
    }
    let mut expected = SqliteConnectOptions::new().in_memory(true).disable_statement_logging().connect().await?;
    let migrated = migrator().run_to(version, &mut expected).await;
    migrated.map_err(|error| sqlx::Error::Migrate(Box::new(error)))?;
    let (expected, found) = (parts(&mut expected).await?, parts(connection).await?);
    let differs = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
        one.iter().find(|(name, sql)| other.get(*name) != Some(sql)).map(|(name, _)| name.escape_debug().to_string())
    };
    Ok(match (differs(&expected, &found), differs(&found, &expected)) {
        (Some(name), _) => Some(format!("its {name} is missing or another one")),
        (None, Some(name)) => Some(format!("it has the {name}, which Roomcast does not have")),
        (None, None) => None,
    })
}

/// The schema's parts by kind and name, with their SQL without spaces and quotes, which versions of SQLite write in their own ways.
/// Tables of SQLite and of the migrations are left out.
async fn parts(connection: &mut SqliteConnection) -> Result<BTreeMap<String, String>, sqlx::Error> {
    let parts = sqlx::query_as::<_, (String, String)>(
        "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' AND tbl_name <> '_sqlx_migrations'",
    );
    let bare = |sql: String| sql.chars().filter(|sign| !sign.is_whitespace() && *sign != '"').collect();
    Ok(parts.fetch_all(connection).await?.into_iter().map(|(name, sql)| (name, bare(sql))).collect())
}

/// Copies the database into the data folder and removes old copies. Returns the path of the copy.
async fn copy_before(connection: &mut SqliteConnection, folder: &Path, version: i64) -> Result<PathBuf, OpenError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Copy { path: folder.into(), source };
    let (path, part) = (folder.join(format!("{COPY}{version}.db")), folder.join(format!("{COPY}{version}.db.part")));
    // Left by a start that was killed: VACUUM INTO refuses a file with content.
    copy::remove(&part).map_err(|error| failed(error.into()))?;
    copy::copy(connection, folder, &part).await.map_err(|error| match error {
        CopyError::NoSpace { needed, free } => OpenError::NoSpaceForCopy { path: folder.into(), needed, free },
        CopyError::Failed(source) => failed(source),
    })?;
    let finished = copy::put_in_place(&part, &path).and_then(|()| remove_old_copies(folder));
    finished.map_err(|error| failed(error.into()))?;
    Ok(path)
}

/// Removes all copies but the newest [`KEPT_COPIES`], by the version of their schema.
fn remove_old_copies(folder: &Path) -> std::io::Result<()> {
    let mut copies = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let version = name.to_str().and_then(|name| name.strip_prefix(COPY)?.strip_suffix(".db")?.parse::<i64>().ok());
        copies.extend(version.map(|version| (version, entry.path())));
    }
    copies.sort();
    let surplus = copies.len().saturating_sub(KEPT_COPIES);
    copies.iter().take(surplus).try_for_each(|(_, path)| std::fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f19_the_two_newest_copies_are_kept() {
        let folder = tempfile::TempDir::new().unwrap();
        for name in
            ["roomcast.db", "roomcast.schema-2.db", "roomcast.schema-10.db", "roomcast.schema-9.db", "roomcast.schema-x.db"]
        {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        remove_old_copies(folder.path()).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["roomcast.db", "roomcast.schema-10.db", "roomcast.schema-9.db", "roomcast.schema-x.db"]);
    }
}
