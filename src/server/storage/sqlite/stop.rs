//! Stopping for a successor process: writes alone for a reload, everything for a restore, whose successor puts another database
//! in the place of this one. The connections stay open and are held, so that nobody gets one, and that all is as it was if the
//! successor fails.

use super::open::{READERS, SqliteStore};
use super::{high_water, swap};
use crate::server::storage::Result;
use crate::server::storage::commands_lock::CommandsLock;
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use std::error::Error;
use std::io;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

/// Wait for commands that have the database open, while nobody is served.
const COMMANDS_WAIT: Duration = Duration::from_millis(500);

/// The connections of a stopped store.
pub(super) struct Held {
    /// The only connection that writes: every write of this process fails as busy.
    writer: PoolConnection<Sqlite>,
    restore: Option<HeldForRestore>,
}

/// All other connections, while another database takes this one's place.
struct HeldForRestore {
    _readers: Vec<PoolConnection<Sqlite>>,
    /// The file that the connections have open.
    inode: u64,
    commands: CommandsLock,
}

impl SqliteStore {
    /// Waits for the write that is under way, and keeps the connection that writes. Fails if it is not free in time.
    pub(crate) async fn stop_writes(&self) -> Result<()> {
        let writer = self.writer.acquire().await?;
        *self.held() = Some(Held { writer, restore: None });
        Ok(())
    }

    pub(crate) async fn resume_writes(&self) {
        drop(self.held().take());
    }

    /// Waits for the reads and the write that are under way, and keeps all connections. Fails if one is not free in time, or if a
    /// command has the database open.
    pub(crate) async fn stop_for_restore(&self) -> std::result::Result<(), Box<dyn Error + Send + Sync>> {
        let commands = CommandsLock::exclusive(&self.folder, COMMANDS_WAIT).await?;
        let writer = self.writer.acquire().await?;
        let mut readers = vec![self.commit_reader.acquire().await?];
        for _ in 0..READERS {
            readers.push(self.readers.acquire().await?);
        }
        let restore = HeldForRestore { _readers: readers, inode: swap::inode(&self.folder)?, commands };
        *self.held() = Some(Held { writer, restore: Some(restore) });
        Ok(())
    }

    /// Takes back a restore whose successor failed. This process holds the data folder again.
    pub(crate) async fn take_restore_back(&self) -> std::result::Result<(), Box<dyn Error + Send + Sync>> {
        let held = self.held().take();
        let Some(Held { mut writer, restore: Some(restore) }) = held else {
            *self.held() = held;
            return Ok(());
        };
        let taken_back = async {
            swap::take_back(&self.folder, restore.inode).await?;
            // The successor may have written the number of the restored database.
            let commits = high_water::commits(&mut writer).await?;
            Ok(high_water::store(&self.folder, commits)?)
        };
        let taken_back = taken_back.await;
        *self.held() = Some(Held { writer, restore: Some(restore) });
        taken_back
    }

    /// Ends the hold on commands after a restore: they open the restored database from now on. This process opens none again.
    pub(crate) fn leave_to_successor(&self) -> io::Result<()> {
        let Some(Held { restore: Some(restore), .. }) = &mut *self.held() else { return Ok(()) };
        restore.commands.release()?;
        swap::close_aside(&self.folder, restore.inode)
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
