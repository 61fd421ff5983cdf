//! The lines on standard output that tell an operator where the server listens. Scripts read the addresses in them.

use crate::Outcome;
use roomcast::domain::paths;
use roomcast::server::{
    gatewayworker::Listeners as PhpListeners,
    web::{self, Services},
};
use std::net::SocketAddr;

/// Prints the site's URL, the owner's one-time sign-in link while there is no owner, and the address for PHP.
pub(super) async fn announce(services: &Services, address: SocketAddr, php: Option<&PhpListeners>) -> Outcome {
    let config = &services.config;
    let scheme = if services.tls.is_some() { "https" } else { "http" };
    let url = if config.web.public_url.is_empty() { format!("{scheme}://{address}") } else { config.web.public_url.clone() };
    let mut lines =
        vec![format!("Roomcast serves {url}  (listening on {address}, data in {})", config.storage.data_dir.display())];
    if let Some(link) = services.accounts.owner_link(!services.cluster.is_alone()).await? {
        let page = paths::SIGN_IN_PAGE;
        lines.push(format!("No owner yet: make the owner's account, once, at {url}{page}?owner={}", link.reveal()));
    }
    if let Some(PhpListeners { register, .. }) = php {
        let (register, inner) = (register.local_addr()?, config.gateway.lan_addr);
        lines.push(format!("PHP finds this node at {register}  (inner address {inner})"));
    }
    lines.push("Open it in a browser; Ctrl+C stops it.\n".into());
    // The server also runs when nobody reads standard output, or when the parent process has closed it.
    web::write_bounded(std::io::stdout(), lines.join("\n"));
    Ok(())
}
