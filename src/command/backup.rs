//! `roomcast backup`: a checked copy of the database in one file, while a server runs or not.

use super::{Outcome, record, require_sqlite};
use clap::Args;
use roomcast::server::{
    config::Config,
    security_log::{Act, Event},
    storage::{Backup, back_up},
};
use std::path::PathBuf;

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
        let Backup { bytes, rooms, messages } = back_up(&config.storage, &self.file, self.force).await?;
        println!("{}: {bytes} bytes, {rooms} rooms, {messages} messages", self.file.display());
        record(config, &[Event::by_command(Act::BackedUp)]);
        Ok(())
    }
}
