//! Calls over several nodes: the HTTP API, `bind`, Register, the control socket. Whichever node takes one, it answers for all.

use crate::operating::{run, stdout_of};
use crate::php::each_call_of;
use crate::support::cluster::{Cluster, Node};
use crate::support::{Answer, Person, Socket, eventually, read};
use serde_json::{Value, json};

const KEY: &str = "a key of the configuration";

/// Nodes that wait for each other as long as a busy machine may need.
async fn cluster(count: usize) -> Option<Cluster> {
    patient(count, "cluster.answer_within_ms=10000").await
}

async fn patient(count: usize, setting: &str) -> Option<Cluster> {
    Cluster::with(count, &[&format!("gateway.api_key={KEY}"), "chat.cooldown_ms=0", setting]).await
}

async fn post(node: &Node, method: &str, params: Value) -> Answer {
    let request = reqwest::Client::new().post(format!("{}/gateway/api/{method}", node.base)).bearer_auth(KEY);
    read(request.json(&params).send().await.unwrap()).await
}

/// Calls a method of which no node is silent.
async fn call(node: &Node, method: &str, params: Value) -> Value {
    let answer = post(node, method, params.clone()).await;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!(true)), "{method} {params}: {}", answer.body);
    assert_eq!(answer.body["silent"], Value::Null, "{method}");
    answer.body["result"].clone()
}

fn to(count: usize) -> Value {
    json!({"to": count, "queued": 0, "slow": 0})
}

/// A socket on each node, in the order of the nodes' addresses, with its node.
async fn sockets(cluster: &Cluster, protocol: Option<&str>) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for node in &cluster.nodes {
        sockets.push(node.visitor().open(protocol).await);
    }
    sockets
}

fn ids(sockets: &[Socket]) -> Vec<String> {
    sockets.iter().map(|socket| socket.client_id.clone()).collect()
}

/// Client ids by the addresses of their nodes, which they begin with.
fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

#[tokio::test]
async fn a_call_of_any_node_reaches_the_sockets_of_all() {
    let Some(cluster) = cluster(3).await else { return };
    let mut sockets = sockets(&cluster, None).await;
    let [a, b, c] = <[String; 3]>::try_from(ids(&sockets)).unwrap();
    let [one, two, three] = [0, 1, 2].map(|place| &cluster.nodes[place]);

    // The node of the client_id.
    assert_eq!(call(one, "bindUid", json!({"client_id": b, "uid": "ming"})).await, true);
    assert_eq!(call(three, "bindUid", json!({"client_id": a, "uid": "ming"})).await, true);
    assert_eq!(call(two, "bindUid", json!({"client_id": c, "uid": "hong"})).await, true);
    assert_eq!(call(one, "setSession", json!({"client_id": c, "session": {"n": 1.5}})).await, true);
    assert_eq!(call(two, "getSession", json!({"client_id": c})).await, json!({"n": 1.5}));
    assert_eq!(call(one, "getUidByClientId", json!({"client_id": c})).await, "hong");
    assert_eq!(call(one, "isOnline", json!({"client_id": b})).await, true);
    let nowhere = "0a0000010b5400000001";
    assert_eq!(call(one, "isOnline", json!({"client_id": nowhere})).await, false);
    assert_eq!(call(one, "sendToClient", json!({"client_id": nowhere, "message": "x"})).await, to(0));
    let wrong = post(one, "setSession", json!({"client_id": c, "session": {"long": "x".repeat(20_000)}})).await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["code"]), (413, &json!("too_long")), "{}", wrong.body);
    assert_eq!(call(one, "sendToClient", json!({"client_id": c, "message": "to c"})).await, to(1));
    assert_eq!(sockets[2].push().await, "to c");

    // All nodes, each once.
    for node in &cluster.nodes {
        assert_eq!(call(node, "sendToAll", json!({"message": node.base})).await, to(3));
        for socket in &mut sockets {
            assert_eq!(socket.push().await, node.base.as_str());
        }
    }
    assert_eq!(call(one, "sendToAll", json!({"message": "a c", "client_id_array": [a, c, nowhere]})).await, to(2));
    assert_eq!(call(one, "sendToAll", json!({"message": "a", "exclude_client_id": b, "exclude_uid": ["hong"]})).await, to(1));
    assert_eq!(call(three, "sendToUid", json!({"uid": "ming", "message": "ming"})).await, to(2));
    let batch = json!({"calls": [
        {"method": "joinGroup", "params": {"client_id": b, "group": "g"}},
        {"method": "joinGroup", "params": {"client_id": c, "group": "g"}},
        {"method": "sendToGroup", "params": {"group": "g", "message": "in"}},
        {"method": "leaveGroup", "params": {"client_id": b, "group": "g"}},
        {"method": "sendToGroup", "params": {"group": "g", "message": "one left"}},
    ]});
    let results = post(one, "batch", batch).await.body["results"].clone();
    assert_eq!((&results[2]["result"], &results[4]["result"]), (&to(2), &to(1)), "{results}");
    for (place, expected) in [(0, vec!["a c", "a", "ming"]), (1, vec!["ming", "in"]), (2, vec!["a c", "in", "one left"])] {
        for text in expected {
            assert_eq!(sockets[place].push().await, text, "at node {place}");
        }
    }
    // A message longer than the bus carries at once.
    let long = "long ".repeat(150_000);
    assert_eq!(call(two, "sendToAll", json!({"message": long})).await, to(3));
    for socket in &mut sockets {
        assert_eq!(socket.push().await, long.as_str());
    }

    assert_eq!(call(two, "closeUid", json!({"uid": "ming"})).await, 2);
    assert_eq!((sockets[0].close_code().await, sockets[1].close_code().await), (4500, 4500));
    assert_eq!(call(two, "closeClient", json!({"client_id": c, "code": 4321})).await, true);
    assert_eq!(sockets[2].close_code().await, 4321);
}

