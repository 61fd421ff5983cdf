//! Uids, groups and sessions of clients.

use super::{KEY, call, post, server, set, sorted, two};
use crate::support::{Server, Socket, eventually};
use serde_json::{Value, json};

/// A client id of this node that no connection has.
const ABSENT: &str = "7f0000010b5400000001";

/// Opens three plain sockets.
async fn three(server: &Server) -> [Socket; 3] {
    let visitor = server.visitor();
    [visitor.open(None).await, visitor.open(None).await, visitor.open(None).await]
}

#[tokio::test]
async fn uids_can_be_bound_queried_and_released() {
    let server = server();
    let sockets = three(&server).await;
    let [a, b, c] = sockets.each_ref().map(|socket| socket.client_id.as_str());
    assert_eq!(call(&server, "isOnline", json!({"client_id": a})).await, true);
    assert_eq!(call(&server, "isOnline", json!({"client_id": ABSENT})).await, false);
    assert_eq!(sorted(call(&server, "getAllClientIdList", json!({})).await), set(&[a, b, c]));
    assert_eq!(call(&server, "getAllClientIdCount", json!({})).await, 3);
    assert_eq!(call(&server, "getAllClientCount", json!({})).await, 3);

    for (client, uid) in [(a, "old"), (a, "ming"), (b, "ming"), (c, "hong")] {
        assert_eq!(call(&server, "bindUid", json!({"client_id": client, "uid": uid})).await, true);
    }
    assert_eq!(call(&server, "bindUid", json!({"client_id": ABSENT, "uid": "x"})).await, false);
    assert_eq!(call(&server, "isUidOnline", json!({"uid": "ming"})).await, true);
    assert_eq!(call(&server, "isUidOnline", json!({"uid": "old"})).await, false, "the last uid wins");
    assert_eq!(call(&server, "isUidsOnline", json!({"uids": ["ming", 5]})).await, json!({"ming": true, "5": false}));
    assert_eq!(
        call(&server, "isUidsOnline", json!({"uids": [7.0, i64::MAX, -3_910_957_500_039_394.0]})).await,
        json!({"7": false, "9223372036854775807": false, "-3910957500039394": false})
    );
    assert_eq!(sorted(call(&server, "getClientIdByUid", json!({"uid": "ming"})).await), set(&[a, b]));
    let batch = call(&server, "batchGetClientIdByUid", json!({"uids": ["hong", "old"]})).await;
    assert_eq!(batch, json!({"hong": [c], "old": []}));
    assert_eq!(call(&server, "getUidByClientId", json!({"client_id": c})).await, "hong");
    assert_eq!(call(&server, "getUidByClientId", json!({"client_id": ABSENT})).await, Value::Null);
    assert_eq!(sorted(call(&server, "getAllUidList", json!({})).await), set(&["ming", "hong"]));
    assert_eq!(call(&server, "getAllUidCount", json!({})).await, 2);

    assert_eq!(call(&server, "unbindUid", json!({"client_id": c, "uid": "another"})).await, true, "any uid is accepted");
    assert_eq!(call(&server, "getUidByClientId", json!({"client_id": c})).await, Value::Null);
}

/// Three clients: the first two have the uid `ming`, the third `hong`. All are in group 1, the third also in group 2.
async fn three_in_groups(server: &Server) -> [Socket; 3] {
    let sockets = three(server).await;
    let [a, b, c] = sockets.each_ref().map(|socket| socket.client_id.as_str());
    for (client, uid) in [(a, "ming"), (b, "ming"), (c, "hong")] {
        assert_eq!(call(server, "bindUid", json!({"client_id": client, "uid": uid})).await, true);
    }
    for (client, group) in [(a, "1"), (a, "1"), (b, "1"), (c, "1"), (c, "2")] {
        assert_eq!(call(server, "joinGroup", json!({"client_id": client, "group": group})).await, true);
    }
    sockets
}

