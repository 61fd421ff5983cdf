//! The methods of the HTTP API: those of GatewayClient and a few additions, each one call into the gateway. Method and
//! parameter names are the original's, including its misspelling.
//!
//! To add a method, add an entry to one of these files; its description in openapi.json is derived from its types, and
//! `tests/server/api.rs` must call it.

mod connections;
mod groups;
mod people;
mod sending;
mod sessions;

use super::method::Method;

/// Returns every method.
pub(super) fn all() -> Vec<Method> {
    [sending::all(), connections::all(), people::all(), groups::all(), sessions::all()].into_iter().flatten().collect()
}
