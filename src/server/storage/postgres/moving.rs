//! The target of a move from another store: a database without other data. Its fact `move.unfinished` says how far the move is; no
//! server and no command opens it until the fact is gone.

use super::error::{is_lost, is_transient, no_answer};
use super::lock::{Sharing, try_lock};
use super::open::{connect, open_error, options};
use super::problem::PostgresProblem;
use super::schema;
use crate::server::config::StorageSettings as Settings;
use crate::server::storage::OpenError;
use crate::server::storage::moving::{Kind, MoveError, Page, Progress, Row, TABLES, Table, advice};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row as _};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The fact that is there while a move is unfinished, and the one that is there after it.
const UNFINISHED: &str = "move.unfinished";
const FINISHED: &str = "move.finished";
/// Longest statement, in milliseconds, and the time for its answer.
const STATEMENT_MS: u64 = 60_000;
const ANSWER_WITHIN: Duration = Duration::from_secs(70);
/// Time in which the lock must be free: PostgreSQL may notice late that a run was killed.
const LOCK_WITHIN: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(100);
/// Tables that are empty in a database without data.
const EMPTY: &str = "SELECT EXISTS (SELECT 1 FROM roomcast.people) OR EXISTS (SELECT 1 FROM roomcast.rooms)
    OR EXISTS (SELECT 1 FROM roomcast.messages) OR EXISTS (SELECT 1 FROM roomcast.api_keys)
    OR EXISTS (SELECT 1 FROM roomcast.changes) OR EXISTS (SELECT 1 FROM roomcast.restraints)
    OR EXISTS (SELECT 1 FROM roomcast.actions)";

/// The content of a target before the move.
pub(in crate::server::storage) enum Found {
    /// No data.
    Nothing,
    /// A move that was not finished.
    Unfinished(Progress),
    /// A move that was finished.
    Finished,
    /// Data of its own.
    Other,
}

/// A database that holds the lock of a serving node, so that none serves meanwhile.
pub(in crate::server::storage) struct Target {
    connection: PgConnection,
    options: PgConnectOptions,
}

impl Target {
    /// Connects, takes the lock and brings the schema up to date. Fails if a node serves from the database.
    pub(in crate::server::storage) async fn open(settings: &Settings) -> Result<Self, OpenError> {
        let options = options(settings)?;
        let failed = |problem| open_error(&options, problem);
        let batches = options.clone().options([("statement_timeout", STATEMENT_MS)]);
        let mut connection = connect(&batches).await.map_err(failed)?;
        let deadline = Instant::now() + LOCK_WITHIN;
        while !try_lock(&mut connection, Sharing::Alone).await.map_err(|error| failed(error.into()))? {
            if Instant::now() > deadline {
                return Err(failed(PostgresProblem::Taken));
            }
            sleep(LOCK_RETRY).await;
        }
        schema::migrate(&options).await.map_err(failed)?;
        Ok(Self { connection, options })
    }

    /// Returns the error of a statement on rows, with the name of the server.
    pub(in crate::server::storage) fn error(&self, at: String, error: sqlx::Error) -> MoveError {
        let advice = advice(is_lost(&error) || is_transient(&error));
        MoveError::Target { source: open_error(&self.options, error.into()), at, advice }
    }

