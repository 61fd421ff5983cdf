//! Builds the [`RequestContext`] of each request: client address, session, preferences.

use super::client_addr::{FORWARDED_FOR, client_addr, is_https};
use super::cookies::{SESSION_COOKIE, cookie_value};
use super::error_response::refusal_response;
use super::headers::header_str;
use crate::domain::{
    lang::Lang,
    preferences::{LANG_COOKIE, Preferences, THEME_COOKIE, Theme},
};
use crate::server::accounts::Token;
use crate::server::web::rate_limit::RequestKind;
use crate::server::web::request_context::RequestContext;
use crate::server::web::state::AppState;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use std::net::SocketAddr;

/// Adds a [`RequestContext`] to the request's extensions. It refuses a request whose session cannot be looked up, and one
/// with an unknown token beyond the rate limit.
pub(crate) async fn context_layer(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let client_addr = client_addr(peer.ip(), headers, &state.config.web);
    let is_https = state.tls.is_some() || is_https(peer.ip(), headers, &state.config.web);
    let lang = cookie_value(headers, LANG_COOKIE).and_then(|code| Lang::from_code(&code));
    let accepted = || Lang::from_accept_language(header_str(headers, &header::ACCEPT_LANGUAGE).unwrap_or_default());
    let theme = cookie_value(headers, THEME_COOKIE).and_then(|code| Theme::from_code(&code)).unwrap_or_default();
    let preferences = Preferences { lang: lang.unwrap_or_else(accepted), theme };
    let token = cookie_value(headers, SESSION_COOKIE).and_then(|text| Token::parse(&text));
    let behind_untrusted_proxy = headers.contains_key(FORWARDED_FOR) && client_addr == peer.ip().to_canonical();
    let mut context = RequestContext { client_addr, behind_untrusted_proxy, is_https, preferences, session: None };
    if let Some(token) = token {
        match state.accounts.session(&token).await {
            Ok(Some(session)) => context.session = Some(session),
            // An unknown token is not cached and costs a database query, so it is limited like a request.
            Ok(None) => {
                if let Err(refusal) = state.rate_limits.check(RequestKind::Request, &context) {
                    return refusal_response(&refusal, context.preferences.lang);
                }
            }
            Err(refusal) => {
                return refusal_response(&refusal, context.preferences.lang);
            }
        }
    }
    request.extensions_mut().insert(context);
    next.run(request).await
}
