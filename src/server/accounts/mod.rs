//! People: guests, accounts, login sessions, and the API keys of back ends. Floor 3: it uses storage, and knows no HTTP.
//!
//! A person is a uid and a nickname; a guest has no account. A request is authenticated by a session cookie: a random
//! [`Token`], of which the database holds the hash. Passwords are hashed with argon2id on blocking threads.
//!
//! ```no_run
//! use roomcast::server::{accounts::{Accounts, GuestSignIn}, clock::Clock, config::StorageSettings, storage::Store};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::open(&StorageSettings::default()).await?;
//! let accounts = Accounts::new(store, Clock::system());
//! if let Ok(GuestSignIn::Created(session)) = accounts.sign_in_as_guest("Ming", None).await {
//!     let cookie = session.token.reveal();
//! }
//! # Ok(())
//! # }
//! ```

mod api_keys;
mod password;
mod token;

pub use api_keys::{ApiKey, ApiKeys, CreateKeyError, Scope};
pub use token::Token;

use crate::domain::{id::Uid, name, refusal::Refusal, room::Person};
use crate::server::{
    clock::Clock,
    incident::refusal_of,
    storage::{NewPerson, StorageError, Store},
};
use moka::sync::Cache;
use password::Passwords;
use std::time::Duration;
use uuid::Uuid;

/// Lifetime of a session after its last request: 30 days.
const SESSION_MS: u64 = 30 * 24 * 3600 * 1000;
/// The expiry of a session is moved at most once per day, so that most requests write nothing.
const EXTEND_EVERY_MS: u64 = 24 * 3600 * 1000;
/// Cache lifetime of a look-up: a session that the command line ended is accepted for this long at most.
const CACHED_FOR: Duration = Duration::from_secs(10);
/// Key in the table `facts` of the hash of the owner link's token.
const OWNER_LINK: &str = "owner_link";

/// A valid login session, as found by its token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// The signed-in person.
    pub person: Person,
    /// Hash of the token, the session's key in the database.
    pub token_hash: [u8; 32],
    expires_at: u64,
}

/// A session that was just created.
pub struct NewSession {
    /// The signed-in person.
    pub person: Person,
    /// The only copy of the token, for the cookie.
    pub token: Token,
}

/// Registers people, signs them in and out, finds sessions. A clone shares the cache.
#[derive(Clone)]
pub struct Accounts {
    store: Store,
    clock: Clock,
    passwords: Passwords,
    sessions: Cache<[u8; 32], Session>,
}

impl Accounts {
    /// Creates the service on an open store.
    pub fn new(store: Store, clock: Clock) -> Self {
        let sessions = Cache::builder().max_capacity(100_000).time_to_live(CACHED_FOR).build();
        Self { store, clock, passwords: Passwords::default(), sessions }
    }

    /// Returns the session of a token, or `None` if the token is unknown, ended or expired. Extends a session whose expiry
    /// was last moved a day ago or earlier.
    ///
    /// # Errors
    /// The refusal of a failed query.
    pub async fn session(&self, token: &Token) -> Result<Option<Session>, Refusal> {
        let (token_hash, now) = (token.hash(), self.clock.now_ms());
        // The least expiry of a session that was extended within the last day.
        let recently_extended = now + SESSION_MS - EXTEND_EVERY_MS;
        if let Some(session) = self.sessions.get(&token_hash).filter(|session| session.expires_at >= recently_extended) {
            return Ok(Some(session));
        }
        let row = self.store.session(&token_hash).await.map_err(|error| refusal_of(&error, "session"))?;
        let Some(row) = row.filter(|row| row.expires_at > now) else { return Ok(None) };
        let mut session = Session { person: row.person, token_hash, expires_at: row.expires_at };
        if session.expires_at < recently_extended {
            session.expires_at = now + SESSION_MS;
            self.store.extend_session(&token_hash, session.expires_at).await.map_err(|error| refusal_of(&error, "session"))?;
        }
        self.sessions.insert(token_hash, session.clone());
        Ok(Some(session))
    }

    /// Returns the Max-Age of the session cookie, in seconds.
    pub fn cookie_seconds() -> u64 {
        SESSION_MS / 1000
    }

    /// Creates a guest with `nickname`; or, with a `session`, changes that person's nickname.
    ///
    /// # Errors
    /// The refusal of an invalid nickname, or of a failed query.
    pub async fn sign_in_as_guest(&self, nickname: &str, session: Option<&Session>) -> Result<GuestSignIn, Refusal> {
        let nickname = name::nickname(nickname)?;
        let uid = session.map_or_else(new_uid, |session| Ok(session.person.uid.clone()))?;
        let stored = self.store.put_nickname(&uid, &nickname, self.clock.now_ms()).await;
        stored.map_err(|error| refusal_of(&error, "guest"))?;
        match session {
            Some(session) => {
                self.sessions.invalidate(&session.token_hash);
                Ok(GuestSignIn::Renamed(Person { nickname, ..session.person.clone() }))
            }
            None => self.create_session(Person { uid, nickname, account: None }).await.map(GuestSignIn::Created),
        }
    }

