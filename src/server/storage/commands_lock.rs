//! The lock between commands and a restore: commands read and write the database beside the server, and none of them may have
//! the file open while another one takes its place.

use super::{OpenError, data_dir};
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Name of the lock's file in the data folder.
const FILE: &str = "roomcast.commands.lock";
/// Longest wait of a command for the others.
pub(super) const WAIT: Duration = Duration::from_secs(5);
/// Interval of the attempts.
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// A hold on the database file of a data folder, shared by commands or exclusive. It ends with the value and with the process.
#[derive(Debug)]
pub(super) struct CommandsLock {
    file: File,
}

impl CommandsLock {
    /// For a command that opens the database: waits while a restore is under way. Fails with [`OpenError::Restoring`] after 5 s.
    pub(super) async fn shared(folder: &Path) -> Result<Self, OpenError> {
        let restoring = OpenError::Restoring { path: folder.into() };
        Self::take(folder, File::try_lock_shared, WAIT, restoring).await
    }

    /// For a restore: waits for the commands that have the database open. Fails with [`OpenError::CommandsRun`] if they do not end
    /// within `wait`.
    pub(super) async fn exclusive(folder: &Path, wait: Duration) -> Result<Self, OpenError> {
        let running = OpenError::CommandsRun { path: folder.into() };
        Self::take(folder, File::try_lock, wait, running).await
    }

    /// Ends the hold before the value is dropped.
    pub(super) fn release(&self) -> io::Result<()> {
        self.file.unlock()
    }

    async fn take(
        folder: &Path,
        lock: fn(&File) -> Result<(), TryLockError>,
        wait: Duration,
        held: OpenError,
    ) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Folder { path: folder.into(), source };
        let file = data_dir::open_lock(folder, FILE).map_err(failed)?;
        let deadline = Instant::now() + wait;
        loop {
            match lock(&file) {
                Ok(()) => return Ok(Self { file }),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Err(held),
                Err(TryLockError::WouldBlock) => sleep(RETRY_EVERY).await,
            }
        }
    }
}
