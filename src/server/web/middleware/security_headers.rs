//! Security headers: some for every response, and a Content-Security-Policy with a nonce for every rendered page.

use super::cookies::{CookieNames, RETURNED_COOKIE, SESSION_COOKIE};
use super::form_redirect::key_in_query;
use super::headers::is_loaded_by_script;
use crate::domain::{paths, preferences::CookiesNeeded};
use crate::server::web::request_context::RequestContext;
use crate::server::web::state::AppState;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header, request::Parts};
use axum::middleware::Next;
use axum::response::Response;
use leptos::nonce::use_nonce;
use leptos::prelude::{provide_context, use_context};
use leptos_axum::ResponseOptions;

/// For a year, without subdomains: they may have nothing to do with this site.
const HSTS: &str = "max-age=31536000";
/// A browser that is made to show JSON as a page loads nothing for it.
const JSON_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Provides state, preferences and the signed-in person to a render or a server function. A page also gets its Content-Security-Policy, is not
/// cached, renews the session cookie or removes a dead one, moves preferences to their present names, and sets a visitor cookie if
/// there is none. A page that a script loads changes no cookie but the last: its answer may come after that of a sign-in.
pub(crate) fn provide_page_context(state: &AppState) {
    provide_context(state.clone());
    let (Some(parts), Some(response)) = (use_context::<Parts>(), use_context::<ResponseOptions>()) else { return };
    let Some(context) = parts.extensions.get::<RequestContext>() else { return };
    provide_context(context.preferences);
    if let Some(session) = &context.session {
        provide_context(session.person.clone());
    }
    // A server function has no nonce: it returns data, not a page.
    let Some(nonce) = use_nonce() else { return };
    if let Ok(policy) = HeaderValue::from_str(&content_security_policy(state, &nonce)) {
        response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
    }
    response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static(cache_control(&parts, context.cookies)));
    response.append_header(header::VARY, HeaderValue::from_static("cookie, accept-language"));
    if is_refused_preference(state, &parts) {
        provide_context(CookiesNeeded);
    }
    for cookie in cookies_of_page(context, &parts) {
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.append_header(header::SET_COOKIE, cookie);
        }
    }
}

fn cookies_of_page(context: &RequestContext, parts: &Parts) -> Vec<String> {
    let names = context.cookies;
    let mut cookies = Vec::new();
    if context.visitor.is_none() {
        cookies.push(names.set_new_visitor());
    }
    if is_loaded_by_script(&parts.headers) {
        return cookies;
    }
    // Each page load starts the cookie's 30 days again, and moves it to its present name.
    if let Some(token) = &context.session_token {
        cookies.push(names.set_session(token));
        cookies.extend(names.remove_old_session(&parts.headers));
    }
    // A look-up that was refused says nothing about the session.
    if context.session.is_none() && context.refusal.is_none() {
        cookies.extend(names.remove_dead_session(&parts.headers));
    }
    cookies.extend(names.move_preferences(&parts.headers));
    cookies
}

/// The page of a session, with a person's own input, or with a field for a password, is not stored. Another page may be shown again from memory when the
/// reader goes back, and is asked for again otherwise. Nothing on the way may change it: the chat panel takes over the HTML.
fn cache_control(parts: &Parts, names: CookieNames) -> &'static str {
    let cookies = names.read(&parts.headers);
    let has_own = |name| cookies.value(name).is_some();
    let has_password = matches!(parts.uri.path().trim_end_matches('/'), paths::SIGN_IN_PAGE | paths::ACCOUNT_PAGE);
    let is_private = has_password || has_own(SESSION_COOKIE) || has_own(RETURNED_COOKIE) || key_in_query(query(parts)).is_some();
    if is_private { "no-store, no-transform" } else { "private, no-cache, no-transform" }
}

/// Whether the page's address has the key of preferences that the browser did not keep. `settle_cookies` has read it. No form of the page shows them, so the
/// page says so above all others.
fn is_refused_preference(state: &AppState, parts: &Parts) -> bool {
    let Some(key) = key_in_query(query(parts)) else { return false };
    state.returned_forms.peek_here(&key).is_some_and(|kept| kept.form.form == paths::PREFERENCES)
}

fn query(parts: &Parts) -> &str {
    parts.uri.query().unwrap_or_default()
}

/// Allows scripts, styles, images and connections of this site only, and frames by `web.frame_ancestors`.
fn content_security_policy(state: &AppState, nonce: &str) -> String {
    let reload =
        if cfg!(debug_assertions) { format!(" ws://127.0.0.1:{}", state.config.leptos.reload_port) } else { String::new() };
    let frames = state.config.web.frame_ancestors.iter().fold("'self'".to_owned(), |all, origin| format!("{all} {origin}"));
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'{reload}; form-action 'self'; base-uri 'none'; frame-ancestors {frames}"
    )
}

/// Adds the security headers: HSTS where the site is served over HTTPS, a policy that allows nothing to JSON, and those that
/// depend on nothing.
pub(crate) async fn add_security_headers(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if state.tls.is_some() || state.config.web.public_url.starts_with("https://") {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    let is_json =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if is_json {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(JSON_POLICY));
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
