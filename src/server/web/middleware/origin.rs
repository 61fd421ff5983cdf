//! Protection against cross-site requests: only pages of this site and of `web.allowed_origins` may post and connect.
//! Browsers send `Origin` with every POST and WebSocket handshake, so a request without it comes from a program, which has
//! no cookies of others.

use super::headers::header_str;
use crate::server::config::WebSettings;
use axum::http::{HeaderMap, HeaderName, header};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns whether the request's `Origin` may use the visitor's cookies here. Without `Origin` it depends on
/// `Sec-Fetch-Site`; without both the request is allowed.
pub(crate) fn is_allowed(headers: &HeaderMap, web: &WebSettings) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return header_str(headers, &SEC_FETCH_SITE).is_none_or(|site| matches!(site, "same-origin" | "none"));
    };
    let Ok(origin) = origin.to_str() else { return false };
    if web.allowed_origins.iter().any(|allowed| allowed.trim_end_matches('/').eq_ignore_ascii_case(origin)) {
        return true;
    }
    if !web.public_url.is_empty() {
        return web.public_url.eq_ignore_ascii_case(origin);
    }
    // Without public_url the Host header is compared. The scheme is not: a proxy may have terminated TLS.
    let authority = origin.strip_prefix("https://").or(origin.strip_prefix("http://"));
    authority.is_some_and(|authority| header_str(headers, &header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(authority)))
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
            WebSettings { public_url: "https://a.example".into(), allowed_origins: vec!["https://www.b.example/".into()], ..web };
        check(&web, &[host, ("origin", "https://a.example")], true);
        check(&web, &[host, ("origin", "https://www.b.example")], true);
        check(&web, &[host, ("origin", "http://chat.example:3000")], false);
    }
}
