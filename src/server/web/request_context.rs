//! The context of a request: built once per request by [`context_layer`](super::middleware::context_layer), kept in its
//! extensions.

use crate::domain::preferences::Preferences;
use crate::server::accounts::Session;
use std::net::IpAddr;

/// Client, preferences and session of one request.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The client's address, as far as trusted proxies report it.
    pub client_addr: IpAddr,
    /// A proxy outside `web.trusted_proxies` forwarded the request: `client_addr` is the proxy's, not the client's.
    pub behind_untrusted_proxy: bool,
    /// The client came over HTTPS, so cookies are `Secure`.
    pub is_https: bool,
    /// Language and theme, from cookies or `Accept-Language`.
    pub preferences: Preferences,
    /// The login session of the cookie. `None`: no cookie, or an unknown or expired token.
    pub session: Option<Session>,
}