    /// Creates an account and a session. A guest keeps the uid of `session`, which ends: a token that leaked before must not
    /// gain the rights of the account.
    ///
    /// # Errors
    /// The refusal of an invalid field, a taken name, a used or wrong owner link, or a failed query.
    pub async fn register(&self, form: Registration<'_>, session: Option<&Session>) -> Result<NewSession, Refusal> {
        let account = name::account(form.account)?;
        let nickname = name::nickname(if form.nickname.is_empty() { &account } else { form.nickname })?;
        let password = self.passwords.hash(name::password(form.password)?).await?;
        let owner_link = form.owner_link.map(|text| Token::parse(text).ok_or(Refusal::malformed("owner"))).transpose()?;
        if let Some(link) = &owner_link
            && !self.is_owner_link(link).await?
        {
            return Err(Refusal::malformed("owner"));
        }
        let guest = session.filter(|session| session.person.account.is_none());
        let uid = guest.map_or_else(new_uid, |guest| Ok(guest.person.uid.clone()))?;
        let now = self.clock.now_ms();
        let new = NewPerson { uid: &uid, nickname: &nickname, account: &account, password: &password, created_at: now };
        self.store.put_account(new).await.map_err(|error| refusal_of(&error, "register"))?;
        if let Some(link) = owner_link
            && !self.store.claim_ownership(&uid, &link.hash()).await.map_err(|error| refusal_of(&error, "register"))?
        {
            // A concurrent registration used the link first: the account exists, without ownership.
            return Err(Refusal::malformed("owner"));
        }
        if let Some(session) = session {
            self.end_session(session).await?;
        }
        self.create_session(Person { uid, nickname, account: Some(account) }).await
    }

    /// Signs in with a password and ends the previous `session`.
    ///
    /// # Errors
    /// [`Refusal::NotSignedIn`] for a wrong name or a wrong password, after the same time; [`Refusal::Busy`] if too many
    /// passwords are being checked; the refusal of a failed query.
    pub async fn log_in(&self, account: &str, password: &str, session: Option<&Session>) -> Result<NewSession, Refusal> {
        let known = self.store.person_by_account(account).await.map_err(|error| refusal_of(&error, "login"))?;
        let hash = known.as_ref().and_then(|row| row.password.as_deref());
        if !self.passwords.verify(password, hash).await? {
            return Err(Refusal::NotSignedIn);
        }
        let person = known.ok_or(Refusal::NotSignedIn)?.person;
        if let Some(session) = session {
            self.end_session(session).await?;
        }
        self.create_session(person).await
    }

    /// Ends a session: its token is rejected from now on.
    ///
    /// # Errors
    /// The refusal of a failed query.
    pub async fn end_session(&self, session: &Session) -> Result<(), Refusal> {
        let ended = self.store.end_session(&session.token_hash).await;
        self.sessions.invalidate(&session.token_hash);
        ended.map_err(|error| refusal_of(&error, "logout"))
    }

    /// Creates the one-time token with which the owner registers, and replaces an earlier one. Returns `None` if the
    /// installation has an owner.
    ///
    /// # Errors
    /// A failed query.
    pub async fn owner_link(&self) -> Result<Option<Token>, StorageError> {
        if self.store.has_owner().await? {
            return Ok(None);
        }
        let token = Token::random();
        self.store.set_fact(OWNER_LINK, &token.hash()).await?;
        Ok(Some(token))
    }

    /// Checks the length of a password and returns its hash in PHC form.
    ///
    /// # Errors
    /// The refusal of an unsuitable password; [`Refusal::Busy`] if too many are being hashed.
    pub async fn hash_password(&self, password: &str) -> Result<String, Refusal> {
        self.passwords.hash(name::password(password)?).await
    }

    /// Deletes expired sessions and returns their number. Called periodically; correctness does not depend on it.
    ///
    /// # Errors
    /// A failed query.
    pub async fn sweep(&self) -> Result<u64, StorageError> {
        self.store.end_expired_sessions(self.clock.now_ms()).await
    }

    async fn is_owner_link(&self, link: &Token) -> Result<bool, Refusal> {
        let stored = self.store.fact(OWNER_LINK).await.map_err(|error| refusal_of(&error, "register"))?;
        Ok(stored.as_deref() == Some(&link.hash()[..]))
    }

    async fn create_session(&self, person: Person) -> Result<NewSession, Refusal> {
        let (token, now) = (Token::random(), self.clock.now_ms());
        let stored = self.store.put_session(&token.hash(), &person.uid, now, now + SESSION_MS).await;
        stored.map_err(|error| refusal_of(&error, "session"))?;
        Ok(NewSession { person, token })
    }
}

/// Result of [`Accounts::sign_in_as_guest`].
pub enum GuestSignIn {
    /// A new guest with a new session.
    Created(NewSession),
    /// The person of the given session, with the new nickname.
    Renamed(Person),
}

/// The fields of a registration form, unchecked.
pub struct Registration<'a> {
    /// Account name.
    pub account: &'a str,
    /// Password, in clear text.
    pub password: &'a str,
    /// Nickname; if empty, the account name.
    pub nickname: &'a str,
    /// Token of the owner link, which makes this account the owner.
    pub owner_link: Option<&'a str>,
}

/// Returns a new uid: a UUID v7.
///
/// # Errors
/// None in practice; the uid is checked like any other.
pub fn new_uid() -> Result<Uid, Refusal> {
    Uid::try_from(Uuid::now_v7().to_string())
}
