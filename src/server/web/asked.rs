//! Who asks: found out once a request, kept in its extensions.

use super::{Site, limits::Kind, refusals::in_words};
use crate::domain::{
    lang::Lang,
    preferences::{LANG_COOKIE, Preferences, THEME_COOKIE, Theme},
};
use crate::server::{
    accounts::{Accounts, Session, Token},
    config::WebSettings,
};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::Next;
use axum::response::Response;
use cookie::{Cookie, SameSite};
use std::net::{IpAddr, SocketAddr};

const SESSION_COOKIE: &str = "roomcast_session";
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[derive(Clone, Debug)]
pub struct Asked {
    /// The person's own address as far as we believe the proxies.
    pub address: IpAddr,
    /// A proxy that nobody told us to trust wrote headers: the address is the proxy's, whoever asks.
    pub hidden: bool,
    pub secure: bool,
    pub preferences: Preferences,
    pub session: Option<Session>,
}

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

/// The `Set-Cookie` of a new or renewed session.
pub fn session_cookie(token: &str, secure: bool) -> String {
    let seconds = i64::try_from(Accounts::cookie_seconds()).unwrap_or(i64::MAX);
    set_cookie(SESSION_COOKIE, token, seconds, secure, true)
}

pub fn no_session_cookie(secure: bool) -> String {
    set_cookie(SESSION_COOKIE, "", 0, secure, true)
}

/// The token as it came, to be sent back with a longer life.
pub fn session_token(headers: &HeaderMap) -> Option<String> {
    cookie_of(headers, SESSION_COOKIE)
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

pub fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().to_owned())
}

pub fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The last address of X-Forwarded-For that no proxy of ours wrote about another proxy of ours; the peer's own when it is
/// no proxy.
fn client_address(peer: IpAddr, headers: &HeaderMap, web: &WebSettings) -> IpAddr {
    let trusted = |address: &IpAddr| web.trusted_proxies.iter().any(|network| network.contains(address));
    let mut address = peer.to_canonical();
    if trusted(&address) {
        let lines: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok()).collect();
        for hop in lines.join(",").rsplit(',') {
            let Ok(hop) = hop.trim().parse::<IpAddr>() else { break };
            address = hop.to_canonical();
            if !trusted(&address) {
                break;
            }
        }
    }
    address
}

fn is_secure(peer: IpAddr, headers: &HeaderMap, web: &WebSettings) -> bool {
    let by_proxy = web.trusted_proxies.iter().any(|network| network.contains(&peer.to_canonical()));
    web.public_url.starts_with("https://") || by_proxy && text_of(headers, &FORWARDED_PROTO) == Some("https")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_addresses_are_believed_from_proxies_only() {
        let web = WebSettings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..WebSettings::default() };
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, "6.6.6.6, 203.0.113.9, 10.0.0.7".parse().unwrap());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(client_address(ip("198.51.100.1"), &headers, &web), ip("198.51.100.1"));
        assert_eq!(client_address(ip("10.0.0.1"), &headers, &web), ip("203.0.113.9"));
        assert_eq!(client_address(ip("::ffff:10.0.0.1"), &headers, &web), ip("203.0.113.9"));
        headers.insert(FORWARDED_FOR, "garbage".parse().unwrap());
        assert_eq!(client_address(ip("10.0.0.1"), &headers, &web), ip("10.0.0.1"));
    }
}
