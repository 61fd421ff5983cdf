//! The source of a move to another store: the database of a stopped server, read at one moment and not changed.

use super::{open, schema};
use crate::server::storage::commands_lock::{self, CommandsLock};
use crate::server::storage::moving::{Column, Hasher, Kind, MoveError, Page, Row, Table, advice};
use crate::server::storage::{DataDirLock, OpenError};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row as _, SqliteConnection};
use std::path::Path;
use std::time::Duration;

/// Wait for another program that has the database open.
const BUSY: Duration = Duration::from_secs(5);

/// The database of a stopped server. It holds the data folder, so that none starts meanwhile.
pub(in crate::server::storage) struct Source {
    connection: SqliteConnection,
    /// Values in which U+0000 was replaced.
    replaced: u64,
    _data_dir: DataDirLock,
    _alone: CommandsLock,
}

impl Source {
    /// Opens the database of a data folder. Fails if a server runs on it, or if its schema is not this program's.
    pub(in crate::server::storage) async fn open(folder: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Database { path: folder.into(), source };
        let file = folder.join(open::FILE);
        if !file.is_file() {
            let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "it has no database");
            return Err(OpenError::Folder { path: folder.into(), source: missing });
        }
        let data_dir = DataDirLock::acquire(folder)?;
        let alone = CommandsLock::exclusive(folder, commands_lock::WAIT).await?;
        let options = SqliteConnectOptions::new().filename(file).read_only(true).busy_timeout(BUSY);
        let mut connection = options.disable_statement_logging().connect().await.map_err(failed)?;
        schema::check(&mut connection, folder).await?;
        sqlx::query("BEGIN").execute(&mut connection).await.map_err(failed)?;
        Ok(Self { connection, replaced: 0, _data_dir: data_dir, _alone: alone })
    }

    /// Returns the next rows of a table after a key, in the order of the key. PostgreSQL holds no U+0000 in a text: it is
    /// U+FFFD here.
    pub(in crate::server::storage) async fn rows(
        &mut self,
        table: &Table,
        after: Option<&Row>,
        limit: i64,
    ) -> sqlx::Result<Page> {
        let keys = || table.columns.iter().take(table.key);
        let expressions = table.columns.iter().map(as_text).collect();
        let placeholders = after.map(|_| keys().map(|column| placeholder(column).to_owned()).collect());
        let select = table.select(table.in_sqlite, expressions, keys().map(key).collect(), placeholders, limit);
        let mut query = sqlx::query(AssertSqlSafe(select));
        for value in after.into_iter().flatten() {
            query = query.bind(value.clone());
        }
        let found = query.fetch_all(&mut self.connection).await?;
        // The key as it is: one with U+FFFD would be another place in the order.
        let key_of = |row: &SqliteRow| (0..table.key).map(|index| row.try_get(index)).collect::<sqlx::Result<Row>>();
        let after = found.last().map(key_of).transpose()?;
        let rows = found.iter().map(|row| self.canonical(table, row)).collect::<sqlx::Result<_>>()?;
        Ok(Page { rows, after })
    }

    /// Returns the error of a read of rows.
    pub(in crate::server::storage) fn error(at: String, source: sqlx::Error) -> MoveError {
        // Busy, out of memory, input or output, full disk: the last byte of SQLite's code.
        let code = source.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<i32>().ok());
        let may_pass = code.is_some_and(|code| [5, 7, 10, 13].contains(&(code & 0xff)));
        MoveError::Source { source, at, advice: advice(may_pass) }
    }

    fn canonical(&mut self, table: &Table, row: &SqliteRow) -> sqlx::Result<Row> {
        let mut values = Vec::with_capacity(table.columns.len());
        for index in 0..table.columns.len() {
            let mut value: Option<String> = row.try_get(index)?;
            if let Some(text) = value.as_mut().filter(|text| text.contains('\0')) {
                *text = text.replace('\0', "\u{fffd}");
                self.replaced += 1;
            }
            values.push(value);
        }
        Ok(values)
    }

    /// Returns the number of values in which U+0000 was replaced since the last call.
    pub(in crate::server::storage) fn take_replaced(&mut self) -> u64 {
        std::mem::take(&mut self.replaced)
    }

    /// Adds numbers of the messages that change when one is added, blanked or deleted. Reading them all would take too long.
    pub(in crate::server::storage) async fn add_extent_of_messages(&mut self, hasher: &mut Hasher) -> sqlx::Result<()> {
        let extent = "SELECT CAST(count(*) AS TEXT), CAST(coalesce(sum(seq), 0) AS TEXT),
            CAST(coalesce(sum(length(text)), 0) AS TEXT) FROM messages";
        let row = sqlx::query(extent).fetch_one(&mut self.connection).await?;
        hasher.add(&(0..3).map(|index| row.try_get(index)).collect::<sqlx::Result<Row>>()?);
        Ok(())
    }
}

/// The canonical text of a column.
fn as_text(column: &Column) -> String {
    let name = column.in_sqlite;
    match column.kind {
        Kind::Text => name.to_owned(),
        Kind::Integer => format!("CAST({name} AS TEXT)"),
        Kind::Flag => format!("CASE {name} WHEN 0 THEN 'false' ELSE 'true' END"),
        Kind::Bytes => format!("lower(hex({name}))"),
        Kind::Uuid => format!("lower({name})"),
    }
}

/// A key column with the order of its bytes.
fn key(column: &Column) -> String {
    match column.kind {
        Kind::Text => format!("{} COLLATE BINARY", column.in_sqlite),
        _ => column.in_sqlite.to_owned(),
    }
}

fn placeholder(column: &Column) -> &'static str {
    match column.kind {
        Kind::Integer => "CAST(? AS INTEGER)",
        Kind::Bytes => "unhex(?)",
        _ => "?",
    }
}
