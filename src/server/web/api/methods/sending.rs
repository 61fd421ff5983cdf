//! To one, to some, to all.

use crate::server::accounts::Scope::Push;
use crate::server::gateway::{Delivered, Gateway, MAX_REPEATS, is_repetitive};
use crate::server::web::api::method::{ApiError, Method, method};
use crate::server::web::api::param_types::ClientIdParam;
use crate::server::web::api::params::{
    SendToAll, SendToClient, SendToGroup, SendToUid, except, message_publication, to_groups, to_uids,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::hash::Hash;

/// What became of a push: handed to how many, of which so many must wait behind what they have not taken yet; and how many
/// were skipped, because their queue is full.
#[derive(Serialize, JsonSchema)]
struct PushOutcome {
    to: usize,
    queued: usize,
    slow: usize,
}

impl From<Delivered> for PushOutcome {
    fn from(Delivered { to, queued, slow }: Delivered) -> Self {
        Self { to, queued, slow }
    }
}

pub fn all() -> Vec<Method> {
    vec![
        method(
            "sendToAll",
            Push,
            "To every connection, or to those of client_id_array.",
            async |gateway: Gateway, p: SendToAll| {
                let only = p.client_id_array.map(|clients| clients.into_iter().map(|ClientIdParam(client)| client).collect());
                let publication = message_publication(&p.message, p.raw, p.base64)?;
                outcome(
                    gateway.send_to_all(only, except(p.exclude_client_id, p.exclude_uid), publication).await.delivered().await,
                )
            },
        ),
        method("sendToClient", Push, "To one connection; offline, it is dropped.", async |gateway: Gateway, p: SendToClient| {
            outcome(
                gateway.send_to_client(p.client_id.0, message_publication(&p.message, p.raw, p.base64)?).await.delivered().await,
            )
        }),
        method("sendToUid", Push, "To every connection of these people.", async |gateway: Gateway, p: SendToUid| {
            let publication = message_publication(&p.message, p.raw, p.base64)?;
            let uids = reject_repetition("uid", to_uids(p.uid.into_vec()))?;
            outcome(gateway.send_to_uid(uids, except(p.exclude_client_id, None), publication).await.delivered().await)
        }),
        method(
            "sendToGroup",
            Push,
            "To every member of these groups; once for each group one is in.",
            async |gateway: Gateway, p: SendToGroup| {
                let publication = message_publication(&p.message, p.raw, p.base64)?;
                let except = except(p.exclude_client_id, p.exclude_uid);
                let groups = reject_repetition("group", to_groups(p.group.into_vec()))?;
                outcome(gateway.send_to_group(groups, except, publication).await.delivered().await)
            },
        ),
    ]
}

fn reject_repetition<T: Hash + Eq>(field: &str, names: Vec<T>) -> Result<Vec<T>, ApiError> {
    if is_repetitive(&names) {
        return Err(ApiError::malformed(field, format!("names are repeated more than {MAX_REPEATS} times")));
    }
    Ok(names)
}

fn outcome(delivered: Delivered) -> Result<PushOutcome, ApiError> {
    Ok(delivered.into())
}
