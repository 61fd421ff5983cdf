//! A copy of the database in one file of its own: the space for it, the copy, and its place on the disk.

use sqlx::SqliteConnection;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Free space that a copy must leave, in bytes.
const RESERVED_BYTES: u64 = 16 * 1024 * 1024;
/// Interval at which a growing copy is written to the disk. Left to the end, its last sync would hold up the syncs of a running
/// server on the same disk.
const SYNC_EVERY: Duration = Duration::from_millis(50);

/// The first bytes of every SQLite database.
pub(super) const MAGIC: [u8; 16] = *b"SQLite format 3\0";
/// Flags that open a file and neither what a link of this name leads to nor a pipe's other end.
pub(super) const NO_LINK: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The disk has no space for it.
    #[error("the copy needs {needed} bytes, and {free} bytes are free")]
    NoSpace {
        /// Size of the copy with a reserve, in bytes.
        needed: u64,
        /// Free space, in bytes.
        free: u64,
    },
    /// The database or the disk failed.
    #[error("{0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Fails unless a file of `bytes` fits into `folder` and leaves [`RESERVED_BYTES`].
pub(super) fn require_space(folder: &Path, bytes: u64) -> Result<(), CopyError> {
    let needed = bytes.saturating_add(RESERVED_BYTES);
    let space = rustix::fs::statvfs(folder).map_err(io::Error::from)?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free < needed { Err(CopyError::NoSpace { needed, free }) } else { Ok(()) }
}

/// Copies the database of `connection` into the empty file `part` of `folder`, as it is at one moment; writers go on meanwhile.
/// The copy is on the disk when this returns.
pub(super) async fn copy(connection: &mut SqliteConnection, folder: &Path, part: &Path) -> Result<(), CopyError> {
    let bytes = sqlx::query_scalar::<_, i64>("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        .fetch_one(&mut *connection)
        .await?;
    require_space(folder, bytes.unsigned_abs())?;
    let target = part.to_str().ok_or_else(|| io::Error::other("the path of the copy is not UTF-8"))?;
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).custom_flags(NO_LINK).open(part)?;
    let (ended, is_ended) = mpsc::channel::<()>();
    let syncing = std::thread::spawn(move || {
        while is_ended.recv_timeout(SYNC_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
            file.sync_data()?;
        }
        file.sync_all()
    });
    let copied = sqlx::query("VACUUM INTO ?").bind(target).execute(connection).await;
    drop(ended);
    let synced = tokio::task::spawn_blocking(move || syncing.join()).await;
    copied?;
    synced.map_err(io::Error::other)?.map_err(|_| io::Error::other("the sync panicked"))??;
    Ok(())
}

/// Gives a finished file its name, in place of another of this name: a crash leaves either of them.
pub(super) fn put_in_place(part: &Path, path: &Path) -> io::Result<()> {
    std::fs::rename(part, path)?;
    sync_folder_of(path)
}

/// Writes the names of the folder that holds `path` to the disk.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Removes a file that may be missing.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
