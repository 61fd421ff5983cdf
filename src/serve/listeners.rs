//! The node's TCP listeners: the site's, and the two of the PHP gateway protocol. After a reload they are inherited from
//! the process before.

use roomcast::server::config::{Config, GatewaySettings, Switch};
use roomcast::server::control::InheritedListeners;
use roomcast::server::gatewayworker::Listeners as PhpListeners;
use socket2::{Domain, Socket, Type};
use std::error::Error;
use std::net::{SocketAddr, TcpListener};

/// Connections that may wait to be accepted. The kernel's own limit (net.core.somaxconn) is often lower.
const LISTEN_BACKLOG: i32 = 16_384;

/// The open listeners of one process.
pub(super) struct NodeListeners {
    /// HTTP and WebSockets.
    pub site: TcpListener,
    /// `None`: `gateway.php` is off, or the default ports are taken.
    pub php: Option<PhpListeners>,
}

impl NodeListeners {
    /// Opens the configured listeners, or takes the inherited ones. If `gateway.lan_addr` has port 0, it gets the port that
    /// the kernel chose. Returns an error with the address if a port cannot be opened.
    pub(super) fn open(config: &mut Config) -> Result<Self, Box<dyn Error>> {
        let InheritedListeners { site, inner, register } = InheritedListeners::from_env()?;
        let site = listen(config.leptos.site_addr, site)?;
        let php = open_php_listeners(&config.gateway, inner, register)?;
        if let Some(PhpListeners { inner, .. }) = &php
            && config.gateway.lan_addr.port() == 0
        {
            config.gateway.lan_addr.set_port(inner.local_addr()?.port());
        }
        Ok(Self { site, php })
    }

    /// All listeners in the order in which a reload passes them on: site, inner, register.
    pub(super) fn all(&self) -> Vec<&TcpListener> {
        let php = self.php.iter().flat_map(|PhpListeners { inner, register }| [inner, register]);
        std::iter::once(&self.site).chain(php).collect()
    }
}

/// Returns `None` with a warning if the default ports are taken: a second node on one machine serves without PHP. For
/// configured ports that is an error.
fn open_php_listeners(
    settings: &GatewaySettings,
    inner: Option<TcpListener>,
    register: Option<TcpListener>,
) -> Result<Option<PhpListeners>, Box<dyn Error>> {
    if settings.php == Switch::Off {
        return Ok(None);
    }
    let GatewaySettings { lan_addr, lan_listen, register_addr, .. } = settings;
    if lan_addr.ip().is_unspecified() {
        tracing::warn!(
            %lan_addr,
            "unusable gateway.lan_addr: PHP connects to this address; set it to this machine's address, and gateway.lan_listen to \
             the address to listen on"
        );
    }
    let opened = listen_exactly(lan_listen.unwrap_or(SocketAddr::V4(*lan_addr)), inner)
        .and_then(|inner| Ok(PhpListeners { inner, register: listen_exactly(*register_addr, register)? }));
    let defaults = GatewaySettings::default();
    match opened {
        Ok(listeners) => Ok(Some(listeners)),
        Err(error) if (*lan_addr, *register_addr) == (defaults.lan_addr, defaults.register_addr) => {
            tracing::warn!(
                %error,
                "could not open the ports for PHP: set gateway.lan_addr and gateway.register_addr to free addresses, or \
                 gateway.php to \"off\""
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Returns the inherited listener, or a new one at `address`; either is non-blocking.
fn listen(address: SocketAddr, inherited: Option<TcpListener>) -> Result<TcpListener, Box<dyn Error>> {
    let listener = match inherited {
        Some(inherited) => inherited,
        None => bind(address).map_err(|error| format!("{address}: {error}"))?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Like [`listen`], but ignores an inherited listener of another address: PHP connects to the configured address, which may have
/// changed since the previous process started.
fn listen_exactly(address: SocketAddr, inherited: Option<TcpListener>) -> Result<TcpListener, Box<dyn Error>> {
    let matches = |listener: &TcpListener| {
        listener.local_addr().is_ok_and(|local| local.ip() == address.ip() && [local.port(), 0].contains(&address.port()))
    };
    listen(address, inherited.filter(matches))
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}
