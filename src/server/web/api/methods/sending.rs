//! To one, to some, to all.

use crate::server::accounts::Scope::Push;
use crate::server::gateway::{Delivered, Gateway, MAX_REPEATS, is_repetitive};
use crate::server::web::api::method::{Method, NotDone, method};
use crate::server::web::api::param_types::Who;
use crate::server::web::api::params::{ToAll, ToClient, ToGroup, ToUid, except, names, payload_of, uids};
use schemars::JsonSchema;
use serde::Serialize;
use std::hash::Hash;

/// What became of a push: handed to how many, of which so many must wait behind what they have not taken yet; and how many
/// were skipped, because their queue is full.
#[derive(Serialize, JsonSchema)]
struct Outcome {
    to: usize,
    queued: usize,
    slow: usize,
}

impl From<Delivered> for Outcome {
    fn from(Delivered { to, queued, slow }: Delivered) -> Self {
        Self { to, queued, slow }
    }
}

pub fn all() -> Vec<Method> {
    vec![
        method("sendToAll", Push, "To every connection, or to those of client_id_array.", async |gateway: Gateway, p: ToAll| {
            let only = p.client_id_array.map(|clients| clients.into_iter().map(|Who(client)| client).collect());
            let publication = payload_of(&p.message, p.raw, p.base64)?;
            done(gateway.send_to_all(only, except(p.exclude_client_id, p.exclude_uid), publication).await.delivered().await)
        }),
        method("sendToClient", Push, "To one connection; offline, it is dropped.", async |gateway: Gateway, p: ToClient| {
            done(gateway.send_to_client(p.client_id.0, payload_of(&p.message, p.raw, p.base64)?).await.delivered().await)
        }),
        method("sendToUid", Push, "To every connection of these people.", async |gateway: Gateway, p: ToUid| {
            let publication = payload_of(&p.message, p.raw, p.base64)?;
            let uids = bounded("uid", uids(p.uid.into_vec()))?;
            done(gateway.send_to_uid(uids, except(p.exclude_client_id, None), publication).await.delivered().await)
        }),
        method(
            "sendToGroup",
            Push,
            "To every member of these groups; once for each group one is in.",
            async |gateway: Gateway, p: ToGroup| {
                let publication = payload_of(&p.message, p.raw, p.base64)?;
                let except = except(p.exclude_client_id, p.exclude_uid);
                let groups = bounded("group", names(p.group.into_vec()))?;
                done(gateway.send_to_group(groups, except, publication).await.delivered().await)
            },
        ),
    ]
}

fn bounded<T: Hash + Eq>(field: &str, names: Vec<T>) -> Result<Vec<T>, NotDone> {
    if is_repetitive(&names) {
        return Err(NotDone::malformed(field, format!("names are repeated more than {MAX_REPEATS} times")));
    }
    Ok(names)
}

fn done(delivered: Delivered) -> Result<Outcome, NotDone> {
    Ok(delivered.into())
}
