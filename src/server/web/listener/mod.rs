//! The TCP side of HTTP: accepting connections, refusing them under overload, pausing and shutting down.

mod accept;
mod counted_body;
mod http_limits;
pub(super) mod lifecycle;
mod network;
mod overload;
