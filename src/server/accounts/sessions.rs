//! Login sessions: look-ups with a cache, extension, and the end of one or of all sessions of a person.
//!
//! Invariant: when a method that ends sessions has returned, no look-up that begins later finds them, and no look-up under way
//! puts them back into the cache.

use super::{NewSession, Token};
use crate::domain::{id::Uid, refusal::Refusal, room::Person};
use crate::server::{
    clock::Clock,
    incident::refusal_of,
    storage::{NewSessionRow, SessionRow, StorageError, Store},
};
use moka::sync::Cache;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lifetime of a session after its last request: 30 days.
pub(super) const SESSION_MS: u64 = 30 * DAY_MS;
/// Expired sessions that are removed in one transaction.
const SWEEP_BATCH: u32 = 500;
/// Lifetime of a session at most, also of one that is used every day: 180 days.
const LONGEST_MS: u64 = 180 * DAY_MS;
const DAY_MS: u64 = 24 * 3600 * 1000;
/// The expiry of a session is moved at most once per day, so that most requests write nothing.
const EXTEND_EVERY_MS: u64 = DAY_MS;
/// A request waits this long for the extension of its session, and then goes on with the session as it is.
const EXTEND_TIMEOUT: Duration = Duration::from_millis(200);
/// Time until a failed extension is tried again.
const EXTEND_RETRY_MS: u64 = 60_000;
/// Cache lifetime of a look-up: a session that was ended in the database alone is accepted for this long at most.
const CACHED_FOR: Duration = Duration::from_secs(10);
/// Sessions of one account; a further sign-in ends the oldest.
pub(super) const MAX_OF_ACCOUNT: u32 = 100;
/// Look-ups of one token that are repeated because a session ended meanwhile; the next one is not cached.
const MAX_REPEATS: usize = 3;

/// A valid login session, as found by its token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// The signed-in person.
    pub person: Person,
    /// Hash of the token, the session's key in the database.
    pub token_hash: [u8; 32],
    created_at: u64,
    expires_at: u64,
    /// The time from which a request extends it.
    extend_at: u64,
}

impl Session {
    fn new(row: SessionRow) -> Self {
        let extend_at = row.used_at.saturating_add(EXTEND_EVERY_MS);
        let SessionRow { token_hash, person, created_at, expires_at, .. } = row;
        Self { person, token_hash, created_at, expires_at, extend_at }
    }
}

/// The sessions of all people. A clone shares the cache.
#[derive(Clone)]
pub(super) struct Sessions {
    store: Store,
    clock: Clock,
    cached: Cache<[u8; 32], Session>,
    /// Counts ends. A look-up during which it changed may have read an ended session, and is not cached.
    endings: Arc<Mutex<u64>>,
}

impl Sessions {
    pub(super) fn new(store: Store, clock: Clock) -> Self {
        let cached = Cache::builder().max_capacity(100_000).time_to_live(CACHED_FOR).build();
        Self { store, clock, cached, endings: Arc::default() }
    }

    /// Returns the session with this hash, or `None` if it is unknown, ended or expired. Extends it once per day.
    pub(super) async fn find(&self, token_hash: &[u8; 32]) -> Result<Option<Session>, Refusal> {
        let now = self.clock.now_ms();
        let is_valid = |session: &Session| now < session.expires_at;
        if let Some(session) = self.cached.get(token_hash).filter(|session| is_valid(session) && now < session.extend_at) {
            return Ok(Some(session));
        }
        for _ in 0..MAX_REPEATS {
            let endings = self.endings();
            let Some(session) = self.read(token_hash).await?.filter(is_valid) else { return Ok(None) };
            let session = self.extended(session, now).await;
            if self.cache_unless_ended(endings, &session) {
                return Ok(Some(session));
            }
        }
        Ok(self.read(token_hash).await?.filter(is_valid))
    }

    async fn read(&self, token_hash: &[u8; 32]) -> Result<Option<Session>, Refusal> {
        let row = self.store.session(token_hash).await.map_err(|error| refusal_of(&error, "session"))?;
        Ok(row.map(Session::new))
    }

