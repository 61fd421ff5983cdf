//! Acts of a person on the own account: another password, the list of sessions, the end of sessions.

use super::hash_threads::Queue;
use super::log_in_turns::Source;
use super::sessions::MAX_OF_ACCOUNT;
use super::sign_in::MAX_DEVICES;
use super::{Accounts, Session, Token};
use crate::domain::refusal::Refusal;
use crate::server::incident::refusal_of;
use crate::server::names;
use crate::server::storage::SessionRow;

/// The fields of a form that changes the own password, unchecked.
pub struct PasswordChange<'a> {
    /// The current password, in clear text.
    pub current: &'a str,
    /// The new password, in clear text.
    pub new: &'a str,
}

impl Accounts {
    /// Replaces the password after a check of the current one, ends the other sessions of the account, and forgets its
    /// devices except `device`. Returns the hashes of the ended sessions' tokens.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] for a guest; `malformed` with the field `current` for a wrong password;
    /// [`Refusal::TooFast`] after 10 wrong ones; the refusal of an unsuitable new password, or of a failed query.
    pub async fn change_password(
        &self,
        session: &Session,
        form: PasswordChange<'_>,
        device: Option<&Token>,
    ) -> Result<Vec<[u8; 32]>, Refusal> {
        let account = session.person.account.as_deref().ok_or(Refusal::NotAllowed)?;
        let new = names::password(form.new, account)?;
        self.turns.check_source(&names::account_key(account), Source::Device(session.token_hash))?;
        let failed = |error| refusal_of(&error, "password");
        let row = self.store.person_by_account(account).await.map_err(failed)?.ok_or(Refusal::NotSignedIn)?;
        if !self.passwords.verify(Queue::Known, form.current, row.password.as_deref()).await? {
            return Err(Refusal::malformed("current"));
        }
        let hash = self.passwords.hash(Queue::Known, new).await?;
        self.store.set_password(&session.person.uid, &hash).await.map_err(failed)?;
        let known = match device {
            Some(device) => self.known_device(&session.person.uid, device).await?,
            None => None,
        };
        self.store.remove_devices_of(&session.person.uid).await.map_err(failed)?;
        if let Some(device) = known {
            self.store.put_device(&session.person.uid, &device, self.clock.now_ms(), MAX_DEVICES).await.map_err(failed)?;
        }
        self.end_other_sessions(session).await
    }

    /// Returns the sessions of the person that have not expired, newest first, 100 at most.
    ///
    /// # Errors
    /// The refusal of a failed query.
    pub async fn sessions_of(&self, session: &Session) -> Result<Vec<SessionRow>, Refusal> {
        let rows = self.store.sessions_of(&session.person.uid, MAX_OF_ACCOUNT).await;
        let now = self.clock.now_ms();
        let rows = rows.map_err(|error| refusal_of(&error, "sessions"))?;
        Ok(rows.into_iter().filter(|row| now < row.expires_at).collect())
    }

    /// Ends the session of the same person whose id ([`Accounts::session_id`]) is `id`, and returns its hash. `None`: the
    /// person has no such session.
    ///
    /// # Errors
    /// The refusal of a failed query.
    pub async fn end_session_by_id(&self, session: &Session, id: &str) -> Result<Option<[u8; 32]>, Refusal> {
        let rows = self.sessions_of(session).await?;
        let Some(row) = rows.into_iter().find(|row| Self::session_id(&row.token_hash) == id) else { return Ok(None) };
        self.sessions.end(&row.token_hash).await?;
        Ok(Some(row.token_hash))
    }

    /// Ends the person's sessions except `session`, and returns the hashes of their tokens.
    ///
    /// # Errors
    /// The refusal of a failed query.
    pub async fn end_other_sessions(&self, session: &Session) -> Result<Vec<[u8; 32]>, Refusal> {
        let ended = self.sessions.end_all(&session.person.uid, Some(session)).await;
        ended.map_err(|error| refusal_of(&error, "sessions"))
    }

    /// Returns the id under which a page names a session: the first 16 hex digits of the hash of its token. It gives no right.
    pub fn session_id(token_hash: &[u8; 32]) -> String {
        token_hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}