#[tokio::test]
async fn groups_can_be_joined_queried_and_left() {
    let server = server();
    let [one, two, three] = three_in_groups(&server).await;
    let [a, b, c] = [&one, &two, &three].map(|socket| socket.client_id.as_str());
    assert_eq!(call(&server, "joinGroup", json!({"client_id": ABSENT, "group": "1"})).await, false);
    assert_eq!(sorted(call(&server, "getUidListByGroup", json!({"group": "1"})).await), set(&["ming", "hong"]));
    assert_eq!(call(&server, "getUidCountByGroup", json!({"group": ["1", "2"]})).await, 2);
    assert_eq!(sorted(call(&server, "getClientIdListByGroup", json!({"group": ["1", "2"]})).await), set(&[a, b, c]));
    for (method, group, count) in [
        ("getClientIdCountByGroup", json!("1"), 3),
        ("getClientCountByGroup", json!("2"), 1),
        ("getClientIdCountByGroup", json!("0"), 0),
        ("getClientIdCountByGroup", json!(""), 3),
        ("getClientIdCountByGroup", Value::Null, 3),
    ] {
        assert_eq!(call(&server, method, json!({"group": group})).await, count, "{group}");
    }
    assert_eq!(call(&server, "batchGetClientIdCountByGroup", json!({"groups": [1, "x"]})).await, json!({"1": 3, "x": 0}));
    assert_eq!(sorted(call(&server, "getAllGroupIdList", json!({})).await), set(&["1", "2"]));
    assert_eq!(call(&server, "getAllGroupUidList", json!({})).await, json!({"1": ["hong", "ming"], "2": ["hong"]}));
    assert_eq!(call(&server, "getAllGroupUidCount", json!({})).await, json!({"1": 2, "2": 1}));
    let clients = call(&server, "getAllGroupClientIdList", json!({})).await;
    assert_eq!((sorted(clients["1"].clone()), clients["2"].clone()), (set(&[a, b, c]), json!([c])));
    assert_eq!(call(&server, "getAllGroupClientIdCount", json!({})).await, json!({"1": 3, "2": 1}));
    assert_eq!(sorted(call(&server, "getGroupByClientId", json!({"client_id": c})).await), set(&["1", "2"]));
    assert_eq!(call(&server, "getGroupByClientId", json!({"client_id": ABSENT})).await, Value::Null);

    assert_eq!(call(&server, "leaveGroup", json!({"client_id": a, "group": "2"})).await, true, "the client is not in the group");
    assert_eq!(call(&server, "leaveGroup", json!({"client_id": a, "group": "1"})).await, true);
    assert_eq!(call(&server, "getClientIdCountByGroup", json!({"group": "1"})).await, 2);
    assert_eq!(call(&server, "ungroup", json!({"group": "1"})).await, 2);
    assert_eq!(call(&server, "getAllGroupIdList", json!({})).await, json!(["2"]));

    let c = &c.to_owned();
    drop(three);
    eventually("c is offline", async || call(&server, "isOnline", json!({"client_id": c})).await == false).await;
    assert_eq!(call(&server, "getAllGroupIdList", json!({})).await, json!([]), "a closed connection leaves its groups");
}

#[tokio::test]
async fn sessions_are_stored_merged_and_end_with_the_connection() {
    let server = server();
    let (one, two) = two(&server).await;
    let (a, b) = (one.client_id.clone(), two.client_id.clone());
    assert_eq!(call(&server, "getSession", json!({"client_id": a})).await, json!({}));
    let session = json!({"name": "阿明", "rights": {"mute": true}});
    assert_eq!(call(&server, "setSession", json!({"client_id": a, "session": session})).await, true);
    assert_eq!(call(&server, "updateSession", json!({"client_id": a, "session": {"rights": {"kick": 1}}})).await, true);
    let merged = json!({"name": "阿明", "rights": {"mute": true, "kick": 1}});
    assert_eq!(call(&server, "getSession", json!({"client_id": a})).await, merged);
    assert_eq!(call(&server, "setSocketSession", json!({"client_id": b, "session": "{\"n\":2}"})).await, true);
    call(&server, "joinGroup", json!({"client_id": b, "group": "g"})).await;
    for method in ["getAllClientSessions", "getAllClientInfo"] {
        assert_eq!(call(&server, method, json!({})).await, json!({a.clone(): merged, b.clone(): {"n": 2}}));
        assert_eq!(call(&server, method, json!({"group": "g"})).await, json!({b.clone(): {"n": 2}}));
    }
    for method in ["getClientSessionsByGroup", "getClientInfoByGroup"] {
        assert_eq!(call(&server, method, json!({"group": "g"})).await, json!({b.clone(): {"n": 2}}));
    }
    assert_eq!(call(&server, "setSession", json!({"client_id": a, "session": []})).await, true);
    assert_eq!(call(&server, "getSession", json!({"client_id": a})).await, json!({}));
    let long = json!({"client_id": a, "session": {"long": "x".repeat(17_000)}});
    let answer = post(&server, Some(KEY), "setSession", long.to_string()).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"], &answer.body["max"]), (413, &json!("too_long"), &json!(16384)));
    drop(one);
    eventually("a is offline", async || call(&server, "getSession", json!({"client_id": a})).await == Value::Null).await;
    assert_eq!(call(&server, "setSession", json!({"client_id": a, "session": {}})).await, false);
    assert_eq!(call(&server, "updateSession", json!({"client_id": a, "session": {}})).await, false);
}
