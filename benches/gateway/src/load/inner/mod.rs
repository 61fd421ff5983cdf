//! The client of GatewayWorker's inner protocol, as far as the benchmark needs it: packets, a connection, replies.

mod client;
mod packet;
pub mod reply;

pub use client::Client;
pub use packet::{Command, Packet};

/// Returns the connection id of a client id: its last four bytes, after the inner address.
pub fn connection(client_id: &str) -> Option<u32> {
    u32::from_str_radix(client_id.get(12..20)?, 16).ok()
}
