//! The client's address and scheme, behind the proxies of `web.trusted_proxies`.
//!
//! Read are `X-Forwarded-For` and `X-Forwarded-Proto`, in the forms that proxies write: lists over several lines, empty items,
//! addresses with a port, in brackets, in quotes. `Forwarded` (RFC 7239) is not: a proxy that sets the other two passes a
//! client's own `Forwarded` on.

use crate::server::config::WebSettings;
use axum::http::{HeaderMap, HeaderName};
use std::net::IpAddr;

/// The addresses that each proxy appends: client first, the last proxy's peer last.
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client of a request, as far as trusted proxies report it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Client {
    /// The rightmost address of `X-Forwarded-For` that is not a trusted proxy. Without a trusted proxy, or before an item that
    /// is no address, it is the nearest address known: at first the peer's.
    pub addr: IpAddr,
    /// The client came over HTTPS, by `web.public_url` or by the first item of a trusted proxy's `X-Forwarded-Proto`.
    pub is_https: bool,
    /// A trusted proxy's header that could not be read: its name, and the item.
    pub unreadable: Option<(HeaderName, String)>,
}

impl Client {
    /// Finds the client of a request that came from `peer`.
    pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, web: &WebSettings) -> Self {
        let peer = peer.to_canonical();
        let mut client = Self { addr: peer, is_https: web.public_url.starts_with("https://"), unreadable: None };
        if !is_trusted(&peer, web) {
            return client;
        }
        for hop in items(headers, &FORWARDED_FOR).rev() {
            let Some(address) = address(hop) else {
                client.unreadable = Some((FORWARDED_FOR, logged(hop)));
                break;
            };
            client.addr = address;
            if !is_trusted(&address, web) {
                break;
            }
        }
        if let Some(first) = items(headers, &FORWARDED_PROTO).next() {
            let is = |schemes: [&str; 2]| schemes.iter().any(|scheme| first.eq_ignore_ascii_case(scheme.as_bytes()));
            client.is_https |= is(["https", "wss"]);
            if !is(["https", "wss"]) && !is(["http", "ws"]) {
                client.unreadable = Some((FORWARDED_PROTO, logged(first)));
            }
        }
        client
    }
}

/// Returns whether the address is a proxy of `web.trusted_proxies`.
pub(crate) fn is_trusted(address: &IpAddr, web: &WebSettings) -> bool {
    web.trusted_proxies.iter().any(|network| network.contains(address))
}

/// The items of a comma-separated header over all its lines, without blanks and quotes around them, and without empty ones.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'a [u8]> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    let items = lines.into_iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    items.map(|item| unquoted(item.trim_ascii()).trim_ascii()).filter(|item| !item.is_empty())
}

/// The beginning of an item, for the log.
fn logged(item: &[u8]) -> String {
    String::from_utf8_lossy(item).chars().take(100).collect()
}

fn unquoted(item: &[u8]) -> &[u8] {
    item.strip_prefix(b"\"").and_then(|item| item.strip_suffix(b"\"")).unwrap_or(item)
}

/// Parses `a.b.c.d`, `a.b.c.d:port`, `v6`, `[v6]`, `[v6]:port`; the zone of an IPv6 address is left out.
fn address(item: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(item).ok()?;
    let is_port = |port: &str| port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok());
    let host = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').filter(|(_, port)| is_port(port))?.0,
        // One colon: IPv4 with a port. More: IPv6.
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') && host.contains('.') => {
                port.parse::<u16>().ok()?;
                host
            }
            _ => text,
        },
    };
    let without_zone = host.split_once('%').map_or(host, |(address, _)| address);
    without_zone.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn web() -> WebSettings {
        WebSettings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..WebSettings::default() }
    }

    fn client(peer: &str, pairs: &[(HeaderName, &[u8])]) -> Client {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_bytes(value).unwrap())).collect();
        Client::of(peer.parse().unwrap(), &headers, &web())
    }

    fn check_for(lines: &[&[u8]], expected: &str, is_readable: bool) {
        let pairs: Vec<_> = lines.iter().map(|line| (FORWARDED_FOR, *line)).collect();
        let found = client("10.0.0.1", &pairs);
        let readable = found.unreadable.is_none();
        assert_eq!((found.addr.to_string(), readable), (expected.to_owned(), is_readable), "{lines:?}");
    }

    fn check_proto(lines: &[&[u8]], is_https: bool, is_readable: bool) {
        let pairs: Vec<_> = lines.iter().map(|line| (FORWARDED_PROTO, *line)).collect();
        let found = client("10.0.0.1", &pairs);
        assert_eq!((found.is_https, found.unreadable.is_none()), (is_https, is_readable), "{lines:?}");
        assert!(!client("198.51.100.1", &pairs).is_https, "only a trusted proxy is believed: {lines:?}");
    }

    #[test]
    fn only_trusted_proxies_set_the_client_address() {
        let hops: &[u8] = b"6.6.6.6, 203.0.113.9, 10.0.0.7";
        assert_eq!(client("198.51.100.1", &[(FORWARDED_FOR, hops)]).addr.to_string(), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &[(FORWARDED_FOR, hops)]).addr.to_string(), "203.0.113.9");
        assert_eq!(client("::ffff:10.0.0.1", &[(FORWARDED_FOR, hops)]).addr.to_string(), "203.0.113.9");
        check_for(&[b"garbage"], "10.0.0.1", false);
        check_for(&[b"6.6.6.6, garbage, 10.0.0.7"], "10.0.0.7", false);
    }

    #[test]
    fn b29_the_grammar_of_x_forwarded_for() {
        for hop in [
            "203.0.113.9",
            "203.0.113.9:51234",
            "203.0.113.9,",
            " , 203.0.113.9 , ,",
            "\"203.0.113.9:51234\"",
            "::ffff:203.0.113.9",
        ] {
            check_for(&[hop.as_bytes()], "203.0.113.9", true);
        }
        for hop in ["2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:51234", "\"[2001:db8::7]:51234\"", "2001:db8::7%eth0"] {
            check_for(&[hop.as_bytes()], "2001:db8::7", true);
            check_for(&[b"6.6.6.6", hop.as_bytes(), b"10.1.1.1:80"], "2001:db8::7", true);
        }
        check_for(&[b"\xff\xfe, 203.0.113.9"], "203.0.113.9", true);
        for hop in ["unknown", "203.0.113.9:port", "203.0.113.9:99999", "[2001:db8::7", "[2001:db8::7]x", "a:b", "_hidden"] {
            check_for(&[hop.as_bytes()], "10.0.0.1", false);
        }
        check_for(&[b"203.0.113.9, \xff"], "10.0.0.1", false);
        check_for(&[], "10.0.0.1", true);
    }

    #[test]
    fn b29_the_first_of_x_forwarded_proto_decides_in_any_case() {
        for lines in [&[b"https".as_slice()][..], &[b"HTTPS"], &[b"https,http"], &[b"https, https"], &[b", \"Https\""], &[b"wss"]]
        {
            check_proto(lines, true, true);
        }
        check_proto(&[b"https", b"http"], true, true);
        check_proto(&[b"http,https"], false, true);
        check_proto(&[b"http", b"https"], false, true);
        check_proto(&[b"gopher"], false, false);
        check_proto(&[b"\xff"], false, false);
    }
}
