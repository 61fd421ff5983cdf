//! The HTTP API of the gateway (docs/integrate.md): every method, its permissions, and its errors.

mod keys;
mod state;

use crate::support::{Answer, Server, Socket, eventually, read};
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

/// Calls a method and returns its result. Panics if the call fails.
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

/// Opens a socket in the plain dialect and one in v1.
async fn two(server: &Server) -> (Socket, Socket) {
    let visitor = server.visitor();
    (visitor.open(None).await, visitor.open(Some("roomcast.v1")).await)
}

#[tokio::test]
async fn send_methods_reach_exactly_the_named_clients_in_both_dialects() {
    let server = server();
    let (mut plain, mut v1) = two(&server).await;
    let (a, b) = (plain.client_id.clone(), v1.client_id.clone());
    let absent = "7f0000010b5400000001";

    assert_eq!(call(&server, "sendToAll", json!({"message": "all"})).await, to(2));
    assert_eq!(plain.push().await, "all");
    assert_eq!(v1.push().await, json!({"type": "data", "data": "all"}));

    assert_eq!(call(&server, "sendToAll", json!({"message": "some", "client_id_array": [a, a, absent]})).await, to(1));
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
    assert_eq!(v1.push().await, typed, "an object with a type is sent unchanged");
    assert_eq!(call(&server, "sendToClient", json!({"client_id": b, "message": typed.to_string()})).await, to(1));
    assert_eq!(v1.push().await, typed);
    assert_eq!(call(&server, "sendToClient", json!({"client_id": absent, "message": "dropped"})).await, to(0));
    assert_eq!(call(&server, "sendToClient", json!({"client_id": "0a0000010b5400000001", "message": "elsewhere"})).await, to(0));
    let raw = json!({"client_id": a, "message": "gQNyYXc=", "raw": true, "base64": true});
    assert_eq!(call(&server, "sendToClient", raw).await, to(1));
    assert_eq!(plain.push().await, "raw");

    call(&server, "bindUid", json!({"client_id": a, "uid": 7})).await;
    call(&server, "bindUid", json!({"client_id": b, "uid": "ming"})).await;
    assert_eq!(call(&server, "sendToUid", json!({"uid": "7", "message": 1.5})).await, to(1));
    assert_eq!(plain.push().await, 1.5);
    assert_eq!(call(&server, "sendToUid", json!({"uid": ["7", 7, "ming", "nobody"], "message": "each"})).await, to(3));
    assert_eq!((plain.push().await, plain.push().await), (json!("each"), json!("each")), "once per listed uid");
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
async fn close_client_sends_the_message_then_code_and_reason() {
    let server = server();
    let visitor = server.visitor();
    let (mut kicked, mut other, mut destroyed) =
        (visitor.open(Some("roomcast.v1")).await, visitor.open(None).await, visitor.open(None).await);
    let client = json!({"client_id": kicked.client_id, "message": {"type": "bye bye"}, "code": 4321, "reason": "be nice"});
    assert_eq!(call(&server, "closeClient", client.clone()).await, true);
    assert_eq!(kicked.push().await, json!({"type": "bye bye"}));
    assert_eq!(kicked.close().await, (4321, "be nice".into()));
    eventually("the client is gone", async || call(&server, "closeClient", client.clone()).await == false).await;

    let (mut first, mut second) = (visitor.open(None).await, visitor.open(None).await);
    for socket in [&first, &second] {
        call(&server, "bindUid", json!({"client_id": socket.client_id, "uid": "ming"})).await;
    }
    assert_eq!(call(&server, "closeUid", json!({"uid": "ming"})).await, 2);
    assert_eq!(first.close().await, (4500, "closed by the site".into()));
    assert_eq!(second.close_code().await, 4500);
    assert_eq!(call(&server, "closeClient", json!({"client_id": other.client_id, "message": ""})).await, true);
    assert_eq!(other.push().await, "", "an empty message is an empty frame");
    assert_eq!(other.close_code().await, 4500);

    assert_eq!(call(&server, "destoryClient", json!({"client_id": destroyed.client_id})).await, true);
    assert_eq!(destroyed.close_code().await, 1006, "no close frame");
    assert_eq!(call(&server, "destroyClient", json!({"client_id": destroyed.client_id})).await, false);
}

#[tokio::test]
async fn a_batch_runs_in_order_and_returns_one_result_per_call() {
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
async fn invalid_parameters_are_rejected_and_named() {
    let server = server();
    let check = async |method: &str, body: &str, status: u16, code: &str, field: &str| {
        let answer = post(&server, Some(KEY), method, body).await;
        let got = (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default().to_owned());
        assert_eq!(got, (status, code.to_owned()), "{method} {body}: {}", answer.body);
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
    // These numbers may have been rounded.
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
