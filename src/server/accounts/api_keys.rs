//! Back ends that call the gateway: by which key, what it may do, and until when.

use super::Token;
use crate::domain::refusal::Refusal;
use crate::server::{
    clock::Clock,
    incident::refusal_of,
    storage::{ApiKeyRow, StorageError, Store},
};
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// How long a look-up is believed; how late a key that the command line removed may find out.
const CACHED_FOR: Duration = Duration::from_secs(5);
/// Marks what it is, for people and for scanners of leaked secrets.
const PREFIX: &str = "roomcast_";
const MAX_NAME: usize = 64;

/// What a call needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// Send.
    Push,
    /// Ask who is there.
    Query,
    /// Change who is bound to what, keep sessions, close.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Push, Self::Query, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Query => "query",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| format!("`{text}` is none of push, query, admin"))
    }
}

/// Who calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    pub name: String,
    scopes: Vec<Scope>,
    expires_at: Option<u64>,
}

impl ApiKey {
    pub fn has_scope(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

#[derive(Clone)]
pub struct ApiKeys {
    store: Store,
    clock: Clock,
    /// Of the key in the configuration, which may do everything.
    configured: Option<[u8; 32]>,
    by_hash: Cache<[u8; 32], Option<ApiKey>>,
    any: Cache<(), bool>,
}

impl ApiKeys {
    pub fn new(store: Store, clock: Clock, configured: &str) -> Self {
        let cache = || Cache::builder().time_to_live(CACHED_FOR);
        let configured = (!configured.is_empty()).then(|| hash(configured));
        Self {
            store,
            clock,
            configured,
            by_hash: cache().max_capacity(10_000).build(),
            any: Cache::builder().time_to_live(CACHED_FOR).build(),
        }
    }

    /// Without any key the API is off.
    pub async fn any_exists(&self) -> Result<bool, Refusal> {
        if self.configured.is_some() {
            return Ok(true);
        }
        if let Some(any) = self.any.get(&()) {
            return Ok(any);
        }
        let any = !self.store.api_keys().await.map_err(|error| refusal_of(&error, "api keys"))?.is_empty();
        self.any.insert((), any);
        Ok(any)
    }

    /// Whose secret this is. Removed and expired ones are nobody's. `check_rate_limit` is asked before the database is.
    pub async fn authenticate(
        &self,
        secret: &str,
        check_rate_limit: impl FnOnce() -> Result<(), Refusal>,
    ) -> Result<Option<ApiKey>, Refusal> {
        let hash = hash(secret);
        if self.configured.as_ref().is_some_and(|configured| configured.ct_eq(&hash).into()) {
            return Ok(Some(ApiKey { name: "configured".into(), scopes: Scope::ALL.into(), expires_at: None }));
        }
        let key = match self.by_hash.get(&hash) {
            Some(key) => key,
            None => {
                check_rate_limit()?;
                let row = self.store.api_key(&hash).await.map_err(|error| refusal_of(&error, "api key"))?;
                let key = row.map(|row| ApiKey { scopes: scopes(&row), name: row.name, expires_at: row.expires_at });
                self.by_hash.insert(hash, key.clone());
                key
            }
        };
        let now = self.clock.now_ms();
        Ok(key.filter(|key| key.expires_at.is_none_or(|end| now < end)))
    }

    /// A new key; its secret is told once. `None`: the name is taken.
    pub async fn create(&self, name: &str, scopes: &[Scope], lifetime_ms: Option<u64>) -> Result<String, CreateKeyError> {
        if name.trim().is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(CreateKeyError::InvalidName);
        }
        let secret = format!("{PREFIX}{}", Token::random().reveal());
        let now = self.clock.now_ms();
        let words: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
        let row = ApiKeyRow {
            name: name.into(),
            scopes: words.join(","),
            expires_at: lifetime_ms.map(|lifetime| now.saturating_add(lifetime)),
        };
        match self.store.put_api_key(&row, &hash(&secret), now).await {
            Ok(()) => Ok(secret),
            Err(StorageError::NameTaken) => Err(CreateKeyError::NameTaken(name.into())),
            Err(error) => Err(error.into()),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CreateKeyError {
    #[error("a key's name has 1 to {MAX_NAME} bytes and no control characters")]
    InvalidName,
    #[error("there is a key {0} already")]
    NameTaken(String),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn scopes(row: &ApiKeyRow) -> Vec<Scope> {
    row.scopes.split(',').filter_map(|word| word.parse().ok()).collect()
}

/// Secrets are long and random, so one round of a fast hash hides them.
fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}