#[tokio::test]
async fn a_query_of_any_node_knows_the_sockets_of_all() {
    let Some(cluster) = cluster(2).await else { return };
    let mut sockets = sockets(&cluster, None).await;
    sockets.push(cluster.nodes[1].visitor().open(None).await);
    let [a, b, c] = <[String; 3]>::try_from(ids(&sockets)).unwrap();
    let first = &cluster.nodes[0];
    for (client, uid, group) in [(&a, "ming", "1"), (&b, "ming", "1"), (&c, "hong", "2")] {
        call(first, "bindUid", json!({"client_id": client, "uid": uid})).await;
        call(first, "joinGroup", json!({"client_id": client, "group": group})).await;
    }
    for node in &cluster.nodes {
        let all = sorted(vec![a.clone(), b.clone(), c.clone()]);
        let ming = sorted(vec![a.clone(), b.clone()]);
        for (method, params, expected) in [
            ("getAllClientCount", json!({}), json!(3)),
            ("getClientIdCountByGroup", json!({"group": 1}), json!(2)),
            ("batchGetClientIdCountByGroup", json!({"groups": [1, 2, 3]}), json!({"1": 2, "2": 1, "3": 0})),
            ("isUidOnline", json!({"uid": "hong"}), json!(true)),
            ("isUidOnline", json!({"uid": "nobody"}), json!(false)),
            ("isUidsOnline", json!({"uids": ["hong", "ming", "x"]}), json!({"hong": true, "ming": true, "x": false})),
            ("getClientIdByUid", json!({"uid": "ming"}), json!(ming)),
            ("getClientIdListByGroup", json!({"group": [1, 3]}), json!(ming)),
            ("batchGetClientIdByUid", json!({"uids": ["ming", "x"]}), json!({"ming": ming, "x": []})),
            ("getAllUidCount", json!({}), json!(2)),
            ("getUidCountByGroup", json!({"group": [1]}), json!(1)),
            ("getAllGroupUidCount", json!({}), json!({"1": 1, "2": 1})),
            ("getAllGroupUidList", json!({}), json!({"1": ["ming"], "2": ["hong"]})),
            ("getAllGroupClientIdList", json!({}), json!({"1": ming, "2": [c]})),
            ("getAllGroupClientIdCount", json!({}), json!({"1": 2, "2": 1})),
            ("getClientSessionsByGroup", json!({"group": 1}), json!({a.clone(): {}, b.clone(): {}})),
            ("getAllClientCount", json!({"partial": true}), json!(3)),
        ] {
            assert_eq!(call(node, method, params.clone()).await, expected, "{method} {params}");
        }
        for (method, expected) in [
            ("getAllClientIdList", all),
            ("getAllUidList", vec!["hong".into(), "ming".into()]),
            ("getAllGroupIdList", vec!["1".into(), "2".into()]),
        ] {
            let list: Vec<String> = serde_json::from_value(call(node, method, json!({})).await).unwrap();
            assert_eq!(sorted(list), expected, "{method}");
        }
    }
    let one = call(first, "getAllClientIdList", json!({})).await;
    let two = call(&cluster.nodes[1], "getAllClientIdList", json!({})).await;
    assert_eq!(one, two, "in the order of the nodes' addresses, whichever is asked");
    let wrong = post(first, "getAllClientCount", json!({"partial": 1})).await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["field"]), (422, &json!("partial")));
}

