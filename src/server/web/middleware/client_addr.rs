//! The person's own address, and whether it came over TLS, as far as the proxies are trusted.

use super::headers::header_str;
use crate::server::config::WebSettings;
use axum::http::{HeaderMap, HeaderName};
use std::net::IpAddr;

pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The last address of X-Forwarded-For that no proxy of ours wrote about another proxy of ours; the peer's own when it is
/// no proxy.
pub fn client_addr(peer: IpAddr, headers: &HeaderMap, web: &WebSettings) -> IpAddr {
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

pub fn is_https(peer: IpAddr, headers: &HeaderMap, web: &WebSettings) -> bool {
    let from_trusted_proxy = web.trusted_proxies.iter().any(|network| network.contains(&peer.to_canonical()));
    web.public_url.starts_with("https://") || from_trusted_proxy && header_str(headers, &FORWARDED_PROTO) == Some("https")
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
        assert_eq!(client_addr(ip("198.51.100.1"), &headers, &web), ip("198.51.100.1"));
        assert_eq!(client_addr(ip("10.0.0.1"), &headers, &web), ip("203.0.113.9"));
        assert_eq!(client_addr(ip("::ffff:10.0.0.1"), &headers, &web), ip("203.0.113.9"));
        headers.insert(FORWARDED_FOR, "garbage".parse().unwrap());
        assert_eq!(client_addr(ip("10.0.0.1"), &headers, &web), ip("10.0.0.1"));
    }
}
