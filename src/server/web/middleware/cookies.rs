//! The cookies this site sets and reads.

use crate::server::accounts::Accounts;
use axum::http::{HeaderMap, header};
use cookie::{Cookie, SameSite};

pub const SESSION_COOKIE: &str = "roomcast_session";
pub const RETURNED_COOKIE: &str = "roomcast_returned";

/// The `Set-Cookie` of a new or renewed session.
pub fn session_cookie(token: &str, secure: bool) -> String {
    let seconds = i64::try_from(Accounts::cookie_seconds()).unwrap_or(i64::MAX);
    set_cookie(SESSION_COOKIE, token, seconds, secure, true)
}

pub fn expired_session_cookie(secure: bool) -> String {
    set_cookie(SESSION_COOKIE, "", 0, secure, true)
}

/// The token as it came, to be sent back with a longer life.
pub fn session_cookie_value(headers: &HeaderMap) -> Option<String> {
    cookie_value(headers, SESSION_COOKIE)
}

pub fn set_cookie(name: &str, value: &str, seconds: i64, secure: bool, http_only: bool) -> String {
    Cookie::build((name, value))
        .path("/")
        .same_site(SameSite::Lax)
        .secure(secure)
        .http_only(http_only)
        .max_age(cookie::time::Duration::seconds(seconds))
        .build()
        .to_string()
}

pub fn cookie_value(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().to_owned())
}
