//! Requests that were unlimited, and answers that were unbounded.

use crate::support::{Answer, Server, read};
use serde_json::{Value, json};

const KEY: &str = "gateway.api_key=secret";
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

#[tokio::test]
async fn f17_every_request_that_costs_something_has_a_limit() {
    let server = Server::with(&[KEY, "limits.request_burst=3", "limits.request_a_minute=1"]);
    for _ in 0..5 {
        server.visitor().get("/").await;
    }
    for path in ["/", "/rooms/1", "/sign-in", "/gateway/api/openapi.json"] {
        assert_eq!(server.visitor().get(path).await.status(), 429, "{path}");
    }
    for path in ["/page/sign-in", "/page/lobby", "/session/preferences", "/gateway/history"] {
        let form = [("room", "1"), ("before", "9"), ("lang", "en")];
        assert_eq!(server.visitor().post(path, &form).await.status, 429, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        for _ in 0..10 {
            assert_eq!(server.visitor().get(path).await.status(), 200, "{path}");
        }
    }
}

/// A browser gets a page with the refusal, not JSON.
#[tokio::test]
async fn f17_a_page_over_the_limit_is_a_page() {
    let server = Server::with(&["limits.visitor_burst=3", "limits.visitor_a_minute=1"]);
    let stale = format!("roomcast_session={}", "a".repeat(64));
    let get = async |path: &str, cookie: &str| {
        let request = server.visitor().request("GET", path).header("accept", "text/html");
        let answer = request.header("cookie", cookie).send().await.unwrap();
        let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let removes = answer.headers().get_all("set-cookie").iter().any(|set| set.as_bytes().starts_with(b"roomcast_session="));
        (answer.status().as_u16(), content_type.contains("text/html"), removes, answer.text().await.unwrap())
    };
    for _ in 0..5 {
        get("/", "a=b").await;
    }
    for cookie in ["a=b", &stale] {
        for path in ["/", "/rooms/1", "/sign-in", "/account"] {
            let (status, is_html, removes, _) = get(path, cookie).await;
            assert_eq!((status, is_html, removes), (429, true, false), "{path} {cookie}");
        }
        let (status, _, _, text) = get("/nothing", cookie).await;
        assert_eq!((status, text.as_str()), (404, "not found"), "{cookie}");
    }
    assert_eq!(server.visitor().post("/gateway/history", &[("room", "1"), ("before", "9")]).await.body["code"], "too_fast");
}

/// A client with unknown tokens over its limit neither signs others of its address out nor keeps them out.
#[tokio::test]
async fn f17_beside_unknown_tokens_over_the_limit_a_session_goes_on() {
    let server = Server::with(&["limits.visitor_burst=3", "limits.visitor_a_minute=1"]);
    let person = server.guest("own").await;
    for number in 0..50 {
        let cookie = format!("roomcast_session={number:064}");
        let request = server.visitor().request("POST", "/gateway/send").header("cookie", cookie);
        let refused = read(request.form(&[("room", "1"), ("message", "x")]).send().await.unwrap()).await;
        assert!([401, 429].contains(&refused.status.as_u16()), "{}", refused.body);
        assert!(number < 5 || refused.status == 429, "{number}");
        let history = person.post("/gateway/history", &[("room", "1"), ("before", "9")]).await;
        assert_eq!(history.status, 200, "{}", history.body);
    }
}

#[tokio::test]
async fn f17_the_description_of_the_api_is_sent_once_to_a_client_that_keeps_it() {
    let server = Server::with(&[KEY]);
    let first = server.visitor().get("/gateway/api/openapi.json").await;
    assert_eq!(first.headers()["content-type"], "application/json");
    let etag = first.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(first.json::<Value>().await.unwrap()["openapi"], "3.1.0");
    let again = server.visitor().request("GET", "/gateway/api/openapi.json").header("if-none-match", &etag);
    assert_eq!(again.send().await.unwrap().status(), 304);
}

async fn call(server: &Server, key: &str, method: &str, params: Value) -> Answer {
    let request = server.visitor().request("POST", &format!("/gateway/api/{method}")).bearer_auth(key);
    read(request.body(params.to_string()).send().await.unwrap()).await
}

#[tokio::test]
async fn f20_the_answer_of_a_batch_is_bounded_and_what_was_done_is_told() {
    // The sockets do not read meanwhile, so they answer no ping.
    let server = Server::with(&[KEY, "gateway.ping_every_ms=600000"]);
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let socket = server.visitor().open(None).await;
        let params = json!({"client_id": socket.client_id, "session": {"text": "x".repeat(15_000)}});
        assert_eq!(call(&server, "secret", "setSession", params).await.body["result"], true);
        sockets.push(socket);
    }
    let mut calls = vec![json!({"method": "getAllClientSessions", "params": {}}); 999];
    calls.push(json!({"method": "sendToAll", "params": {"message": "done"}}));
    let request = server.visitor().request("POST", "/gateway/api/batch").bearer_auth("secret");
    let text = request.body(json!({"calls": calls}).to_string()).send().await.unwrap().text().await.unwrap();
    // The refusals and the short results come on top.
    assert!(text.len() < MAX_ANSWER_BYTES + 1_000 * 512, "{}", text.len());
    let answer: Value = serde_json::from_str(&text).unwrap();
    let results = answer["results"].as_array().unwrap();
    let told = |code: &str| results.iter().filter(|result| result["code"].as_str().unwrap_or("done") == code).count();
    assert_eq!((told("done") > 50, told("done") + told("too_long")), (true, 1_000));
    assert_eq!(results.iter().find(|result| result["code"] == "too_long").unwrap()["max"], MAX_ANSWER_BYTES);
    assert_eq!(results[999]["result"]["to"], 20, "a short result is always told");
    assert_eq!(sockets[0].push().await, "done");
}

