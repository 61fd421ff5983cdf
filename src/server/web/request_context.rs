//! The context of a request: built once per request by [`context_layer`](super::middleware::context_layer), kept in its
//! extensions.

use crate::domain::{preferences::Preferences, refusal::Refusal};
use crate::server::accounts::{Session, Token};
use crate::server::gateway::{Credentials, SocketOwner, Visitor};
use crate::server::web::middleware::cookies::CookieNames;
use std::net::IpAddr;

/// Client, preferences and session of one request.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The client's address, as far as trusted proxies report it.
    pub client_addr: IpAddr,
    /// A proxy outside `web.trusted_proxies` forwarded the request: `client_addr` is the proxy's, not the client's.
    pub behind_untrusted_proxy: bool,
    /// The request has a bearer token, of whatever kind.
    pub has_bearer: bool,
    /// How cookies are named: by HTTPS or not.
    pub cookies: CookieNames,
    /// Language and theme, from cookies or `Accept-Language`.
    pub preferences: Preferences,
    /// The refusal of the session's look-up: over the limit, or a failed query. It refuses the request where limits are checked,
    /// so that each handler gives it its own form.
    pub refusal: Option<Refusal>,
    /// The login session of the cookie. `None`: no cookie, an unknown or expired token, or `refusal`.
    pub session: Option<Session>,
    /// The token of `session`, as the cookie has it.
    pub session_token: Option<Token>,
    /// SHA-256 of the token in the visitor cookie: a key for limits and the owner of sockets without a session, told to nobody. A
    /// client can invent one, so it gives no right but to the sockets that were opened with it, and a limit by it needs a limit by
    /// address beside it. `None`: no cookie, as before the first page.
    pub visitor: Option<[u8; 32]>,
}

impl RequestContext {
    /// The credentials by which a socket is recognised: session and visitor cookie. A bearer token takes the place of both.
    pub(crate) fn credentials(&self) -> Credentials {
        if self.has_bearer {
            return Credentials { has_bearer: true, ..Credentials::default() };
        }
        let session = self.session.as_ref().map(|session| SocketOwner(session.token_hash));
        Credentials { session, visitor: self.visitor.map(Visitor), has_bearer: false }
    }
}
