//! The methods of the HTTP API: those of GatewayClient and a few additions, each one call into the gateway, and those of rooms (`chat.*`, `mod.*`), each one call into the chat. Method and
//! parameter names are the original's, including its misspelling.
//!
//! To add a method, add an entry to one of these files; its description in openapi.json is derived from its types, and
//! `tests/server/api.rs` must call it.

mod chat;
mod connections;
mod groups;
mod moderation;
mod people;
mod sending;
mod sessions;

use super::method::Method;
pub(super) use sending::note_sender;

/// Returns every method.
pub(super) fn all() -> Vec<Method> {
    let of_gateway = [sending::all(), connections::all(), people::all(), groups::all(), sessions::all()];
    of_gateway.into_iter().chain([chat::all(), moderation::all()]).flatten().collect()
}
