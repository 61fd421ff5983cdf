//! The program: parses the command line, loads the configuration, runs one command. `serve/` is the default one; `command/`
//! holds the others.

mod command;
mod serve;

use clap::Parser;
use command::{Cli, Command};
use roomcast::server::{config::Config, web};
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

/// Longest wait for tasks that still run after the command has returned. With the default `web.drain_within_ms` (4 s) and
/// the 3 s for PHP, a shutdown takes at most 8 s.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Variables that are not UTF-8 cannot be settings.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let outcome = Config::load(&cli.flags(), &environment).map_err(Box::from).and_then(|config| run(cli, config));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            web::write_bounded(std::io::stderr(), format!("roomcast: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, config: Config) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        match cli.command.unwrap_or(Command::Serve) {
            Command::Serve => serve::serve(config).await,
            Command::Status { watch } => command::node::status(&config, watch).await,
            Command::Connections { limit, node } => command::node::connections(&config, limit, node).await,
            Command::Stop { gracefully } => command::node::stop(&config, gracefully).await,
            Command::Reload => command::node::reload(&config).await,
            Command::Push(push) => push.run(&config),
            Command::Key { command } => command.run(&config).await,
            Command::User { command } => command.run(&config).await,
            Command::Room { command } => command.run(&config).await,
            Command::Mod { command } => command.run(&config).await,
            Command::Backup(backup) => backup.run(&config).await,
            Command::Restore(restore) => restore.run(&config).await,
            Command::MigrateStore(migrate) => migrate.run(&config).await,
        }
    });
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
    outcome
}
