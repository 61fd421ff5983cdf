//! Methods that list and close connections.

use crate::server::accounts::Scope::{Admin, Query};
use crate::server::gateway::{Gateway, Selection};
use crate::server::web::api::method::{Method, method};
use crate::server::web::api::params::{ClientParams, CloseClient, CloseUid, NoParams, json_publication, kick};
use crate::server::web::api::reach::Merge::{List, Sum};
use crate::server::web::api::reach::Reach::{Client, Everyone};
use crate::server::web::api::results::client_id_strings;

/// Returns the methods of this file.
pub(super) fn all() -> Vec<Method> {
    let destroy = async |gateway: Gateway, params: ClientParams| Ok(gateway.destroy_client(params.client_id.0).await);
    let count = async |gateway: Gateway, _: NoParams| Ok(gateway.client_count(Selection::All).await);
    vec![
        method(
            "closeClient",
            Admin,
            Client,
            "Sends the message, if there is one, then closes the connection with a code and its reason. Returns false if the \
             connection is offline.",
            async |gateway: Gateway, params: CloseClient| {
                let last_message = params.message.filter(|message| !message.is_null()).map(|message| json_publication(&message));
                Ok(gateway.close_client(params.client_id.0, last_message, kick(params.code, params.reason)).await)
            },
        ),
        method(
            "closeUid",
            Admin,
            Everyone(Sum),
            "Closes all connections of a uid, each as closeClient does. Returns the number of connections.",
            async |gateway: Gateway, params: CloseUid| {
                let last_message = params.message.filter(|message| !message.is_null()).map(|message| json_publication(&message));
                Ok(gateway.close_uid(params.uid.0, last_message, kick(params.code, params.reason)).await)
            },
        ),
        method(
            "destoryClient",
            Admin,
            Client,
            "Closes the connection at once, without a close frame; queued messages are lost. Returns false if it is offline. (The \
             spelling is the original's.)",
            destroy,
        ),
        method("destroyClient", Admin, Client, "Same as destoryClient.", destroy),
        method(
            "isOnline",
            Query,
            Client,
            "Returns whether the connection is open.",
            async |gateway: Gateway, params: ClientParams| Ok(gateway.is_online(params.client_id.0).await),
        ),
        method(
            "getAllClientIdList",
            Query,
            Everyone(List),
            "Returns the client_ids of all connections.",
            async |gateway: Gateway, _: NoParams| client_id_strings(gateway.client_ids(Selection::All).await),
        ),
        method("getAllClientIdCount", Query, Everyone(Sum), "Returns the number of connections.", count),
        method("getAllClientCount", Query, Everyone(Sum), "Same as getAllClientIdCount, by its older name.", count),
    ]
}
