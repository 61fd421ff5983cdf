//! A restored database takes the place of the former one, which is kept aside.
//!
//! ```text
//! roomcast.db  roomcast.db-wal   the former database; its log is empty after a checkpoint
//! roomcast.before-restore-T.db   1. a second name for the former database
//!   …-wal, …-shm                 2. its log and index get the names that belong to it
//! roomcast.db                    3. the restored one is renamed to this
//! ```
//!
//! There is a whole database named `roomcast.db` at every moment: a crash leaves the former one up to step 3 and the restored one
//! from it on. The restored one never stands beside the former one's log. The process that held the data folder keeps its
//! connections to the former files open meanwhile, and takes the names back if the new process fails.

use super::copy;
use super::open;
use super::restore::RestoreError;
use crate::domain::calendar;
use crate::server::storage::fail_point::fail_point;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Names of backups that were copied into the data folder: this, digits, and `.db`.
pub(super) const STAGED: &str = "roomcast.restore-";
/// Names of former databases: this, the time of the restore, and `.db`.
const ASIDE: &str = "roomcast.before-restore-";
/// Former databases that are kept, the newest ones.
const KEPT_ASIDE: usize = 2;
/// Time for which each of them is kept, in seconds.
const KEPT_SECONDS: u64 = 24 * 60 * 60;
/// The files that SQLite keeps beside a database: the write-ahead log and its index.
const BESIDE: [&str; 2] = ["-wal", "-shm"];
/// Wait for another process to end its read of the former database.
const BUSY: Duration = Duration::from_millis(1_500);

/// Puts the staged database in the place of the former one. The caller holds the data folder, and nobody else uses the database.
/// Returns the path of the former one, if there was one. With `even_damaged` a former one that cannot be read is kept aside as it is.
pub(super) async fn put_in_place(folder: &Path, staged: &str, even_damaged: bool) -> Result<Option<PathBuf>, RestoreError> {
    let not_replaced = |reason: String| RestoreError::NotReplaced { path: folder.into(), reason };
    let from = folder.join(staged);
    if !staged.starts_with(STAGED) || staged.contains('/') || !from.is_file() {
        return Err(not_replaced(format!("the copy of the backup, {staged}, is gone")));
    }
    let database = folder.join(open::FILE);
    let mut former = None;
    if database.exists() {
        match empty_log(&database).await {
            Ok(()) => {}
            Err(error) if even_damaged && is_damaged(&error) => {}
            Err(error) => return Err(not_replaced(format!("its write-ahead log cannot be emptied ({error})"))),
        }
        fail_point("log-emptied");
        former = Some(set_aside(folder, &database).map_err(|error| not_replaced(error.to_string()))?);
    }
    if let Err(error) = copy::put_in_place(&from, &database) {
        let _ = undo_half(folder);
        return Err(not_replaced(error.to_string()));
    }
    fail_point("in-place");
    // Surplus copies do no harm.
    let _ = remove_surplus(folder);
    fail_point("tidied");
    Ok(former)
}

/// Writes the whole log into the database file and empties it.
async fn empty_log(database: &Path) -> sqlx::Result<()> {
    let options = SqliteConnectOptions::new().filename(database).create_if_missing(false).busy_timeout(BUSY);
    let mut connection = options.disable_statement_logging().connect().await?;
    // Reads the file, so that one that is no database is found.
    sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&mut connection).await?;
    let checkpoint = sqlx::query_as::<_, (i64, i64, i64)>("PRAGMA wal_checkpoint(TRUNCATE)");
    let (is_busy, ..) = checkpoint.fetch_one(&mut connection).await?;
    connection.close().await?;
    let is_empty = std::fs::metadata(beside(database, BESIDE[0])).map_or(true, |log| log.len() == 0);
    let busy = || sqlx::Error::Io(io::Error::other("another process reads it"));
    if is_busy == 0 && is_empty { Ok(()) } else { Err(busy()) }
}

/// Whether an error says that the file is no database (NOTADB), is damaged (CORRUPT) or cannot be read (IOERR).
fn is_damaged(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| [10, 11, 26].contains(&(code & 0xff)))
}

/// Gives the former database a second name, and its log and index the names that belong to that one.
fn set_aside(folder: &Path, database: &Path) -> io::Result<PathBuf> {
    let now = seconds_now();
    let named = |second: u64| folder.join(aside_name(second));
    // The first second from now on that has no copy yet.
    let aside = (now..).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(now));
    std::fs::hard_link(database, &aside)?;
    let moved = || {
        copy::sync_folder_of(database)?;
        fail_point("linked");
        rename_beside(database, &aside)?;
        copy::sync_folder_of(database)
    };
    if let Err(error) = moved() {
        undo_half(folder)?;
        return Err(error);
    }
    fail_point("log-moved");
    Ok(aside)
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Name of a database that was replaced at a time. Names sort as times do.
fn aside_name(second: u64) -> String {
    format!("{ASIDE}{}.db", calendar::iso(second * 1000).replace([':', '-'], ""))
}