#[tokio::test]
async fn a_silent_node_is_named_and_queries_are_busy() {
    let Some(cluster) = patient(2, "cluster.answer_within_ms=1000").await else { return };
    let [one, two] = [&cluster.nodes[0], &cluster.nodes[1]];
    let (mut here, there) = (one.visitor().open(None).await, two.visitor().open(None).await);
    call(one, "bindUid", json!({"client_id": here.client_id, "uid": "here"})).await;
    let visitor = one.visitor();
    two.signal(libc::SIGSTOP);
    let answers = tokio::join!(
        post(one, "getAllClientCount", json!({})),
        post(one, "getAllClientCount", json!({"partial": true})),
        post(one, "sendToAll", json!({"message": "half"})),
        post(one, "isUidOnline", json!({"uid": "here"})),
        post(one, "isUidOnline", json!({"uid": "elsewhere"})),
        post(one, "isOnline", json!({"client_id": there.client_id})),
        visitor.bind(&there, &[]),
    );
    two.signal(libc::SIGCONT);
    let (query, partial, push, decided, open, client, bind) = answers;
    let silent = json!([two.inner.to_string()]);
    for busy in [query, open, client, bind] {
        assert_eq!((busy.status.as_u16(), &busy.body["code"]), (503, &json!("busy")), "{}", busy.body);
    }
    assert_eq!(partial.body, json!({"status": true, "result": 1, "silent": silent}));
    assert_eq!(push.body, json!({"status": true, "result": to(1), "silent": silent}));
    assert_eq!(decided.body, json!({"status": true, "result": true}));
    assert_eq!(here.push().await, "half");
    eventually("the node answers again", async || post(one, "getAllClientCount", json!({})).await.body["result"] == 2).await;
}

/// The answer of `bind` about the room, without the parts that differ between people.
fn of_room(answer: &Answer) -> Value {
    let body = &answer.body;
    json!([body["epoch"], body["seq"], body["messages"], body["rev"], body["state"], body["changes"], body["gap"], body["stale"]])
}

#[tokio::test]
async fn bind_is_carried_out_where_the_socket_is() {
    let Some(cluster) = cluster(2).await else { return };
    let [one, two] = [&cluster.nodes[0], &cluster.nodes[1]];
    let (owner, author) = (one.owner().await, one.guest("作者").await);
    for text in ["first", "second", "\"third\"\u{2028}"] {
        let sent = author.send(text).await;
        assert_eq!(sent.status, 200, "{}", sent.body);
    }
    let removed = owner.post("/gateway/mod/remove", &[("room", "1"), ("seq", "2")]).await;
    assert_eq!(removed.status, 200, "{}", removed.body);
    let guest = two.guest("小李").await;
    let socket = guest.open(Some("roomcast.v1")).await;
    let since = [("since", "1"), ("rev", "0")];
    let there = guest.at(one).bind(&socket, &since).await;
    assert_eq!((there.status.as_u16(), &there.body["code"]), (200, &json!(guest.uid)), "{}", there.body);
    let here = guest.bind(&socket, &since).await;
    assert_eq!(of_room(&there), of_room(&here));
    assert_eq!(there.body, here.body, "the same answer, whichever node is asked");
    assert_eq!(there.body["changes"].as_array().map(Vec::len), Some(1), "{}", there.body);
    assert_eq!(call(one, "getClientIdByUid", json!({"uid": guest.uid})).await, json!([socket.client_id]));

    // The credentials travel along.
    let check = async |who: &Person, socket: &Socket, status: u16, code: &str| {
        let answer = who.bind(socket, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (status, Some(code)), "{}", answer.body);
    };
    check(&owner, &socket, 403, "not_yours").await;
    check(&one.visitor(), &socket, 403, "not_yours").await;
    let reader = two.visitor().open(None).await;
    let form = [("client_id", reader.client_id.as_str()), ("room", "nowhere")];
    let answer = one.visitor().post("/gateway/bind", &form).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (404, &json!("no_such_room")), "{}", answer.body);
    let gone = format!("{}00000001", &reader.client_id[..12]);
    let form = [("client_id", gone.as_str()), ("room", "1")];
    let answer = one.visitor().post("/gateway/bind", &form).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (404, &json!("no_such_client")), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_register_lists_all_nodes_and_gateway_client_reaches_them() {
    let Some(cluster) = cluster(3).await else { return };
    let [a, b] = [0, 1].map(|place| cluster.nodes[place].visitor());
    let (a, b) = (a.open(None).await, b.open(None).await);
    let addresses: Vec<_> = cluster.nodes.iter().map(|node| node.inner.to_string()).collect();
    each_call_of(cluster.nodes[2].register, a, b, &["", &addresses.join(",")]).await;
    for node in &cluster.nodes {
        assert_eq!(node.errors(), [""; 0]);
    }
}

