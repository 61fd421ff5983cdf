//! What a request passes on its way in and its response on the way out, and what several of these share.

pub mod client_addr;
pub mod context_layer;
pub mod cookies;
pub mod error_response;
pub mod form_guard;
pub mod form_redirect;
pub mod headers;
pub mod origin;
pub mod security_headers;
