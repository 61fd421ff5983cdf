//! The router's layers, and the parts of a request that they read: cookies, origin, the client's address.

pub mod client_addr;
pub mod context_layer;
pub mod cookies;
pub mod error_response;
pub mod form_guard;
pub mod form_redirect;
pub mod headers;
pub mod origin;
pub mod security_headers;
