//! `roomcast restore`: a backup is copied into the data folder and checked there, before anything else is touched. [`swap`] puts
//! it in the place of the database.
//!
//! [`swap`]: super::swap

use super::copy::{self, CopyError, MAGIC};
use super::{high_water, open, schema, swap};
use crate::server::config::StorageSettings as Settings;
use crate::server::storage::commands_lock::{self, CommandsLock};
use crate::server::storage::data_dir;
use crate::server::storage::fail_point::fail_point;
use crate::server::storage::{DataDirLock, OpenError, StorageError};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Tables of the first schema.
const TABLES: [&str; 6] = ["_sqlx_migrations", "facts", "people", "sessions", "rooms", "messages"];
/// Bytes that are copied at once, and the number of such pieces between two syncs: left to the end, the last sync would hold up
/// those of a running server.
const PIECE_BYTES: usize = 1024 * 1024;
const PIECES_PER_SYNC: usize = 32;

/// Why nothing was restored. The database is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is no backup of Roomcast.
    #[error("{path} is no backup of Roomcast: {reason}. Nothing was changed")]
    NotABackup {
        /// The file.
        path: PathBuf,
        /// The check that failed.
        reason: String,
    },
    /// The backup needs a newer server.
    #[error("{path} has schema {found}, which needs a newer roomcast; this one knows schema {known}. Nothing was changed")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version of its schema.
        found: i64,
        /// Version that this program knows.
        known: i64,
    },
    /// The file is damaged.
    #[error("{path} is damaged: {reason}. Nothing was changed")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first damage.
        reason: String,
    },
    /// The file is a database in use.
    #[error(
        "{path} is a database in use and no backup: copy it with `roomcast --data-dir FOLDER backup FILE` first. Nothing was changed"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be copied into the data folder.
    #[error("the backup could not be copied into the data folder: {0}. Nothing was changed")]
    Copy(#[from] CopyError),
    /// The database could not be replaced.
    #[error("the database in {path} was not replaced: {reason}. Nothing was changed")]
    NotReplaced {
        /// The data folder.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The data folder, or the schema of the backup, cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// A backup in the data folder that was checked and is another history: every room has a new epoch. It is removed when it is
/// dropped before it was put in place.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    /// The file. Its lock tells other processes that it is not left over.
    file: File,
    /// Rooms in it.
    pub rooms: u64,
    /// Messages in it.
    pub messages: u64,
}

impl Staged {
    /// Its name in the data folder.
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Whether it is the database now.
    pub fn is_in_place(&self) -> bool {
        let database = self.path.with_file_name(open::FILE);
        let file = self.file.metadata();
        file.is_ok_and(|file| std::fs::metadata(database).is_ok_and(|found| is_same(&found, &file)))
    }
}

/// Whether both are one file. Another file system has the same inodes.
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = copy::remove(&self.path);
    }
}

/// Copies the backup `file` into the data folder and checks the copy: that it is a database of Roomcast with a schema that this
/// program can serve, and that neither its structure nor its references are damaged. Gives every room of the copy a new epoch.
pub async fn stage_backup(settings: &Settings, file: &Path) -> Result<Staged, RestoreError> {
    let folder = &settings.data_dir;
    check_file(folder, file)?;
    let (from, into) = (file.to_owned(), folder.clone());
    let copied = tokio::task::spawn_blocking(move || copy_file(&from, &into)).await;
    // From here on its drop removes the copy.
    let mut staged = copied.map_err(|error| CopyError::from(io::Error::other(error)))??;
    fail_point("copied");
    check(&mut staged, file).await?;
    let written = File::open(&staged.path).and_then(|file| file.sync_all()).and_then(|()| copy::sync_folder_of(&staged.path));
    written.map_err(CopyError::from)?;
    fail_point("staged");
    Ok(staged)
}

/// Checks what can be seen without opening the file as a database.
fn check_file(folder: &Path, file: &Path) -> Result<(), RestoreError> {
    let failed = |source| RestoreError::File { path: file.into(), source };
    let found = std::fs::metadata(file).map_err(failed)?;
    if !found.is_file() {
        // Opening a pipe would wait for its writer.
        return Err(failed(io::Error::other("it is not a file")));
    }
    let mut first = Vec::new();
    let read = File::open(file).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut first));
    read.map_err(failed)?;
    if first != MAGIC {
        return Err(RestoreError::NotABackup { path: file.into(), reason: "it is not an SQLite database".into() });
    }
    let is_database = std::fs::metadata(folder.join(open::FILE)).is_ok_and(|ours| is_same(&ours, &found));
    let has_log = ["-wal", "-journal"].iter().any(|ending| {
        let mut beside = file.as_os_str().to_owned();
        beside.push(ending);
        std::fs::metadata(beside).is_ok_and(|log| log.len() > 0)
    });
    if is_database || has_log { Err(RestoreError::InUse { path: file.into() }) } else { Ok(()) }
}

