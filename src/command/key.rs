//! `roomcast key`: who may call the gateway's API, beside a running server.

use super::Outcome;
use clap::Subcommand;
use roomcast::domain::calendar;
use roomcast::server::{
    accounts::{ApiKeys, Scope},
    clock::Clock,
    config::Config,
    storage::Store,
};
use std::time::Duration;

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Every key: name, scopes, when it ends
    List,
    /// A new key; its secret is printed, once
    Add {
        name: String,
        /// What it may do: push (send), query (ask), admin (bind, join, keep sessions, close) [default: all]
        #[arg(long = "scope", value_delimiter = ',')]
        scopes: Vec<Scope>,
        /// How long it lives, e.g. 90d, 12h, 30m, 45s [default: until it is removed]
        #[arg(long, value_parser = duration)]
        expires_in: Option<Duration>,
    },
    /// Ends a key; a running server knows within 5 seconds
    Remove { name: String },
}

impl KeyCommand {
    pub async fn run(self, config: &Config) -> Outcome {
        let store = Store::open_unlocked(&config.storage).await?;
        match self {
            Self::List => {
                for row in store.api_keys().await? {
                    let end = row.expires_at.map_or("never".into(), calendar::iso);
                    println!("{}\t{}\t{end}", row.name, row.scopes);
                }
            }
            Self::Add { name, scopes, expires_in } => {
                let keys = ApiKeys::new(store.clone(), Clock::system(), "");
                let scopes = if scopes.is_empty() { Scope::ALL.into() } else { scopes };
                let lifetime_ms = expires_in.map(|lifetime| u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
                println!("{}", keys.create(&name, &scopes, lifetime_ms).await?);
            }
            Self::Remove { name } => {
                if !store.remove_api_key(&name).await? {
                    return Err(format!("there is no key {name}").into());
                }
            }
        }
        store.close().await;
        Ok(())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time such as 90d, 12h, 30m, 45s");
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (count, unit) = text.split_at(at);
    let seconds: u64 = match unit {
        "d" => 24 * 3600,
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return Err(wrong()),
    };
    let count: u64 = count.parse().map_err(|_| wrong())?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}
