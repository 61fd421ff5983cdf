//! The API's methods of rooms: their scopes, the rooms of a key, the bot, and the staff's reads.

use super::{Room, done, refused, send, text_of, texts};
use crate::support::{Answer, Server, eventually, read};
use serde_json::{Value, json};

const KEY: &str = "a key of the configuration";
const ALL: &str = "gateway.api_key=a key of the configuration";

async fn post(server: &Server, key: &str, method: &str, params: Value) -> Answer {
    let request = reqwest::Client::new().post(format!("{}/gateway/api/{method}", server.base)).bearer_auth(key);
    read(request.header("content-type", "application/json").body(params.to_string()).send().await.unwrap()).await
}

async fn call(server: &Server, method: &str, params: Value) -> Value {
    done(post(server, KEY, method, params).await)["result"].clone()
}

fn run(server: &Server, arguments: &[&str]) -> String {
    let output = server.command().args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_key_does_the_acts_of_a_moderator_and_reads_what_the_staff_reads() {
    let room = Room::new(&[ALL]).await;
    let (server, guest) = (&room.server, room.guest.uid.as_str());
    let (first, second) = (send(&room.guest, "first").await, send(&room.guest, "second").await);
    let seqs: Vec<u64> = [&first, &second].into_iter().map(|seq| seq.parse().unwrap()).collect();
    let removed = call(server, "mod.remove", json!({"room": "1", "seq": seqs, "reason": "spam", "nonce": "n"})).await;
    assert_eq!(call(server, "mod.remove", json!({"room": 1, "seq": seqs, "nonce": "n"})).await["action"], removed["action"]);
    assert_eq!(texts(&room.viewer).await, ["", ""]);
    call(server, "mod.undo", json!({"action": removed["action"]})).await;
    assert_eq!(texts(&room.viewer).await, ["first", "second"]);
    call(server, "mod.purge", json!({"room": "1", "user": guest})).await;
    let timeout = call(server, "mod.timeout", json!({"room": "1", "user": guest, "seconds": 600})).await;
    assert!(timeout["until"].is_u64() && timeout["case"].is_string(), "{timeout}");
    assert_eq!(call(server, "mod.restraints", json!({"room": "1"})).await["rows"][0]["case"], timeout["case"]);
    call(server, "mod.lift", json!({"case": timeout["case"], "room": "1"})).await;
    let ban = call(server, "mod.ban", json!({"room": "1", "user": guest, "reason": "again"})).await;
    assert_eq!(refused(&room.guest.send("x").await).1, "banned");
    call(server, "mod.lift", json!({"case": ban["case"]})).await;
    let warning = call(server, "mod.warn", json!({"room": "1", "user": guest, "reason": "rule 3"})).await;
    done(room.guest.post("/gateway/acknowledge", &[("case", &text_of(&warning["case"]))]).await);
    call(server, "mod.note", json!({"room": "1", "user": guest, "text": "a note"})).await;
    let card = call(server, "mod.person", json!({"room": "1", "user": guest})).await;
    assert_eq!((&card["notes"][0]["text"], &card["notes"][0]["by"]), (&json!("a note"), &json!("bot:configured")));
    call(server, "mod.unnote", json!({"room": "1", "note": card["notes"][0]["id"]})).await;
    let third: u64 = send(&room.guest, "third").await.parse().unwrap();
    done(room.viewer.post("/gateway/report", &[("room", "1"), ("seq", &third.to_string()), ("reason", "spam")]).await);
    assert_eq!(call(server, "mod.reports", json!({"room": "1"})).await["rows"].as_array().unwrap().len(), 1);
    call(server, "mod.settle", json!({"room": "1", "seq": third})).await;
    assert_eq!(call(server, "mod.reports", json!({"room": "1"})).await["rows"], json!([]));
    call(server, "mod.pin", json!({"room": "1", "seq": third, "seconds": 60})).await;
    call(server, "mod.unpin", json!({"room": "1"})).await;
    let mode =
        call(server, "mod.mode", json!({"room": "1", "slow_ms": 1000, "closed": false, "emoji": false, "links": "off"})).await;
    assert_eq!(mode["state"]["modes"]["slow_ms"], 1000);
    let log = call(server, "mod.log", json!({"room": "1"})).await;
    let actors: Vec<_> = log["rows"].as_array().unwrap().iter().map(|row| text_of(&row["actor"])).collect();
    assert!(actors.iter().filter(|actor| *actor == "bot:configured").count() >= 12, "{actors:?}");
    let before = log["rows"][1]["n"].clone();
    assert!(call(server, "mod.log", json!({"room": "1", "before": before})).await["rows"][0]["n"].as_u64() < before.as_u64());
    assert!(server.errors().is_empty(), "{:?}", server.errors());
}

#[tokio::test]
async fn a_key_is_refused_by_room_field_and_rank() {
    let room = Room::new(&[ALL]).await;
    let (server, guest) = (&room.server, room.guest.uid.as_str());
    for (method, params, status, code, field) in [
        ("mod.remove", json!({"room": "nowhere", "seq": 1}), 404, "no_such_room", ""),
        ("mod.remove", json!({"room": "1", "seq": 1, "reson": ""}), 422, "malformed", "reson"),
        ("mod.remove", json!({"room": "1", "seq": []}), 422, "malformed", "seq"),
        ("mod.remove", json!({"room": "1", "seq": "1"}), 422, "malformed", "seq"),
        ("mod.timeout", json!({"room": "1", "user": guest, "seconds": 0}), 422, "malformed", "seconds"),
        ("mod.mode", json!({"room": "1"}), 422, "malformed", "slow_ms"),
        ("mod.mode", json!({"room": "1", "emoji": true}), 422, "malformed", "emoji"),
        ("mod.warn", json!({"room": "1", "user": guest, "reason": " "}), 422, "blank", "reason"),
        ("mod.undo", json!({"action": "7"}), 422, "malformed", "action"),
        ("mod.ban", json!({"room": "1", "user": room.owner.uid}), 403, "not_allowed", ""),
        ("mod.log", json!({"room": "nowhere"}), 404, "no_such_room", ""),
        ("mod.person", json!({"room": "nowhere", "user": guest}), 404, "no_such_room", ""),
        ("mod.warn", json!({"room": "1", "user": guest, "reason": ""}), 422, "blank", "reason"),
        ("mod.ban", json!({"room": "1", "user": guest, "reason": "x".repeat(501)}), 413, "too_long", ""),
        ("mod.note", json!({"room": "1", "user": guest, "text": "x".repeat(501)}), 413, "too_long", ""),
        ("mod.title", json!({"room": "1", "title": " "}), 422, "blank", "title"),
        ("mod.role", json!({"room": "1", "user": guest, "role": "vip"}), 422, "malformed", "user"),
        ("mod.role", json!({"room": "1", "user": guest, "role": "host"}), 422, "malformed", "role"),
        ("mod.role", json!({"room": "1", "user": room.owner.uid, "role": "none"}), 403, "not_allowed", ""),
        ("mod.erase", json!({"room": "1", "seq": 1}), 404, "no_such_method", ""),
    ] {
        assert_eq!(refused(&post(server, KEY, method, params.clone()).await), (status, code, field), "{method} {params}");
    }
    assert!(server.errors().is_empty(), "{:?}", server.errors());
}

#[tokio::test]
async fn a_key_is_limited_to_its_scopes_and_rooms() {
    let room = Room::new(&[ALL]).await;
    let server = &room.server;
    assert_eq!(room.owner.post("/gateway/rooms", &[("title", "two")]).await.body["room"], "2");
    let seq: u64 = send(&room.guest, "hello").await.parse().unwrap();
    let reader = run(server, &["key", "add", "reader", "--scope", "chat.read,mod.read"]);
    let limited =
        run(server, &["key", "add", "helper", "--scopes", "chat.read,chat.send,mod.read,mod.act,push", "--rooms", "2,3"]);
    let listed = run(server, &["key", "list"]);
    assert!(listed.contains("rooms 2,3") && listed.contains("all rooms") && listed.contains("chat.read,mod.read"), "{listed}");
    let bad = server.command().args(["key", "add", "x", "--rooms", "a b"]).output().unwrap();
    assert!(!bad.status.success() && String::from_utf8_lossy(&bad.stderr).contains("is not the id of a room"));

    let code = async |key: &str, method: &str, params: Value| {
        let answer = post(server, key, method, params).await;
        answer.body["code"].as_str().unwrap_or("done").to_owned()
    };
    eventually("the key is known", async || code(&reader, "chat.history", json!({"room": "1"})).await == "done").await;
    assert_eq!(code(&reader, "mod.log", json!({"room": "1"})).await, "done");
    for (method, params) in [
        ("chat.send", json!({"room": "1", "message": "x"})),
        ("mod.remove", json!({"room": "1", "seq": seq})),
        ("sendToAll", json!({"message": "x"})),
    ] {
        assert_eq!(code(&reader, method, params).await, "not_allowed", "{method} needs another scope");
    }
    let mine = json!({"room": "2"});
    assert_eq!(code(&limited, "chat.history", mine.clone()).await, "done");
    assert_eq!(code(&limited, "mod.log", mine.clone()).await, "done");
    assert_eq!(code(&limited, "mod.unpin", mine).await.replace("already_decided", "done"), "done");
    let by_other = call(server, "mod.timeout", json!({"room": "1", "user": room.guest.uid, "seconds": 600})).await;
    for (method, params) in [
        ("chat.history", json!({"room": "1"})),
        ("chat.send", json!({"room": "1", "message": "x"})),
        ("mod.log", json!({"room": "1"})),
        ("mod.person", json!({"room": "1", "user": "u"})),
        ("mod.restraints", json!({"room": "1"})),
        ("mod.reports", json!({"room": "1"})),
        ("mod.remove", json!({"room": "1", "seq": seq})),
        ("mod.unnote", json!({"room": "1", "note": by_other["action"]})),
        ("mod.undo", json!({"room": "1", "action": by_other["action"]})),
        ("mod.undo", json!({"action": by_other["action"]})),
        ("mod.lift", json!({"case": by_other["case"]})),
        ("sendToGroup", json!({"group": "2", "message": "x"})),
    ] {
        assert_eq!(code(&limited, method, params.clone()).await, "not_allowed", "{method} {params}");
    }
    for (method, params) in [
        ("mod.undo", json!({"room": "2", "action": by_other["action"]})),
        ("mod.lift", json!({"room": "2", "case": by_other["case"]})),
    ] {
        assert_eq!(code(&limited, method, params).await, "malformed", "{method}: it is of another room");
    }
    assert_eq!(refused(&room.guest.send("x").await).1, "muted", "the other room's timeout stands");
}

#[tokio::test]
async fn the_scope_of_rules_gives_a_key_the_rank_of_a_host() {
    let room = Room::new(&[ALL]).await;
    let server = &room.server;
    let moderator = run(server, &["key", "add", "helper", "--scope", "mod.act,mod.read"]);
    let host = run(server, &["key", "add", "manager", "--scope", "mod.act,mod.rules"]);
    let title = json!({"room": "1", "title": "By a key", "nonce": "t"});
    eventually("the key is known", async || post(server, &host, "mod.title", title.clone()).await.status == 200).await;
    let done_once = done(post(server, &host, "mod.title", title.clone()).await)["result"].clone();
    assert_eq!(done_once["state"]["title"], "By a key");
    assert_eq!(refused(&post(server, &moderator, "mod.title", title).await), (403, "not_allowed", ""));
    let timeout = json!({"room": "1", "user": room.moderator.uid, "seconds": 600});
    assert_eq!(refused(&post(server, &moderator, "mod.timeout", timeout.clone()).await), (403, "not_allowed", ""));
    done(post(server, &host, "mod.timeout", timeout).await);
    let grant = json!({"room": "1", "user": room.viewer.uid, "role": "moderator"});
    assert_eq!(refused(&post(server, &moderator, "mod.role", grant.clone()).await), (403, "not_allowed", ""));
    done(post(server, &host, "mod.role", grant).await);
    assert_eq!(room.viewer.post("/gateway/mod/mode", &[("room", "1"), ("slow_ms", "0")]).await.status, 200);
    done(post(server, &host, "mod.role", json!({"room": "1", "user": room.viewer.uid, "role": "none"})).await);
    assert_eq!(room.viewer.post("/gateway/mod/mode", &[("room", "1"), ("slow_ms", "0")]).await.status, 403);
    let ban = json!({"room": "1", "user": room.owner.uid});
    assert_eq!(refused(&post(server, &host, "mod.ban", ban).await), (403, "not_allowed", ""), "never on the owner");
}

/// Trap 26.
#[tokio::test]
async fn a_key_sends_as_a_bot_under_the_rules_of_every_sender() {
    let room = Room::new(&[ALL]).await;
    let server = &room.server;
    let mut socket = room.viewer.open_bound(Some("roomcast.v1")).await;
    let params = json!({"room": "1", "message": "hello from the shop", "nonce": "n"});
    let sent = call(server, "chat.send", params.clone()).await;
    let push = socket.push_of("message").await;
    assert_eq!(
        (&push["role"], &push["user"], &push["nickname"]),
        (&json!("bot"), &json!("bot:configured"), &json!("configured"))
    );
    assert_eq!((&push["seq"], &push["text"]), (&sent["seq"], &json!("hello from the shop")));
    assert_eq!(call(server, "chat.send", params).await["seq"], sent["seq"], "a repeated nonce");
    let history = call(server, "chat.history", json!({"room": "1", "limit": 1})).await;
    assert_eq!((&history["messages"][0]["role"], &history["messages"][0]["seq"]), (&json!("bot"), &sent["seq"]));

    let again = async || post(server, KEY, "chat.send", json!({"room": "1", "message": "again"})).await;
    done(room.act("/gateway/mod/mode", &[("room", "1"), ("slow_ms", "600000")]).await);
    assert_eq!(refused(&again().await), (429, "too_fast", ""));
    done(room.act("/gateway/mod/mode", &[("room", "1"), ("slow_ms", "0"), ("accounts", "true")]).await);
    assert_eq!(again().await.status, 200, "the mode for accounts does not concern it");
    done(room.act("/gateway/mod/mode", &[("room", "1"), ("closed", "true")]).await);
    let closed = again().await;
    assert_eq!((refused(&closed), &closed.body["mode"]), ((403, "room_mode", ""), &json!("closed")));
    done(room.act("/gateway/mod/mode", &[("room", "1"), ("closed", "false")]).await);
    done(room.act("/gateway/mod/ban", &[("room", "1"), ("user", "bot:configured")]).await);
    assert_eq!(refused(&again().await), (403, "banned", ""));
    for (params, status, code) in [
        (json!({"room": "1", "message": " "}), 422, "blank"),
        (json!({"room": "1", "message": "x".repeat(141)}), 413, "too_long"),
        (json!({"room": "nowhere", "message": "x"}), 404, "no_such_room"),
    ] {
        let answer = post(server, KEY, "chat.send", params).await;
        assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (status, Some(code)));
    }
}

#[tokio::test]
async fn a_push_to_the_group_of_a_room_is_no_message_of_it() {
    let room = Room::new(&[ALL]).await;
    let (mut plain, mut v1) = (room.viewer.open_bound(None).await, room.viewer.open_bound(Some("roomcast.v1")).await);
    call(&room.server, "sendToGroup", json!({"group": "1", "message": {"type": "message", "text": "forged"}})).await;
    assert_eq!(plain.push().await, json!({"type": "message", "text": "forged"}), "verbatim");
    assert_eq!(v1.push_of("data").await["data"]["text"], "forged");
    assert_eq!(texts(&room.viewer).await, Vec::<String>::new());
}
