//! The command line: what can be said to the program, and the commands that work beside a running server.

use clap::{Args, Parser, Subcommand};
use roomcast::domain::lang::Lang;
use roomcast::domain::{id::RoomId, name, refusal::Refusal, room::Person};
use roomcast::server::{
    accounts::{Accounts, new_uid},
    clock::Clock,
    config::{Config, Flags},
    storage::{NewPerson, PersonRow, StorageError, Store},
};
use std::error::Error;
use std::io::{IsTerminal, Read};
use std::net::SocketAddr;
use std::path::PathBuf;

type Outcome = Result<(), Box<dyn Error>>;

/// Live-room chat and push gateway. Alone it serves.
#[derive(Parser)]
#[command(name = "roomcast", version, about)]
pub struct Line {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args)]
struct Options {
    /// The configuration file [default: Leptos.toml here, if there is one]
    #[arg(long, value_name = "PATH", global = true)]
    config: Option<PathBuf>,
    /// Where the site listens, e.g. 0.0.0.0:3000
    #[arg(long, value_name = "ADDRESS", global = true)]
    addr: Option<SocketAddr>,
    /// Where messages and accounts are kept [default: ./data]
    #[arg(long, value_name = "PATH", global = true)]
    data_dir: Option<PathBuf>,
    /// Any key of Leptos.toml, e.g. chat.cooldown_ms=5000; may be repeated
    #[arg(long, value_name = "TABLE.KEY=VALUE", value_parser = pair, global = true)]
    set: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(key, value)| (key.trim().into(), value.trim().into())).ok_or("expected TABLE.KEY=VALUE".into())
}

impl Line {
    pub fn flags(&self) -> Flags {
        let Options { config, addr, data_dir, set } = &self.options;
        Flags { config: config.clone(), addr: *addr, data_dir: data_dir.clone(), set: set.clone() }
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Serve the site (what `roomcast` does alone)
    Serve,
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

#[derive(Subcommand)]
pub enum UserCommand {
    /// Every account: name, nickname, uid, whether it owns the site
    List,
    /// A new account; the password is asked for, or read from standard input
    Add {
        name: String,
        #[arg(long)]
        nickname: Option<String>,
    },
    /// Another password; asked for, or read from standard input. Ends the account's sessions
    Password { name: String },
    /// Ends every session of an account; a running server knows within 10 seconds
    SignOut { name: String },
}

#[derive(Subcommand)]
pub enum RoomCommand {
    /// Every room: id, title, host
    List,
    /// A new room, under the next free number or a name of your own
    Add {
        title: String,
        #[arg(long)]
        id: Option<RoomId>,
        /// Account name of the host
        #[arg(long)]
        host: Option<String>,
    },
    /// Another title
    Title { room: RoomId, title: String },
    /// Another host, by account name
    Host { room: RoomId, name: String },
}

impl UserCommand {
    pub async fn run(self, config: &Config) -> Outcome {
        let store = Store::open_beside(&config.storage).await?;
        let accounts = Accounts::new(store.clone(), Clock::system());
        match self {
            Self::List => {
                for PersonRow { person: Person { uid, nickname, account }, is_owner, .. } in store.accounts().await? {
                    println!("{}\t{nickname}\t{uid}{}", account.unwrap_or_default(), if is_owner { "\towner" } else { "" });
                }
            }
            Self::Add { name, nickname } => {
                let account = name::account(&name).map_err(words)?;
                let nickname = name::nickname(nickname.as_deref().unwrap_or(&account)).map_err(words)?;
                let password = accounts.hash_password(&read_password()?).await.map_err(words)?;
                let uid = new_uid().map_err(words)?;
                let new = NewPerson {
                    uid: &uid,
                    nickname: &nickname,
                    account: &account,
                    password: &password,
                    created_at: Clock::system().now_ms(),
                };
                store.put_account(new).await.map_err(|error| match error {
                    StorageError::NameTaken => format!("there is an account {account} already"),
                    error => error.to_string(),
                })?;
                println!("{account}\t{uid}");
            }
            Self::Password { name } => {
                let uid = account(&store, &name).await?.person.uid;
                let password = accounts.hash_password(&read_password()?).await.map_err(words)?;
                store.set_password(&uid, &password).await?;
                let ended = store.end_sessions_of(&uid).await?;
                println!("password of {name} changed, {ended} sessions ended");
            }
            Self::SignOut { name } => {
                let uid = account(&store, &name).await?.person.uid;
                println!("{} sessions ended", store.end_sessions_of(&uid).await?);
            }
        }
        store.close().await;
        Ok(())
    }
}

impl RoomCommand {
    pub async fn run(self, config: &Config) -> Outcome {
        let store = Store::open_beside(&config.storage).await?;
        let now = Clock::system().now_ms();
        match self {
            Self::List => {
                for row in store.rooms(u32::MAX).await? {
                    println!("{}\t{}\t{}", row.room, row.title, row.host_nickname.unwrap_or_default());
                }
            }
            Self::Add { title, id, host } => {
                let title = name::title(&title).map_err(words)?;
                let host = match host {
                    Some(name) => Some(account(&store, &name).await?.person.uid),
                    None => None,
                };
                let room = match id {
                    None => store.open_room(&title, host.as_ref(), now).await?,
                    Some(id) if store.add_room(&id, &title, host.as_ref(), now).await? => id,
                    Some(id) => return Err(format!("there is a room {id} already").into()),
                };
                println!("{room}");
            }
            Self::Title { room, title } => {
                let title = name::title(&title).map_err(words)?;
                known(&room, store.set_room_title(&room, &title).await?)?;
            }
            Self::Host { room, name } => {
                let uid = account(&store, &name).await?.person.uid;
                known(&room, store.set_room_host(&room, &uid).await?)?;
            }
        }
        store.close().await;
        Ok(())
    }
}

async fn account(store: &Store, name: &str) -> Result<PersonRow, Box<dyn Error>> {
    store.person_by_account(name).await?.ok_or_else(|| format!("there is no account {name}").into())
}

fn known(room: &RoomId, changed: bool) -> Outcome {
    if changed { Ok(()) } else { Err(format!("there is no room {room}").into()) }
}

/// Typed unseen on a terminal; the first line otherwise.
fn read_password() -> Result<String, Box<dyn Error>> {
    if std::io::stdin().is_terminal() {
        return Ok(rpassword::prompt_password("Password: ")?);
    }
    let mut text = String::new();
    std::io::stdin().take(4096).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn words(refusal: Refusal) -> String {
    refusal.message(Lang::En)
}