    pub(in crate::server::storage) async fn found(&mut self) -> sqlx::Result<Found> {
        let unfinished = sqlx::query_scalar::<_, Vec<u8>>("SELECT value FROM roomcast.facts WHERE name = $1").bind(UNFINISHED);
        if let Some(progress) = limited(unfinished.fetch_optional(&mut self.connection)).await? {
            // A progress that cannot be read is that of another version: the move begins anew.
            return Ok(Found::Unfinished(serde_json::from_slice(&progress).unwrap_or_default()));
        }
        let finished =
            sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT 1 FROM roomcast.facts WHERE name = $1)").bind(FINISHED);
        if limited(finished.fetch_one(&mut self.connection)).await? {
            return Ok(Found::Finished);
        }
        let has_data = limited(sqlx::query_scalar::<_, bool>(EMPTY).fetch_one(&mut self.connection)).await?;
        Ok(if has_data { Found::Other } else { Found::Nothing })
    }

    /// Empties the tables of an unfinished move, and notes the begin of one.
    pub(in crate::server::storage) async fn begin(&mut self, progress: &Progress) -> sqlx::Result<()> {
        let mut transaction = limited(self.connection.begin()).await?;
        let tables = TABLES.iter().map(|table| table.name).filter(|name| *name != "facts");
        let tables = tables.map(|name| format!("roomcast.{name}")).collect::<Vec<_>>().join(", ");
        let truncate = format!("TRUNCATE {tables}, roomcast.paces");
        // The audit log is append-only, also for its owner, but for a move that begins anew.
        for statement in
            ["ALTER TABLE roomcast.actions DISABLE TRIGGER USER", &truncate, "ALTER TABLE roomcast.actions ENABLE TRIGGER USER"]
        {
            limited(sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut *transaction)).await?;
        }
        let facts = "DELETE FROM roomcast.facts WHERE name NOT LIKE 'schema.%'";
        limited(sqlx::query(facts).execute(&mut *transaction)).await?;
        note(&mut transaction, progress).await?;
        limited(transaction.commit()).await
    }

    /// Stores rows of a table, and how far the move is with them, in one transaction.
    pub(in crate::server::storage) async fn store(
        &mut self,
        table: &Table,
        rows: &[Row],
        progress: &Progress,
    ) -> sqlx::Result<()> {
        let columns: Vec<_> = table.columns.iter().map(|column| column.name).collect();
        let numbers = 1..=columns.len();
        let values = table.columns.iter().zip(numbers.clone()).map(|(column, number)| match column.kind {
            Kind::Text => format!("c{number}"),
            Kind::Integer => format!("c{number}::bigint"),
            Kind::Flag => format!("c{number}::boolean"),
            Kind::Bytes => format!("decode(c{number}, 'hex')"),
            Kind::Uuid => format!("c{number}::uuid"),
        });
        let insert = format!(
            "INSERT INTO roomcast.{} ({}) SELECT {} FROM unnest({}) AS rows ({})",
            table.name,
            columns.join(", "),
            values.collect::<Vec<_>>().join(", "),
            numbers.clone().map(|number| format!("${number}::text[]")).collect::<Vec<_>>().join(", "),
            numbers.map(|number| format!("c{number}")).collect::<Vec<_>>().join(", "),
        );
        let mut query = sqlx::query(AssertSqlSafe(insert));
        for index in 0..columns.len() {
            query = query.bind(rows.iter().map(|row| row.get(index).cloned().flatten()).collect::<Vec<_>>());
        }
        let mut transaction = limited(self.connection.begin()).await?;
        // Its commit may be lost in a crash, together with the progress; the last commit of the move waits for all.
        limited(sqlx::query("SET LOCAL synchronous_commit = off").execute(&mut *transaction)).await?;
        limited(query.execute(&mut *transaction)).await?;
        note(&mut transaction, progress).await?;
        limited(transaction.commit()).await
    }

    /// Returns the next rows of a table after a key, in the order of the key.
    pub(in crate::server::storage) async fn rows(
        &mut self,
        table: &Table,
        after: Option<&Row>,
        limit: i64,
    ) -> sqlx::Result<Page> {
        let (keys, columns) = (table.columns.iter().take(table.key), table.columns.iter());
        let expressions = columns.map(|column| match column.kind {
            Kind::Text => column.name.to_owned(),
            Kind::Bytes => format!("encode({}, 'hex')", column.name),
            _ => format!("{}::text", column.name),
        });
        // With the table's name: a bare one would be the column of the result, which is a text.
        let order = keys.clone().map(|column| format!("{}.{}", table.name, column.name)).collect();
        let placeholders = keys.zip(1..).map(|(column, number)| match column.kind {
            Kind::Integer => format!("${number}::bigint"),
            Kind::Bytes => format!("decode(${number}, 'hex')"),
            Kind::Uuid => format!("${number}::uuid"),
            _ => format!("${number}"),
        });
        let placeholders = after.map(|_| placeholders.collect());
        let from = format!("roomcast.{}", table.name);
        let select = table.select(&from, expressions.collect(), order, placeholders, limit);
        let mut query = sqlx::query(AssertSqlSafe(select));
        for value in after.into_iter().flatten() {
            query = query.bind(value.clone());
        }
        let found: Vec<PgRow> = limited(query.fetch_all(&mut self.connection)).await?;
        let canonical = |row: &PgRow| (0..table.columns.len()).map(|index| row.try_get(index)).collect();
        let rows = found.iter().map(canonical).collect::<sqlx::Result<Vec<Row>>>()?;
        Ok(Page { after: rows.last().map(|last| table.key_of(last)), rows })
    }

    /// Notes how far the move is.
    pub(in crate::server::storage) async fn note(&mut self, progress: &Progress) -> sqlx::Result<()> {
        note(&mut self.connection, progress).await
    }

    /// Ends the move: servers may serve from the database. Each room begins a new epoch, since the same source may have been moved
    /// and served before, and its seqs given to other messages.
    pub(in crate::server::storage) async fn finish(mut self) -> Result<(), MoveError> {
        let finished = async {
            for table in &TABLES {
                let analyze = format!("ANALYZE roomcast.{}", table.name);
                limited(sqlx::query(AssertSqlSafe(analyze)).execute(&mut self.connection)).await?;
            }
            let mut transaction = limited(self.connection.begin()).await?;
            let epochs = sqlx::query("UPDATE roomcast.rooms SET epoch = gen_random_uuid()::text");
            limited(epochs.execute(&mut *transaction)).await?;
            // No node holds any of it.
            limited(sqlx::query("DELETE FROM roomcast.news").execute(&mut *transaction)).await?;
            let end =
                sqlx::query("UPDATE roomcast.facts SET name = $2, value = '' WHERE name = $1").bind(UNFINISHED).bind(FINISHED);
            limited(end.execute(&mut *transaction)).await?;
            limited(transaction.commit()).await
        };
        let finished = finished.await;
        finished.map_err(|error| self.error("the end of the move".into(), error))?;
        // The lock ends with the connection, however it ends.
        let _ = limited(self.connection.close()).await;
        Ok(())
    }
}

async fn note(connection: &mut PgConnection, progress: &Progress) -> sqlx::Result<()> {
    let progress = serde_json::to_vec(progress).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let note = "INSERT INTO roomcast.facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
    limited(sqlx::query(note).bind(UNFINISHED).bind(progress).execute(connection)).await?;
    Ok(())
}

/// Fails if a move to the database was not finished.
pub(super) async fn refuse_unfinished(connection: &mut PgConnection) -> Result<(), PostgresProblem> {
    let unfinished = "SELECT EXISTS (SELECT 1 FROM roomcast.facts WHERE name = 'move.unfinished')";
    let unfinished = limited(sqlx::query_scalar::<_, bool>(unfinished).fetch_one(connection)).await?;
    if unfinished { Err(PostgresProblem::MoveUnfinished) } else { Ok(()) }
}

/// An answer within [`ANSWER_WITHIN`].
async fn limited<T>(answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(ANSWER_WITHIN, answer).await.unwrap_or_else(|_| Err(no_answer()))
}
