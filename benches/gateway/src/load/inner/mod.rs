//! PHP's side of GatewayWorker's inner protocol, as far as it is measured: packets, a connection, replies.

mod client;
mod packet;
pub mod reply;

pub use client::Client;
pub use packet::{Command, Packet};

/// The last four bytes of a client id: by that number the inner protocol names it. Before them stands the inner address.
pub fn connection(client_id: &str) -> Option<u32> {
    u32::from_str_radix(client_id.get(12..20)?, 16).ok()
}
