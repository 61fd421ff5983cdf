//! `roomcast user`: accounts, in the database of a running or stopped server.

use super::{Outcome, find_account, record, refusal_text, user_data};
use clap::Subcommand;
use roomcast::domain::{id::Uid, room::Person, text::escape_controls};
use roomcast::server::{
    accounts::{Accounts, new_uid},
    clock::Clock,
    config::Config,
    control::{ControlClient, Request, Response},
    names,
    security_log::{Act, Event, SecurityLog},
    storage::{NewPerson, PersonRow, StorageError, Store},
};
use std::error::Error;
use std::io::{ErrorKind, IsTerminal, Read};
use std::path::PathBuf;

/// Subcommands of `roomcast user`.
#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// List the accounts: name, nickname, uid, and `owner` if it owns the site
    List,
    /// Create an account; the password is prompted for, or read from standard input
    Add {
        /// Account name, for signing in
        name: String,
        /// Nickname shown in the chat [default: the account name]
        #[arg(long)]
        nickname: Option<String>,
    },
    /// Change a password, prompted for or read from standard input; ends the account's sessions
    Password {
        /// Account name
        name: String,
    },
    /// Write everything that is stored about a person as JSON Lines, without passwords and tokens
    Export {
        /// Account name, or `uid:` and a uid
        name: String,
        /// A new file, which only its owner reads [default: standard output]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Erase a person for good: sessions, messages in every room, notes, reports, the account; asks for the name again
    Erase {
        /// Account name, or `uid:` and a uid
        name: String,
        /// Erase without asking
        #[arg(long)]
        yes: bool,
    },
    /// End an account's sessions and close their sockets
    SignOut {
        /// Account name
        name: String,
    },
}

impl UserCommand {
    /// Runs the subcommand.
    pub(crate) async fn run(self, config: &Config) -> Outcome {
        let store = Store::open_unlocked(&config.storage).await?;
        let accounts = Accounts::new(store.clone(), Clock::system(), SecurityLog::off());
        match self {
            Self::List => {
                for PersonRow { person: Person { uid, nickname, account }, is_owner, .. } in store.accounts().await? {
                    let (account, nickname) = (account.unwrap_or_default(), escape_controls(&nickname));
                    println!("{}\t{nickname}\t{uid}{}", escape_controls(&account), if is_owner { "\towner" } else { "" });
                }
            }
            Self::Add { name, nickname } => {
                let account = names::account(&name).map_err(refusal_text)?;
                let nickname = names::nickname(nickname.as_deref().unwrap_or(&account)).map_err(refusal_text)?;
                let password = accounts.hash_password(&read_password()?, &account).await.map_err(refusal_text)?;
                let uid = new_uid().map_err(refusal_text)?;
                let new = NewPerson {
                    uid: &uid,
                    nickname: &nickname,
                    account: &account,
                    password: &password,
                    created_at: Clock::system().now_ms(),
                };
                store.put_account(new).await.map_err(|error| match error {
                    StorageError::NameTaken => format!("account {account} already exists"),
                    error => error.to_string(),
                })?;
                println!("{account}\t{uid}");
                record(config, &[Event::by_command(Act::Registered).uid(&uid).account(&account)]);
            }
            Self::Password { name } => {
                let uid = find_account(&store, &name).await?.person.uid;
                let password = accounts.hash_password(&read_password()?, &name).await.map_err(refusal_text)?;
                store.set_password(&uid, &password).await?;
                let event = |act| Event::by_command(act).uid(&uid).account(&name);
                record(config, &[event(Act::PasswordChanged)]);
                let ended = sign_out(config, &store, &uid).await;
                let SignedOut { sessions, sockets } =
                    ended.map_err(|error| format!("password of {name} changed, but its sessions did not end: {error}"))?;
                println!("password of {name} changed, {sessions} sessions ended");
                print_sockets(sockets);
                record(config, &[event(Act::SessionsEnded).count(sessions as u64)]);
            }
            Self::Export { name, to } => user_data::export(config, &store, &name, to.as_deref()).await?,
            Self::Erase { name, yes } => user_data::erase(config, &store, &name, yes).await?,
            Self::SignOut { name } => {
                let uid = find_account(&store, &name).await?.person.uid;
                let SignedOut { sessions, sockets } = sign_out(config, &store, &uid).await?;
                println!("{sessions} sessions ended");
                print_sockets(sockets);
                record(config, &[Event::by_command(Act::SessionsEnded).uid(&uid).account(&name).count(sessions as u64)]);
            }
        }
        store.close().await;
        Ok(())
    }
}

/// Result of [`sign_out`].
pub(super) struct SignedOut {
    /// Sessions ended.
    pub(super) sessions: usize,
    /// Sockets closed; `None` if no server runs on the data folder.
    pub(super) sockets: Option<usize>,
}

/// Ends the sessions of `uid`: on the running server, which also closes their sockets, and in the database. Fails if a server
/// runs and does not confirm: it may go on with sessions that it has looked up, and with their sockets.
pub(super) async fn sign_out(config: &Config, store: &Store, uid: &Uid) -> Result<SignedOut, Box<dyn Error>> {
    // The server first: it must know the sessions to close the sockets that they opened.
    let (ended, sockets) = match ControlClient::request(&config.storage.data_dir, &Request::SignOut { uid: uid.clone() }).await {
        Ok(mut client) => match client.response().await? {
            Response::Closed { sockets, sessions } => (sessions, Some(sockets)),
            Response::Failed { reason } => return Err(reason.into()),
            other => return Err(format!("unexpected response: {other:?}").into()),
        },
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => (0, None),
        Err(error) => return Err(error.into()),
    };
    let sessions = ended + store.end_sessions_of(uid, None).await?.len();
    Ok(SignedOut { sessions, sockets })
}

fn print_sockets(closed: Option<usize>) {
    if let Some(sockets) = closed {
        println!("{sockets} sockets closed");
    }
}

/// Prompts without echo on a terminal; otherwise reads the first line of standard input.
fn read_password() -> Result<String, Box<dyn Error>> {
    if std::io::stdin().is_terminal() {
        return Ok(rpassword::prompt_password("Password: ")?);
    }
    let mut text = String::new();
    std::io::stdin().take(4096).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
