//! Acts of a person on the own account: another password, the list of sessions, the end of sessions.

use super::hash_threads::Queue;
use super::log_in_turns::Source;
use super::sessions::MAX_OF_ACCOUNT;
use super::sign_in::{Client, event};
use super::{Accounts, Session, Token};
use crate::domain::refusal::Refusal;
use crate::server::incident::refusal_of;
use crate::server::names;
use crate::server::security_log::Act;
use crate::server::storage::{NewPassword, SessionRow};

/// The fields of a form that changes the own password, unchecked.
pub struct PasswordChange<'a> {
    /// The current password, in clear text.
    pub current: &'a str,
    /// The new password, in clear text.
    pub new: &'a str,
}

impl Accounts {
    /// Replaces the password after a check of the current one, ends the other sessions of the account, and forgets its
    /// devices except the client's. Returns the hashes of the ended sessions' tokens.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] for a guest; `malformed` with the field `current` for a wrong password, or one that was changed
    /// meanwhile; [`Refusal::TooFast`] after 10 wrong ones; the refusal of an unsuitable new password, or of a failed query.
    pub async fn change_password(
        &self,
        session: &Session,
        form: PasswordChange<'_>,
        client: &Client<'_>,
    ) -> Result<Vec<[u8; 32]>, Refusal> {
        let account = session.person.account.as_deref().ok_or(Refusal::NotAllowed)?;
        let new = names::password(form.new, account)?;
        let person = Some(&session.person);
        let checked = self.turns.check_source(&names::account_key(account), Source::Device(session.token_hash)).await;
        checked.inspect_err(|_| self.log.record_counted(&event(Act::SignInRefused, person, client)))?;
        let replaced = self.account(account).await?.ok_or(Refusal::NotSignedIn)?.password;
        let is_right = self.passwords.verify(Queue::Known, form.current, replaced.as_deref()).await?;
        let Some(replaced) = replaced.filter(|_| is_right) else {
            self.log.record_counted(&event(Act::SignInFailed, person, client));
            return Err(Refusal::malformed("current"));
        };
        let password = self.passwords.hash(Queue::Known, new).await?;
        let device = client.device.map(Token::hash);
        let new = NewPassword {
            uid: &session.person.uid,
            replaced: &replaced,
            password: &password,
            kept_device: device.as_ref().map_or(&[], |hash| &hash[..]),
            kept_session: &session.token_hash,
        };
        let ended = self.store.change_password(new).await.map_err(|error| refusal_of(&error, "password"))?;
        let ended = ended.ok_or(Refusal::malformed("current"))?;
        self.sessions.forget(&ended);
        Ok(ended)
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
        let ended = self.sessions.end_others(session).await;
        ended.map_err(|error| refusal_of(&error, "sessions"))
    }

    /// Returns the id under which a page names a session: the first 16 hex digits of the hash of its token. It gives no right.
    pub fn session_id(token_hash: &[u8; 32]) -> String {
        token_hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}
