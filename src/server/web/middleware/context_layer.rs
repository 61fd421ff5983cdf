//! Builds the [`RequestContext`] of each request: client address, session, preferences.

use super::client_addr::{Client, FORWARDED_FOR};
use super::cookies::{CookieNames, SESSION_COOKIE, VISITOR_COOKIE};
use super::error_response::refusal_response;
use super::headers::header_text;
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
use std::time::Instant;

/// Adds a [`RequestContext`] to the request's extensions. It refuses a request whose session cannot be looked up, and one
/// with an unknown token beyond the rate limit.
pub(crate) async fn context_layer(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let Client { addr: client_addr, is_https, unreadable } = Client::of(peer.ip(), headers, &state.config.web);
    if let Some((header, item)) = unreadable
        && let Some(left_out) = state.log_limits.unreadable_forwarding.line_due(Instant::now())
    {
        tracing::warn!(%header, item, proxy = %peer.ip(), left_out, "a trusted proxy's header cannot be read: its clients count as one");
    }
    let is_https = state.tls.is_some() || is_https;
    let cookies = CookieNames { is_https, reads_old: state.old_cookie_names.are_read() };
    let lang = cookies.value(headers, LANG_COOKIE).and_then(Lang::from_code);
    let accepted = || Lang::from_accept_language(&header_text(headers, &header::ACCEPT_LANGUAGE));
    let theme = cookies.value(headers, THEME_COOKIE).and_then(Theme::from_code).unwrap_or_default();
    let preferences = Preferences { lang: lang.unwrap_or_else(accepted), theme };
    let tokens: Vec<Token> = cookies.values(headers, SESSION_COOKIE).into_iter().filter_map(Token::parse).collect();
    let visitor = cookies.value(headers, VISITOR_COOKIE).and_then(Token::parse).map(|token| token.hash());
    let behind_untrusted_proxy = headers.contains_key(FORWARDED_FOR) && client_addr == peer.ip().to_canonical();
    let mut context =
        RequestContext { client_addr, behind_untrusted_proxy, cookies, preferences, session: None, session_token: None, visitor };
    // All of them: a sibling host may have planted one before ours.
    for token in tokens {
        match state.accounts.session(&token).await {
            Ok(Some(session)) => {
                (context.session, context.session_token) = (Some(session), Some(token));
                break;
            }
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
