//! `roomcast backup`: a checked copy of the database in one file, while a server writes or not.
//!
//! The copy is made by another process than the server's: it reads one moment of the database, and the server goes on writing
//! beside it. It gets its name after it was checked and is on the disk.

use super::copy::{self, CopyError, MAGIC, NO_LINK};
use super::{open, schema};
use crate::server::config::StorageSettings as Settings;
use crate::server::storage::OpenError;
use crate::server::storage::commands_lock::CommandsLock;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::collections::HashMap;
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Priority that a command gives up, so that a running server goes first.
const NICE: i32 = 10;

/// A finished backup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backup {
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// Rooms in it.
    pub rooms: u64,
    /// Messages in it.
    pub messages: u64,
}

/// Why no backup was made. An earlier file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data folder has no database.
    #[error("there is no database in {path} (another folder? use --data-dir)")]
    NoDatabase {
        /// The data folder.
        path: PathBuf,
    },
    /// The file exists.
    #[error("{path} exists: choose another name, or replace it with --force")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The name belongs to the server.
    #[error("{path} is a name that the server itself uses in its data folder: choose another one")]
    Reserved {
        /// The file.
        path: PathBuf,
    },
    /// Another backup to the same file is under way.
    #[error("another backup writes {path} now")]
    InProgress {
        /// The unfinished file.
        path: PathBuf,
    },
    /// The name of the unfinished file belongs to something else.
    #[error("{path} is there and was left by no backup: remove it, or choose another name")]
    Foreign {
        /// The unfinished file.
        path: PathBuf,
    },
    /// The copy was not made.
    #[error("{path} was not written: {source}")]
    Copy {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: CopyError,
    },
    /// The copy differs from the database, or is damaged.
    #[error("{path} was not written: the copy is not right: {reason}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The difference.
        reason: String,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Copies the database of the data folder to `file`, mode 0600, and checks the copy: its structure, its schema, and that it holds
/// every message that was stored before the call. Replaces a file only if `force` is set.
pub async fn back_up(settings: &Settings, file: &Path, force: bool) -> Result<Backup, BackupError> {
    let folder = &settings.data_dir;
    let failed = |source: CopyError| BackupError::Copy { path: file.into(), source };
    let database = folder.join(open::FILE);
    if !database.exists() {
        return Err(BackupError::NoDatabase { path: folder.clone() });
    }
    let path = std::path::absolute(file).map_err(|error| failed(error.into()))?;
    check_name(folder, &path, force)?;
    let _lock = CommandsLock::shared(folder).await?;
    // Fails only if the system does not know priorities.
    let _ = rustix::process::nice(NICE);
    let part = Part::create(&path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => BackupError::InProgress { path: Part::path_of(&path) },
        io::ErrorKind::AlreadyExists => BackupError::Foreign { path: Part::path_of(&path) },
        _ => failed(error.into()),
    })?;
    let options = SqliteConnectOptions::new().filename(&database).create_if_missing(false).disable_statement_logging();
    let busy = Duration::from_millis(settings.busy_within_ms);
    let opened = options.busy_timeout(busy).connect().await;
    let mut source = opened.map_err(|source| OpenError::Database { path: folder.clone(), source })?;
    let backup = match copy_checked(&mut source, &path, &part.path).await {
        Ok(backup) => backup,
        Err(Unfinished::Copy(error)) => return Err(failed(error)),
        Err(Unfinished::Wrong(reason)) => return Err(BackupError::Wrong { path, reason }),
    };
    let _ = source.close().await;
    part.finish(&path).map_err(|error| failed(error.into()))?;
    Ok(backup)
}

/// Fails if the file exists and is not to be replaced, or if its name is the server's.
fn check_name(folder: &Path, path: &Path, force: bool) -> Result<(), BackupError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_ours = ["roomcast.", "high-water", "security.log"].iter().any(|prefix| name.starts_with(prefix));
    let same = |a: Option<&Path>, b: &Path| a.and_then(|a| Some(a.canonicalize().ok()? == b.canonicalize().ok()?)) == Some(true);
    // A link elsewhere may lead to the database as well.
    let is_database = same(Some(path), &folder.join(open::FILE));
    if is_database || (is_ours && same(path.parent(), folder)) {
        return Err(BackupError::Reserved { path: path.into() });
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if !force || !found.is_file() => Err(BackupError::Exists { path: path.into() }),
        _ => Ok(()),
    }
}

/// The unfinished file, `FILE.part`. It is locked, and removed when it is dropped before it was finished.
struct Part {
    path: PathBuf,
    file: File,
    is_finished: bool,
}

impl Part {
    fn path_of(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        name.into()
    }

