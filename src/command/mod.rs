//! The command line: its commands, their arguments, and their `--help` texts.
//!
//! `serve` is the server itself. `status`, `connections`, `stop` and `reload` use the control socket of a running server;
//! `push` uses its HTTP API; `key`, `user`, `room` and `mod` change the database, also while a server runs; `backup` and `restore` copy
//! and replace it.

mod backup;
mod json_lines;
mod key;
mod migrate_store;
mod mod_log;
mod moderation;
pub(crate) mod node;
mod operator_act;
mod person;
mod push;
mod restore;
mod room;
mod user;
mod user_data;

use backup::BackupCommand;
use clap::{Args, Parser, Subcommand};
use key::KeyCommand;
use migrate_store::MigrateStoreCommand;
use moderation::ModCommand;
use push::PushCommand;
use restore::RestoreCommand;
use room::RoomCommand;
use roomcast::domain::{lang::Lang, refusal::Refusal};
use roomcast::server::{
    clock::Clock,
    config::{Config, Flags},
    security_log::{Event, SecurityLog},
    storage::{PersonRow, Store},
};
use std::error::Error;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use user::UserCommand;

type Outcome = Result<(), Box<dyn Error>>;

/// The command line. Its `--help` summary is the package's description.
#[derive(Parser)]
#[command(name = "roomcast", version, about)]
pub(crate) struct Cli {
    /// The command; without one, `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    options: GlobalOptions,
}

#[derive(Args)]
struct GlobalOptions {
    /// Configuration file [default: Leptos.toml in the working directory, if it exists]
    #[arg(long, value_name = "PATH", global = true)]
    config: Option<PathBuf>,
    /// Listen address of the site, e.g. 0.0.0.0:3000 [default: 127.0.0.1:3000]
    #[arg(long, value_name = "ADDRESS", global = true)]
    addr: Option<SocketAddr>,
    /// Folder of the database and the control socket [default: ./data]
    #[arg(long, value_name = "PATH", global = true)]
    data_dir: Option<PathBuf>,
    /// Certificate chain in PEM, for TLS without a proxy; read again when it changes
    #[arg(long, value_name = "PATH", global = true, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate in PEM
    #[arg(long, value_name = "PATH", global = true, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Set a key of Leptos.toml, e.g. chat.cooldown_ms=5000; may be repeated
    #[arg(long, value_name = "TABLE.KEY=VALUE", value_parser = setting, global = true)]
    set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(key, value)| (key.trim().into(), value.trim().into())).ok_or("expected TABLE.KEY=VALUE".into())
}

impl Cli {
    /// Returns the options as [`Flags`]; `--tls-cert`, `--tls-key` and `--to` are short for `--set`.
    pub(crate) fn flags(&self) -> Flags {
        let GlobalOptions { config, addr, data_dir, tls_cert, tls_key, set } = &self.options;
        let mut set = set.clone();
        for (key, path) in [("web.tls_cert", tls_cert), ("web.tls_key", tls_key)] {
            set.extend(path.as_ref().map(|path| (key.to_owned(), path.display().to_string())));
        }
        if let Some(Command::MigrateStore(migrate)) = &self.command {
            set.extend(migrate.to().map(|url| ("storage.url".to_owned(), url.to_owned())));
        }
        Flags { config: config.clone(), addr: *addr, data_dir: data_dir.clone(), set }
    }
}

/// The commands. A variant's comment is its `--help` text.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the server (the default)
    Serve,
    /// Show the state of the running server: connections, groups, queues and pushes of each shard, and the nodes of its cluster
    Status {
        /// Repeat every second
        #[arg(short = 'd')]
        watch: bool,
    },
    /// List the open connections of the running server
    Connections {
        /// Connections listed per shard, at most
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        /// List those of this node of the cluster, by its gateway.lan_addr [default: all nodes]
        #[arg(long, value_name = "ADDRESS")]
        node: Option<SocketAddrV4>,
    },
    /// Shut the running server down and wait until it has exited
    Stop {
        /// Drain the connections over up to a minute (web.drain_slowly_ms)
        #[arg(short = 'g')]
        gracefully: bool,
    },
    /// Start a new process of this binary that takes over; no connection is refused meanwhile
    Reload,
    /// Send a message through the HTTP API of a running server
    Push(PushCommand),
    /// Manage API keys: list, add, remove; also while a server runs
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Manage accounts and personal data: list, add, password, sign-out, export, erase; also while a server runs
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Manage rooms: list, add, title, host, mods, slow, close, open, delete; also while a server runs
    Room {
        #[command(subcommand)]
        command: RoomCommand,
    },
    /// Moderate: remove, purge, timeout, ban, warn, lift, undo, reports; read and verify the log; also while a server runs
    Mod {
        #[command(subcommand)]
        command: ModCommand,
    },
    /// Copy the database to one file and check the copy; also while a server runs
    Backup(BackupCommand),
    /// Put a backup in the place of the database, which is kept aside; also while a server runs
    Restore(RestoreCommand),
    /// Move the SQLite database of a stopped server to PostgreSQL; run again, it goes on where it was
    MigrateStore(MigrateStoreCommand),
}

/// Fails unless the database is SQLite's, which alone is a file.
fn require_sqlite(config: &Config) -> Outcome {
    if config.storage.url.is_empty() {
        return Ok(());
    }
    Err("storage.url is set, so the database is PostgreSQL's: copy it with pg_dump, as docs/postgres.md says".into())
}

/// Returns the account `name`, or the error that there is none.
async fn find_account(store: &Store, name: &str) -> Result<PersonRow, Box<dyn Error>> {
    store.person_by_account(name).await?.ok_or_else(|| format!("no account {name}").into())
}

/// Records acts of the command line in `security.log`, beside the server's. The act is done: if the file cannot be written,
/// the command only says so.
fn record(config: &Config, events: &[Event<'_>]) {
    match SecurityLog::open(&config.storage, Clock::system()) {
        Ok(log) => {
            events.iter().for_each(|event| log.record(event));
            log.close();
        }
        Err(error) => eprintln!("roomcast: security.log cannot be written: {error}"),
    }
}

/// The English text of a refusal, as the error of a command.
fn refusal_text(refusal: Refusal) -> String {
    refusal.message(Lang::En)
}
