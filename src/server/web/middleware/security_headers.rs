//! Security headers: some for every response, and a Content-Security-Policy with a nonce for every rendered page.

use super::cookies::{session_cookie, session_cookie_value};
use crate::server::web::request_context::RequestContext;
use crate::server::web::state::AppState;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header, request::Parts};
use axum::middleware::Next;
use axum::response::Response;
use leptos::nonce::use_nonce;
use leptos::prelude::{provide_context, use_context};
use leptos_axum::ResponseOptions;

/// Provides state and preferences to a render or a server function. A page also gets its Content-Security-Policy, is not
/// cached, and renews the session cookie.
pub(crate) fn provide_page_context(state: &AppState) {
    provide_context(state.clone());
    let (Some(parts), Some(response)) = (use_context::<Parts>(), use_context::<ResponseOptions>()) else { return };
    let Some(context) = parts.extensions.get::<RequestContext>() else { return };
    provide_context(context.preferences);
    // A server function has no nonce: it returns data, not a page.
    let Some(nonce) = use_nonce() else { return };
    if let Ok(policy) = HeaderValue::from_str(&content_security_policy(state, &nonce)) {
        response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
    }
    response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let (Some(_), Some(token)) = (&context.session, session_cookie_value(&parts.headers))
        && let Ok(cookie) = HeaderValue::from_str(&session_cookie(&token, context.is_https))
    {
        // Each page load starts the cookie's 30 days again.
        response.append_header(header::SET_COOKIE, cookie);
    }
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

/// Adds the security headers that do not depend on the response.
pub(crate) async fn add_security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
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
