//! The gateway's API over HTTP (docs/integrate.md): every method, who may call it, and what it refuses.

use crate::support::{Answer, Server, Socket, binary, read};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const KEY: &str = "a key of the configuration";

fn server() -> Server {
    Server::with(&[&format!("gateway.api_key={KEY}")])
}

async fn post(server: &Server, key: Option<&str>, method: &str, body: impl Into<String>) -> Answer {
    let mut request = reqwest::Client::new().post(format!("{}/gateway/api/{method}", server.base)).body(body.into());
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    read(request.header("content-type", "application/json").send().await.unwrap()).await
}

/// The call's result; it must be done.
async fn call(server: &Server, method: &str, params: Value) -> Value {
    let answer = post(server, Some(KEY), method, params.to_string()).await;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!(true)), "{method} {params}: {}", answer.body);
    answer.body["result"].clone()
}

fn sorted(list: Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| item.to_string()).collect()
}

fn to(count: usize) -> Value {
    json!({"to": count, "queued": 0, "slow": 0})
}

/// Two visitors' sockets, an old page's and a new one's.
async fn two(server: &Server) -> (Socket, Socket) {
    let visitor = server.visitor();
    (visitor.open(None).await, visitor.open(Some("roomcast.v1")).await)
}

#[tokio::test]
async fn sending_reaches_whom_it_names_in_both_dialects() {
    let server = server();
    let (mut plain, mut v1) = two(&server).await;
    let (a, b) = (plain.client_id.clone(), v1.client_id.clone());
    let nobody = "7f0000010b5400000001";

    assert_eq!(call(&server, "sendToAll", json!({"message": "all"})).await, to(2));
    assert_eq!(plain.push().await, "all");
    assert_eq!(v1.push().await, json!({"type": "data", "data": "all"}));

    assert_eq!(call(&server, "sendToAll", json!({"message": "some", "client_id_array": [a, a, nobody]})).await, to(1));
    assert_eq!(plain.push().await, "some");
    assert_eq!(call(&server, "sendToAll", json!({"message": "none", "client_id_array": []})).await, to(0));
    assert_eq!(call(&server, "sendToAll", json!({"message": "others", "exclude_client_id": a})).await, to(1));
    assert_eq!(v1.push().await["data"], "others");
    assert_eq!(
        call(&server, "sendToAll", json!({"message": "x", "client_id_array": [a, b], "exclude_client_id": [b]})).await,
        to(1)
    );
    assert_eq!(plain.push().await, "x");

    let typed = json!({"type": "notice", "n": 1});
    assert_eq!(call(&server, "sendToClient", json!({"client_id": b, "message": typed})).await, to(1));
    assert_eq!(v1.push().await, typed, "an object with a type goes as it is");
    assert_eq!(call(&server, "sendToClient", json!({"client_id": b, "message": typed.to_string()})).await, to(1));
    assert_eq!(v1.push().await, typed);
    assert_eq!(call(&server, "sendToClient", json!({"client_id": nobody, "message": "dropped"})).await, to(0));
    assert_eq!(call(&server, "sendToClient", json!({"client_id": "0a0000010b5400000001", "message": "elsewhere"})).await, to(0));
    let raw = json!({"client_id": a, "message": "gQNyYXc=", "raw": true, "base64": true});
    assert_eq!(call(&server, "sendToClient", raw).await, to(1));
    assert_eq!(plain.push().await, "raw");

    call(&server, "bindUid", json!({"client_id": a, "uid": 7})).await;
    call(&server, "bindUid", json!({"client_id": b, "uid": "ming"})).await;
    assert_eq!(call(&server, "sendToUid", json!({"uid": "7", "message": 1.5})).await, to(1));
    assert_eq!(plain.push().await, 1.5);
    assert_eq!(call(&server, "sendToUid", json!({"uid": ["7", 7, "ming", "nobody"], "message": "each"})).await, to(3));
    assert_eq!((plain.push().await, plain.push().await), (json!("each"), json!("each")), "a repeated uid gets it again");
    assert_eq!(v1.push().await["data"], "each");

    for (client, group) in [(&a, "1"), (&b, "1"), (&b, "2")] {
        assert_eq!(call(&server, "joinGroup", json!({"client_id": client, "group": group})).await, true);
    }
    assert_eq!(call(&server, "sendToGroup", json!({"group": 1, "message": null})).await, to(2));
    assert_eq!((plain.push().await, v1.push().await), (Value::Null, json!({"type": "data", "data": null})));
    assert_eq!(call(&server, "sendToGroup", json!({"group": ["1", "2", "3"], "message": "twice"})).await, to(3));
    assert_eq!(
        (v1.push().await, v1.push().await),
        (json!({"type": "data", "data": "twice"}), json!({"type": "data", "data": "twice"}))
    );
    assert_eq!(plain.push().await, "twice");
    assert_eq!(
        call(&server, "sendToGroup", json!({"group": "1", "message": "no", "exclude_client_id": [a], "exclude_uid": "ming"}))
            .await,
        to(0)
    );
    assert_eq!(call(&server, "sendToGroup", json!({"group": "1", "message": "not ming", "exclude_uid": ["ming"]})).await, to(1));
    assert_eq!(plain.push().await, "not ming");
}

