//! Shared by the load client and the peers: HTTP, WebSocket frames, the limit of open files.

pub mod files;
pub mod frame;
pub mod http;
