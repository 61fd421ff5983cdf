//! The value of `cluster.nats`, which may hold a password.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use url::Url;

/// Schemes of NATS' URLs. Roomcast speaks NATS over TCP and TLS.
const SCHEMES: [&str; 2] = ["nats", "tls"];

/// Addresses of NATS servers. The `Debug` form shows no more than whether there are any, since they may hold a password.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NatsUrl(String);

/// The credentials of a NATS server. They have no `Debug` form.
#[derive(Clone, PartialEq, Eq)]
pub enum NatsCredentials {
    /// Nothing.
    None,
    /// A token.
    Token(String),
    /// A user and the password.
    User(String, String),
}

/// The addresses without credentials, and the credentials of all of them.
pub struct NatsServers {
    /// `nats://HOST[:PORT]` or `tls://…`: safe to be logged.
    pub addresses: Vec<String>,
    /// Those of each of them.
    pub credentials: NatsCredentials,
}

/// Why the addresses are rejected. No text shows more of them than scheme and host.
#[derive(Debug, thiserror::Error)]
pub enum NatsUrlError {
    /// A part is not an address.
    #[error(
        "cluster.nats must be addresses such as nats://USER:PASSWORD@HOST:4222, with commas between several. In a password write %40 \
         for `@`, %2F for `/`, %3A for `:`, %3F for `?`, %23 for `#` and %2C for `,`"
    )]
    Address,
    /// Another scheme.
    #[error("cluster.nats begins with `{0}:`; it is an address such as nats://HOST:4222 or tls://HOST:4222")]
    Scheme(String),
    /// Two addresses have different credentials.
    #[error("the addresses of cluster.nats have different credentials: give all of them the same")]
    Credentials,
    /// A server that others reach, without credentials.
    #[error(
        "cluster.nats: {0} is not loopback and has no credentials: whoever may publish there could push to every connection. Give NATS a \
         user and a password, and write nats://USER:PASSWORD@HOST"
    )]
    Open(String),
}

impl NatsUrl {
    /// Whether there is none: this is the only node.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the servers.
    ///
    /// # Errors
    /// An address is not one, or its server is open to others.
    pub fn servers(&self) -> Result<NatsServers, NatsUrlError> {
        // A comma in a password would make a part of the password a host.
        if self.0.contains('@') && !self.0.split(',').all(|part| part.contains('@')) {
            return Err(NatsUrlError::Address);
        }
        let mut servers: Option<NatsServers> = None;
        for text in self.0.split(',') {
            let (address, credentials) = server(text.trim())?;
            match &mut servers {
                None => servers = Some(NatsServers { addresses: vec![address], credentials }),
                Some(known) if known.credentials == credentials => known.addresses.push(address),
                Some(_) => return Err(NatsUrlError::Credentials),
            }
        }
        servers.ok_or(NatsUrlError::Address)
    }
}

/// One address and its credentials.
fn server(text: &str) -> Result<(String, NatsCredentials), NatsUrlError> {
    let mut url = Url::parse(text).map_err(|_| NatsUrlError::Address)?;
    if !SCHEMES.contains(&url.scheme()) {
        return Err(NatsUrlError::Scheme(url.scheme().into()));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(NatsUrlError::Address)?.to_owned();
    // A sign in a password would end it, and the rest would be taken for another part.
    let is_whole = ["", "/"].contains(&url.path()) && url.query().is_none() && url.fragment().is_none();
    if !is_whole || host.contains('%') {
        return Err(NatsUrlError::Address);
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| NatsUrlError::Address);
    let credentials = match (url.username(), url.password()) {
        ("", None) if !is_loopback(&host) => return Err(NatsUrlError::Open(host)),
        ("", None) => NatsCredentials::None,
        (token, None) => NatsCredentials::Token(decoded(token)?),
        (user, Some(password)) => NatsCredentials::User(decoded(user)?, decoded(password)?),
    };
    let stripped = url.set_username("").and_then(|()| url.set_password(None));
    stripped.map_err(|()| NatsUrlError::Address)?;
    Ok((url.as_str().trim_end_matches('/').to_owned(), credentials))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

impl From<&str> for NatsUrl {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "none" } else { "hidden" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_the_addresses() {
        let servers = NatsUrl::from("nats://me:p%40ss@10.0.0.1:4222, tls://me:p%40ss@nats.example").servers().ok().unwrap();
        assert_eq!(servers.addresses, ["nats://10.0.0.1:4222", "tls://nats.example"]);
        assert!(servers.credentials == NatsCredentials::User("me".into(), "p@ss".into()));
        let token = NatsUrl::from("nats://t%2Fken@10.0.0.1").servers().ok().unwrap();
        assert!(token.credentials == NatsCredentials::Token("t/ken".into()));
    }

    #[test]
    fn an_address_that_is_wrong_or_open_to_others_is_refused_without_its_password() {
        let cases = [
            ("http://10.0.0.1", "begins with `http:`"),
            ("10.0.0.1:4222", "addresses such as"),
            ("nats://10.0.0.1:4222", "10.0.0.1 is not loopback"),
            ("nats://nats.example", "nats.example is not loopback"),
            ("nats://127.0.0.1,nats://10.0.0.1", "10.0.0.1 is not loopback"),
            ("nats://me:sec/ret@10.0.0.1", "addresses such as"),
            ("nats://me:sec#ret@10.0.0.1", "addresses such as"),
            ("nats://me:secret@10.0.0.1,nats://me:ret@10.0.0.2", "different credentials"),
            ("nats://ret@10.0.0.1,nats://10.0.0.2", "addresses such as"),
            ("nats://secret,et@10.0.0.1", "addresses such as"),
            ("nats://", "addresses such as"),
        ];
        for (text, sentence) in cases {
            let error = NatsUrl::from(text).servers().err().unwrap_or_else(|| panic!("{text} is taken")).to_string();
            assert!(error.contains(sentence) && !error.contains("ret@") && !error.contains("secret"), "{text}: {error}");
        }
        for loopback in ["nats://127.0.0.1:4222", "nats://localhost", "nats://[::1]:4222", "tls://127.8.0.1"] {
            assert!(NatsUrl::from(loopback).servers().is_ok(), "{loopback}");
        }
    }

    #[test]
    fn its_debug_form_hides_it() {
        assert_eq!(format!("{:?}", NatsUrl::from("nats://me:secret@10.0.0.1")), "hidden");
    }
}
