//! `roomcast migrate-store`: moves the SQLite database of a stopped server to PostgreSQL.
//!
//! Rows are copied in batches, each with the progress in one transaction, so that a move that was interrupted goes on where it was. At
//! the end the content of each table is read from both stores and compared; the target can be served only after that.

mod table;

pub use table::Content;
pub(in crate::server::storage) use table::{Column, Hasher, Kind, Page, Row, TABLES, Table};

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
    #[error(
        "the PostgreSQL database already holds people, rooms or messages, as after a start of the server: move into an empty one, or \
         drop all that it holds with DROP SCHEMA roomcast CASCADE. Nothing was changed"
    )]
    NotEmpty,
    /// A move to the target was finished.
    #[error("the move to this PostgreSQL database is finished: set storage.url and start the server. Nothing was changed")]
    Finished,
    /// The source cannot be read.
    #[error("the database in the data folder cannot be read: {source} ({at}){advice}")]
    Source {
        /// The driver's error.
        source: sqlx::Error,
        /// The rows.
        at: String,
        /// The remedy, if the error may pass.
        advice: &'static str,
    },
    /// The target cannot be read or written.
    #[error("{source} ({at}){advice}")]
    Target {
        /// The error, with the name of the server.
        source: OpenError,
        /// The rows.
        at: String,
        /// The remedy, if the error may pass.
        advice: &'static str,
    },
    /// A store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Returns the remedy of an error that may pass: a lost connection, a time-out, a full disk. Any other one comes again.
pub(in crate::server::storage) fn advice(may_pass: bool) -> &'static str {
    if may_pass { ". Run the command again to go on" } else { "" }
}

/// Names rows in an error: those of a table from one key to another.
fn place(table: &Table, from: Option<&Row>, to: Option<&Row>) -> String {
    let key = |row: &Row| {
        row.iter().take(table.key).flatten().map(|part| part.escape_debug().to_string()).collect::<Vec<_>>().join(" ")
    };
    match (from, to) {
        (Some(from), Some(to)) => format!("{}, rows {} to {}", table.name, key(from), key(to)),
        (Some(after), None) => format!("{}, the rows after {}", table.name, key(after)),
        _ => format!("{}, the first rows", table.name),
    }
}

/// Moves the database of the data folder `from` to the PostgreSQL database of `to`, or goes on with a move that was interrupted,
/// and compares both. Memory holds one batch of rows. The source must not be served, and is not changed.
pub async fn move_store(from: &Path, to: &Settings, mut news: impl FnMut(MoveNews<'_>)) -> Result<Moved, MoveError> {
    let mut source = Source::open(from).await?;
    let mut target = Target::open(to).await?;
    let begun = Progress { source: fingerprint(&mut source).await?, ..Progress::default() };
    let progress = match target.found().await {
        Ok(Found::Other) => return Err(MoveError::NotEmpty),
        Ok(Found::Finished) => return Err(MoveError::Finished),
        Ok(Found::Unfinished(progress)) if progress.source == begun.source => {
            news(MoveNews::Resumed);
            progress
        }
        Ok(found) => {
            if matches!(found, Found::Unfinished(_)) {
                news(MoveNews::BegunAnew);
            }
            target.begin(&begun).await.map_err(|error| target.error("the begin of the move".into(), error))?;
            fail_point("move-begun");
            begun
        }
        Err(error) => return Err(target.error("the state of the move".into(), error)),
    };
    copy(&mut source, &mut target, progress, &mut news).await?;
    fail_point("move-copied");
    news(MoveNews::Comparing);
    let moved = compare(&mut source, &mut target).await?;
    fail_point("move-compared");
    if moved.is_equal() {
        target.finish().await?;
    } else {
        // The next run begins anew.
        target.note(&Progress::default()).await.map_err(|error| target.error("the state of the move".into(), error))?;
    }
    Ok(moved)
}

/// A hash by which a source that has changed since is known: of all rows but those of messages. A message is changed only by an act,
/// which leaves a row in the audit log, or by the blanking of a purge, which moves the purge.
async fn fingerprint(source: &mut Source) -> Result<String, MoveError> {
    let mut hasher = Hasher::default();
    for table in TABLES.iter().filter(|table| table.name != "messages") {
        let read = add_all(&mut hasher, async |after| source.rows(table, after, COMPARED).await).await;
        read.map_err(|(after, error)| Source::error(place(table, after.as_ref(), None), error))?;
    }
    let messages = source.add_extent_of_messages(&mut hasher).await;
    messages.map_err(|error| Source::error("the number of messages".into(), error))?;
    Ok(hasher.finish().hash)
}

/// Adds the rows that `next` returns after each key. An error comes with the key after which it was met.
async fn add_all(
    hasher: &mut Hasher,
    mut next: impl AsyncFnMut(Option<&Row>) -> sqlx::Result<Page>,
) -> Result<(), (Option<Row>, sqlx::Error)> {
    let mut after: Option<Row> = None;
    loop {
        let page = match next(after.as_ref()).await {
            Ok(page) => page,
            Err(error) => return Err((after, error)),
        };
        page.rows.iter().for_each(|row| hasher.add(row));
        if page.after.is_none() {
            return Ok(());
        }
        after = page.after;
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
            let read = source.rows(table, progress.after.as_ref(), BATCH).await;
            let Page { rows, after } = read.map_err(|error| Source::error(place(table, progress.after.as_ref(), None), error))?;
            copied += rows.len() as u64;
            progress.after = after;
            let is_last = (rows.len() as i64) < BATCH;
            if is_last {
                progress = Progress { tables: progress.tables + 1, after: None, ..progress };
            }
            let stored = target.store(table, &rows, &progress).await;
            stored.map_err(|error| target.error(place(table, rows.first(), rows.last()), error))?;
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
        let read = add_all(&mut ours, async |after| source.rows(table, after, COMPARED).await).await;
        read.map_err(|(after, error)| Source::error(place(table, after.as_ref(), None), error))?;
        let read = add_all(&mut theirs, async |after| target.rows(table, after, COMPARED).await).await;
        read.map_err(|(after, error)| target.error(place(table, after.as_ref(), None), error))?;
        tables.push(MovedTable { name: table.name, source: ours.finish(), target: theirs.finish() });
    }
    Ok(Moved { tables, replaced: source.take_replaced() })
}
