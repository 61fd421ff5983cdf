//! `roomcast key`: API keys, in the database of a running or stopped server.

use super::{Outcome, record};
use clap::Subcommand;
use roomcast::domain::{calendar, id::RoomId, text::escape_controls};
use roomcast::server::{
    accounts::{ApiKeys, Scope},
    clock::Clock,
    config::Config,
    security_log::{Act, Event},
    storage::Store,
};
use std::time::Duration;

/// Subcommands of `roomcast key`.
#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// List the keys: name, scopes, rooms, expiry
    List,
    /// Create a key and print its secret, once
    Add {
        /// Name of the key, for the list and the log
        name: String,
        /// Scopes: push (send), query (read), admin (bind, join, store sessions, close), chat.read, chat.send, mod.read, mod.act,
        /// mod.rules [default: all]
        #[arg(long = "scope", visible_alias = "scopes", value_name = "SCOPE,…", value_delimiter = ',')]
        scopes: Vec<Scope>,
        /// Rooms that the key is limited to; then it calls the methods chat.* and mod.* only [default: all rooms]
        #[arg(long, value_name = "ROOM,…", value_delimiter = ',', value_parser = room)]
        rooms: Vec<RoomId>,
        /// Lifetime, e.g. 90d, 12h, 30m, 45s [default: until it is removed]
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        expires_in: Option<Duration>,
    },
    /// Remove a key; a running server rejects it within 5 seconds
    Remove {
        /// Name of the key
        name: String,
    },
}

impl KeyCommand {
    /// Runs the subcommand.
    pub(crate) async fn run(self, config: &Config) -> Outcome {
        let store = Store::open_unlocked(&config.storage).await?;
        match self {
            Self::List => {
                for row in store.api_keys().await? {
                    let expiry = row.expires_at.map_or("never".into(), calendar::iso);
                    let rooms =
                        if row.rooms.is_empty() { "all rooms".into() } else { format!("rooms {}", escape_controls(&row.rooms)) };
                    println!("{}\t{}\t{rooms}\t{expiry}", escape_controls(&row.name), escape_controls(&row.scopes));
                }
            }
            Self::Add { name, scopes, rooms, expires_in } => {
                let keys = ApiKeys::new(store.clone(), Clock::system(), "");
                let scopes = if scopes.is_empty() { Scope::ALL.into() } else { scopes };
                let lifetime_ms = expires_in.map(|lifetime| u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
                println!("{}", keys.create(&name, &scopes, &rooms, lifetime_ms).await?);
                record(config, &[Event::by_command(Act::KeyAdded).key(&name)]);
            }
            Self::Remove { name } => {
                if !store.remove_api_key(&name).await? {
                    return Err(format!("no key {name}").into());
                }
                record(config, &[Event::by_command(Act::KeyRemoved).key(&name)]);
            }
        }
        store.close().await;
        Ok(())
    }
}

fn room(text: &str) -> Result<RoomId, String> {
    text.parse().map_err(|_| format!("`{text}` is not the id of a room"))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("`{text}` is not a duration such as 90d, 12h, 30m, 45s");
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
    let (count, unit) = text.split_at(at);
    let seconds: u64 = match unit {
        "d" => 24 * 3600,
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return Err(invalid()),
    };
    let count: u64 = count.parse().map_err(|_| invalid())?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(invalid)
}
