//! `roomcast user`: accounts, in the database of a running or stopped server.

use super::{Outcome, find_account, refusal_text};
use clap::Subcommand;
use roomcast::domain::{id::Uid, name, room::Person};
use roomcast::server::{
    accounts::{Accounts, new_uid},
    clock::Clock,
    config::Config,
    control::{ControlClient, Request, Response},
    storage::{NewPerson, PersonRow, StorageError, Store},
};
use std::error::Error;
use std::io::{IsTerminal, Read};

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
    /// Close an account's sockets, and end its sessions within 10 seconds
    SignOut {
        /// Account name
        name: String,
    },
}

impl UserCommand {
    /// Runs the subcommand.
    pub(crate) async fn run(self, config: &Config) -> Outcome {
        let store = Store::open_unlocked(&config.storage).await?;
        let accounts = Accounts::new(store.clone(), Clock::system());
        match self {
            Self::List => {
                for PersonRow { person: Person { uid, nickname, account }, is_owner, .. } in store.accounts().await? {
                    println!("{}\t{nickname}\t{uid}{}", account.unwrap_or_default(), if is_owner { "\towner" } else { "" });
                }
            }
            Self::Add { name, nickname } => {
                let account = name::account(&name).map_err(refusal_text)?;
                let nickname = name::nickname(nickname.as_deref().unwrap_or(&account)).map_err(refusal_text)?;
                let password = accounts.hash_password(&read_password()?).await.map_err(refusal_text)?;
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
            }
            Self::Password { name } => {
                let uid = find_account(&store, &name).await?.person.uid;
                let password = accounts.hash_password(&read_password()?).await.map_err(refusal_text)?;
                store.set_password(&uid, &password).await?;
                let ended = store.end_sessions_of(&uid).await?;
                println!("password of {name} changed, {ended} sessions ended");
                close_sockets(config, uid).await;
            }
            Self::SignOut { name } => {
                let uid = find_account(&store, &name).await?.person.uid;
                println!("{} sessions ended", store.end_sessions_of(&uid).await?);
                close_sockets(config, uid).await;
            }
        }
        store.close().await;
        Ok(())
    }
}

/// Closes the sockets of `uid` on the running server, if one runs on this data folder.
async fn close_sockets(config: &Config, uid: Uid) {
    if let Ok(mut client) = ControlClient::request(&config.storage.data_dir, &Request::SignOut { uid }).await
        && let Ok(Response::Closed { sockets }) = client.response().await
    {
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
