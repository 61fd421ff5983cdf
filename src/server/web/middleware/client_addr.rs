//! The client's address and scheme, behind the proxies of `web.trusted_proxies`.

use super::headers::header_str;
use crate::server::config::WebSettings;
use axum::http::{HeaderMap, HeaderName};
use std::net::IpAddr;

/// The addresses that each proxy appends: client first, the last proxy's peer last.
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Returns the rightmost address of `X-Forwarded-For` that is not a trusted proxy. Without a trusted proxy, or before an
/// entry that is no address, it is the nearest address known: at first the peer's.
pub(crate) fn client_addr(peer: IpAddr, headers: &HeaderMap, web: &WebSettings) -> IpAddr {
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

/// Returns whether the client came over HTTPS, by `web.public_url` or by a trusted proxy's `X-Forwarded-Proto`.
pub(crate) fn is_https(peer: IpAddr, headers: &HeaderMap, web: &WebSettings) -> bool {
    let from_trusted_proxy = web.trusted_proxies.iter().any(|network| network.contains(&peer.to_canonical()));
    web.public_url.starts_with("https://") || from_trusted_proxy && header_str(headers, &FORWARDED_PROTO) == Some("https")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_set_the_client_address() {
        let web = WebSettings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..WebSettings::default() };
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, "6.6.6.6, 203.0.113.9, 10.0.0.7".parse().unwrap());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(client_addr(ip("198.51.100.1"), &headers, &web), ip("198.51.100.1"));
        assert_eq!(client_addr(ip("10.0.0.1"), &headers, &web), ip("203.0.113.9"));
        assert_eq!(client_addr(ip("::ffff:10.0.0.1"), &headers, &web), ip("203.0.113.9"));
        headers.insert(FORWARDED_FOR, "garbage".parse().unwrap());
        assert_eq!(client_addr(ip("10.0.0.1"), &headers, &web), ip("10.0.0.1"));
    }
}
