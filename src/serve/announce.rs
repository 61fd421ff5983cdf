//! The lines on standard output that tell an operator where the server listens. Scripts read the addresses in them.

use crate::Outcome;
use roomcast::domain::paths;
use roomcast::server::{gatewayworker::Listeners as PhpListeners, web::Services};
use std::io::Write;
use std::net::SocketAddr;

/// Prints the site's URL, the owner's one-time sign-in link while there is no owner, and the address for PHP.
pub(super) async fn announce(services: &Services, address: SocketAddr, php: Option<&PhpListeners>) -> Outcome {
    let config = &services.config;
    let scheme = if services.tls.is_some() { "https" } else { "http" };
    let url = if config.web.public_url.is_empty() { format!("{scheme}://{address}") } else { config.web.public_url.clone() };
    print_line(format_args!("Roomcast serves {url}  (listening on {address}, data in {})", config.storage.data_dir.display()));
    if let Some(link) = services.accounts.owner_link().await? {
        let page = paths::SIGN_IN_PAGE;
        print_line(format_args!("No owner yet: make the owner's account, once, at {url}{page}?owner={}", link.reveal()));
    }
    if let Some(PhpListeners { register, .. }) = php {
        let (register, inner) = (register.local_addr()?, config.gateway.lan_addr);
        print_line(format_args!("PHP finds this node at {register}  (inner address {inner})"));
    }
    print_line(format_args!("Open it in a browser; Ctrl+C stops it."));
    Ok(())
}

/// Ignores errors: the server also runs when the parent process has closed standard output.
fn print_line(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
