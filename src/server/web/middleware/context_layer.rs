//! Builds the [`RequestContext`] of each request: client address, session, preferences.

use super::client_addr::{Client, FORWARDED_FOR};
use super::cookies::{CookieNames, SESSION_COOKIE, VISITOR_COOKIE};
use super::headers::{has_bearer, header_text};
use crate::domain::{
    lang::Lang,
    preferences::{LANG_COOKIE, Preferences, THEME_COOKIE, Theme},
    refusal::Refusal,
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

/// Adds a [`RequestContext`] to the request's extensions. It refuses nothing itself: a session that cannot be looked up is a
/// refusal in the context.
pub(crate) async fn context_layer(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = request.extensions_mut().remove::<Client>();
    let headers = request.headers();
    let client = client.unwrap_or_else(|| Client::of(peer.ip(), headers, &state.config.web));
    let Client { addr: client_addr, is_https, unreadable } = client;
    if let Some((header, item)) = unreadable
        && let Some(left_out) = state.log_limits.unreadable_forwarding.line_due(Instant::now())
    {
        tracing::warn!(%header, item, proxy = %peer.ip(), left_out, "a trusted proxy's header cannot be read: its clients count as one");
    }
    let is_https = state.tls.is_some() || is_https;
    let names = CookieNames { is_https, reads_old: state.old_cookie_names.are_read() };
    let cookies = names.read(headers);
    let lang = cookies.value(LANG_COOKIE).and_then(Lang::from_code);
    let accepted = || Lang::from_accept_language(&header_text(headers, &header::ACCEPT_LANGUAGE));
    let theme = cookies.value(THEME_COOKIE).and_then(Theme::from_code).unwrap_or_default();
    let preferences = Preferences { lang: lang.unwrap_or_else(accepted), theme };
    let tokens: Vec<Token> = cookies.values(SESSION_COOKIE).filter_map(Token::parse).collect();
    let visitor = cookies.value(VISITOR_COOKIE).and_then(Token::parse).map(|token| token.hash());
    let behind_untrusted_proxy = headers.contains_key(FORWARDED_FOR) && client_addr == peer.ip().to_canonical();
    let mut context = RequestContext {
        client_addr,
        behind_untrusted_proxy,
        has_bearer: has_bearer(headers),
        cookies: names,
        preferences,
        refusal: None,
        session: None,
        session_token: None,
        visitor,
    };
    context.refusal = find_session(&state, &mut context, tokens).await.err();
    request.extensions_mut().insert(context);
    next.run(request).await
}

/// Looks the session up by all tokens of the request: a sibling host may have planted one before ours. An unknown token is not
/// cached and costs a query, so it is limited like a request.
async fn find_session(state: &AppState, context: &mut RequestContext, tokens: Vec<Token>) -> Result<(), Refusal> {
    for token in tokens {
        let token_hash = token.hash();
        state.unknown_tokens.check(&token_hash, context, Instant::now())?;
        let session = state.accounts.session(&token).await?;
        state.unknown_tokens.found(token_hash, session.is_some());
        if session.is_some() {
            (context.session, context.session_token) = (session, Some(token));
            return Ok(());
        }
        if let Err(refusal) = state.rate_limits.check(RequestKind::Request, context) {
            state.unknown_tokens.over_limit(state.rate_limits.exhausted(context), Instant::now());
            return Err(refusal);
        }
    }
    Ok(())
}
