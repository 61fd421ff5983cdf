//! `roomcast restore`: a backup takes the place of the database, while a server runs or not.

use super::{Outcome, record, require_sqlite};
use clap::Args;
use roomcast::domain::text::escape_controls;
use roomcast::server::{
    config::{Config, StorageSettings},
    control::{ControlClient, Request, Response},
    security_log::{Act, Event},
    storage::{DataDirLock, OpenError, Staged, await_commands, former_database, put_backup_in_place, stage_backup},
};
use std::error::Error;
use std::io::{ErrorKind, IsTerminal};
use std::path::{Path, PathBuf};

/// Arguments of `roomcast restore`.
#[derive(Args)]
pub(crate) struct RestoreCommand {
    /// Backup to put in the place of the database
    file: PathBuf,
    /// Replace the database without asking
    #[arg(long)]
    yes: bool,
}

/// A restore that was done.
struct Restored {
    staged: Staged,
    /// Path of the former database, if there was one.
    former: Option<PathBuf>,
    /// Id of the process that serves, if a server ran.
    pid: Option<u32>,
}

impl RestoreCommand {
    /// Checks the backup, replaces the database and prints the name of the former one.
    pub(crate) async fn run(self, config: &Config) -> Outcome {
        require_sqlite(config)?;
        let settings = &config.storage;
        if !self.yes {
            confirm(settings, &self.file)?;
        }
        let restored = match DataDirLock::acquire(&settings.data_dir) {
            Ok(lock) => without_server(settings, &lock, &self.file).await?,
            Err(OpenError::InUse { .. }) => with_server(settings, &self.file).await?,
            Err(error) => return Err(error.into()),
        };
        record(config, &[Event::by_command(Act::Restored)]);
        let Restored { staged, former, pid } = restored;
        println!("restored {}: {} rooms, {} messages", self.file.display(), staged.rooms, staged.messages);
        if let Some(former) = former {
            println!("the former database is {}", former.display());
        }
        if let Some(pid) = pid {
            println!("{pid} serves; the old process drains its connections");
        }
        Ok(())
    }
}

async fn without_server(settings: &StorageSettings, lock: &DataDirLock, file: &Path) -> Result<Restored, Box<dyn Error>> {
    let staged = stage_backup(settings, file).await?;
    let former = put_backup_in_place(settings, lock, &staged).await?;
    Ok(Restored { staged, former, pid: None })
}

/// Asks the running server for a reload whose new process puts the backup in place.
async fn with_server(settings: &StorageSettings, file: &Path) -> Result<Restored, Box<dyn Error>> {
    let staged = stage_backup(settings, file).await?;
    await_commands(settings).await?;
    let folder = settings.data_dir.display();
    let request = Request::Restore { staged: staged.name().into() };
    let mut client = match ControlClient::request(&settings.data_dir, &request).await {
        Ok(client) => client,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            // The server may have ended meanwhile.
            let Ok(lock) = DataDirLock::acquire(&settings.data_dir) else {
                return Err(
                    format!("the server on {folder} has no control socket: stop it, then restore. Nothing was changed").into()
                );
            };
            let former = put_backup_in_place(settings, &lock, &staged).await?;
            return Ok(Restored { staged, former, pid: None });
        }
        Err(error) => return Err(format!("the server on {folder} does not answer: {error}").into()),
    };
    let response = client.response().await.map_err(|error| {
        let outcome = if staged.is_in_place() { "the backup is in place" } else { "nothing was restored" };
        format!("the server on {folder} ended without an answer ({error}): {outcome}")
    })?;
    match response {
        Response::Reloaded { pid } if staged.is_in_place() => {
            Ok(Restored { staged, former: former_database(settings)?, pid: Some(pid) })
        }
        Response::Reloaded { pid } => Err(format!("{pid} serves the former database: its version cannot restore").into()),
        Response::Failed { reason } => Err(format!("nothing was restored: {}", escape_controls(&reason)).into()),
        other => Err(format!("unexpected response: {other:?}").into()),
    }
}

/// Returns an error unless the operator types `restore`.
fn confirm(settings: &StorageSettings, file: &Path) -> Outcome {
    let (folder, file) = (settings.data_dir.display(), file.display());
    if !std::io::stdin().is_terminal() {
        return Err(format!("this replaces the database in {folder} by {file}: add --yes").into());
    }
    eprint!("This replaces the database in {folder} by {file}; the present one is kept beside it. Type restore: ");
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    if typed.trim() == "restore" { Ok(()) } else { Err("nothing was restored".into()) }
}
