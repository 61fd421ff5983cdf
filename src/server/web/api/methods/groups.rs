//! Groups: made by the first who joins, gone with the last who leaves.

use crate::server::accounts::Scope::{Admin, Query};
use crate::server::gateway::{Gateway, Member, Selection, Uid};
use crate::server::web::api::method::{Method, method};
use crate::server::web::api::params::{
    ClientParams, GroupListParams, GroupParams, GroupsParams, Membership, NoParams, OptionalGroupParams, selection, to_groups,
};
use crate::server::web::api::results::{client_id_strings, to_strings};
use std::collections::{BTreeMap, BTreeSet};

pub fn all() -> Vec<Method> {
    let count = async |gateway: Gateway, p: OptionalGroupParams| Ok(gateway.client_count(selection(p.group)).await);
    vec![
        method(
            "joinGroup",
            Admin,
            "Joining twice is joining once. False: not online.",
            async |gateway: Gateway, p: Membership| Ok(gateway.join_group(p.client_id.0, p.group.0).await.is_found()),
        ),
        method(
            "leaveGroup",
            Admin,
            "Leaving what one is not in changes nothing. False: not online.",
            async |gateway: Gateway, p: Membership| Ok(gateway.leave_group(p.client_id.0, p.group.0).await.is_found()),
        ),
        method(
            "ungroup",
            Admin,
            "Everyone leaves the group; connections stay. How many were in it.",
            async |gateway: Gateway, p: GroupParams| Ok(gateway.ungroup(p.group.0).await),
        ),
        method(
            "getClientIdListByGroup",
            Query,
            "The connections in these groups, each once.",
            async |gateway: Gateway, p: GroupsParams| {
                client_id_strings(gateway.client_ids(Selection::Groups(to_groups(p.group.into_vec()))).await)
            },
        ),
        method("getClientIdCountByGroup", Query, "How many connections a group has; without one, how many there are.", count),
        method("getClientCountByGroup", Query, "The same, by its old name.", count),
        method(
            "batchGetClientIdCountByGroup",
            Query,
            "How many connections each of these groups has.",
            async |gateway: Gateway, p: GroupListParams| {
                let counts = gateway.client_count_by_group(to_groups(p.groups)).await;
                Ok(counts.into_iter().map(|(group, count)| (group.to_string(), count)).collect::<BTreeMap<_, _>>())
            },
        ),
        method("getAllGroupIdList", Query, "Every group that has a member.", async |gateway: Gateway, _: NoParams| {
            Ok(gateway.groups().await.keys().map(|group| group.to_string()).collect::<Vec<_>>())
        }),
        method("getAllGroupUidList", Query, "Every group with its people.", async |gateway: Gateway, _: NoParams| {
            Ok(uids_by_group(&gateway).await)
        }),
        method(
            "getAllGroupUidCount",
            Query,
            "Every group with how many people are in it.",
            async |gateway: Gateway, _: NoParams| {
                Ok(uids_by_group(&gateway).await.into_iter().map(|(group, uids)| (group, uids.len())).collect::<BTreeMap<_, _>>())
            },
        ),
        method("getAllGroupClientIdList", Query, "Every group with its connections.", async |gateway: Gateway, _: NoParams| {
            let mut all = BTreeMap::<String, Vec<String>>::new();
            for (id, groups) in
                gateway.select(Selection::All, |id, member| (id, member.groups().cloned().collect::<Vec<_>>())).await
            {
                for group in groups {
                    all.entry(group.to_string()).or_default().push(id.to_string());
                }
            }
            Ok(all)
        }),
        method(
            "getAllGroupClientIdCount",
            Query,
            "Every group with how many connections it has.",
            async |gateway: Gateway, _: NoParams| {
                let groups = gateway.groups().await;
                Ok(groups.into_iter().map(|(group, count)| (group.to_string(), count)).collect::<BTreeMap<_, _>>())
            },
        ),
        method(
            "getGroupByClientId",
            Query,
            "The groups a connection is in; null if it is offline.",
            async |gateway: Gateway, p: ClientParams| {
                let groups = gateway.groups_of(p.client_id.0).await;
                Ok(groups.map(|groups| groups.iter().map(|group| group.to_string()).collect::<Vec<_>>()))
            },
        ),
    ]
}

/// Groups whose members all have no uid are listed, with nobody in them.
async fn uids_by_group(gateway: &Gateway) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::<String, BTreeSet<Uid>>::new();
    let of_each = |_, member: Member<'_>| (member.uid().cloned(), member.groups().cloned().collect::<Vec<_>>());
    for (uid, groups) in gateway.select(Selection::All, of_each).await {
        for group in groups {
            all.entry(group.to_string()).or_default().extend(uid.clone());
        }
    }
    all.into_iter().map(|(group, uids)| (group, to_strings(uids))).collect()
}
