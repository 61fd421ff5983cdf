//! The use cases that server functions call, on behalf of the current request. Each body in `app/api/` is one call of a
//! method of [`Actions`]: `session` holds those of a sign-in, `account` those on the own account, `room` those of the chat,
//! `moderation` acts, `staff` the pages of a room's staff.

mod account;
mod moderation;
mod room;
mod session;
mod staff;

use super::middleware::cookies::RETURNED_COOKIE;
use super::middleware::form_redirect::key_in_query;
use super::middleware::headers::is_loaded_by_script;
use super::rate_limit::RequestKind;
use super::request_context::RequestContext;
use super::state::AppState;
use crate::domain::{
    refusal::{Refusal, whole_seconds},
    reply::ReturnedForm,
    room::Person,
};
use crate::server::{accounts::Session, incident::incident};
use axum::http::{HeaderValue, StatusCode, header, request::Parts};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

/// The request under way, with the services that may act for it. Methods check the rate limit of their kind first.
pub struct Actions {
    state: AppState,
    context: RequestContext,
    parts: Parts,
    response: ResponseOptions,
}

impl Actions {
    /// Returns the actions of the current request, or [`Refusal::Internal`] outside of one.
    pub fn current() -> Result<Self, Refusal> {
        let build = || {
            let parts = use_context::<Parts>()?;
            let context = parts.extensions.get::<RequestContext>()?.clone();
            Some(Self { state: use_context()?, context, parts, response: use_context()? })
        };
        build().ok_or_else(|| incident(&"a server function was called outside of a request", "actions"))
    }

    /// The signed-in person.
    pub fn person(&self) -> Option<Person> {
        self.context.session.as_ref().map(|session| session.person.clone())
    }

    /// Removes and returns the form that waits for this page load: of the cookie's key, else of the address' key.
    pub async fn returned_form(&self) -> Option<ReturnedForm> {
        // A script that renews a part of a page takes nothing from the page that is loaded meanwhile.
        if is_loaded_by_script(&self.parts.headers) {
            return None;
        }
        let by_cookie = self.context.cookies.value(&self.parts.headers, RETURNED_COOKIE);
        let by_address = || key_in_query(self.parts.uri.query().unwrap_or_default());
        if let Some(key) = by_cookie
            && let Some(kept) = self.state.returned_forms.take(key).await
        {
            return Some(kept.form);
        }
        self.state.returned_forms.take(&by_address()?).await.map(|kept| kept.form)
    }

    /// Gives the page's own response the status of a refusal, and `Retry-After` where it has one.
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

    /// The session, if it has not ended since the header of this request was read: a body may take seconds to arrive.
    async fn current_session(&self) -> Result<&Session, Refusal> {
        let session = self.session()?;
        if self.state.accounts.is_current(session).await? { Ok(session) } else { Err(Refusal::NotSignedIn) }
    }

    /// The same for a request that needs no session: `None` if it came without one.
    async fn current_session_if_any(&self) -> Result<Option<&Session>, Refusal> {
        if self.context.session.is_none() { Ok(None) } else { self.current_session().await.map(Some) }
    }

    fn check_rate_limit(&self, kind: RequestKind) -> Result<(), Refusal> {
        self.state.rate_limits.check(kind, &self.context)
    }

    /// Counts the request of a page that needs nothing of the floors below.
    pub fn count_page(&self) -> Result<(), Refusal> {
        self.with_status(self.check_rate_limit(RequestKind::Request))
    }

    fn set_cookie(&self, cookie: String) {
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            self.response.append_header(header::SET_COOKIE, cookie);
        }
    }
}

/// A browser sends an empty field for one that was not filled in.
fn non_empty(field: Option<&str>) -> Option<&str> {
    field.filter(|text| !text.is_empty())
}
