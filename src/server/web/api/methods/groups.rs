//! Methods of groups. A group exists from its first member's join to its last member's leave.

use crate::domain::id::ClientId;
use crate::server::accounts::Scope::{Admin, Query};
use crate::server::gateway::{ConnectionView, Gateway, Selection, Uid};
use crate::server::web::api::method::{Method, method};
use crate::server::web::api::params::{
    ClientParams, GroupListParams, GroupParams, GroupsParams, Membership, NoParams, OptionalGroupParams, selection, to_groups,
};
use crate::server::web::api::reach::Merge::{Count, Each, List, Sum, Union};
use crate::server::web::api::reach::Reach::{Client, Everyone};
use crate::server::web::api::results::{client_id_strings, to_strings};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the methods of this file.
pub(super) fn all() -> Vec<Method> {
    [changes(), members(), whole_node()].into_iter().flatten().collect()
}

fn changes() -> Vec<Method> {
    vec![
        method(
            "joinGroup",
            Admin,
            Client,
            "Adds the connection to the group; a member stays one. Returns false if the connection is offline.",
            async |gateway: Gateway, params: Membership| {
                Ok(gateway.join_group(params.client_id.0, params.group.0).await.is_found())
            },
        ),
        method(
            "leaveGroup",
            Admin,
            Client,
            "Removes the connection from the group, if it is a member. Returns false if the connection is offline.",
            async |gateway: Gateway, params: Membership| {
                Ok(gateway.leave_group(params.client_id.0, params.group.0).await.is_found())
            },
        ),
        method(
            "ungroup",
            Admin,
            Everyone(Sum),
            "Removes all members from the group; their connections stay open. Returns the number of members.",
            async |gateway: Gateway, params: GroupParams| Ok(gateway.ungroup(params.group.0).await),
        ),
    ]
}

/// Methods about the members of given groups, and the groups of a given member.
fn members() -> Vec<Method> {
    let count = async |gateway: Gateway, params: OptionalGroupParams| Ok(gateway.client_count(selection(params.group)).await);
    vec![
        method(
            "getClientIdListByGroup",
            Query,
            Everyone(List),
            "Returns the client_ids in one or more groups, without duplicates.",
            async |gateway: Gateway, params: GroupsParams| {
                client_id_strings(gateway.client_ids(Selection::Groups(to_groups(params.group.into_vec()))).await)
            },
        ),
        method(
            "getClientIdCountByGroup",
            Query,
            Everyone(Sum),
            "Returns the number of connections in a group; without a group, of all connections.",
            count,
        ),
        method("getClientCountByGroup", Query, Everyone(Sum), "Same as getClientIdCountByGroup, by its older name.", count),
        method(
            "batchGetClientIdCountByGroup",
            Query,
            Everyone(Each(&Sum)),
            "Returns the number of connections in each of the groups.",
            async |gateway: Gateway, params: GroupListParams| {
                let counts = gateway.client_count_by_group(to_groups(params.groups)).await;
                Ok(counts.into_iter().map(|(group, count)| (group.to_string(), count)).collect::<BTreeMap<_, _>>())
            },
        ),
        method(
            "getGroupByClientId",
            Query,
            Client,
            "Returns the groups of a connection, or null if it is offline.",
            async |gateway: Gateway, params: ClientParams| {
                let groups = gateway.groups_of(params.client_id.0).await;
                Ok(groups.map(|groups| groups.iter().map(|group| group.to_string()).collect::<Vec<_>>()))
            },
        ),
    ]
}

/// Methods about all groups of the node.
fn whole_node() -> Vec<Method> {
    vec![
        method("getAllGroupIdList", Query, Everyone(Union), "Returns all groups.", async |gateway: Gateway, _: NoParams| {
            Ok(to_strings(gateway.groups().await.into_keys()))
        }),
        method(
            "getAllGroupUidList",
            Query,
            Everyone(Each(&Union)),
            "Returns all groups with the uids of their members.",
            async |gateway: Gateway, _: NoParams| {
                let all = uids_by_group(&gateway).await;
                Ok(all.into_iter().map(|(group, uids)| (group, to_strings(uids))).collect::<BTreeMap<_, _>>())
            },
        ),
        method(
            "getAllGroupUidCount",
            Query,
            Everyone(Count { of: "getAllGroupUidList", by: &Each(&Union) }),
            "Returns all groups with the number of different uids of their members.",
            async |gateway: Gateway, _: NoParams| {
                Ok(uids_by_group(&gateway).await.into_iter().map(|(group, uids)| (group, uids.len())).collect::<BTreeMap<_, _>>())
            },
        ),
        method(
            "getAllGroupClientIdList",
            Query,
            Everyone(Each(&List)),
            "Returns all groups with the client_ids of their members.",
            async |gateway: Gateway, _: NoParams| {
                let mut all = BTreeMap::<String, Vec<ClientId>>::new();
                let groups_of = |id, member: ConnectionView<'_>| (id, member.groups().cloned().collect::<Vec<_>>());
                for (id, groups) in gateway.select(Selection::All, groups_of).await {
                    for group in groups {
                        all.entry(group.to_string()).or_default().push(id);
                    }
                }
                Ok(all.into_iter().map(|(group, ids)| (group, to_strings(ids))).collect::<BTreeMap<_, _>>())
            },
        ),
        method(
            "getAllGroupClientIdCount",
            Query,
            Everyone(Each(&Sum)),
            "Returns all groups with the number of their connections.",
            async |gateway: Gateway, _: NoParams| {
                let groups = gateway.groups().await;
                Ok(groups.into_iter().map(|(group, count)| (group.to_string(), count)).collect::<BTreeMap<_, _>>())
            },
        ),
    ]
}

/// A group whose members have no uid is in the result, with an empty list.
async fn uids_by_group(gateway: &Gateway) -> BTreeMap<String, BTreeSet<Uid>> {
    let mut all = BTreeMap::<String, BTreeSet<Uid>>::new();
    let uid_and_groups = |_, member: ConnectionView<'_>| (member.uid().cloned(), member.groups().cloned().collect::<Vec<_>>());
    for (uid, groups) in gateway.select(Selection::All, uid_and_groups).await {
        for group in groups {
            all.entry(group.to_string()).or_default().extend(uid.clone());
        }
    }
    all
}