/// Path of a file that SQLite keeps beside a database.
fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Renames the files beside `from` to those beside `to`, as far as the former exist and the latter do not.
fn rename_beside(from: &Path, to: &Path) -> io::Result<()> {
    for ending in BESIDE {
        let (from, to) = (beside(from, ending), beside(to, ending));
        if from.exists() && !to.exists() {
            std::fs::rename(from, to)?;
        }
    }
    Ok(())
}

/// The former databases in the folder, oldest first.
pub(super) fn kept_aside(folder: &Path) -> io::Result<Vec<PathBuf>> {
    named(folder, |name| name.starts_with(ASIDE) && name.ends_with(".db"))
}

/// The paths of the folder's files with such names, sorted.
fn named(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&is_wanted) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the inode of the database in the folder, by which it is known under each of its names.
pub(super) fn inode(folder: &Path) -> io::Result<u64> {
    Ok(std::fs::metadata(folder.join(open::FILE))?.ino())
}

fn kept_as(folder: &Path, inode: u64) -> io::Result<Option<PathBuf>> {
    let is_it = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|found| found.ino() == inode);
    Ok(kept_aside(folder)?.into_iter().find(is_it))
}

/// Takes a restore back that ended before step 3: the database has one name again, and its log beside it.
pub(super) fn undo_half(folder: &Path) -> io::Result<()> {
    let database = folder.join(open::FILE);
    if let Ok(inode) = inode(folder)
        && let Some(aside) = kept_as(folder, inode)?
    {
        rename_beside(&aside, &database)?;
        std::fs::remove_file(&aside)?;
        copy::sync_folder_of(&database)?;
    }
    Ok(())
}

/// Takes a restore back, at whichever step the new process failed. The caller holds the data folder, and connections to the
/// database of this inode. Fails if that database is not found.
pub(super) async fn take_back(folder: &Path, own: u64) -> io::Result<()> {
    let database = folder.join(open::FILE);
    if inode(folder)? == own {
        return undo_half(folder);
    }
    let Some(aside) = kept_as(folder, own)? else { return Err(io::Error::other("the former database is gone")) };
    // The restored database must not leave its log beside the former one. Its content is that of the backup.
    let _ = empty_log(&database).await;
    for ending in BESIDE {
        copy::remove(&beside(&database, ending))?;
    }
    copy::sync_folder_of(&database)?;
    std::fs::rename(&aside, &database)?;
    rename_beside(&aside, &database)?;
    copy::sync_folder_of(&database)
}

/// Removes the log and the index of the former database of this inode, once no process writes to it any more.
pub(super) fn close_aside(folder: &Path, own: u64) -> io::Result<()> {
    kept_as(folder, own)?.map_or(Ok(()), |aside| remove_empty_beside(&aside))
}

fn remove_empty_beside(aside: &Path) -> io::Result<()> {
    let (log, index) = (beside(aside, BESIDE[0]), beside(aside, BESIDE[1]));
    if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Ok(());
    }
    copy::remove(&log)?;
    copy::remove(&index)
}

/// Completes or takes back what a killed restore left. The caller holds the data folder, and no process uses the database.
pub(super) fn tidy(folder: &Path) -> io::Result<()> {
    undo_half(folder)?;
    for staged in named(folder, |name| name.starts_with(STAGED))? {
        let copied = staged.to_string_lossy().strip_suffix("-journal").map_or_else(|| staged.clone(), PathBuf::from);
        if !is_locked(&copied) {
            copy::remove(&staged)?;
        }
    }
    for file in named(folder, |name| name.starts_with(ASIDE) && BESIDE.iter().any(|ending| name.ends_with(ending)))? {
        let name = file.to_string_lossy();
        let aside = BESIDE.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or_default();
        remove_empty_beside(Path::new(aside))?;
    }
    Ok(())
}

/// Whether another process is at work on a copy of a backup.
fn is_locked(staged: &Path) -> bool {
    let file = File::options().read(true).custom_flags(copy::NO_LINK).open(staged);
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Removes all former databases but the newest [`KEPT_ASIDE`] and those of the last day, among which may be the one that an
/// operator wants back after restores of wrong files.
fn remove_surplus(folder: &Path) -> io::Result<()> {
    let recent = folder.join(aside_name(seconds_now().saturating_sub(KEPT_SECONDS)));
    let kept = kept_aside(folder)?;
    let young = kept.iter().filter(|aside| **aside > recent).count();
    let surplus = kept.len().saturating_sub(young.max(KEPT_ASIDE));
    for aside in kept.iter().take(surplus) {
        copy::remove(aside)?;
        BESIDE.iter().try_for_each(|ending| copy::remove(&beside(aside, ending)))?;
    }
    Ok(())
}
