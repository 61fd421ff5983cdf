//! What the load client and the peers share: bytes of HTTP and of WebSocket frames, and room for many sockets.

pub mod files;
pub mod frame;
pub mod http;
