//! People: guests, accounts, login sessions, and the API keys of back ends. Floor 3: it uses storage, and knows no HTTP.
//!
//! A person is a uid and a nickname; a guest has no account. A request is authenticated by a session cookie: a random
//! [`Token`], of which the database holds the hash. Passwords are hashed with argon2id on threads of their own.
//!
//! ```no_run
//! use roomcast::server::{accounts::{Accounts, GuestSignIn}, clock::Clock, config::StorageSettings};
//! use roomcast::server::{security_log::SecurityLog, storage::Store};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::open(&StorageSettings::default()).await?;
//! let accounts = Accounts::new(store, Clock::system(), SecurityLog::off());
//! if let Ok(GuestSignIn::Created(session)) = accounts.sign_in_as_guest("Ming", "Firefox", None).await {
//!     let cookie = session.token.reveal();
//! }
//! # Ok(())
//! # }
//! ```

mod api_keys;
mod hash_threads;
mod hosts;
mod log_in_lane;
mod log_in_turns;
mod own_account;
mod password;
mod sessions;
mod sign_in;
mod token;

pub use api_keys::{ApiKey, ApiKeys, CreateKeyError, Scope};
pub use own_account::PasswordChange;
pub use sessions::Session;
pub use sign_in::{Client, GuestSignIn, LogIn, NewSession, Registration};
pub use token::Token;

use crate::domain::{id::Uid, refusal::Refusal};
use crate::server::{
    clock::Clock,
    names,
    security_log::SecurityLog,
    storage::{Job, StorageError, Store},
};
use hash_threads::Queue;
use hosts::Hosts;
use log_in_turns::LogInTurns;
use password::Passwords;
use sessions::Sessions;
use uuid::Uuid;

/// Key in the table `facts` of the hash of the owner link's token.
const OWNER_LINK: &str = "owner_link";
/// Key in the table `facts` of the time at which the owner link ends: unix milliseconds, 8 bytes, big endian.
const OWNER_LINK_END: &str = "owner_link_end";
/// Lifetime of the owner link. Each start of a server without an owner makes a new one.
const OWNER_LINK_MS: u64 = 24 * 3600 * 1000;

/// Turns of log-ins that a sweep removes.
const SWEPT_TURNS: u32 = 5_000;

/// Registers people, signs them in and out, finds sessions. A clone shares the caches.
#[derive(Clone)]
pub struct Accounts {
    store: Store,
    clock: Clock,
    passwords: Passwords,
    turns: LogInTurns,
    sessions: Sessions,
    hosts: Hosts,
    log: SecurityLog,
}

impl Accounts {
    /// Creates the service on an open store. `log` gets the events of sign-ins.
    pub fn new(store: Store, clock: Clock, log: SecurityLog) -> Self {
        let (sessions, hosts) = (Sessions::new(store.clone(), clock.clone()), Hosts::new(store.clone()));
        let turns = LogInTurns::new(store.clone());
        Self { store, clock, passwords: Passwords::default(), turns, sessions, hosts, log }
    }

    /// Returns the session of a token, or `None` if the token is unknown, ended or expired. Extends a session that was last
    /// extended a day ago or earlier; if the database cannot be written, the session stays as it is.
    ///
    /// # Errors
    /// The refusal of a failed query.
    pub async fn session(&self, token: &Token) -> Result<Option<Session>, Refusal> {
        self.sessions.find(&token.hash()).await
    }

    /// Returns whether the session has not ended since the request found it. A request that gives a right beyond its own end,
    /// such as an open socket, asks after that, and takes the right back unless the answer is true.
    ///
    /// # Errors
    /// The refusal of a failed query: the session may go on, so that nobody is told that it ended.
    pub async fn is_current(&self, session: &Session) -> Result<bool, Refusal> {
        Ok(self.sessions.find(&session.token_hash).await?.is_some())
    }

    /// Returns the Max-Age of the session cookie, in seconds.
    pub fn cookie_seconds() -> u64 {
        sessions::SESSION_MS / 1000
    }

    /// Ends a session: its token is rejected from now on.
    ///
    /// # Errors
    /// The refusal of a failed query.
    pub async fn end_session(&self, session: &Session) -> Result<(), Refusal> {
        self.sessions.end(&session.token_hash).await
    }

    /// Ends all sessions of a person and returns the hashes of their tokens. Those that were ended in the database before are
    /// rejected from now on, too.
    ///
    /// # Errors
    /// A failed query.
    pub async fn sign_out(&self, uid: &Uid) -> Result<Vec<[u8; 32]>, StorageError> {
        self.sessions.end_all(uid).await
    }

    /// Drops this node's copies of sessions that ended, or whose person changed, on another node.
    pub fn forget_sessions(&self, token_hashes: &[[u8; 32]]) {
        self.sessions.forget(token_hashes);
    }

    /// Drops this node's copy of the hosts' nicknames.
    pub fn forget_hosts(&self) {
        self.hosts.forget();
    }

    /// Drops this node's copies of all sessions and hosts.
    pub fn forget_all(&self) {
        self.sessions.forget_everything();
        self.hosts.forget();
    }

    /// Creates the one-time token with which the owner registers, valid for 24 hours, and replaces an earlier one. Returns
    /// `None` if the installation has an owner, or if it has several nodes and another one printed a token that still holds.
    ///
    /// # Errors
    /// A failed query.
    pub async fn owner_link(&self, has_nodes: bool) -> Result<Option<Token>, StorageError> {
        if self.store.has_owner().await? {
            return Ok(None);
        }
        let (token, now) = (Token::random(), self.clock.now_ms());
        let end = now.saturating_add(OWNER_LINK_MS).to_be_bytes();
        if !has_nodes {
            self.store.set_fact(OWNER_LINK_END, &end).await?;
        } else if !self.store.raise_fact(OWNER_LINK_END, &end, &now.to_be_bytes()).await? {
            return Ok(None);
        }
        self.store.set_fact(OWNER_LINK, &token.hash()).await?;
        Ok(Some(token))
    }

    /// Checks a new password of `account` and returns its hash in PHC form.
    ///
    /// # Errors
    /// The refusal of an unsuitable password; [`Refusal::Busy`] if too many are being hashed.
    pub async fn hash_password(&self, password: &str, account: &str) -> Result<String, Refusal> {
        self.passwords.hash(Queue::Known, names::password(password, account)?).await
    }

    /// Deletes expired sessions in batches, with a rest after each, and returns their number. Called periodically; correctness
    /// does not depend on it.
    ///
    /// # Errors
    /// A failed query.
    pub async fn sweep(&self) -> Result<u64, StorageError> {
        self.turns.remove_idle();
        // Of several nodes one removes the rows.
        if !self.store.holds(Job::Sessions) {
            return Ok(0);
        }
        self.store.sweep_turns(SWEPT_TURNS).await?;
        self.sessions.sweep().await
    }
}

/// Returns a new uid: a UUID v7.
///
/// # Errors
/// None in practice; the uid is checked like any other.
pub fn new_uid() -> Result<Uid, Refusal> {
    Uid::try_from(Uuid::now_v7().to_string())
}
