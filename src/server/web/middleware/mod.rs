//! The router's layers, and the parts of a request that they read: cookies, origin, the client's address.

pub(super) mod client_addr;
pub(super) mod context_layer;
pub(super) mod cookies;
pub(super) mod error_response;
pub(super) mod form_guard;
pub(super) mod form_redirect;
pub(super) mod form_target;
pub(super) mod headers;
pub(super) mod origin;
pub(super) mod security_headers;