#[tokio::test]
async fn people_and_groups_are_bound_asked_and_let_go() {
    let server = server();
    let visitor = server.visitor();
    let (one, two, three) = (visitor.open(None).await, visitor.open(None).await, visitor.open(None).await);
    let names = [&one, &two, &three].map(|socket| socket.client_id.clone());
    let [a, b, c] = names.each_ref().map(String::as_str);
    let nobody = "7f0000010b5400000001";

    assert_eq!(call(&server, "isOnline", json!({"client_id": a})).await, true);
    assert_eq!(call(&server, "isOnline", json!({"client_id": nobody})).await, false);
    assert_eq!(sorted(call(&server, "getAllClientIdList", json!({})).await), set(&[a, b, c]));
    assert_eq!(call(&server, "getAllClientIdCount", json!({})).await, 3);
    assert_eq!(call(&server, "getAllClientCount", json!({})).await, 3);

    for (client, uid) in [(a, "old"), (a, "ming"), (b, "ming"), (c, "hong")] {
        assert_eq!(call(&server, "bindUid", json!({"client_id": client, "uid": uid})).await, true);
    }
    assert_eq!(call(&server, "bindUid", json!({"client_id": nobody, "uid": "x"})).await, false);
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
    assert_eq!(call(&server, "getUidByClientId", json!({"client_id": nobody})).await, Value::Null);
    assert_eq!(sorted(call(&server, "getAllUidList", json!({})).await), set(&["ming", "hong"]));
    assert_eq!(call(&server, "getAllUidCount", json!({})).await, 2);

    for (client, group) in [(a, "1"), (a, "1"), (b, "1"), (c, "1"), (c, "2")] {
        assert_eq!(call(&server, "joinGroup", json!({"client_id": client, "group": group})).await, true);
    }
    assert_eq!(call(&server, "joinGroup", json!({"client_id": nobody, "group": "1"})).await, false);
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
    assert_eq!(call(&server, "getGroupByClientId", json!({"client_id": nobody})).await, Value::Null);

    assert_eq!(call(&server, "leaveGroup", json!({"client_id": a, "group": "2"})).await, true, "not in it: nothing happens");
    assert_eq!(call(&server, "leaveGroup", json!({"client_id": a, "group": "1"})).await, true);
    assert_eq!(call(&server, "getClientIdCountByGroup", json!({"group": "1"})).await, 2);
    assert_eq!(call(&server, "ungroup", json!({"group": "1"})).await, 2);
    assert_eq!(call(&server, "getAllGroupIdList", json!({})).await, json!(["2"]));
    assert_eq!(call(&server, "unbindUid", json!({"client_id": c, "uid": "another"})).await, true, "whatever it is");
    assert_eq!(call(&server, "getUidByClientId", json!({"client_id": c})).await, Value::Null);
    drop(three);
    while call(&server, "isOnline", json!({"client_id": c})).await == true {}
    assert_eq!(call(&server, "getAllGroupIdList", json!({})).await, json!([]), "it left with its connection");
}

