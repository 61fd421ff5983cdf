//! Signing in: guests by nickname, accounts by password, and the registration of an account.

use super::hash_threads::Queue;
use super::log_in_turns::Source;
use super::{Accounts, OWNER_LINK, OWNER_LINK_END, Session, Token, new_uid};
use crate::domain::{id::Uid, refusal::Refusal, room::Person};
use crate::server::incident::refusal_of;
use crate::server::names;
use crate::server::security_log::{Act, Event};
use crate::server::storage::NewPerson;
use std::net::IpAddr;

/// Devices that an account remembers; the one used longest ago is forgotten first.
pub(super) const MAX_DEVICES: u32 = 20;

/// The client of a sign-in, as its request describes it.
pub struct Client<'a> {
    /// The address, whose /24 or /48 the security log names.
    pub address: IpAddr,
    /// The network that limits count by.
    pub network: IpAddr,
    /// The kind of browser, for the list of sessions; empty if unknown.
    pub label: &'a str,
    /// The device cookie.
    pub device: Option<&'a Token>,
}

/// The fields of a log-in form, unchecked, and the wait.
pub struct LogIn<'a> {
    /// Account name.
    pub account: &'a str,
    /// Password, in clear text.
    pub password: &'a str,
    /// Whether the log-in may wait for its turn; false while the server shuts down.
    pub may_wait: &'a (dyn Fn() -> bool + Sync),
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

/// A session that was just created.
pub struct NewSession {
    /// The signed-in person.
    pub person: Person,
    /// The only copy of the token, for the cookie.
    pub token: Token,
    /// The device's token, for its cookie. `None` for guests.
    pub device: Option<Token>,
    /// Hashes of the tokens of the account's oldest sessions, which ended because it has 100 now.
    pub ended: Vec<[u8; 32]>,
}

/// Result of [`Accounts::sign_in_as_guest`].
pub enum GuestSignIn {
    /// A new guest with a new session.
    Created(NewSession),
    /// The person of the given session, with the new nickname.
    Renamed(Person),
}

impl Accounts {
    /// Creates a guest with `nickname` and a session with `label`; or, with a `session`, changes that person's nickname.
    ///
    /// # Errors
    /// The refusal of an invalid nickname, or of a failed query.
    pub async fn sign_in_as_guest(&self, nickname: &str, label: &str, session: Option<&Session>) -> Result<GuestSignIn, Refusal> {
        let nickname = self.free_nickname(nickname, session).await?;
        match session {
            Some(session) => {
                let stored = self.store.put_nickname(&session.person.uid, &nickname, self.clock.now_ms()).await;
                stored.map_err(|error| refusal_of(&error, "guest"))?;
                self.sessions.refresh(session);
                Ok(GuestSignIn::Renamed(Person { nickname, ..session.person.clone() }))
            }
            None => {
                let person = Person { uid: new_uid()?, nickname, account: None };
                self.sessions.create_guest(person, label).await.map(GuestSignIn::Created)
            }
        }
    }

    /// Creates an account and a session. A guest keeps the uid of `session`, which ends: a token that leaked before must not
    /// gain the rights of the account.
    ///
    /// # Errors
    /// The refusal of an invalid field, a taken name, a used, expired or wrong owner link, or a failed query.
    pub async fn register(
        &self,
        form: Registration<'_>,
        client: &Client<'_>,
        session: Option<&Session>,
    ) -> Result<NewSession, Refusal> {
        let account = names::account(form.account)?;
        let nickname = if form.nickname.is_empty() { &account } else { form.nickname };
        let nickname = self.free_nickname(nickname, session).await?;
        let password = names::password(form.password, &account)?;
        let owner_link = form.owner_link.map(|text| Token::parse(text).ok_or(Refusal::malformed("owner"))).transpose()?;
        if let Some(link) = &owner_link
            && !self.is_owner_link(link).await?
        {
            self.log.record(&Event::new(Act::OwnerLinkRefused).network(client.address));
            return Err(Refusal::malformed("owner"));
        }
        let taken = self.store.person_by_account(&account).await.map_err(|error| refusal_of(&error, "register"))?;
        if taken.is_some() {
            return Err(Refusal::NameTaken);
        }
        let password = self.passwords.hash(Queue::Strangers, password).await?;
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
        self.hosts.forget();
        self.record(Act::Registered, &uid, Some(&account), client);
        if form.owner_link.is_some() {
            self.record(Act::OwnerLinkUsed, &uid, Some(&account), client);
        }
        self.create_account_session(Person { uid, nickname, account: Some(account) }, client, session).await
    }