#[tokio::test]
async fn f20_the_answer_of_one_call_is_bounded() {
    let server = Server::with(&[KEY]);
    let mut sockets = Vec::new();
    let session = format!("a:1:{{s:1:\"t\";s:900000:\"{}\";}}", "x".repeat(900_000));
    for _ in 0..20 {
        let socket = server.visitor().open(None).await;
        let params = json!({"client_id": socket.client_id, "session": session});
        assert_eq!(call(&server, "secret", "setSocketSession", params).await.body["result"], true);
        sockets.push(socket);
    }
    let answer = call(&server, "secret", "getAllClientSessions", json!({})).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (413, &json!("too_long")));
    assert!(answer.body["detail"].as_str().unwrap().contains("the answer would be longer"), "{}", answer.body);
    let one = call(&server, "secret", "getSession", json!({"client_id": sockets[0].client_id})).await;
    assert_eq!(one.body["result"]["t"].as_str().unwrap().len(), 900_000);
}

#[tokio::test]
async fn f22_a_push_key_can_neither_close_nor_forge() {
    let server = Server::with(&[KEY]);
    let mut command = server.command();
    command.args(["key", "add", "pusher", "--scope", "push"]);
    let key = String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned();
    let (mut v1, mut plain) = (server.visitor().open(Some("roomcast.v1")).await, server.visitor().open(None).await);

    // A close frame with 4500.
    let raw = json!({"message": "iAIRlA==", "raw": true, "base64": true});
    let refused = call(&server, &key, "sendToAll", raw.clone()).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (403, &json!("not_allowed")));
    assert!(refused.body["detail"].as_str().unwrap().contains("admin"), "{}", refused.body);
    let batch = call(&server, &key, "batch", json!({"calls": [{"method": "sendToAll", "params": raw}]})).await;
    assert_eq!(batch.body["results"][0]["code"], "not_allowed");

    let forged = json!({"type": "message", "role": "host", "seq": 9_000_000_000_000_000_u64, "text": "forged"});
    assert_eq!(call(&server, &key, "sendToAll", json!({"message": forged, "raw": false})).await.body["result"]["to"], 2);
    assert_eq!(v1.push().await, json!({"type": "data", "data": forged}));
    assert_eq!(plain.push().await, forged, "plain pages get what their site sends");
    assert_eq!(call(&server, "secret", "sendToAll", raw).await.body["result"]["to"], 2);
    assert_eq!(v1.close_code().await, 4500);
}