/// Reads the lists of gateways that a Register sends to a worker, until one is the expected one.
async fn is_told(lines: &mut tokio::io::Lines<impl tokio::io::AsyncBufRead + Unpin>, expected: Vec<String>) {
    while next_list(lines).await != expected {}
}

async fn next_list(lines: &mut tokio::io::Lines<impl tokio::io::AsyncBufRead + Unpin>) -> Vec<String> {
    let line = tokio::time::timeout(crate::support::DEADLINE, lines.next_line()).await.expect("no list").unwrap().unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    sorted(serde_json::from_value(line["addresses"].clone()).unwrap())
}

#[tokio::test]
async fn workers_are_told_when_nodes_come_and_go() {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let Some(mut cluster) = cluster(2).await else { return };
    let mut stream = tokio::net::TcpStream::connect(cluster.nodes[0].register).await.unwrap();
    stream.write_all(b"{\"event\":\"worker_connect\",\"secret_key\":\"\"}\n").await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let addresses = |cluster: &Cluster| sorted(cluster.nodes.iter().map(|node| node.inner.to_string()).collect());
    is_told(&mut lines, addresses(&cluster)).await;
    cluster.add();
    is_told(&mut lines, addresses(&cluster)).await;
    cluster.nodes[1].kill();
    cluster.nodes.remove(1);
    is_told(&mut lines, addresses(&cluster)).await;
}

#[tokio::test]
async fn the_command_line_of_a_node_shows_and_reaches_all() {
    let Some(cluster) = cluster(2).await else { return };
    let [one, two] = [&cluster.nodes[0], &cluster.nodes[1]];
    let ming = one.guest("阿明").await;
    let (mut here, mut there) = (ming.open_bound(None).await, ming.at(two).open_bound(None).await);
    let status = stdout_of(one, &["status"]).await;
    for node in &cluster.nodes {
        let line = status.lines().find(|line| line.starts_with(&node.inner.to_string())).unwrap_or_else(|| panic!("{status}"));
        assert!(line.contains(env!("CARGO_PKG_VERSION")), "{line}");
    }
    let listed = |text: &str| sorted(text.lines().skip(1).map(|line| line[..20].to_owned()).collect());
    let all = sorted(vec![here.client_id.clone(), there.client_id.clone()]);
    assert_eq!(listed(&stdout_of(one, &["connections"]).await), all);
    let of_two = stdout_of(one, &["connections", "--node", &two.inner.to_string()]).await;
    assert_eq!(listed(&of_two), [there.client_id.as_str()]);
    assert!(!run(one, &["connections", "--node", "10.0.0.1:2900"]).status.success());
    let pushed = stdout_of(one, &["push", "--all", "--key", KEY, "--url", &one.base, "hello"]).await;
    assert!(pushed.starts_with("to 2,"), "{pushed}");

    let account = one.owner().await;
    let (mut own, mut own_there) = (account.open_bound(None).await, account.at(two).open_bound(None).await);
    stdout_of(one, &["user", "sign-out", "owner"]).await;
    assert_eq!((own.close_code().await, own_there.close_code().await), (4501, 4501));
    assert_eq!((here.push().await, there.push().await), (json!("hello"), json!("hello")));
}
