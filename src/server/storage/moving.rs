//! `roomcast migrate-store`: moves the SQLite database of a stopped server to PostgreSQL.
//!
//! Rows are copied in batches, each with the progress in one transaction, so that a move that was interrupted goes on where it was. At
//! the end the content of each table is read from both stores and compared; the target can be served only after that.

mod table;

pub use table::Content;
pub(in crate::server::storage) use table::{Column, Hasher, Kind, Row, TABLES, Table};

use super::OpenError;
use super::fail_point::fail_point;
use super::postgres::moving::{Found, Target};
use super::sqlite::moving::Source;
use crate::server::config::StorageSettings as Settings;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Rows that are stored in one transaction.
const BATCH: i64 = 1000;
/// Rows that are read at once to compare the stores.
const COMPARED: i64 = 5000;

/// How far a move is.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::server::storage) struct Progress {
    /// Hash of the source at the begin.
    source: String,
    /// Tables that are copied.
    tables: usize,
    /// Key of the last row that was copied of the next table.
    after: Option<Row>,
}

/// News of a move, for the operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MoveNews<'a> {
    /// An unfinished move goes on.
    Resumed,
    /// An unfinished move begins anew: its source is another one, or has changed.
    BegunAnew,
    /// So many rows of a table were copied by this run; more may follow.
    Copied {
        /// The table.
        table: &'a str,
        /// Rows.
        rows: u64,
    },
    /// The stores are compared.
    Comparing,
}

/// A table in both stores, after the move.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovedTable {
    /// Its name.
    pub name: &'static str,
    /// Its content in the source.
    pub source: Content,
    /// Its content in the target.
    pub target: Content,
}

/// A move whose stores were compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moved {
    /// The tables.
    pub tables: Vec<MovedTable>,
    /// Values with U+0000, which is U+FFFD in the target.
    pub replaced: u64,
}

impl Moved {
    /// Whether each table has the same content in both stores. If not, the target cannot be served.
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(|table| table.source == table.target)
    }
}

/// Why a move failed. The source is as it was.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The target holds data that is not of an unfinished move.
    #[error("the PostgreSQL database already holds people, rooms or messages: move into an empty one. Nothing was changed")]
    NotEmpty,
    /// The source cannot be read.
    #[error("the database in the data folder cannot be read: {0}. Run the command again to go on")]
    Source(#[source] sqlx::Error),
    /// The target cannot be read or written.
    #[error("{0}. Run the command again to go on")]
    Target(#[source] OpenError),
    /// A store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Moves the database of the data folder `from` to the PostgreSQL database of `to`, or goes on with a move that was interrupted,
/// and compares both. Memory holds one batch of rows. The source must not be served, and is not changed.
pub async fn move_store(from: &Path, to: &Settings, mut news: impl FnMut(MoveNews<'_>)) -> Result<Moved, MoveError> {
    let mut source = Source::open(from).await?;
    let mut target = Target::open(to).await?;
    let begun = Progress { source: fingerprint(&mut source).await.map_err(MoveError::Source)?, ..Progress::default() };
    let progress = match target.found().await {
        Ok(Found::Other) => return Err(MoveError::NotEmpty),
        Ok(Found::Unfinished(progress)) if progress.source == begun.source => {
            news(MoveNews::Resumed);
            progress
        }
        Ok(found) => {
            if matches!(found, Found::Unfinished(_)) {
                news(MoveNews::BegunAnew);
            }
            target.begin(&begun).await.map_err(|error| MoveError::Target(target.error(error)))?;
            fail_point("move-begun");
            begun
        }
        Err(error) => return Err(MoveError::Target(target.error(error))),
    };
    copy(&mut source, &mut target, progress, &mut news).await?;
    fail_point("move-copied");
    news(MoveNews::Comparing);
    let moved = compare(&mut source, &mut target).await?;
    fail_point("move-compared");
    if moved.is_equal() {
        target.finish().await.map_err(MoveError::Target)?;
    } else {
        // The next run begins anew.
        target.note(&Progress::default()).await.map_err(|error| MoveError::Target(target.error(error)))?;
    }
    Ok(moved)
}

/// A hash by which a source that has changed since is known: of all rows but those of messages, which are never changed.
async fn fingerprint(source: &mut Source) -> sqlx::Result<String> {
    let mut hasher = Hasher::default();
    for table in TABLES.iter().filter(|table| table.name != "messages") {
        add_all(&mut hasher, table.key, async |after| source.rows(table, after, COMPARED).await).await?;
    }
    source.add_extent_of_messages(&mut hasher).await?;
    Ok(hasher.finish().hash)
}

/// Adds the rows that `next` returns after each key, which is the first `key` columns of a row.
async fn add_all(
    hasher: &mut Hasher,
    key: usize,
    mut next: impl AsyncFnMut(Option<&Row>) -> sqlx::Result<Vec<Row>>,
) -> sqlx::Result<()> {
    let mut after: Option<Row> = None;
    loop {
        let rows = next(after.as_ref()).await?;
        rows.iter().for_each(|row| hasher.add(row));
        match rows.last() {
            Some(last) => after = Some(last.iter().take(key).cloned().collect()),
            None => return Ok(()),
        }
    }
}

/// Copies the rows that are left.
async fn copy(
    source: &mut Source,
    target: &mut Target,
    mut progress: Progress,
    news: &mut impl FnMut(MoveNews<'_>),
) -> Result<(), MoveError> {
    let mut batches = 0;
    for table in TABLES.iter().skip(progress.tables) {
        let mut copied = 0;
        loop {
            let rows = source.rows(table, progress.after.as_ref(), BATCH).await.map_err(MoveError::Source)?;
            copied += rows.len() as u64;
            progress.after = rows.last().map(|last| last.iter().take(table.key).cloned().collect());
            let is_last = (rows.len() as i64) < BATCH;
            if is_last {
                progress = Progress { tables: progress.tables + 1, after: None, ..progress };
            }
            target.store(table, &rows, &progress).await.map_err(|error| MoveError::Target(target.error(error)))?;
            news(MoveNews::Copied { table: table.name, rows: copied });
            batches += 1;
            fail_point(&format!("move-{batches}"));
            if is_last {
                break;
            }
        }
    }
    Ok(())
}

/// Reads all rows of both stores.
async fn compare(source: &mut Source, target: &mut Target) -> Result<Moved, MoveError> {
    let mut tables = Vec::new();
    source.take_replaced();
    for table in &TABLES {
        let (mut ours, mut theirs) = (Hasher::default(), Hasher::default());
        let read = add_all(&mut ours, table.key, async |after| source.rows(table, after, COMPARED).await).await;
        read.map_err(MoveError::Source)?;
        let read = add_all(&mut theirs, table.key, async |after| target.rows(table, after, COMPARED).await).await;
        read.map_err(|error| MoveError::Target(target.error(error)))?;
        tables.push(MovedTable { name: table.name, source: ours.finish(), target: theirs.finish() });
    }
    Ok(Moved { tables, replaced: source.take_replaced() })
}
