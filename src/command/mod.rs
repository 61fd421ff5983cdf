//! The command line: what can be said to the program, and the commands that work beside a running server.

mod key;
pub mod node;
mod push;
mod room;
mod user;

use clap::{Args, Parser, Subcommand};
use key::KeyCommand;
use push::PushCommand;
use room::RoomCommand;
use roomcast::domain::{lang::Lang, refusal::Refusal};
use roomcast::server::{
    config::Flags,
    storage::{PersonRow, Store},
};
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use user::UserCommand;

type Outcome = Result<(), Box<dyn Error>>;

/// Live-room chat and push gateway. Alone it serves.
#[derive(Parser)]
#[command(name = "roomcast", version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    options: GlobalOptions,
}

#[derive(Args)]
struct GlobalOptions {
    /// The configuration file [default: Leptos.toml here, if there is one]
    #[arg(long, value_name = "PATH", global = true)]
    config: Option<PathBuf>,
    /// Where the site listens, e.g. 0.0.0.0:3000
    #[arg(long, value_name = "ADDRESS", global = true)]
    addr: Option<SocketAddr>,
    /// Where messages and accounts are kept [default: ./data]
    #[arg(long, value_name = "PATH", global = true)]
    data_dir: Option<PathBuf>,
    /// TLS by ourselves: a certificate chain in PEM, read again when it changes
    #[arg(long, value_name = "PATH", global = true, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "PATH", global = true, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Any key of Leptos.toml, e.g. chat.cooldown_ms=5000; may be repeated
    #[arg(long, value_name = "TABLE.KEY=VALUE", value_parser = setting, global = true)]
    set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(key, value)| (key.trim().into(), value.trim().into())).ok_or("expected TABLE.KEY=VALUE".into())
}

impl Cli {
    pub fn flags(&self) -> Flags {
        let GlobalOptions { config, addr, data_dir, tls_cert, tls_key, set } = &self.options;
        let mut set = set.clone();
        for (key, path) in [("web.tls_cert", tls_cert), ("web.tls_key", tls_key)] {
            set.extend(path.as_ref().map(|path| (key.to_owned(), path.display().to_string())));
        }
        Flags { config: config.clone(), addr: *addr, data_dir: data_dir.clone(), set }
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Serve the site (what `roomcast` does alone)
    Serve,
    /// How the node does: its shards, their connections and queues
    Status {
        /// Again every second
        #[arg(short = 'd')]
        watch: bool,
    },
    /// Who is connected
    Connections {
        /// At most so many of each shard
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// End the node, politely
    Stop {
        /// More politely: everyone gets a minute to go
        #[arg(short = 'g')]
        gracefully: bool,
    },
    /// Let a fresh process of this binary take over; nobody who connects meanwhile is refused
    Reload,
    /// Say something through the gateway's API
    Push(PushCommand),
    /// Keys of the gateway's API: list, add, remove. Works beside a running server
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Accounts: list, add, password, sign-out. Works beside a running server
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Rooms: list, add, title, host. Works beside a running server
    Room {
        #[command(subcommand)]
        command: RoomCommand,
    },
}

async fn find_account(store: &Store, name: &str) -> Result<PersonRow, Box<dyn Error>> {
    store.person_by_account(name).await?.ok_or_else(|| format!("there is no account {name}").into())
}

fn refusal_text(refusal: Refusal) -> String {
    refusal.message(Lang::En)
}
