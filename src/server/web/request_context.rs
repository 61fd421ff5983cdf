//! Who asks: found out once a request, kept in its extensions.

use crate::domain::preferences::Preferences;
use crate::server::accounts::Session;
use std::net::IpAddr;

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
