//! What a server function sees of the request it answers: who asks, and the use cases on their behalf. Each body in
//! `app/api.rs` is one call of a method here, so what a page may do stands on this one screen.

use super::middleware::cookies::{RETURNED_COOKIE, cookie_value, expired_session_cookie, session_cookie, set_cookie};
use super::rate_limit::RequestKind;
use super::request_context::RequestContext;
use super::state::AppState;
use crate::domain::{
    lang::Lang,
    preferences::{LANG_COOKIE, THEME_COOKIE, Theme},
    push::CloseCode,
    refusal::{Refusal, whole_seconds},
    reply::{BindReply, Done, HistoryReply, OpenRoomReply, ReturnedForm, SendReply, SignInReply},
    room::{Person, RoomCard, Snapshot},
};
use crate::server::{
    accounts::{GuestSignIn, NewSession, Registration, Session},
    chat::BindRequest,
    gateway::SocketOwner,
    incident::incident,
};
use axum::http::{HeaderValue, StatusCode, header, request::Parts};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

const PREFERENCE_COOKIE_SECONDS: i64 = 365 * 24 * 3600;

pub struct Actions {
    state: AppState,
    context: RequestContext,
    parts: Parts,
    response: ResponseOptions,
}

impl Actions {
    /// The request under way.
    pub fn current() -> Result<Self, Refusal> {
        let build = || {
            let parts = use_context::<Parts>()?;
            let context = parts.extensions.get::<RequestContext>()?.clone();
            Some(Self { state: use_context()?, context, parts, response: use_context()? })
        };
        build().ok_or_else(|| incident(&"a server function ran outside of a request", "caller"))
    }

    pub async fn enter_as_guest(&self, nickname: &str) -> Result<SignInReply, Refusal> {
        self.check_rate_limit(RequestKind::Guest)?;
        match self.state.accounts.sign_in_as_guest(nickname, self.context.session.as_ref()).await? {
            GuestSignIn::Created(session) => Ok(self.signed_in(session)),
            GuestSignIn::Renamed(person) => Ok(SignInReply { uid: person.uid, nickname: person.nickname }),
        }
    }

    pub async fn register(
        &self,
        account: &str,
        password: &str,
        nickname: &str,
        owner_link: Option<&str>,
    ) -> Result<SignInReply, Refusal> {
        self.check_rate_limit(RequestKind::SignIn)?;
        let form = Registration { account, password, nickname, owner_link: non_empty(owner_link) };
        let session = self.state.accounts.register(form, self.context.session.as_ref()).await?;
        self.close_old_sockets().await;
        Ok(self.signed_in(session))
    }

    pub async fn log_in(&self, account: &str, password: &str) -> Result<SignInReply, Refusal> {
        self.check_rate_limit(RequestKind::SignIn)?;
        self.state.rate_limits.check_password_guess(account, &self.context)?;
        let session = self.state.accounts.log_in(account, password, self.context.session.as_ref()).await?;
        self.close_old_sockets().await;
        Ok(self.signed_in(session))
    }

    pub async fn log_out(&self) -> Result<Done, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        if let Some(session) = &self.context.session {
            self.state.accounts.end_session(session).await?;
            self.close_old_sockets().await;
        }
        self.set_cookie(expired_session_cookie(self.context.is_https));
        Ok(Done { status: true })
    }

    /// Language and theme, for pages without JavaScript; others set the cookies themselves.
    pub fn set_preferences(&self, lang: Option<&str>, theme: Option<&str>) -> Result<Done, Refusal> {
        let (lang, theme) = (non_empty(lang), non_empty(theme));
        if let Some(code) = lang {
            Lang::from_code(code).ok_or(Refusal::malformed("lang"))?;
            self.set_cookie(set_cookie(LANG_COOKIE, code, PREFERENCE_COOKIE_SECONDS, self.context.is_https, false));
        }
        if let Some(code) = theme {
            Theme::from_code(code).ok_or(Refusal::malformed("theme"))?;
            self.set_cookie(set_cookie(THEME_COOKIE, code, PREFERENCE_COOKIE_SECONDS, self.context.is_https, false));
        }
        Ok(Done { status: true })
    }

    pub async fn bind(
        &self,
        client_id: &str,
        room: &str,
        since: Option<&str>,
        epoch: Option<&str>,
    ) -> Result<BindReply, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        let session = self.session()?;
        let request = BindRequest { client_id, room, since: non_empty(since), epoch: non_empty(epoch) };
        self.state.chat.bind(&session.person, SocketOwner(session.token_hash), request).await
    }

    pub async fn send(&self, room: &str, message: &str, nonce: Option<&str>) -> Result<SendReply, Refusal> {
        self.check_rate_limit(RequestKind::Send)?;
        self.state.chat.send(&self.session()?.person, room, message, non_empty(nonce)).await
    }

    pub async fn history(&self, room: &str, before: &str, limit: Option<&str>) -> Result<HistoryReply, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        self.state.chat.history(room, before, non_empty(limit)).await
    }

    pub async fn open_room(&self, title: &str) -> Result<OpenRoomReply, Refusal> {
        self.check_rate_limit(RequestKind::Request)?;
        self.state.chat.open_room(&self.session()?.person, title).await
    }

    pub async fn lobby(&self) -> Result<Vec<RoomCard>, Refusal> {
        let lobby = async {
            self.check_rate_limit(RequestKind::Request)?;
            self.state.chat.lobby().await
        };
        self.with_status(lobby.await)
    }

    pub async fn snapshot(&self, room: &str) -> Result<Snapshot, Refusal> {
        let snapshot = async {
            self.check_rate_limit(RequestKind::Request)?;
            self.state.chat.snapshot(room).await
        };
        self.with_status(snapshot.await)
    }

    pub fn person(&self) -> Option<Person> {
        self.context.session.as_ref().map(|session| session.person.clone())
    }

    /// The form that was refused on the last load, once.
    pub fn returned_form(&self) -> Option<ReturnedForm> {
        self.state.returned_forms.take(&cookie_value(&self.parts.headers, RETURNED_COOKIE)?)
    }

    /// What a page is made of: its refusal is also the page's own status.
    fn with_status<T>(&self, content: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(refusal) = &content
            && let Ok(status) = StatusCode::from_u16(refusal.status())
        {
            self.response.set_status(status);
            if let Refusal::TooFast { retry_after_ms } = refusal {
                self.response.insert_header(header::RETRY_AFTER, HeaderValue::from(whole_seconds(*retry_after_ms)));
            }
        }
        content
    }

    fn session(&self) -> Result<&Session, Refusal> {
        self.context.session.as_ref().ok_or(Refusal::NotSignedIn)
    }

    fn check_rate_limit(&self, kind: RequestKind) -> Result<(), Refusal> {
        self.state.rate_limits.check(kind, &self.context)
    }

    /// The sockets of a session that ended go with it.
    async fn close_old_sockets(&self) {
        if let Some(session) = &self.context.session {
            self.state.gateway.close_owner(SocketOwner(session.token_hash), CloseCode::SIGNED_OUT).await;
        }
    }

    fn signed_in(&self, NewSession { person, token }: NewSession) -> SignInReply {
        self.set_cookie(session_cookie(&token.reveal(), self.context.is_https));
        SignInReply { uid: person.uid, nickname: person.nickname }
    }

    fn set_cookie(&self, cookie: String) {
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            self.response.append_header(header::SET_COOKIE, cookie);
        }
    }
}

/// A form sends an empty field for what was left out.
fn non_empty(field: Option<&str>) -> Option<&str> {
    field.filter(|text| !text.is_empty())
}
