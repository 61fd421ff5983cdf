//! What a server function sees of the request it answers: who asks, and the use cases on their behalf. Each body in
//! `app/api.rs` is one call of a method here, so what a page may do stands on this one screen.

use super::middleware::cookies::{RETURNED_COOKIE, cookie_of, no_session_cookie, session_cookie, set_cookie};
use super::rate_limit::Kind;
use super::request_context::Asked;
use super::state::Site;
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

const A_YEAR_SECONDS: i64 = 365 * 24 * 3600;

pub struct Actions {
    site: Site,
    asked: Asked,
    parts: Parts,
    response: ResponseOptions,
}

impl Actions {
    /// The request under way.
    pub fn current() -> Result<Self, Refusal> {
        let found = || {
            let parts = use_context::<Parts>()?;
            let asked = parts.extensions.get::<Asked>()?.clone();
            Some(Self { site: use_context()?, asked, parts, response: use_context()? })
        };
        found().ok_or_else(|| incident(&"a server function ran outside of a request", "caller"))
    }

    pub async fn enter_as_guest(&self, nickname: &str) -> Result<SignInReply, Refusal> {
        self.limit(Kind::Guest)?;
        match self.site.accounts.sign_in_as_guest(nickname, self.asked.session.as_ref()).await? {
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
        self.limit(Kind::SignIn)?;
        let form = Registration { account, password, nickname, owner_link: given(owner_link) };
        let session = self.site.accounts.register(form, self.asked.session.as_ref()).await?;
        self.leave_old_session().await;
        Ok(self.signed_in(session))
    }

    pub async fn log_in(&self, account: &str, password: &str) -> Result<SignInReply, Refusal> {
        self.limit(Kind::SignIn)?;
        self.site.0.limits.check_guess(account, &self.asked)?;
        let session = self.site.accounts.log_in(account, password, self.asked.session.as_ref()).await?;
        self.leave_old_session().await;
        Ok(self.signed_in(session))
    }

    pub async fn log_out(&self) -> Result<Done, Refusal> {
        self.limit(Kind::Request)?;
        if let Some(session) = &self.asked.session {
            self.site.accounts.end_session(session).await?;
            self.leave_old_session().await;
        }
        self.set_cookie(no_session_cookie(self.asked.secure));
        Ok(Done { status: true })
    }

    /// Language and theme, for pages without JavaScript; others set the cookies themselves.
    pub fn set_preferences(&self, lang: Option<&str>, theme: Option<&str>) -> Result<Done, Refusal> {
        let (lang, theme) = (given(lang), given(theme));
        if let Some(code) = lang {
            Lang::from_code(code).ok_or(Refusal::malformed("lang"))?;
            self.set_cookie(set_cookie(LANG_COOKIE, code, A_YEAR_SECONDS, self.asked.secure, false));
        }
        if let Some(code) = theme {
            Theme::from_code(code).ok_or(Refusal::malformed("theme"))?;
            self.set_cookie(set_cookie(THEME_COOKIE, code, A_YEAR_SECONDS, self.asked.secure, false));
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
        self.limit(Kind::Request)?;
        let session = self.session()?;
        let request = BindRequest { client_id, room, since: given(since), epoch: given(epoch) };
        self.site.chat.bind(&session.person, SocketOwner(session.token_hash), request).await
    }

    pub async fn send(&self, room: &str, message: &str, nonce: Option<&str>) -> Result<SendReply, Refusal> {
        self.limit(Kind::Send)?;
        self.site.chat.send(&self.session()?.person, room, message, given(nonce)).await
    }

    pub async fn history(&self, room: &str, before: &str, limit: Option<&str>) -> Result<HistoryReply, Refusal> {
        self.limit(Kind::Request)?;
        self.site.chat.history(room, before, given(limit)).await
    }

    pub async fn open_room(&self, title: &str) -> Result<OpenRoomReply, Refusal> {
        self.limit(Kind::Request)?;
        self.site.chat.open_room(&self.session()?.person, title).await
    }

    pub async fn lobby(&self) -> Result<Vec<RoomCard>, Refusal> {
        let lobby = async {
            self.limit(Kind::Request)?;
            self.site.chat.lobby().await
        };
        self.page(lobby.await)
    }

    pub async fn snapshot(&self, room: &str) -> Result<Snapshot, Refusal> {
        let snapshot = async {
            self.limit(Kind::Request)?;
            self.site.chat.snapshot(room).await
        };
        self.page(snapshot.await)
    }

    pub fn person(&self) -> Option<Person> {
        self.asked.session.as_ref().map(|session| session.person.clone())
    }

    /// The form that was refused on the last load, once.
    pub fn returned_form(&self) -> Option<ReturnedForm> {
        self.site.0.returned.take(&cookie_of(&self.parts.headers, RETURNED_COOKIE)?)
    }

    /// What a page is made of: its refusal is also the page's own status.
    fn page<T>(&self, content: Result<T, Refusal>) -> Result<T, Refusal> {
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
        self.asked.session.as_ref().ok_or(Refusal::NotSignedIn)
    }

    fn limit(&self, kind: Kind) -> Result<(), Refusal> {
        self.site.0.limits.check(kind, &self.asked)
    }

    /// The sockets of a session that ended go with it.
    async fn leave_old_session(&self) {
        if let Some(session) = &self.asked.session {
            self.site.gateway.close_owner(SocketOwner(session.token_hash), CloseCode::SIGNED_OUT).await;
        }
    }

    fn signed_in(&self, NewSession { person, token }: NewSession) -> SignInReply {
        self.set_cookie(session_cookie(&token.reveal(), self.asked.secure));
        SignInReply { uid: person.uid, nickname: person.nickname }
    }

    fn set_cookie(&self, cookie: String) {
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            self.response.append_header(header::SET_COOKIE, cookie);
        }
    }
}

/// A form sends an empty field for what was left out.
fn given(field: Option<&str>) -> Option<&str> {
    field.filter(|text| !text.is_empty())
}
