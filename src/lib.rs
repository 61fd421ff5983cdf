//! Roomcast: live-room chat and push gateway in one binary.

pub mod domain;
#[cfg(feature = "ssr")]
pub mod server;
