//! The TCP side of HTTP: accepting connections, refusing them under overload, pausing and shutting down.

mod accept;
pub(super) mod lifecycle;
mod overload;
