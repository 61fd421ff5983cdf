//! The data folder and its lock: one server at a time serves from a folder.

use super::OpenError;
use std::fs::{File, TryLockError};
use std::path::Path;

/// The lock on a data folder. The operating system releases it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DataDirLock(File);

impl DataDirLock {
    /// Takes the lock. Fails with [`OpenError::InUse`] while another process holds it.
    pub(super) fn acquire(path: &Path) -> Result<Self, OpenError> {
        let folder = |source| OpenError::Folder { path: path.into(), source };
        let file = File::options().create(true).truncate(false).write(true).open(path.join("roomcast.lock")).map_err(folder)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.into() }),
            Err(TryLockError::Error(source)) => Err(folder(source)),
        }
    }

    /// Releases the lock, so that a successor process may take it.
    pub(super) fn release(&self) -> std::io::Result<()> {
        self.0.unlock()
    }

    /// Takes the lock again after [`DataDirLock::release`]. Fails while another process holds it.
    pub(super) fn reacquire(&self) -> Result<(), TryLockError> {
        self.0.try_lock()
    }
}

/// Creates the folder and its parents if they do not exist.
pub(super) fn create(path: &Path) -> Result<(), OpenError> {
    std::fs::create_dir_all(path).map_err(|source| OpenError::Folder { path: path.into(), source })
}