    /// Moves the expiry to 30 days from `now` if it is due. A database that cannot be written does not sign anyone out: the
    /// session then stays as it is, and the next try is a minute later.
    async fn extended(&self, mut session: Session, now: u64) -> Session {
        if now < session.extend_at {
            return session;
        }
        let expires_at = expiry(session.created_at, now);
        let extension = self.store.extend_session(&session.token_hash, now, expires_at);
        match tokio::time::timeout(EXTEND_TIMEOUT, extension).await {
            Ok(Ok(())) => (session.expires_at, session.extend_at) = (expires_at, now + EXTEND_EVERY_MS),
            Ok(Err(error)) => {
                tracing::warn!(%error, "could not extend a session");
                session.extend_at = now + EXTEND_RETRY_MS;
            }
            Err(_) => session.extend_at = now + EXTEND_RETRY_MS,
        }
        session
    }

    /// Returns false, and caches nothing, if a session ended since `endings` was read.
    fn cache_unless_ended(&self, endings: u64, session: &Session) -> bool {
        // The lock orders this against `forget`: the count changes before or after the insertion, and the entry is removed
        // after the change.
        let now = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        let unchanged = *now == endings;
        if unchanged {
            self.cached.insert(session.token_hash, session.clone());
        }
        unchanged
    }

    fn endings(&self) -> u64 {
        *self.endings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the cached look-ups of a person. It reads the whole cache: only commands of the operator call it.
    fn forget_all_of(&self, uid: &Uid) {
        self.count_ending();
        for (token_hash, session) in &self.cached {
            if session.person.uid == *uid {
                self.cached.invalidate(&*token_hash);
            }
        }
    }

    /// Removes cached look-ups. Called after the change in the database.
    pub(super) fn forget(&self, token_hashes: &[[u8; 32]]) {
        if token_hashes.is_empty() {
            return;
        }
        self.count_ending();
        token_hashes.iter().for_each(|token_hash| self.cached.invalidate(token_hash));
    }

    /// Removes all cached look-ups.
    pub(super) fn forget_everything(&self) {
        self.count_ending();
        self.cached.invalidate_all();
    }

    fn count_ending(&self) {
        *self.endings.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    /// Forgets the cached look-up of a session whose person changed.
    pub(super) fn refresh(&self, session: &Session) {
        self.forget(&[session.token_hash]);
    }

    /// Creates a session of `person`. `label` names the kind of browser.
    pub(super) async fn create(&self, person: Person, label: &str) -> Result<NewSession, Refusal> {
        let token = Token::random();
        let stored = self.store.put_session(self.row(&token.hash(), &person, label)).await;
        stored.map_err(|error| refusal_of(&error, "session"))?;
        Ok(NewSession { person, token, device: None, ended: vec![] })
    }

    /// Ends the oldest sessions of `uid` beyond [`MAX_OF_ACCOUNT`], and returns the hashes of their tokens.
    pub(super) async fn end_oldest(&self, uid: &Uid) -> Result<Vec<[u8; 32]>, Refusal> {
        let ended = self.store.end_oldest_sessions(uid, MAX_OF_ACCOUNT).await.map_err(|error| refusal_of(&error, "session"))?;
        self.forget(&ended);
        Ok(ended)
    }

    /// Creates a guest and their session, in one step.
    pub(super) async fn create_guest(&self, person: Person, label: &str) -> Result<NewSession, Refusal> {
        let token = Token::random();
        let stored = self.store.put_guest(&person.nickname, self.row(&token.hash(), &person, label)).await;
        stored.map_err(|error| refusal_of(&error, "guest"))?;
        Ok(NewSession { person, token, device: None, ended: vec![] })
    }

    fn row<'a>(&self, token_hash: &'a [u8; 32], person: &'a Person, label: &'a str) -> NewSessionRow<'a> {
        let now = self.clock.now_ms();
        NewSessionRow { token_hash, uid: &person.uid, label, created_at: now, expires_at: expiry(now, now) }
    }

    /// Ends one session.
    pub(super) async fn end(&self, token_hash: &[u8; 32]) -> Result<(), Refusal> {
        let ended = self.store.end_session(token_hash).await;
        self.forget(&[*token_hash]);
        ended.map_err(|error| refusal_of(&error, "logout"))
    }