/// Copies a file into the data folder under a name of its own, mode 0600, for the folder's owner.
fn copy_file(from: &Path, folder: &Path) -> Result<Staged, CopyError> {
    let mut source = File::open(from)?;
    copy::require_space(folder, source.metadata()?.len())?;
    let path = folder.join(format!("{}{}.db", swap::STAGED, uuid::Uuid::now_v7().simple()));
    let file = File::options().create_new(true).read(true).write(true).mode(0o600).open(&path)?;
    let mut staged = Staged { path, file, rooms: 0, messages: 0 };
    staged.file.try_lock().map_err(io::Error::from)?;
    data_dir::give_to_owner(folder, &staged.file)?;
    let mut piece = vec![0; PIECE_BYTES];
    for number in 1.. {
        let length = source.read(&mut piece)?;
        if length == 0 {
            break;
        }
        staged.file.write_all(piece.get(..length).unwrap_or_default())?;
        if number % PIECES_PER_SYNC == 0 {
            staged.file.sync_data()?;
        }
    }
    staged.file.sync_all()?;
    Ok(staged)
}

/// Checks the copy of `file`, counts its rows and begins its new history.
async fn check(staged: &mut Staged, file: &Path) -> Result<(), RestoreError> {
    // Without a write-ahead log: the copy is one file when it is closed.
    let options = SqliteConnectOptions::new().filename(&staged.path).create_if_missing(false).foreign_keys(true);
    let opened = options.journal_mode(SqliteJournalMode::Delete).disable_statement_logging().connect().await;
    let damaged = |error: sqlx::Error| RestoreError::Damaged { path: file.into(), reason: error.to_string() };
    let mut connection = opened.map_err(damaged)?;
    is_roomcast(&mut connection, file).await?;
    let first: String = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut connection).await.map_err(damaged)?;
    if first != "ok" {
        return Err(RestoreError::Damaged { path: file.into(), reason: first });
    }
    let broken = sqlx::query_as::<_, (String,)>("SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1");
    if let Some((table,)) = broken.fetch_optional(&mut connection).await.map_err(damaged)? {
        let reason = format!("a row of {table} names another one that is not there");
        return Err(RestoreError::Damaged { path: file.into(), reason });
    }
    let counts = sqlx::query_as::<_, (i64, i64)>("SELECT (SELECT count(*) FROM rooms), (SELECT count(*) FROM messages)");
    let (rooms, messages) = counts.fetch_one(&mut connection).await.map_err(damaged)?;
    (staged.rooms, staged.messages) = (rooms.unsigned_abs(), messages.unsigned_abs());
    high_water::new_epochs(&mut connection).await.map_err(failed_write)?;
    connection.close().await.map_err(|error| CopyError::from(error).into())
}

fn failed_write(error: StorageError) -> RestoreError {
    CopyError::Failed(error.into()).into()
}

/// Fails unless the tables and migrations are Roomcast's, and the schema is one that this program can serve from.
async fn is_roomcast(connection: &mut SqliteConnection, file: &Path) -> Result<(), RestoreError> {
    let not = |reason: String| RestoreError::NotABackup { path: file.into(), reason };
    let damaged = |error: sqlx::Error| RestoreError::Damaged { path: file.into(), reason: error.to_string() };
    let tables = sqlx::query_as::<_, (String,)>("SELECT name FROM sqlite_schema WHERE type = 'table'");
    let tables = tables.fetch_all(&mut *connection).await.map_err(damaged)?;
    if let Some(missing) = TABLES.iter().find(|table| !tables.iter().any(|(found,)| found == *table)) {
        return Err(not(format!("it has no table {missing}")));
    }
    if !schema::is_ours(connection).await.map_err(damaged)? {
        return Err(not("its schema is another program's".into()));
    }
    let applied = schema::applied(connection).await.map_err(damaged)?;
    match schema::check_newer(connection, &applied, file).await {
        Err(OpenError::SchemaNewer { path, found, known }) => return Err(RestoreError::Newer { path, found, known }),
        checked => checked?,
    }
    match schema::difference(connection, &applied).await.map_err(damaged)? {
        Some(difference) => Err(not(difference)),
        None => Ok(()),
    }
}

/// Puts a staged backup in the place of the database of a data folder that no server uses. Returns the path of the former one, if
/// there was one; one that is damaged is kept as it is.
pub async fn put_backup_in_place(
    settings: &Settings,
    _held: &DataDirLock,
    staged: &Staged,
) -> Result<Option<PathBuf>, RestoreError> {
    let folder = &settings.data_dir;
    let _alone = CommandsLock::exclusive(folder, commands_lock::WAIT).await?;
    let failed = |source| RestoreError::Open(OpenError::Folder { path: folder.clone(), source });
    swap::tidy(folder).map_err(failed)?;
    swap::put_in_place(folder, staged.name(), true).await
}

/// Before a server opens the data folder that it holds: puts a staged backup in place, if it was started to do that, or else
/// removes the remains of a restore that was killed.
pub async fn settle_restore(settings: &Settings, _held: &DataDirLock, restores: Option<&str>) -> Result<(), RestoreError> {
    let folder = &settings.data_dir;
    match restores {
        Some(staged) => swap::put_in_place(folder, staged, false).await.map(|_former| ()),
        None => swap::tidy(folder).map_err(|source| OpenError::Folder { path: folder.clone(), source }.into()),
    }
}

/// Waits until no command has the database open. Fails with [`OpenError::CommandsRun`] after 5 s.
pub async fn await_commands(settings: &Settings) -> Result<(), OpenError> {
    CommandsLock::exclusive(&settings.data_dir, commands_lock::WAIT).await.map(drop)
}

/// Returns the path of the newest database that was kept aside by a restore.
pub fn former_database(settings: &Settings) -> io::Result<Option<PathBuf>> {
    Ok(swap::kept_aside(&settings.data_dir)?.pop())
}
