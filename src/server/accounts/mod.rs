//! Floor 3: who people are. Guests, accounts, sessions; passwords hashed off the async threads, tokens stored as hashes.

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

/// A session lives this long after it was last seen.
const SESSION_MS: u64 = 30 * 24 * 3600 * 1000;
/// Its end is moved at most this often: not every request is a write.
const EXTEND_EVERY_MS: u64 = 24 * 3600 * 1000;
/// How long a look-up is believed; how late an account that the command line signed out may find out.
const CACHED_FOR: Duration = Duration::from_secs(10);
const OWNER_LINK: &str = "owner_link";

/// A request's session: whose it is, and by which token it is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    pub person: Person,
    pub token_hash: [u8; 32],
    expires_at: u64,
}

/// A session that was just made: the token is the only copy.
pub struct NewSession {
    pub person: Person,
    pub token: Token,
}

#[derive(Clone)]
pub struct Accounts {
    store: Store,
    clock: Clock,
    passwords: Passwords,
    sessions: Cache<[u8; 32], Session>,
}

impl Accounts {
    pub fn new(store: Store, clock: Clock) -> Self {
        let sessions = Cache::builder().max_capacity(100_000).time_to_live(CACHED_FOR).build();
        Self { store, clock, passwords: Passwords::default(), sessions }
    }

    /// Whose cookie this is. An expired, revoked or forged one is nobody's.
    pub async fn session(&self, token: &Token) -> Result<Option<Session>, Refusal> {
        let (token_hash, now) = (token.hash(), self.clock.now_ms());
        let extended = now + SESSION_MS - EXTEND_EVERY_MS;
        if let Some(session) = self.sessions.get(&token_hash).filter(|session| session.expires_at >= extended) {
            return Ok(Some(session));
        }
        let row = self.store.session(&token_hash).await.map_err(|error| refusal_of(&error, "session"))?;
        let Some(row) = row.filter(|row| row.expires_at > now) else { return Ok(None) };
        let mut session = Session { person: row.person, token_hash, expires_at: row.expires_at };
        if session.expires_at < extended {
            session.expires_at = now + SESSION_MS;
            self.store.extend_session(&token_hash, session.expires_at).await.map_err(|error| refusal_of(&error, "session"))?;
        }
        self.sessions.insert(token_hash, session.clone());
        Ok(Some(session))
    }

    /// Seconds a session cookie is kept.
    pub fn cookie_seconds() -> u64 {
        SESSION_MS / 1000
    }

    /// A guest with a nickname; or another nickname for who is signed in already.
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

    /// An account, for a new uid or for the guest who asks. `owner_link` is the token of the console's one-time link.
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
            // Somebody else was quicker: the account stands, and may log in as what it is.
            return Err(Refusal::malformed("owner"));
        }
        // Another token after a rise in rights: one that leaked before is worth nothing now.
        if let Some(session) = session {
            self.end_session(session).await?;
        }
        self.create_session(Person { uid, nickname, account: Some(account) }).await
    }

    /// A wrong name and a wrong password are one refusal, and take the same time.
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

    pub async fn end_session(&self, session: &Session) -> Result<(), Refusal> {
        let ended = self.store.end_session(&session.token_hash).await;
        self.sessions.invalidate(&session.token_hash);
        ended.map_err(|error| refusal_of(&error, "logout"))
    }

    /// For the console, while the installation has no owner: a fresh one-time token. Only its hash is kept.
    pub async fn owner_link(&self) -> Result<Option<Token>, StorageError> {
        if self.store.has_owner().await? {
            return Ok(None);
        }
        let token = Token::random();
        self.store.set_fact(OWNER_LINK, &token.hash()).await?;
        Ok(Some(token))
    }

    pub async fn hash_password(&self, password: &str) -> Result<String, Refusal> {
        self.passwords.hash(name::password(password)?).await
    }

    /// To be called now and then: expired sessions are only rows.
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

/// What entering as a guest did to the session.
pub enum GuestSignIn {
    Created(NewSession),
    /// The session went on under another nickname.
    Renamed(Person),
}

pub struct Registration<'a> {
    pub account: &'a str,
    pub password: &'a str,
    /// Empty: the account's name.
    pub nickname: &'a str,
    pub owner_link: Option<&'a str>,
}

pub fn new_uid() -> Result<Uid, Refusal> {
    Uid::try_from(Uuid::now_v7().to_string())
}