    /// Ends the sessions of a person except `session`, and returns the hashes of those that ended.
    pub(super) async fn end_others(&self, session: &Session) -> Result<Vec<[u8; 32]>, StorageError> {
        let ended = self.store.end_sessions_of(&session.person.uid, Some(&session.token_hash)).await?;
        self.forget(&ended);
        Ok(ended)
    }

    /// Ends all sessions of `uid`, also those that a command ended in the database before, and returns the hashes of the others.
    pub(super) async fn end_all(&self, uid: &Uid) -> Result<Vec<[u8; 32]>, StorageError> {
        let ended = self.store.end_sessions_of(uid, None).await;
        self.forget_all_of(uid);
        ended
    }

    /// Deletes expired sessions in batches, with a rest after each, and returns their number.
    pub(super) async fn sweep(&self) -> Result<u64, StorageError> {
        let mut ended = 0;
        let now = self.store.earlier_now(self.clock.now_ms()).await?;
        loop {
            let started = Instant::now();
            let batch = self.store.end_expired_sessions(now, SWEEP_BATCH).await?;
            ended += batch;
            if batch < u64::from(SWEEP_BATCH) {
                return Ok(ended);
            }
            // Sends find the database free for as long as the batch took.
            tokio::time::sleep(started.elapsed()).await;
        }
    }
}

/// 30 days from now, and no later than 180 days after the sign-in.
fn expiry(created_at: u64, now: u64) -> u64 {
    now.saturating_add(SESSION_MS).min(created_at.saturating_add(LONGEST_MS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::StorageSettings;
    use tempfile::TempDir;

    async fn signed_in(now: u64) -> (TempDir, Sessions, Clock, [u8; 32]) {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&StorageSettings { data_dir: folder.path().into(), ..StorageSettings::default() }).await.unwrap();
        let clock = Clock::manual(now);
        let sessions = Sessions::new(store.clone(), clock.clone());
        let person = Person { uid: "u".parse().unwrap(), nickname: "n".into(), account: None };
        store.put_nickname(&person.uid, "n", now).await.unwrap();
        let token_hash = sessions.create(person, "Firefox").await.unwrap().token.hash();
        (folder, sessions, clock, token_hash)
    }

    #[tokio::test]
    async fn f9_a_look_up_under_way_does_not_bring_an_ended_session_back() {
        for round in 0..3 {
            let (_folder, sessions, _clock, token_hash) = signed_in(0).await;
            // A look-up has read the row; then the session ends; then the look-up goes on.
            let (endings, read) = (sessions.endings(), sessions.read(&token_hash).await.unwrap().unwrap());
            match round {
                0 => assert_eq!(sessions.end_all(&read.person.uid).await.unwrap(), [token_hash]),
                1 => {
                    let other = Session { token_hash: [0; 32], ..read.clone() };
                    assert_eq!(sessions.end_others(&other).await.unwrap(), [token_hash]);
                }
                _ => sessions.end(&token_hash).await.unwrap(),
            }
            assert!(!sessions.cache_unless_ended(endings, &read));
            assert!(sessions.find(&token_hash).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn f9_the_end_of_all_sessions_removes_cached_look_ups() {
        let (_folder, sessions, _clock, token_hash) = signed_in(0).await;
        let session = sessions.find(&token_hash).await.unwrap().unwrap();
        // As the command line of an older version does it: in the database, and then by request to the server.
        sessions.store.end_sessions_of(&session.person.uid, None).await.unwrap();
        assert!(sessions.find(&token_hash).await.unwrap().is_some(), "cached");
        sessions.end_all(&session.person.uid).await.unwrap();
        assert!(sessions.find(&token_hash).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_session_used_every_day_ends_after_180_days() {
        let (_folder, sessions, clock, token_hash) = signed_in(0).await;
        for day in 1..180 {
            clock.set(day * DAY_MS);
            assert!(sessions.find(&token_hash).await.unwrap().is_some(), "day {day}");
        }
        clock.set(180 * DAY_MS);
        assert!(sessions.find(&token_hash).await.unwrap().is_none());
    }
}
