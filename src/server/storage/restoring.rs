//! The part of the contract that lets a successor process put another database in the place of this one. Only SQLite's is a file.

use super::Store;
use std::error::Error;
use std::io;

impl Store {
    /// Completes the reads and writes that are under way, so that a successor may replace the database. Until
    /// [`Store::resume_writes`] reads and writes fail as busy, and commands do not open the database. Fails if they are not
    /// completed in time, if a command has the database open, and on PostgreSQL.
    pub async fn stop_for_restore(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        match self {
            Self::Sqlite(store) => store.stop_for_restore().await,
            Self::Postgres(_) => Err("the server's database is PostgreSQL's".into()),
        }
    }

    /// Takes back a restore whose successor failed, at whichever step; this process holds the data folder again. Does nothing
    /// after another stop. Fails if the former database is not found.
    pub async fn take_restore_back(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        match self {
            Self::Sqlite(store) => store.take_restore_back().await,
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Lets commands open the database that a successor has put in place. Does nothing after another stop.
    pub fn leave_to_successor(&self) -> io::Result<()> {
        match self {
            Self::Sqlite(store) => store.leave_to_successor(),
            Self::Postgres(_) => Ok(()),
        }
    }
}
