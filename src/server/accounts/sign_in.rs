//! Signing in: guests by nickname, accounts by password, and the registration of an account.

use super::hash_threads::Queue;
use super::log_in_turns::Source;
use super::{Accounts, OWNER_LINK, OWNER_LINK_END, Session, Token, new_uid};
use crate::domain::{id::Uid, refusal::Refusal, room::Person};
use crate::server::incident::refusal_of;
use crate::server::names;
use crate::server::security_log::{Act, Event};
use crate::server::storage::{NewPerson, PersonRow};
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
        if self.account(&account).await?.is_some() {
            return Err(Refusal::NameTaken);
        }
        let password = self.passwords.hash(Queue::Strangers, password).await?;
        let guest = session.filter(|session| session.person.account.is_none());
        if let Some(guest) = guest
            && !self.is_current(guest).await?
        {
            // It ended while the password was hashed: its uid is not the requester's any more.
            return Err(Refusal::NotSignedIn);
        }
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
        self.record(Act::Registered, &uid, Some(&account), client);
        if form.owner_link.is_some() {
            self.hosts.forget();
            self.record(Act::OwnerLinkUsed, &uid, Some(&account), client);
        }
        let person = Person { uid, nickname, account: Some(account) };
        self.create_account_session(person, &password, Token::random(), client, session).await
    }

    /// Signs in with a password and ends the previous `session`. A device that signed in to the account before has limits of
    /// its own. For any other, `check_rate_limit` is called, and the log-in may wait for its turn (`log_in_turns`). A password
    /// that is changed meanwhile is wrong.
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
        let found = self.account(form.account).await?.map(|row| row.person);
        let device = match (&found, client.device) {
            (Some(person), Some(token)) if self.is_known_device(&person.uid, token).await? => Some(token),
            _ => None,
        };
        let queue = match device {
            Some(device) => self.turns.check_source(&key, Source::Device(device.hash())).await.map(|()| Queue::Known),
            None => {
                check_rate_limit()?;
                let uid = found.as_ref().map(|person| &person.uid);
                self.stranger_turn(&key, uid, client, form.may_wait).await.map(|()| Queue::Strangers)
            }
        };
        // Of a name without an account nothing is recorded: people type passwords into this field.
        let queue = queue.inspect_err(|_| self.log.record_counted(&event(Act::SignInRefused, found.as_ref(), client)))?;
        // Read again: the wait may have taken 15 s, and the password may have been changed in it.
        let (person, hash) = self.account(form.account).await?.map(|row| (row.person, row.password)).unzip();
        let hash = hash.flatten();
        let is_right = self.passwords.verify(queue, form.password, hash.as_deref()).await?;
        let created = match (&person, hash) {
            (Some(person), Some(hash)) if is_right => {
                // The device keeps its token only if the account knows it: another one may have been planted by somebody else.
                let device = device.cloned().unwrap_or_else(Token::random);
                self.create_account_session(person.clone(), &hash, device, client, session).await
            }
            _ => Err(Refusal::NotSignedIn),
        };
        match &created {
            Ok(_) => self.log.record(&event(Act::SignedIn, person.as_ref(), client)),
            Err(Refusal::NotSignedIn) => self.log.record(&event(Act::SignInFailed, person.as_ref(), client)),
            Err(_) => {}
        }
        created
    }

    pub(super) async fn account(&self, account: &str) -> Result<Option<PersonRow>, Refusal> {
        self.store.person_by_account(account).await.map_err(|error| refusal_of(&error, "account"))
    }

    /// Waits for the turn of an unknown device.
    async fn stranger_turn(
        &self,
        account_key: &str,
        uid: Option<&Uid>,
        client: &Client<'_>,
        may_wait: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), Refusal> {
        self.turns.check_source(account_key, Source::Network(client.network)).await?;
        self.turns.take(account_key, uid, client.network, may_wait).await
    }

    fn record(&self, act: Act, uid: &Uid, account: Option<&str>, client: &Client<'_>) {
        let event = Event::new(act).uid(uid).network(client.address);
        self.log.record(&account.into_iter().fold(event, Event::account));
    }

    /// Creates a session, remembers the device, and ends the previous `session`. If the account's hash is no longer `password`
    /// the new session ends: a change of the password that came between has ended those that it found.
    async fn create_account_session(
        &self,
        person: Person,
        password: &str,
        device: Token,
        client: &Client<'_>,
        session: Option<&Session>,
    ) -> Result<NewSession, Refusal> {
        let created = self.sessions.create(person, client.label).await?;
        if !self.put_device(&created.person, password, &device).await? {
            self.sessions.end(&created.token.hash()).await?;
            return Err(Refusal::NotSignedIn);
        }
        if let Some(session) = session {
            self.end_session(session).await?;
        }
        let ended = self.sessions.end_oldest(&created.person.uid).await?;
        Ok(NewSession { device: Some(device), ended, ..created })
    }

    /// Remembers the device, and returns whether the hash of the account's password is still `password`.
    async fn put_device(&self, person: &Person, password: &str, device: &Token) -> Result<bool, Refusal> {
        match self.store.put_device(&person.uid, &device.hash(), password, self.clock.now_ms(), MAX_DEVICES).await {
            Ok(is_current) => Ok(is_current),
            Err(error) => {
                // The next log-in of this device is then one of an unknown device, which is no reason to refuse this one.
                tracing::warn!(%error, "could not store a device");
                let row = self.account(person.account.as_deref().unwrap_or_default()).await?;
                Ok(row.is_some_and(|row| row.password.as_deref() == Some(password)))
            }
        }
    }

    /// Checks a nickname. One that looks like the nickname of a room's host is refused, except to that host.
    async fn free_nickname(&self, raw: &str, session: Option<&Session>) -> Result<String, Refusal> {
        let nickname = names::nickname(raw)?;
        let hosts = self.hosts.nicknames().await?;
        let own = session.map(|session| &session.person.uid);
        let of_another = hosts.get(&names::skeleton(&nickname)).is_some_and(|hosts| hosts.iter().any(|uid| Some(uid) != own));
        if of_another { Err(Refusal::malformed("nickname")) } else { Ok(nickname) }
    }

    /// Returns whether the device signed in to the account before.
    async fn is_known_device(&self, uid: &Uid, device: &Token) -> Result<bool, Refusal> {
        self.store.is_device_of(uid, &device.hash()).await.map_err(|error| refusal_of(&error, "login"))
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

/// The event of a sign-in. Without an account it has no name.
pub(super) fn event<'a>(act: Act, person: Option<&'a Person>, client: &Client<'_>) -> Event<'a> {
    let event = Event::new(act).network(client.address);
    let Some(person) = person else { return event };
    person.account.as_deref().into_iter().fold(event.uid(&person.uid), Event::account)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{clock::Clock, config::StorageSettings, security_log::SecurityLog, storage::Store};

    #[tokio::test]
    async fn f9_a_session_of_a_password_that_was_changed_meanwhile_ends() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(&StorageSettings { data_dir: folder.path().into(), ..StorageSettings::default() }).await.unwrap();
        let accounts = Accounts::new(store.clone(), Clock::manual(0), SecurityLog::off());
        let address = IpAddr::from([127, 0, 0, 1]);
        let client = Client { address, network: address, label: "", device: None };
        let form = Registration { account: "ming", password: "correct horse", nickname: "", owner_link: None };
        let person = accounts.register(form, &client, None).await.map(|session| session.person).unwrap();
        let verified = accounts.account("ming").await.unwrap().unwrap().password.unwrap();
        store.set_password(&person.uid, "another hash").await.unwrap();
        let device = Token::random();
        let late = accounts.create_account_session(person.clone(), &verified, device.clone(), &client, None).await;
        assert_eq!(late.map(|session| session.person), Err(Refusal::NotSignedIn));
        assert_eq!(store.sessions_of(&person.uid, 10).await.unwrap().len(), 1, "that of the registration");
        assert!(!store.is_device_of(&person.uid, &device.hash()).await.unwrap());
    }
}
