//! API keys, and the OpenAPI document.

use super::{post, server, set};
use crate::support::{Server, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn an_api_key_is_limited_to_its_scopes_and_lifetime() {
    let server = Server::start();
    let off = post(&server, Some("any"), "getAllClientCount", "{}").await;
    assert_eq!((off.status.as_u16(), &off.body["code"]), (404, &json!("no_such_method")), "the API is disabled without a key");
    assert_eq!(server.visitor().get("/gateway/api/openapi.json").await.status(), 404);

    let run = |arguments: &[&str]| {
        let output = server.command().args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let everything = run(&["key", "add", "site"]);
    let query = run(&["key", "add", "dashboard", "--scope", "query"]);
    let short = run(&["key", "add", "short", "--expires-in", "1s"]);
    assert!(everything.starts_with("roomcast_") && everything != query);
    // The server caches for a few seconds that no key exists.
    let is_api_on = async || post(&server, Some(&everything), "getAllClientCount", "{}").await.status != 404;
    eventually("the API is on", is_api_on).await;
    let status = async |key: Option<&str>, method: &str, body: &str| {
        let answer = post(&server, key, method, body).await;
        (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(status(Some(&query), "getAllClientCount", "{}").await.0, 200);
    assert_eq!(status(Some(&query), "sendToAll", r#"{"message":1}"#).await, (403, "not_allowed".into()));
    assert_eq!(status(Some(&everything), "sendToAll", r#"{"message":1}"#).await.0, 200);
    assert_eq!(status(None, "getAllClientCount", "{}").await, (401, "not_signed_in".into()));
    assert_eq!(status(Some("roomcast_wrong"), "getAllClientCount", "{}").await, (401, "not_signed_in".into()));
    eventually("the key expires", async || status(Some(&short), "getAllClientCount", "{}").await.0 != 200).await;
    let listed = run(&["key", "list"]);
    assert!(
        ["site", "dashboard", "short"].iter().all(|name| listed.contains(name)) && !listed.contains(&everything[9..]),
        "{listed}"
    );
    let database: Vec<u8> = std::fs::read_dir(server.data.path().join("data"))
        .unwrap()
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default())
        .collect();
    assert!(!database.windows(64).any(|part| part == &everything.as_bytes()[9..]), "the secret is not stored");
    run(&["key", "remove", "site"]);
    eventually("the key is removed", async || status(Some(&everything), "getAllClientCount", "{}").await.0 != 200).await;

    // Requests with a wrong key are rate limited, those with a right key are not.
    for _ in 0..30 {
        status(Some("guess"), "getAllClientCount", "{}").await;
    }
    assert_eq!(status(Some("guess"), "getAllClientCount", "{}").await, (429, "too_fast".into()));
    assert_eq!(status(Some(&query), "getAllClientCount", "{}").await.0, 200);
}

/// The methods of the HTTP API.
const METHODS: [&str; 66] = [
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
    "chat.history",
    "chat.send",
    "mod.ban",
    "mod.lift",
    "mod.log",
    "mod.mode",
    "mod.note",
    "mod.person",
    "mod.pin",
    "mod.purge",
    "mod.remove",
    "mod.reports",
    "mod.restraints",
    "mod.role",
    "mod.settle",
    "mod.timeout",
    "mod.title",
    "mod.undo",
    "mod.unnote",
    "mod.unpin",
    "mod.warn",
];

#[tokio::test]
async fn the_openapi_document_describes_every_method() {
    let server = server();
    let document: Value = server.visitor().get("/gateway/api/openapi.json").await.json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let paths: BTreeSet<_> =
        document["paths"].as_object().unwrap().keys().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(paths, set(&METHODS));
    for (path, item) in document["paths"].as_object().unwrap() {
        let post = &item["post"];
        assert!(post["summary"].as_str().is_some_and(|summary| summary.len() > 10), "{path}");
        assert_eq!(post["requestBody"]["content"]["application/json"]["schema"]["additionalProperties"], false, "{path}");
        assert!(post["responses"]["200"]["content"]["application/json"]["schema"]["required"].is_array(), "{path}");
    }
}
