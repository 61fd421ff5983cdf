//! The cookies that the site sets and reads: `SameSite=Lax`, for the whole site.

use crate::server::accounts::Accounts;
use axum::http::{HeaderMap, header};
use cookie::{Cookie, SameSite};

/// Holds the session token; not readable by scripts. [`context_layer`](super::context_layer::context_layer) looks its session up.
pub(crate) const SESSION_COOKIE: &str = "roomcast_session";
/// Holds the key of a refused form, see [`ReturnedForms`](crate::server::web::returned_forms::ReturnedForms).
pub(crate) const RETURNED_COOKIE: &str = "roomcast_returned";

/// Names the device to the accounts that signed in on it: a random token, not readable by scripts. It gives no right but
/// limits of its own for log-ins.
pub(crate) const DEVICE_COOKIE: &str = "roomcast_device";
/// Lifetime of the device cookie: a year, in seconds.
const DEVICE_SECONDS: i64 = 365 * 24 * 3600;

/// The `Set-Cookie` header of a device that signed in to an account.
pub(crate) fn device_cookie(token: &str, secure: bool) -> String {
    set_cookie(DEVICE_COOKIE, token, DEVICE_SECONDS, secure, true)
}

/// The `Set-Cookie` header of a new or renewed session. `secure`: the client came over HTTPS.
pub(crate) fn session_cookie(token: &str, secure: bool) -> String {
    let seconds = i64::try_from(Accounts::cookie_seconds()).unwrap_or(i64::MAX);
    set_cookie(SESSION_COOKIE, token, seconds, secure, true)
}

/// The `Set-Cookie` header that removes the session cookie.
pub(crate) fn expired_session_cookie(secure: bool) -> String {
    set_cookie(SESSION_COOKIE, "", 0, secure, true)
}

/// The session token as the client sent it, so that its cookie can be set again with a new lifetime.
pub(crate) fn session_cookie_value(headers: &HeaderMap) -> Option<String> {
    cookie_value(headers, SESSION_COOKIE)
}

/// A `Set-Cookie` header with a lifetime in seconds. `http_only` hides the cookie from scripts.
pub(crate) fn set_cookie(name: &str, value: &str, seconds: i64, secure: bool, http_only: bool) -> String {
    Cookie::build((name, value))
        .path("/")
        .same_site(SameSite::Lax)
        .secure(secure)
        .http_only(http_only)
        .max_age(cookie::time::Duration::seconds(seconds))
        .build()
        .to_string()
}

/// Returns the value of the first cookie called `name`. Other cookies may be malformed.
pub(crate) fn cookie_value(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().to_owned())
}