#[tokio::test]
async fn sessions_are_kept_merged_and_end_with_the_connection() {
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
    while call(&server, "getSession", json!({"client_id": a})).await != Value::Null {}
    assert_eq!(call(&server, "setSession", json!({"client_id": a, "session": {}})).await, false);
    assert_eq!(call(&server, "updateSession", json!({"client_id": a, "session": {}})).await, false);
}

#[tokio::test]
async fn a_kick_says_why_and_a_farewell_comes_before_it() {
    let server = server();
    let visitor = server.visitor();
    let (mut kicked, mut other, mut destroyed) =
        (visitor.open(Some("roomcast.v1")).await, visitor.open(None).await, visitor.open(None).await);
    let client = json!({"client_id": kicked.client_id, "message": {"type": "bye bye"}, "code": 4321, "reason": "be nice"});
    assert_eq!(call(&server, "closeClient", client.clone()).await, true);
    assert_eq!(kicked.push().await, json!({"type": "bye bye"}));
    assert_eq!(kicked.close().await, (4321, "be nice".into()));
    while call(&server, "closeClient", client.clone()).await == true {}

    let (mut first, mut second) = (visitor.open(None).await, visitor.open(None).await);
    for socket in [&first, &second] {
        call(&server, "bindUid", json!({"client_id": socket.client_id, "uid": "ming"})).await;
    }
    assert_eq!(call(&server, "closeUid", json!({"uid": "ming"})).await, 2);
    assert_eq!(first.close().await, (4500, "closed by the site".into()));
    assert_eq!(second.close_code().await, 4500);
    assert_eq!(call(&server, "closeClient", json!({"client_id": other.client_id, "message": ""})).await, true);
    assert_eq!(other.push().await, "", "an empty farewell is an empty frame");
    assert_eq!(other.close_code().await, 4500);

    assert_eq!(call(&server, "destoryClient", json!({"client_id": destroyed.client_id})).await, true);
    assert_eq!(destroyed.close_code().await, 1006, "no close frame");
    assert_eq!(call(&server, "destroyClient", json!({"client_id": destroyed.client_id})).await, false);
}

#[tokio::test]
async fn a_batch_is_done_in_order_each_with_its_own_outcome() {
    let server = server();
    let mut socket = server.visitor().open(None).await;
    let client = &socket.client_id.clone();
    let calls = json!({"calls": [
        {"method": "joinGroup", "params": {"client_id": client, "group": "g"}},
        {"method": "sendToGroup", "params": {"group": "g", "message": "first"}},
        {"method": "noSuchThing", "params": {}},
        {"method": "sendToGroup", "params": {"group": "g"}},
        {"method": "leaveGroup", "params": {"client_id": client, "group": "g"}},
        {"method": "sendToGroup", "params": {"group": "g", "message": "after"}},
    ]});
    let answer = post(&server, Some(KEY), "batch", calls.to_string()).await;
    let results = answer.body["results"].as_array().unwrap();
    let codes: Vec<_> = results.iter().map(|result| result["code"].as_str().unwrap_or("done")).collect();
    assert_eq!(codes, ["done", "done", "no_such_method", "malformed", "done", "done"], "{}", answer.body);
    assert_eq!((&results[1]["result"]["to"], &results[5]["result"]["to"]), (&json!(1), &json!(0)));
    assert_eq!((&results[3]["field"], results[3]["status"].as_bool()), (&json!("message"), Some(false)));
    assert_eq!(socket.push().await, "first");
    let many = json!({"calls": vec![json!({"method": "isOnline", "params": {"client_id": client}}); 1001]});
    assert_eq!(post(&server, Some(KEY), "batch", many.to_string()).await.status, 422);
}

