//! People: many connections may be one person's.

use crate::server::accounts::Scope::{Admin, Query};
use crate::server::gateway::{Gateway, Selection};
use crate::server::web::api::method::{Method, method};
use crate::server::web::api::params::{
    BindUid, ClientParams, GroupsParams, NoParams, UidListParams, UidParams, UnbindUid, to_groups, to_uids,
};
use crate::server::web::api::results::{client_id_strings, to_strings};
use std::collections::BTreeMap;

pub fn all() -> Vec<Method> {
    vec![
        method(
            "bindUid",
            Admin,
            "One uid a connection, the last one wins. False: not online.",
            async |gateway: Gateway, p: BindUid| Ok(gateway.bind_uid(p.client_id.0, p.uid.0).await),
        ),
        method(
            "unbindUid",
            Admin,
            "Takes the uid away, whatever it is. False: not online.",
            async |gateway: Gateway, p: UnbindUid| Ok(gateway.unbind_uid(p.client_id.0).await),
        ),
        method("isUidOnline", Query, "Has this person a connection?", async |gateway: Gateway, p: UidParams| {
            Ok(gateway.is_uid_online(p.uid.0).await)
        }),
        method("isUidsOnline", Query, "Who of these has a connection?", async |gateway: Gateway, p: UidListParams| {
            let found = gateway.client_ids_by_uid(to_uids(p.uids)).await;
            Ok(found.into_iter().map(|(uid, clients)| (uid.to_string(), !clients.is_empty())).collect::<BTreeMap<_, _>>())
        }),
        method("getClientIdByUid", Query, "The connections of a person.", async |gateway: Gateway, p: UidParams| {
            client_id_strings(gateway.client_ids(Selection::Uids(vec![p.uid.0])).await)
        }),
        method(
            "batchGetClientIdByUid",
            Query,
            "The connections of each of these people.",
            async |gateway: Gateway, p: UidListParams| {
                let found = gateway.client_ids_by_uid(to_uids(p.uids)).await;
                Ok(found.into_iter().map(|(uid, clients)| (uid.to_string(), to_strings(clients))).collect::<BTreeMap<_, _>>())
            },
        ),
        method(
            "getUidByClientId",
            Query,
            "Whose connection this is; null if nobody's, or offline.",
            async |gateway: Gateway, p: ClientParams| {
                Ok(gateway.look(p.client_id.0, |member| member.uid().cloned()).await.flatten().map(|uid| uid.to_string()))
            },
        ),
        method("getAllUidList", Query, "Everyone who has a connection.", async |gateway: Gateway, _: NoParams| {
            Ok(to_strings(gateway.uids(Selection::All).await))
        }),
        method("getAllUidCount", Query, "How many people have a connection.", async |gateway: Gateway, _: NoParams| {
            Ok(gateway.uids(Selection::All).await.len())
        }),
        method(
            "getUidListByGroup",
            Query,
            "The people with a connection in these groups.",
            async |gateway: Gateway, p: GroupsParams| {
                Ok(to_strings(gateway.uids(Selection::Groups(to_groups(p.group.into_vec()))).await))
            },
        ),
        method(
            "getUidCountByGroup",
            Query,
            "How many people have a connection in these groups.",
            async |gateway: Gateway, p: GroupsParams| {
                Ok(gateway.uids(Selection::Groups(to_groups(p.group.into_vec()))).await.len())
            },
        ),
    ]
}