    /// Creates the file, or empties one that a killed backup left. Fails with `WouldBlock` while another process has it, and with
    /// `AlreadyExists` if it is anything else: a link, another user's file, or one with other content.
    fn create(path: &Path) -> io::Result<Self> {
        let path = Self::path_of(path);
        let mut options = File::options();
        options.read(true).write(true).mode(0o600).custom_flags(NO_LINK);
        let file = match options.clone().create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = options.open(&path).map_err(|_| error)?;
                if !Self::is_left_over(&file)? {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                file
            }
            created => created?,
        };
        file.try_lock().map_err(io::Error::from)?;
        // The other process may have finished and renamed it before it was locked here.
        if std::fs::metadata(&path)?.ino() != file.metadata()?.ino() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.set_len(0)?;
        Ok(Self { path, file, is_finished: false })
    }

    /// Whether a backup of this user left the file: it has one name, and is empty or begins as a database does. SQLite may write
    /// the first page last, so that it is zeros until then.
    fn is_left_over(mut file: &File) -> io::Result<bool> {
        let found = file.metadata()?;
        let mut first = [0; MAGIC.len()];
        let is_ours = found.is_file() && found.nlink() == 1 && found.uid() == rustix::process::geteuid().as_raw();
        if !is_ours || found.len() == 0 {
            return Ok(is_ours);
        }
        Ok(found.len() >= MAGIC.len() as u64 && {
            file.read_exact(&mut first)?;
            first == MAGIC || first == [0; MAGIC.len()]
        })
    }

    /// Gives the file its name.
    fn finish(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        copy::put_in_place(&self.path, path)?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = copy::remove(&self.path);
            // SQLite keeps it while it copies.
            let mut journal = self.path.clone().into_os_string();
            journal.push("-journal");
            let _ = copy::remove(Path::new(&journal));
        }
    }
}

/// Why a copy was not finished.
enum Unfinished {
    Copy(CopyError),
    Wrong(String),
}

impl<E: Into<CopyError>> From<E> for Unfinished {
    fn from(error: E) -> Self {
        Self::Copy(error.into())
    }
}

/// Copies the database to `part` and checks the copy.
async fn copy_checked(source: &mut SqliteConnection, path: &Path, part: &Path) -> Result<Backup, Unfinished> {
    let before = Extent::all(source).await?;
    copy::copy(source, path.parent().unwrap_or(Path::new("/")), part).await?;
    let options = SqliteConnectOptions::new().filename(part).read_only(true).disable_statement_logging();
    let mut copied = options.connect().await?;
    let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut copied).await?;
    if found != "ok" {
        return Err(Unfinished::Wrong(found));
    }
    if schema::applied(&mut copied).await? != schema::applied(source).await? {
        return Err(Unfinished::Wrong("its schema is another one".into()));
    }
    if let Some(room) = first_difference(source, &mut copied, &before).await? {
        return Err(Unfinished::Wrong(format!("messages of room {room} are missing")));
    }
    let count = "SELECT (SELECT count(*) FROM rooms), (SELECT count(*) FROM messages)";
    let (rooms, messages): (i64, i64) = sqlx::query_as(count).fetch_one(&mut copied).await?;
    let _ = copied.close().await;
    let bytes = std::fs::metadata(part)?.len();
    Ok(Backup { bytes, rooms: rooms.unsigned_abs(), messages: messages.unsigned_abs() })
}

/// The messages of a room, up to a seq. Their number and not their texts: an act may remove or restore a text while the copy is made,
/// and the copy has one moment of it.
#[derive(Clone, Copy)]
struct Extent {
    count: i64,
    oldest: i64,
    newest: i64,
}

impl Extent {
    async fn all(connection: &mut SqliteConnection) -> sqlx::Result<HashMap<String, Self>> {
        let rows = sqlx::query_as("SELECT room, count(*), min(seq), max(seq) FROM messages GROUP BY room");
        Ok(Self::by_room(rows.fetch_all(connection).await?))
    }

    /// Of the rooms in `bounds`, the messages up to the newest one there.
    async fn within(
        connection: &mut SqliteConnection,
        bounds: &HashMap<String, Self>,
    ) -> Result<HashMap<String, Self>, CopyError> {
        let bounds: HashMap<_, _> = bounds.iter().map(|(room, extent)| (room, extent.newest)).collect();
        let bounds = serde_json::to_string(&bounds).map_err(io::Error::from)?;
        let rows = sqlx::query_as(
            "SELECT room, count(*), min(seq), max(seq) FROM json_each(?) AS bound
            JOIN messages ON messages.room = bound.key AND messages.seq <= bound.value GROUP BY room",
        );
        Ok(Self::by_room(rows.bind(bounds).fetch_all(connection).await?))
    }

    fn by_room(rows: Vec<(String, i64, i64, i64)>) -> HashMap<String, Self> {
        rows.into_iter().map(|(room, count, oldest, newest)| (room, Self { count, oldest, newest })).collect()
    }
}

/// Returns a room of which the copy lacks a message that was there before the copy began. A room's oldest messages may be gone:
/// they were deleted meanwhile if the database has lost them as well.
async fn first_difference(
    source: &mut SqliteConnection,
    copied: &mut SqliteConnection,
    before: &HashMap<String, Extent>,
) -> Result<Option<String>, CopyError> {
    let in_copy = Extent::within(copied, before).await?;
    let mut shorter = HashMap::new();
    for (room, was) in before {
        match in_copy.get(room) {
            Some(is) if is.oldest == was.oldest && is.count == was.count => {}
            Some(is) if is.oldest == was.oldest => return Ok(Some(room.clone())),
            _ => _ = shorter.insert(room.clone(), *was),
        }
    }
    let now = Extent::within(source, &shorter).await?;
    let oldest = |extents: &HashMap<String, Extent>, room: &String| extents.get(room).map_or(i64::MAX, |extent| extent.oldest);
    Ok(shorter.into_keys().find(|room| oldest(&now, room) < oldest(&in_copy, room)))
}
