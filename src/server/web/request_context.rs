//! Who asks: found out once a request, kept in its extensions.

use crate::domain::preferences::Preferences;
use crate::server::accounts::Session;
use std::net::IpAddr;

#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The person's own address as far as we believe the proxies.
    pub client_addr: IpAddr,
    /// A proxy that nobody told us to trust wrote headers: the address is the proxy's, whoever asks.
    pub behind_untrusted_proxy: bool,
    pub is_https: bool,
    pub preferences: Preferences,
    pub session: Option<Session>,
}
