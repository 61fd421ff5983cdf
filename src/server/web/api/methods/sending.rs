//! Methods that send a message to connections.

use crate::server::accounts::Scope::Push;
use crate::server::gateway::{Delivered, Gateway, MAX_REPEATS, is_repetitive};
use crate::server::web::api::method::{ApiError, Method, method};
use crate::server::web::api::param_types::{ClientIdParam, GroupParam, OneOrMany};
use crate::server::web::api::params::{
    SendToAll, SendToClient, SendToGroup, SendToUid, except, message_publication, to_groups, to_uids,
};
use crate::server::web::api::reach::Merge::{Each, Sum};
use crate::server::web::api::reach::Reach::{Client, Everyone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::hash::Hash;

/// Result of a send, in connections.
#[derive(Serialize, JsonSchema)]
struct SendResult {
    /// Connections that get the message
    to: usize,
    /// Those of `to` that have a backlog, so the message waits in their send queue
    queued: usize,
    /// Connections that were skipped because their send queue is full
    slow: usize,
}

impl From<Delivered> for SendResult {
    fn from(Delivered { to, queued, slow }: Delivered) -> Self {
        Self { to, queued, slow }
    }
}

/// Returns the methods of this file.
pub(super) fn all() -> Vec<Method> {
    vec![
        method(
            "sendToAll",
            Push,
            Everyone(Each(&Sum)),
            "Sends to all connections, or only to those of client_id_array.",
            async |gateway: Gateway, params: SendToAll| {
                let only =
                    params.client_id_array.map(|clients| clients.into_iter().map(|ClientIdParam(client)| client).collect());
                let publication = message_publication(&params.message, params.raw, params.base64)?;
                let except = except(params.exclude_client_id, params.exclude_uid);
                result(gateway.send_to_all(only, except, publication).await.delivered().await)
            },
        ),
        method(
            "sendToClient",
            Push,
            Client,
            "Sends to one connection; if it is offline, the message is dropped.",
            async |gateway: Gateway, params: SendToClient| {
                let publication = message_publication(&params.message, params.raw, params.base64)?;
                result(gateway.send_to_client(params.client_id.0, publication).await.delivered().await)
            },
        ),
        method(
            "sendToUid",
            Push,
            Everyone(Each(&Sum)),
            "Sends to all connections of one or more uids.",
            async |gateway: Gateway, params: SendToUid| {
                let publication = message_publication(&params.message, params.raw, params.base64)?;
                let uids = limit_repeats("uid", to_uids(params.uid.into_vec()))?;
                result(gateway.send_to_uid(uids, except(params.exclude_client_id, None), publication).await.delivered().await)
            },
        ),
        method(
            "sendToGroup",
            Push,
            Everyone(Each(&Sum)),
            "Sends to the members of one or more groups. A member of several of them gets the message once per group.",
            async |gateway: Gateway, params: SendToGroup| {
                let publication = message_publication(&params.message, params.raw, params.base64)?;
                let except = except(params.exclude_client_id, params.exclude_uid);
                let groups = limit_repeats("group", to_groups(params.group.into_vec()))?;
                result(gateway.send_to_group(groups, except, publication).await.delivered().await)
            },
        ),
    ]
}

/// Notes that a key pushes to groups, for the staff of rooms of these names.
pub(in crate::server::web::api) fn note_sender(gateway: &Gateway, key: &str, input: &Value) {
    let groups = OneOrMany::<GroupParam>::deserialize(&input["group"]).map(OneOrMany::into_vec);
    if let Ok(groups) = groups {
        gateway.note_sender(&format!("bot:{key}"), &to_groups(groups));
    }
}

/// Returns a `malformed` error if names are repeated so often that one request would send a message many times.
fn limit_repeats<T: Hash + Eq>(field: &str, names: Vec<T>) -> Result<Vec<T>, ApiError> {
    if is_repetitive(&names) {
        return Err(ApiError::malformed(field, format!("more than {MAX_REPEATS} repeated names")));
    }
    Ok(names)
}

fn result(delivered: Delivered) -> Result<SendResult, ApiError> {
    Ok(delivered.into())
}
