//! The data folder: one server at a time serves from it, and only its owner reads its files.

use super::{OpenError, OpenNotice};
use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The permission bits of the group and of other users.
const NOT_OWNER: u32 = 0o077;

/// A server's hold on its data folder. `serve` takes it before it opens the store, whichever store that is. Cheap to clone: all
/// clones are one lock. The operating system releases it when the last clone is dropped and when the process ends.
#[derive(Clone, Debug)]
pub struct DataDirLock(Arc<Held>);

#[derive(Debug)]
struct Held {
    file: File,
    is_held: AtomicBool,
    notices: Vec<OpenNotice>,
}

impl DataDirLock {
    /// Creates the folder if it is missing, takes its lock, and takes its files away from other users. Fails with
    /// [`OpenError::InUse`] while another process holds the lock.
    pub fn acquire(path: &Path) -> Result<Self, OpenError> {
        create(path)?;
        let folder = |source| OpenError::Folder { path: path.into(), source };
        let file = open_lock(path, "roomcast.lock").map_err(folder)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: path.into() }),
            Err(TryLockError::Error(source)) => return Err(folder(source)),
        }
        Ok(Self(Arc::new(Held { file, is_held: AtomicBool::new(true), notices: narrow(path)? })))
    }

    /// Returns the facts about the folder that the operator should know.
    pub fn notices(&self) -> &[OpenNotice] {
        &self.0.notices
    }

    /// Releases the lock, so that a successor process may take it. The store must have stopped its writes:
    /// [`Store::stop_writes`](super::Store::stop_writes).
    pub fn release(&self) -> io::Result<()> {
        self.0.is_held.store(false, Ordering::SeqCst);
        self.0.file.unlock()
    }

    /// Takes the lock again after [`DataDirLock::release`]. Fails while another process holds it.
    pub fn reacquire(&self) -> Result<(), TryLockError> {
        self.0.file.try_lock()?;
        self.0.is_held.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Whether this process may write the files that belong to the serving process.
    pub fn is_held(&self) -> bool {
        self.0.is_held.load(Ordering::SeqCst)
    }
}

/// Makes the files and folders that this process creates from now on readable by its user alone. The mask is the process's.
fn restrict_new_files() {
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(NOT_OWNER));
}

/// Opens or creates a lock's file in the folder, for the folder's owner alone. Fails if a link has its name.
pub(super) fn open_lock(folder: &Path, name: &str) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let file = options.open(folder.join(name))?;
    give_to_owner(folder, &file)?;
    Ok(file)
}

/// Gives a file of root to the folder's owner: a command that root runs must not leave one that the server cannot open. The file
/// must not have been opened through a link; one with a second name stays.
pub(super) fn give_to_owner(folder: &Path, file: &File) -> io::Result<()> {
    let (folder, file_now) = (std::fs::metadata(folder)?, file.metadata()?);
    if file_now.uid() == 0 && folder.uid() != 0 && file_now.is_file() && file_now.nlink() == 1 {
        fchown(file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

/// Creates the folder and its parents if they do not exist, for their owner alone.
pub(super) fn create(path: &Path) -> Result<(), OpenError> {
    restrict_new_files();
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|source| OpenError::Folder { path: path.into(), source })
}

/// Takes the files of the folder away from other users: earlier versions created them with the system's mask. The folder
/// itself stays as the operator made it, and a notice says so if others may enter it.
fn narrow(path: &Path) -> Result<Vec<OpenNotice>, OpenError> {
    let narrowed = narrow_files(path).map_err(|source| OpenError::Folder { path: path.into(), source })?;
    let mut notices = Vec::new();
    if narrowed > 0 {
        notices.push(OpenNotice::FilesNarrowed { path: path.into(), files: narrowed });
    }
    match std::fs::metadata(path) {
        Ok(folder) if folder.mode() & NOT_OWNER != 0 => {
            notices.push(OpenNotice::WideFolder { path: path.into(), mode: folder.mode() & 0o777 });
        }
        _ => {}
    }
    Ok(notices)
}

/// Returns the number of files whose mode changed. Files of other users, and files that are not Roomcast's, stay.
fn narrow_files(path: &Path) -> io::Result<usize> {
    let mut narrowed = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| name.starts_with("roomcast.") || name == "high-water");
        let metadata = entry.metadata()?;
        if is_ours && metadata.is_file() && metadata.mode() & NOT_OWNER != 0 {
            match std::fs::set_permissions(entry.path(), Permissions::from_mode(0o600)) {
                Ok(()) => narrowed += 1,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(narrowed)
}