    /// Signs in with a password and ends the previous `session`. A device that signed in to the account before has limits of
    /// its own. For any other, `check_rate_limit` is called, and the log-in may wait for its turn (`log_in_turns`).
    ///
    /// # Errors
    /// [`Refusal::NotSignedIn`] for a wrong name or a wrong password, after the same time; [`Refusal::TooFast`] over a limit;
    /// [`Refusal::Busy`] if too many passwords are being checked; the refusal of a failed query.
    pub async fn log_in(
        &self,
        form: LogIn<'_>,
        client: &Client<'_>,
        session: Option<&Session>,
        check_rate_limit: impl FnOnce() -> Result<(), Refusal>,
    ) -> Result<NewSession, Refusal> {
        let key = names::account_key(form.account);
        let known = self.store.person_by_account(form.account).await.map_err(|error| refusal_of(&error, "login"))?;
        let device = match (&known, client.device) {
            (Some(row), Some(token)) => self.known_device(&row.person.uid, token).await?,
            _ => None,
        };
        let queue = match device {
            Some(device) => self.turns.check_source(&key, Source::Device(device)).map(|()| Queue::Known),
            None => {
                check_rate_limit()?;
                self.stranger_turn(&key, client, form.may_wait).await.map(|()| Queue::Strangers)
            }
        };
        // Of a name without an account nothing is recorded: people type passwords into this field.
        let account = known.as_ref().map(|row| &row.person);
        let queue = queue.inspect_err(|_| self.record_sign_in(Act::SignInRefused, account, client))?;
        let hash = known.as_ref().and_then(|row| row.password.as_deref());
        if !self.passwords.verify(queue, form.password, hash).await? {
            self.record_sign_in(Act::SignInFailed, account, client);
            return Err(Refusal::NotSignedIn);
        }
        self.record_sign_in(Act::SignedIn, account, client);
        let person = known.ok_or(Refusal::NotSignedIn)?.person;
        self.create_account_session(person, client, session).await
    }

    /// Waits for the turn of an unknown device.
    async fn stranger_turn(
        &self,
        account_key: &str,
        client: &Client<'_>,
        may_wait: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), Refusal> {
        self.turns.check_source(account_key, Source::Network(client.network))?;
        self.turns.take(account_key, client.network, may_wait).await
    }

    fn record_sign_in(&self, act: Act, person: Option<&Person>, client: &Client<'_>) {
        match person {
            Some(person) => self.record(act, &person.uid, person.account.as_deref(), client),
            None => self.log.record(&Event::new(act).network(client.address)),
        }
    }

    fn record(&self, act: Act, uid: &Uid, account: Option<&str>, client: &Client<'_>) {
        let event = Event::new(act).uid(uid).network(client.address);
        self.log.record(&account.into_iter().fold(event, Event::account));
    }

    /// Ends the previous `session`, creates one, and remembers the device.
    async fn create_account_session(
        &self,
        person: Person,
        client: &Client<'_>,
        session: Option<&Session>,
    ) -> Result<NewSession, Refusal> {
        if let Some(session) = session {
            self.end_session(session).await?;
        }
        let device = client.device.cloned().unwrap_or_else(Token::random);
        let put = self.store.put_device(&person.uid, &device.hash(), self.clock.now_ms(), MAX_DEVICES).await;
        if let Err(error) = put {
            // The next log-in of this device is then one of an unknown device, which is no reason to refuse this one.
            tracing::warn!(%error, "could not store a device");
        }
        let session = self.sessions.create(person, client.label).await?;
        let ended = self.sessions.end_oldest(&session.person.uid).await?;
        Ok(NewSession { device: Some(device), ended, ..session })
    }

    /// Checks a nickname. One that looks like the nickname of a room's host is refused, except to that host.
    async fn free_nickname(&self, raw: &str, session: Option<&Session>) -> Result<String, Refusal> {
        let nickname = names::nickname(raw)?;
        let hosts = self.hosts.nicknames().await?;
        let own = session.map(|session| &session.person.uid);
        let of_another = hosts.get(&names::skeleton(&nickname)).is_some_and(|hosts| hosts.iter().any(|uid| Some(uid) != own));
        if of_another { Err(Refusal::malformed("nickname")) } else { Ok(nickname) }
    }

    /// Returns the hash of the device's token, if it signed in to the account before.
    pub(super) async fn known_device(&self, uid: &Uid, device: &Token) -> Result<Option<[u8; 32]>, Refusal> {
        let hash = device.hash();
        let known = self.store.is_device_of(uid, &hash).await.map_err(|error| refusal_of(&error, "login"))?;
        Ok(known.then_some(hash))
    }

    async fn is_owner_link(&self, link: &Token) -> Result<bool, Refusal> {
        let failed = |error| refusal_of(&error, "register");
        let stored = self.store.fact(OWNER_LINK).await.map_err(failed)?;
        let end = self.store.fact(OWNER_LINK_END).await.map_err(failed)?;
        let end = end.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        // A link of an earlier version has no end.
        let is_valid = end.is_none_or(|end| self.clock.now_ms() < end);
        Ok(is_valid && stored.as_deref() == Some(&link.hash()[..]))
    }
}
