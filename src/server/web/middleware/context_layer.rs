//! Finds out who asks, once a request.

use super::client_addr::{FORWARDED_FOR, client_address, is_secure};
use super::cookies::{SESSION_COOKIE, cookie_of};
use super::error_response::in_words;
use super::headers::text_of;
use crate::domain::{
    lang::Lang,
    preferences::{LANG_COOKIE, Preferences, THEME_COOKIE, Theme},
};
use crate::server::accounts::Token;
use crate::server::web::rate_limit::Kind;
use crate::server::web::request_context::Asked;
use crate::server::web::state::Site;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use std::net::SocketAddr;

pub async fn find_out(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let address = client_address(peer.ip(), headers, &site.config.web);
    let secure = site.encryption.is_some() || is_secure(peer.ip(), headers, &site.config.web);
    let lang = cookie_of(headers, LANG_COOKIE).and_then(|code| Lang::from_code(&code));
    let accepted = || Lang::from_accept_language(text_of(headers, &header::ACCEPT_LANGUAGE).unwrap_or_default());
    let theme = cookie_of(headers, THEME_COOKIE).and_then(|code| Theme::from_code(&code)).unwrap_or_default();
    let preferences = Preferences { lang: lang.unwrap_or_else(accepted), theme };
    let token = cookie_of(headers, SESSION_COOKIE).and_then(|text| Token::parse(&text));
    let hidden = headers.contains_key(FORWARDED_FOR) && address == peer.ip().to_canonical();
    let mut asked = Asked { address, hidden, secure, preferences, session: None };
    if let Some(token) = token {
        match site.accounts.session(&token).await {
            Ok(Some(session)) => asked.session = Some(session),
            // Each token nobody has costs a look into the database: that is counted.
            Ok(None) => {
                if let Err(refusal) = site.0.limits.check(Kind::Request, &asked) {
                    return in_words(&refusal, asked.preferences.lang);
                }
            }
            Err(refusal) => {
                return in_words(&refusal, asked.preferences.lang);
            }
        }
    }
    request.extensions_mut().insert(asked);
    next.run(request).await
}
