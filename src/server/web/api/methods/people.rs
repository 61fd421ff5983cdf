//! Methods of uids. A connection has at most one uid; a uid may have several connections.

use crate::server::accounts::Scope::{Admin, Query};
use crate::server::gateway::{Gateway, Selection};
use crate::server::web::api::method::{Method, method};
use crate::server::web::api::params::{
    BindUid, ClientParams, GroupsParams, NoParams, UidListParams, UidParams, UnbindUid, to_groups, to_uids,
};
use crate::server::web::api::reach::Merge::{Any, Count, Each, List, Union};
use crate::server::web::api::reach::Reach::{Client, Everyone};
use crate::server::web::api::results::{client_id_strings, to_strings};
use std::collections::BTreeMap;

/// Returns the methods of this file.
pub(super) fn all() -> Vec<Method> {
    [changes(), connections_of_uids(), uids()].into_iter().flatten().collect()
}

fn changes() -> Vec<Method> {
    vec![
        method(
            "bindUid",
            Admin,
            Client,
            "Binds the connection to a uid, in place of an earlier one. Returns false if the connection is offline.",
            async |gateway: Gateway, params: BindUid| Ok(gateway.bind_uid(params.client_id.0, params.uid.0).await),
        ),
        method(
            "unbindUid",
            Admin,
            Client,
            "Removes the connection's uid. Returns false if the connection is offline.",
            async |gateway: Gateway, params: UnbindUid| Ok(gateway.unbind_uid(params.client_id.0).await),
        ),
    ]
}

fn connections_of_uids() -> Vec<Method> {
    vec![
        method(
            "isUidOnline",
            Query,
            Everyone(Any),
            "Returns whether the uid has a connection.",
            async |gateway: Gateway, params: UidParams| Ok(gateway.is_uid_online(params.uid.0).await),
        ),
        method(
            "isUidsOnline",
            Query,
            Everyone(Each(&Any)),
            "Returns for each of the uids whether it has a connection.",
            async |gateway: Gateway, params: UidListParams| {
                let found = gateway.client_ids_by_uid(to_uids(params.uids)).await;
                Ok(found.into_iter().map(|(uid, clients)| (uid.to_string(), !clients.is_empty())).collect::<BTreeMap<_, _>>())
            },
        ),
        method(
            "getClientIdByUid",
            Query,
            Everyone(List),
            "Returns the client_ids of a uid.",
            async |gateway: Gateway, params: UidParams| {
                client_id_strings(gateway.client_ids(Selection::Uids(vec![params.uid.0])).await)
            },
        ),
        method(
            "batchGetClientIdByUid",
            Query,
            Everyone(Each(&List)),
            "Returns the client_ids of each of the uids.",
            async |gateway: Gateway, params: UidListParams| {
                let found = gateway.client_ids_by_uid(to_uids(params.uids)).await;
                Ok(found.into_iter().map(|(uid, clients)| (uid.to_string(), to_strings(clients))).collect::<BTreeMap<_, _>>())
            },
        ),
    ]
}

fn uids() -> Vec<Method> {
    vec![
        method(
            "getUidByClientId",
            Query,
            Client,
            "Returns the uid of a connection, or null if it has none or is offline.",
            async |gateway: Gateway, params: ClientParams| {
                let uid = gateway.inspect(params.client_id.0, |member| member.uid().cloned()).await.flatten();
                Ok(uid.map(|uid| uid.to_string()))
            },
        ),
        method(
            "getAllUidList",
            Query,
            Everyone(Union),
            "Returns all uids that have a connection.",
            async |gateway: Gateway, _: NoParams| Ok(to_strings(gateway.uids(Selection::All).await)),
        ),
        method(
            "getAllUidCount",
            Query,
            Everyone(Count { of: "getAllUidList", by: &Union }),
            "Returns the number of uids that have a connection.",
            async |gateway: Gateway, _: NoParams| Ok(gateway.uids(Selection::All).await.len()),
        ),
        method(
            "getUidListByGroup",
            Query,
            Everyone(Union),
            "Returns the uids that have a connection in one or more groups.",
            async |gateway: Gateway, params: GroupsParams| {
                Ok(to_strings(gateway.uids(Selection::Groups(to_groups(params.group.into_vec()))).await))
            },
        ),
        method(
            "getUidCountByGroup",
            Query,
            Everyone(Count { of: "getUidListByGroup", by: &Union }),
            "Returns the number of uids that have a connection in one or more groups.",
            async |gateway: Gateway, params: GroupsParams| {
                Ok(gateway.uids(Selection::Groups(to_groups(params.group.into_vec()))).await.len())
            },
        ),
    ]
}
