//! Actions of a person on the own account: the password, and the list and the end of sessions.

use super::Actions;
use crate::domain::{
    push::CloseCode,
    refusal::Refusal,
    reply::{Done, OwnSession},
};
use crate::server::accounts::{Accounts, PasswordChange, Session};
use crate::server::gateway::SocketOwner;
use crate::server::security_log::{Act, Event};
use crate::server::web::rate_limit::RequestKind;

impl Actions {
    /// Changes the password, ends the other sessions and closes their sockets. Counts as a sign-in of the address.
    pub async fn change_password(&self, current: &str, new: &str) -> Result<Done, Refusal> {
        self.check_rate_limit(RequestKind::SignIn)?;
        let session = self.account_session().await?;
        let form = PasswordChange { current, new };
        let device = self.device();
        let ended = self.state.accounts.change_password(session, form, &self.client("", device.as_ref())).await?;
        self.record(Act::PasswordChanged, session, None);
        self.sessions_ended(session, &ended).await;
        Ok(Done { status: true })
    }

    /// Returns the sessions of the person, newest first. A refusal is also the page's status.
    pub async fn own_sessions(&self) -> Result<Vec<OwnSession>, Refusal> {
        let sessions = async {
            self.check_rate_limit(RequestKind::Request)?;
            let session = self.account_session().await?;
            let rows = self.state.accounts.sessions_of(session).await?;
            let own = |row: crate::server::storage::SessionRow| OwnSession {
                id: Accounts::session_id(&row.token_hash),
                label: row.label,
                created_at: row.created_at,
                used_at: row.used_at,
                is_current: row.token_hash == session.token_hash,
            };
            Ok(rows.into_iter().map(own).collect())
        };
        self.with_status(sessions.await)
    }

    /// Ends one of the own sessions and closes its sockets. An unknown id is one that ended before.
    pub async fn end_session(&self, id: &str) -> Result<Done, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        let session = self.account_session().await?;
        let ended = self.state.accounts.end_session_by_id(session, id).await?;
        self.sessions_ended(session, ended.as_slice()).await;
        Ok(Done { status: true })
    }

    /// Ends the own sessions except this one and closes their sockets.
    pub async fn end_other_sessions(&self) -> Result<Done, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        let session = self.account_session().await?;
        let ended = self.state.accounts.end_other_sessions(session).await?;
        self.sessions_ended(session, &ended).await;
        Ok(Done { status: true })
    }

    /// The session of an account. Guests are refused.
    async fn account_session(&self) -> Result<&Session, Refusal> {
        let session = self.current_session().await?;
        if session.person.account.is_some() { Ok(session) } else { Err(Refusal::NotAllowed) }
    }

    async fn sessions_ended(&self, session: &Session, ended: &[[u8; 32]]) {
        if ended.is_empty() {
            return;
        }
        self.record(Act::SessionsEnded, session, Some(ended.len() as u64));
        self.state.gateway.close_owners(ended.iter().copied().map(SocketOwner), CloseCode::SIGNED_OUT).await;
    }

    /// Records an act of the session's account. Acts of guests are not recorded.
    pub(super) fn record(&self, act: Act, session: &Session, count: Option<u64>) {
        let Some(account) = &session.person.account else { return };
        let event = Event::new(act).uid(&session.person.uid).account(account).network(self.context.client_addr);
        self.state.security_log.record(&count.into_iter().fold(event, Event::count));
    }
}
