//! Actions of a sign-in: guests, accounts, sign-out, preferences.

use super::{Actions, non_empty};
use crate::domain::{
    lang::Lang,
    preferences::{LANG_COOKIE, THEME_COOKIE, Theme},
    push::CloseCode,
    refusal::Refusal,
    reply::{Done, SignInReply},
};
use crate::server::accounts::{Client, GuestSignIn, LogIn, NewSession, Registration, Token};
use crate::server::gateway::{SocketOwner, rate_limit_prefix};
use crate::server::security_log::Act;
use crate::server::web::middleware::cookies::DEVICE_COOKIE;
use crate::server::web::middleware::headers::header_text;
use crate::server::web::rate_limit::RequestKind;
use crate::server::web::user_agent;
use axum::http::header;

/// Lifetime of the language and theme cookies: a year, in seconds.
const PREFERENCE_COOKIE_SECONDS: i64 = 365 * 24 * 3600;

impl Actions {
    /// Signs a guest in under `nickname`, or renames the signed-in guest.
    pub async fn enter_as_guest(&self, nickname: &str) -> Result<SignInReply, Refusal> {
        self.check_rate_limit(RequestKind::Guest)?;
        let session = self.current_session_if_any().await?;
        match self.state.accounts.sign_in_as_guest(nickname, &self.label(), session).await? {
            GuestSignIn::Created(session) => Ok(self.signed_in(session).await),
            GuestSignIn::Renamed(person) => Ok(SignInReply { uid: person.uid, nickname: person.nickname }),
        }
    }

    /// Creates an account and signs it in. With the token of the one-time link in `owner_link` it becomes the owner's.
    pub async fn register(
        &self,
        account: &str,
        password: &str,
        nickname: &str,
        owner_link: Option<&str>,
    ) -> Result<SignInReply, Refusal> {
        self.check_rate_limit(RequestKind::SignIn)?;
        let form = Registration { account, password, nickname, owner_link: non_empty(owner_link) };
        let (label, device) = (self.label(), self.device());
        let client = self.client(&label, device.as_ref());
        let session = self.state.accounts.register(form, &client, self.current_session_if_any().await?).await?;
        if non_empty(owner_link).is_some() {
            // The account hosts every room that had no host.
            self.state.chat.forget_rooms();
        }
        self.close_sockets_of_old_session().await;
        Ok(self.signed_in(session).await)
    }

    /// Signs an account in. Log-ins are also limited per account; a device that signed in before has limits of its own.
    pub async fn log_in(&self, account: &str, password: &str) -> Result<SignInReply, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        let (label, device) = (self.label(), self.device());
        let client = self.client(&label, device.as_ref());
        let check_rate_limit = || self.check_rate_limit(RequestKind::SignIn);
        let may_wait = || *self.state.accepting.borrow() && !self.state.shutdown.is_cancelled();
        let form = LogIn { account, password, may_wait: &may_wait };
        // A session that ended meanwhile is no obstacle: the password gives the right.
        let session = match self.current_session_if_any().await {
            Err(Refusal::NotSignedIn) => None,
            session => session?,
        };
        let session = self.state.accounts.log_in(form, &client, session, check_rate_limit).await?;
        self.close_sockets_of_old_session().await;
        Ok(self.signed_in(session).await)
    }

    /// Ends the session and closes its sockets. Without a session it only removes the cookie.
    pub async fn log_out(&self) -> Result<Done, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        if let Some(session) = &self.context.session {
            self.state.accounts.end_session(session).await?;
            self.record(Act::SignedOut, session, None);
            self.close_sockets_of_old_session().await;
        }
        self.context.cookies.remove_session(&self.parts.headers).into_iter().for_each(|cookie| self.set_cookie(cookie));
        Ok(Done { status: true })
    }

    /// Sets the cookies of language and theme, for pages without JavaScript; scripts set these cookies themselves.
    pub fn set_preferences(&self, lang: Option<&str>, theme: Option<&str>) -> Result<Done, Refusal> {
        let (lang, theme) = (non_empty(lang), non_empty(theme));
        if let Some(code) = lang {
            Lang::from_code(code).ok_or(Refusal::malformed("lang"))?;
            self.set_cookie(self.context.cookies.set(LANG_COOKIE, code, PREFERENCE_COOKIE_SECONDS, false));
        }
        if let Some(code) = theme {
            Theme::from_code(code).ok_or(Refusal::malformed("theme"))?;
            self.set_cookie(self.context.cookies.set(THEME_COOKIE, code, PREFERENCE_COOKIE_SECONDS, false));
        }
        Ok(Done { status: true })
    }

    /// Closes the sockets of the session that this request came with, because it ended or was replaced.
    async fn close_sockets_of_old_session(&self) {
        if let Some(session) = &self.context.session {
            self.state.gateway.close_owners([SocketOwner(session.token_hash)], CloseCode::SIGNED_OUT).await;
        }
    }

    pub(super) fn client<'a>(&self, label: &'a str, device: Option<&'a Token>) -> Client<'a> {
        let address = self.context.client_addr;
        Client { address, network: rate_limit_prefix(address), label, device }
    }

    fn label(&self) -> String {
        user_agent::label(&header_text(&self.parts.headers, &header::USER_AGENT))
    }

    /// The token of the device cookie.
    pub(super) fn device(&self) -> Option<Token> {
        self.context.cookies.value(&self.parts.headers, DEVICE_COOKIE).and_then(Token::parse)
    }

    async fn signed_in(&self, NewSession { person, token, device, ended }: NewSession) -> SignInReply {
        self.state.gateway.close_owners(ended.into_iter().map(SocketOwner), CloseCode::SIGNED_OUT).await;
        self.set_cookie(self.context.cookies.set_session(&token));
        if let Some(cookie) = self.context.cookies.remove_old_session(&self.parts.headers) {
            self.set_cookie(cookie);
        }
        if let Some(device) = device {
            self.set_cookie(self.context.cookies.set_device(&device));
        }
        SignInReply { uid: person.uid, nickname: person.nickname }
    }
}
