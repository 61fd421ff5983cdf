//! API keys of back ends: name, scopes, expiry. The database holds only the hash of a key's secret.

use super::Token;
use crate::domain::{id::RoomId, refusal::Refusal};
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

/// Cache lifetime of a look-up: a key that the command line removed is accepted for this long at most.
const CACHED_FOR: Duration = Duration::from_secs(5);
/// Prefix of every secret, recognised by people and by scanners of leaked secrets.
const PREFIX: &str = "roomcast_";
/// Longest name of a key, in bytes: `bot:` before it is a uid.
const MAX_NAME_BYTES: usize = 60;

/// The right that an API method requires.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// Send messages.
    Push,
    /// Read connections, groups and sessions.
    Query,
    /// Bind uids, join groups, store sessions, close connections.
    Admin,
    /// Read the messages of rooms.
    ChatRead,
    /// Send messages to rooms as a bot.
    ChatSend,
    /// Read what the staff of rooms reads: persons, restraints, reports, the audit log.
    ModRead,
    /// Carry out acts of moderation with the rank of a moderator.
    ModAct,
    /// Change title and roles of rooms, and act with the rank of a host.
    ModRules,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 8] =
        [Self::Push, Self::Query, Self::Admin, Self::ChatRead, Self::ChatSend, Self::ModRead, Self::ModAct, Self::ModRules];

    /// Returns the scope's word on the command line and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Query => "query",
            Self::Admin => "admin",
            Self::ChatRead => "chat.read",
            Self::ChatSend => "chat.send",
            Self::ModRead => "mod.read",
            Self::ModAct => "mod.act",
            Self::ModRules => "mod.rules",
        }
    }

    /// Returns whether methods of this scope read, and change nothing.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Query | Self::ChatRead | Self::ModRead)
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
            .ok_or_else(|| format!("`{text}` is not a scope: {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// A valid API key, without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// Name, unique; `configured` for the key of the configuration.
    pub name: String,
    scopes: Vec<Scope>,
    /// `None`: every room, and the methods of the gateway.
    rooms: Option<Vec<RoomId>>,
    expires_at: Option<u64>,
}

impl ApiKey {
    /// Returns whether the key may call methods that require `scope`.
    pub fn has_scope(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Returns whether the key is limited to rooms. Then it calls methods of rooms only.
    pub fn is_limited(&self) -> bool {
        self.rooms.is_some()
    }

    /// Returns whether the key may act in the room.
    pub fn has_room(&self, room: &RoomId) -> bool {
        self.rooms.as_ref().is_none_or(|rooms| rooms.contains(room))
    }
}

/// Authenticates API keys; look-ups are cached. A clone shares the caches.
#[derive(Clone)]
pub struct ApiKeys {
    store: Store,
    clock: Clock,
    /// Hash of `gateway.api_key`, which has every scope.
    configured: Option<[u8; 32]>,
    /// Look-ups by hash of the secret; `None` for an unknown one.
    by_hash: Cache<[u8; 32], Option<ApiKey>>,
    any_stored: Cache<(), bool>,
}

impl ApiKeys {
    /// `configured` is `gateway.api_key`; empty if there is none.
    pub fn new(store: Store, clock: Clock, configured: &str) -> Self {
        let cache = || Cache::builder().time_to_live(CACHED_FOR);
        let configured = (!configured.is_empty()).then(|| hash(configured));
        Self {
            store,
            clock,
            configured,
            by_hash: cache().max_capacity(10_000).build(),
            any_stored: Cache::builder().time_to_live(CACHED_FOR).build(),
        }
    }

    /// Returns whether any key exists; without one the API is off.
    ///
    /// # Errors
    /// The refusal of a failed query.
    pub async fn any_exists(&self) -> Result<bool, Refusal> {
        if self.configured.is_some() {
            return Ok(true);
        }
        if let Some(any) = self.any_stored.get(&()) {
            return Ok(any);
        }
        let any = !self.store.api_keys().await.map_err(|error| refusal_of(&error, "api keys"))?.is_empty();
        self.any_stored.insert((), any);
        Ok(any)
    }

    /// Returns the key with this secret, or `None` if the secret is unknown, removed or expired. `check_rate_limit` is called
    /// before a query of the database, not for a cached look-up.
    ///
    /// # Errors
    /// The refusal of `check_rate_limit`, or of a failed query.
    pub async fn authenticate(
        &self,
        secret: &str,
        check_rate_limit: impl FnOnce() -> Result<(), Refusal>,
    ) -> Result<Option<ApiKey>, Refusal> {
        let hash = hash(secret);
        if self.configured.as_ref().is_some_and(|configured| configured.ct_eq(&hash).into()) {
            return Ok(Some(ApiKey { name: "configured".into(), scopes: Scope::ALL.into(), rooms: None, expires_at: None }));
        }
        let key = match self.by_hash.get(&hash) {
            Some(key) => key,
            None => {
                check_rate_limit()?;
                let row = self.store.api_key(&hash).await.map_err(|error| refusal_of(&error, "api key"))?;
                let key = row.map(|row| ApiKey {
                    scopes: scopes(&row),
                    rooms: rooms(&row),
                    name: row.name,
                    expires_at: row.expires_at,
                });
                self.by_hash.insert(hash, key.clone());
                key
            }
        };
        let now = self.clock.now_ms();
        Ok(key.filter(|key| key.expires_at.is_none_or(|end| now < end)))
    }

    /// Drops this node's look-ups, because keys changed.
    pub fn forget(&self) {
        self.by_hash.invalidate_all();
        self.any_stored.invalidate_all();
    }

    /// Creates a key and returns its secret, which is not stored. Without `rooms` it is for all rooms and for the gateway.
    /// `lifetime_ms` counts from now; `None` never expires.
    ///
    /// # Errors
    /// [`CreateKeyError`]: the name is invalid or taken, or the query failed.
    pub async fn create(
        &self,
        name: &str,
        scopes: &[Scope],
        rooms: &[RoomId],
        lifetime_ms: Option<u64>,
    ) -> Result<String, CreateKeyError> {
        if name.trim().is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(CreateKeyError::InvalidName);
        }
        let secret = format!("{PREFIX}{}", Token::random().reveal());
        let now = self.clock.now_ms();
        let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
        let row = ApiKeyRow {
            name: name.into(),
            scopes: scopes.join(","),
            rooms: rooms.iter().map(RoomId::as_str).collect::<Vec<_>>().join(","),
            expires_at: lifetime_ms.map(|lifetime| now.saturating_add(lifetime)),
        };
        match self.store.put_api_key(&row, &hash(&secret), now).await {
            Ok(()) => Ok(secret),
            Err(StorageError::NameTaken) => Err(CreateKeyError::NameTaken(name.into())),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why a key was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateKeyError {
    /// The name is empty, too long, or has a control character.
    #[error("the name of a key has 1 to {MAX_NAME_BYTES} bytes and no control characters")]
    InvalidName,
    /// A key of this name exists.
    #[error("key {0} already exists")]
    NameTaken(String),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The scopes of a row; words of a later version are ignored.
fn scopes(row: &ApiKeyRow) -> Vec<Scope> {
    row.scopes.split(',').filter_map(|word| word.parse().ok()).collect()
}

/// The rooms of a row; `None` for one without a limit.
fn rooms(row: &ApiKeyRow) -> Option<Vec<RoomId>> {
    (!row.rooms.is_empty()).then(|| row.rooms.split(',').filter_map(|room| room.parse().ok()).collect())
}

/// One round of SHA-256: a secret of 32 random bytes cannot be guessed from it, unlike a password.
fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}
