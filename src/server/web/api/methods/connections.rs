//! Who is connected, and no longer.

use crate::server::accounts::Scope::{Admin, Query};
use crate::server::gateway::{Gateway, Selection};
use crate::server::web::api::method::{Method, method};
use crate::server::web::api::params::{ClientParams, CloseClient, CloseUid, NoParams, json_publication, kick};
use crate::server::web::api::results::client_id_strings;

pub fn all() -> Vec<Method> {
    let destroy = async |gateway: Gateway, p: ClientParams| Ok(gateway.destroy_client(p.client_id.0).await);
    let count = async |gateway: Gateway, _: NoParams| Ok(gateway.client_count(Selection::All).await);
    vec![
        method(
            "closeClient",
            Admin,
            "Says the message, if one is given, then closes with a code and its reason. False: not online.",
            async |gateway: Gateway, p: CloseClient| {
                let last_message = p.message.filter(|message| !message.is_null()).map(|message| json_publication(&message));
                Ok(gateway.close_client(p.client_id.0, last_message, kick(p.code, p.reason)).await)
            },
        ),
        method(
            "closeUid",
            Admin,
            "Closes every connection of a person, as closeClient does. How many there were.",
            async |gateway: Gateway, p: CloseUid| {
                let last_message = p.message.filter(|message| !message.is_null()).map(|message| json_publication(&message));
                Ok(gateway.close_uid(p.uid.0, last_message, kick(p.code, p.reason)).await)
            },
        ),
        method(
            "destoryClient",
            Admin,
            "Ends the connection at once; what is queued is lost. (The original's spelling.)",
            destroy,
        ),
        method("destroyClient", Admin, "The same, spelled right.", destroy),
        method("isOnline", Query, "Is this connection open?", async |gateway: Gateway, p: ClientParams| {
            Ok(gateway.is_online(p.client_id.0).await)
        }),
        method("getAllClientIdList", Query, "Every connection.", async |gateway: Gateway, _: NoParams| {
            client_id_strings(gateway.client_ids(Selection::All).await)
        }),
        method("getAllClientIdCount", Query, "How many connections there are.", count),
        method("getAllClientCount", Query, "The same, by its old name.", count),
    ]
}
