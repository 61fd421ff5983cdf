//! `roomcast backup`: a checked copy of the database in one file, while a server runs or not.

use super::{Outcome, record, require_sqlite};
use clap::Args;
use roomcast::server::{
    config::Config,
    security_log::{Act, Event},
    storage::{Backup, back_up},
};
use std::io;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of `roomcast backup`.
#[derive(Args)]
pub(crate) struct BackupCommand {
    /// File to write
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

impl BackupCommand {
    /// Writes the file and prints its name, its size and the number of its rooms and messages.
    pub(crate) async fn run(self, config: &Config) -> Outcome {
        require_sqlite(config)?;
        // Dropped, the backup removes its unfinished file.
        let Backup { bytes, rooms, messages } = tokio::select! {
            backup = back_up(&config.storage, &self.file, self.force) => backup?,
            interrupted = interrupted() => {
                interrupted?;
                return Err(format!("{} was not written: interrupted", self.file.display()).into());
            }
        };
        println!("{}: {bytes} bytes, {rooms} rooms, {messages} messages", self.file.display());
        record(config, &[Event::by_command(Act::BackedUp)]);
        Ok(())
    }
}

/// Resolves at SIGINT, SIGTERM or SIGHUP.
async fn interrupted() -> io::Result<()> {
    let (mut typed, mut ended) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hung_up = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = typed.recv() => {}
        _ = ended.recv() => {}
        _ = hung_up.recv() => {}
    }
    Ok(())
}