#[tokio::test]
async fn bad_input_is_refused_with_its_field() {
    let server = server();
    let check = async |method: &str, body: &str, status: u16, code: &str, field: &str| {
        let answer = post(&server, Some(KEY), method, body).await;
        let said = (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default().to_owned());
        assert_eq!(said, (status, code.to_owned()), "{method} {body}: {}", answer.body);
        assert_eq!(answer.body["field"].as_str().unwrap_or_default(), field, "{method} {body}: {}", answer.body);
        assert_eq!(answer.body["status"], false);
    };
    check("sendToGroup", "{", 422, "malformed", "body").await;
    check("sendToGroup", "[]", 422, "malformed", "body").await;
    check("getAllClientCount", "[]", 422, "malformed", "body").await;
    check("sendToAll", r#"["a list is no object"]"#, 422, "malformed", "body").await;
    check("batch", r#"{"calls":[["isOnline",{}]]}"#, 422, "malformed", "calls[0]").await;
    check("batch", r#"{"calls":[{"method":"isOnline"}]}"#, 422, "malformed", "calls").await;
    check("sendToGroup", r#"{"message":"x"}"#, 422, "malformed", "group").await;
    check("sendToGroup", r#"{"group":"","message":"x"}"#, 422, "malformed", "group").await;
    check("sendToGroup", r#"{"group":"1","message":"x","exclude":1}"#, 422, "malformed", "exclude").await;
    check("bindUid", r#"{"client_id":"7f0000010b5400000001","uid":""}"#, 422, "malformed", "uid").await;
    check("bindUid", &json!({"client_id": "7f0000010b5400000001", "uid": "x".repeat(65)}).to_string(), 422, "malformed", "uid")
        .await;
    check("getClientCountByGroup", r#"{"group":{"":null}}"#, 422, "malformed", "group").await;
    // Such numbers may have been others before they were rounded.
    for uid in ["9223372036854775808", "-9223372036854775809", "9007199254740994.0", "0.5"] {
        check("isUidOnline", &format!(r#"{{"uid":{uid}}}"#), 422, "malformed", "uid").await;
    }
    check("isOnline", r#"{"client_id":"short"}"#, 422, "malformed", "client_id").await;
    check("closeClient", r#"{"client_id":"7f0000010b5400000001","code":1006}"#, 422, "malformed", "code").await;
    check("setSession", r#"{"client_id":"7f0000010b5400000001","session":"text"}"#, 422, "malformed", "session").await;
    check("sendToAll", r#"{"message":"%%%","raw":true,"base64":true}"#, 422, "malformed", "message").await;
    check("noSuchThing", "{}", 404, "no_such_method", "").await;
    check("sendToAll", &"x".repeat(1024 * 1024 + 1), 413, "too_long", "").await;
    assert_eq!(server.visitor().get("/gateway/api/sendToAll").await.status(), 405);
    assert!(server.errors().is_empty());
}

#[tokio::test]
async fn a_key_opens_what_its_scopes_name_until_it_ends() {
    let server = Server::start();
    let off = post(&server, Some("any"), "getAllClientCount", "{}").await;
    assert_eq!((off.status.as_u16(), &off.body["code"]), (404, &json!("no_such_method")), "without a key the API is off");
    assert_eq!(server.visitor().get("/gateway/api/openapi.json").await.status(), 404);

    let run = |arguments: &[&str]| {
        let data = server.data.path().join("data");
        let output = binary().current_dir(server.data.path()).arg("--data-dir").arg(data).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let everything = run(&["key", "add", "site"]);
    let query = run(&["key", "add", "dashboard", "--scope", "query"]);
    let short = run(&["key", "add", "short", "--expires-in", "1s"]);
    assert!(everything.starts_with("roomcast_") && everything != query);
    // The server believes for a few seconds that there is no key at all.
    while post(&server, Some(&everything), "getAllClientCount", "{}").await.status == 404 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let status = async |key: Option<&str>, method: &str, body: &str| {
        let answer = post(&server, key, method, body).await;
        (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(status(Some(&query), "getAllClientCount", "{}").await.0, 200);
    assert_eq!(status(Some(&query), "sendToAll", r#"{"message":1}"#).await, (403, "not_allowed".into()));
    assert_eq!(status(Some(&everything), "sendToAll", r#"{"message":1}"#).await.0, 200);
    assert_eq!(status(None, "getAllClientCount", "{}").await, (401, "not_signed_in".into()));
    assert_eq!(status(Some("roomcast_wrong"), "getAllClientCount", "{}").await, (401, "not_signed_in".into()));
    while status(Some(&short), "getAllClientCount", "{}").await.0 == 200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let listed = run(&["key", "list"]);
    assert!(
        ["site", "dashboard", "short"].iter().all(|name| listed.contains(name)) && !listed.contains(&everything[9..]),
        "{listed}"
    );
    let database: Vec<u8> = std::fs::read_dir(server.data.path().join("data"))
        .unwrap()
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default())
        .collect();
    assert!(!database.windows(64).any(|part| part == &everything.as_bytes()[9..]), "a secret is not stored");
    run(&["key", "remove", "site"]);
    while status(Some(&everything), "getAllClientCount", "{}").await.0 == 200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }

    // Wrong keys are counted, right ones are not.
    for _ in 0..30 {
        status(Some("guess"), "getAllClientCount", "{}").await;
    }
    assert_eq!(status(Some("guess"), "getAllClientCount", "{}").await, (429, "too_fast".into()));
    assert_eq!(status(Some(&query), "getAllClientCount", "{}").await.0, 200);
}

#[tokio::test]
async fn the_description_names_every_method_and_is_whole() {
    let server = server();
    let document: Value = server.visitor().get("/gateway/api/openapi.json").await.json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let paths: BTreeSet<_> =
        document["paths"].as_object().unwrap().keys().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
    let named = [
        "batch",
        "sendToAll",
        "sendToClient",
        "sendToUid",
        "sendToGroup",
        "closeClient",
        "closeUid",
        "destoryClient",
        "destroyClient",
        "isOnline",
        "getAllClientIdList",
        "getAllClientIdCount",
        "getAllClientCount",
        "bindUid",
        "unbindUid",
        "isUidOnline",
        "isUidsOnline",
        "getClientIdByUid",
        "batchGetClientIdByUid",
        "getUidByClientId",
        "getAllUidList",
        "getAllUidCount",
        "getUidListByGroup",
        "getUidCountByGroup",
        "joinGroup",
        "leaveGroup",
        "ungroup",
        "getClientIdListByGroup",
        "getClientIdCountByGroup",
        "getClientCountByGroup",
        "batchGetClientIdCountByGroup",
        "getAllGroupIdList",
        "getAllGroupUidList",
        "getAllGroupUidCount",
        "getAllGroupClientIdList",
        "getAllGroupClientIdCount",
        "getGroupByClientId",
        "setSession",
        "updateSession",
        "setSocketSession",
        "getSession",
        "getAllClientSessions",
        "getAllClientInfo",
        "getClientSessionsByGroup",
        "getClientInfoByGroup",
    ];
    assert_eq!(paths, set(&named));
    for (path, item) in document["paths"].as_object().unwrap() {
        let post = &item["post"];
        assert!(post["summary"].as_str().is_some_and(|summary| summary.len() > 10), "{path}");
        assert_eq!(post["requestBody"]["content"]["application/json"]["schema"]["additionalProperties"], false, "{path}");
        assert!(post["responses"]["200"]["content"]["application/json"]["schema"]["required"].is_array(), "{path}");
    }
}
