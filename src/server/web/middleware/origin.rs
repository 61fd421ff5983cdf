//! Protection against cross-site requests: only pages of this site and of `web.allowed_origins` may post and connect.
//! Browsers send `Origin` with every POST and WebSocket handshake, so a request without it comes from a program, which has
//! no cookies of others.

use super::headers::{header_str, header_text};
use crate::domain::refusal::Refusal;
use crate::server::config::{WebSettings, normalized_origin};
use crate::server::web::state::AppState;
use axum::http::{HeaderMap, HeaderName, header};
use std::time::Instant;

/// Longest part of a header in a log line, in characters.
const MAX_LOGGED_CHARS: usize = 100;
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request that [`is_allowed`] rejects, and tells the operator at most once per minute which key would allow it.
pub(crate) fn check(headers: &HeaderMap, state: &AppState) -> Result<(), Refusal> {
    if is_allowed(headers, &state.config.web) {
        return Ok(());
    }
    if let Some(left_out) = state.log_limits.refused_origin.line_due(Instant::now()) {
        let text = |name| header_text(headers, name).chars().take(MAX_LOGGED_CHARS).collect::<String>();
        let (origin, host, public_url) = (text(&header::ORIGIN), text(&header::HOST), &state.config.web.public_url);
        let expected = if public_url.is_empty() { format!("{host} (the Host header)") } else { public_url.clone() };
        tracing::warn!(
            origin,
            expected,
            left_out,
            "origin refused: set web.public_url to the address that people type, or add the origin to web.allowed_origins"
        );
    }
    Err(Refusal::NotAllowed)
}

/// Returns whether the request's `Origin` may use the visitor's cookies here. Without `Origin` it depends on
/// `Sec-Fetch-Site`; without both the request is allowed. Origins are compared as scheme, host and port, in any spelling.
fn is_allowed(headers: &HeaderMap, web: &WebSettings) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else {
        return header_str(headers, &SEC_FETCH_SITE).is_none_or(|site| matches!(site, "same-origin" | "none"));
    };
    let Some(origin) = origin.to_str().ok().and_then(normalized_origin).filter(|_| origins.next().is_none()) else {
        return false;
    };
    if web.allowed_origins.contains(&origin) {
        return true;
    }
    if !web.public_url.is_empty() {
        return web.public_url == origin;
    }
    // Without public_url the Host header is compared. The scheme is not: a proxy may have terminated TLS.
    let scheme = if origin.starts_with("https:") { "https" } else { "http" };
    normalized_origin(&format!("{scheme}://{}", header_text(headers, &header::HOST))) == Some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(web: &WebSettings, pairs: &[(&str, &str)], expected: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        assert_eq!(is_allowed(&headers, web), expected, "{pairs:?}");
    }

    #[test]
    fn other_origins_are_rejected() {
        let host = ("host", "chat.example:3000");
        let web = WebSettings::default();
        check(&web, &[host], true);
        check(&web, &[host, ("origin", "http://chat.example:3000")], true);
        check(&web, &[host, ("origin", "https://chat.example:3000")], true);
        check(&web, &[host, ("origin", "http://chat.example")], false);
        check(&web, &[host, ("origin", "http://evil.example")], false);
        check(&web, &[host, ("origin", "null")], false);
        check(&web, &[host, ("sec-fetch-site", "cross-site")], false);
        check(&web, &[host, ("sec-fetch-site", "same-origin")], true);
        let web =
            WebSettings { public_url: "https://a.example".into(), allowed_origins: vec!["https://www.b.example".into()], ..web };
        check(&web, &[host, ("origin", "https://a.example")], true);
        check(&web, &[host, ("origin", "https://www.b.example")], true);
        check(&web, &[host, ("origin", "http://chat.example:3000")], false);
    }

    #[test]
    fn b44b_origins_are_compared_as_origins() {
        let web = WebSettings::default();
        let host = ("host", "Chat.Example:443");
        check(&web, &[host, ("origin", "https://chat.example")], true);
        check(&web, &[host, ("origin", "http://chat.example")], false);
        check(&web, &[("host", "chat.example"), ("origin", "https://chat.example:443")], true);
        check(&web, &[("host", "chat.example:80"), ("origin", "http://chat.example")], true);
        check(&web, &[("host", "chat.example"), ("origin", "https://chat.example:8443")], false);
        check(&web, &[("host", "chat.example/x"), ("origin", "https://chat.example")], false);
        check(&web, &[("origin", "https://chat.example")], false);
    }
}
