//! The chat protocol: bind, send, push, history, resume.

use crate::support::Server;
use serde_json::json;

#[tokio::test]
async fn a_message_reaches_every_client_in_the_documented_form() {
    let server = Server::start();
    let (ming, host) = (server.guest("阿明").await, server.owner().await);
    let (mut plain, mut v1) = (ming.open_bound(None).await, host.open_bound(Some("roomcast.v1")).await);

    let sent = ming.send("大家好").await;
    assert_eq!((sent.status.as_u16(), &sent.body["status"], &sent.body["seq"]), (200, &json!(true), &json!(1)));
    let (on_plain, on_v1) = (plain.push().await, v1.push_of("message").await);
    assert_eq!(on_plain, on_v1);
    assert!(on_v1["at"].as_u64().unwrap() > 1_700_000_000_000);
    let expected = json!({"type": "message", "room": "1", "seq": 1, "id": sent.body["id"], "user": ming.uid, "nickname": "阿明",
        "role": "viewer", "text": "大家好", "message": "阿明 : 大家好", "at": on_v1["at"]});
    assert_eq!(on_v1, expected);

    host.send("欢迎").await;
    assert_eq!(plain.push().await["role"], "host");
}

#[tokio::test]
async fn the_plain_dialect_receives_messages_only_and_v1_online_counts() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let (one, other) = (server.guest("one").await, server.guest("other").await);
    let mut v1 = one.open_bound(Some("roomcast.v1")).await;
    assert_eq!(v1.push_of("online").await, json!({"type": "online", "room": "1", "count": 1}));
    let mut plain = other.open_bound(None).await;
    assert_eq!(v1.push_of("online").await["count"], 2);
    // A second tab of the same person is not counted.
    let tab = one.open_bound(Some("roomcast.v1")).await;
    one.send("first").await;
    assert_eq!(plain.push().await["text"], "first", "the plain dialect receives no online count");
    drop(plain);
    assert_eq!(v1.push_of("online").await["count"], 1);
    drop(tab);
}

#[tokio::test]
async fn bind_answers_in_the_documented_form_and_is_idempotent() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let person = server.guest("阿明").await;
    for text in ["a", "b", "c"] {
        person.send(text).await;
    }
    let socket = person.open(None).await;
    let answer = person.bind(&socket, &[]).await.body;
    let fixed = [
        ("code", json!(person.uid)),
        ("status", json!(true)),
        ("message", json!("Group Success")),
        ("seq", json!(3)),
        ("gap", json!(false)),
    ];
    for (field, value) in fixed {
        assert_eq!(answer[field], value, "{field}");
    }
    let texts: Vec<_> =
        answer["messages"].as_array().unwrap().iter().map(|message| (message["text"].clone(), message["type"].clone())).collect();
    assert_eq!(texts, [(json!("a"), json!("message")), (json!("b"), json!("message")), (json!("c"), json!("message"))]);
    assert_eq!(person.bind(&socket, &[]).await.body, answer, "a repeated bind changes nothing");
    let epoch = answer["epoch"].as_str().unwrap();
    let since = person.bind(&socket, &[("since", "2"), ("epoch", epoch)]).await.body;
    assert_eq!((since["messages"].as_array().unwrap().len(), &since["gap"]), (1, &json!(false)));
    let nothing = person.bind(&socket, &[("since", "3"), ("epoch", "")]).await.body;
    assert_eq!((nothing["messages"].as_array().unwrap().len(), &nothing["gap"], &nothing["seq"]), (0, &json!(false), &json!(3)));
    for (since, epoch) in [("2", "another"), ("9", epoch)] {
        let other = person.bind(&socket, &[("since", since), ("epoch", epoch)]).await.body;
        assert_eq!((other["messages"].as_array().unwrap().len(), &other["gap"]), (3, &json!(true)), "{since} {epoch}");
    }
}

#[tokio::test]
async fn history_pages_back_to_the_beginning() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let person = server.guest("阿明").await;
    for n in 1..=260 {
        assert_eq!(person.send(&n.to_string()).await.body["seq"], n);
    }
    let seqs = |answer: &serde_json::Value| {
        answer["messages"].as_array().unwrap().iter().map(|message| message["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let page = |before: &'static str, limit: &'static str| {
        let person = person.clone();
        async move { person.post("/gateway/history", &[("room", "1"), ("before", before), ("limit", limit)]).await.body }
    };
    assert_eq!(seqs(&page("261", "").await), (211..=260).collect::<Vec<_>>());
    assert_eq!(seqs(&page("4", "2").await), [2, 3]);
    assert_eq!(seqs(&page("1", "10").await), [0u64; 0]);
    assert_eq!(seqs(&page("261", "100000").await).len(), 100, "the page size is limited");

    // More messages were missed than a page holds: the newest are returned, the rest is reported as a gap.
    let socket = person.open(None).await;
    let caught_up = person.bind(&socket, &[("since", "10")]).await.body;
    assert_eq!((seqs(&caught_up), &caught_up["gap"], &caught_up["seq"]), ((61..=260).collect(), &json!(true), &json!(260)));
    let whole = person.bind(&socket, &[("since", "60")]).await.body;
    assert_eq!((seqs(&whole).len(), &whole["gap"]), (200, &json!(false)));
    let first = person.bind(&socket, &[]).await.body;
    assert_eq!((seqs(&first), &first["gap"]), ((211..=260).collect(), &json!(false)));
}

#[tokio::test]
async fn the_cooldown_allows_one_message_and_refused_drafts_start_none() {
    let server = Server::start();
    let (one, other) = (server.guest("one").await, server.guest("other").await);
    assert_eq!(one.send(&"x".repeat(141)).await.status, 413);
    assert_eq!(one.send("  ").await.status, 422);
    assert_eq!(one.send("first").await.status, 200);
    let (a, b) = tokio::join!(other.send("two tabs"), other.send("at once"));
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort();
    assert_eq!(statuses, [200, 429]);
    let refused = one.send("second").await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (429, &json!("too_fast")));
    let wait = refused.body["retry_after_ms"].as_u64().unwrap();
    assert!((1..=3000).contains(&wait), "{wait}");
    assert_eq!(refused.headers["retry-after"], wait.div_ceil(1000).to_string());
}

#[tokio::test]
async fn a_cooldown_survives_a_restart() {
    let mut server = Server::with(&["chat.cooldown_ms=600000"]);
    let person = server.guest("one").await;
    assert_eq!(person.send("first").await.status, 200);
    server.kill();
    server.restart();
    assert_eq!(person.send("second").await.status, 429);
}

#[tokio::test]
async fn a_nonce_is_stored_once() {
    let server = Server::start();
    let person = server.guest("one").await;
    let mut socket = person.open_bound(None).await;
    let send = |message: &'static str, nonce: &'static str| {
        let person = person.clone();
        async move { person.post("/gateway/send", &[("room", "1"), ("message", message), ("nonce", nonce)]).await }
    };
    let first = send("hello", "n1").await;
    assert_eq!(first.status, 200);
    let again = send("hello", "n1").await;
    assert_eq!((again.status.as_u16(), &again.body), (200, &first.body), "a repeated nonce is not subject to the cooldown");
    assert_eq!(send("hello", "n2").await.status, 429, "a new nonce is a new message");
    assert_eq!(socket.push().await["seq"], 1);
    assert_eq!(
        person.post("/gateway/history", &[("room", "1"), ("before", "99")]).await.body["messages"].as_array().unwrap().len(),
        1
    );

    let server = Server::with(&["chat.cooldown_ms=0"]);
    let person = server.guest("one").await;
    let attempts = (0..20).map(|_| person.post("/gateway/send", &[("room", "1"), ("message", "same"), ("nonce", "n")]));
    for answer in futures_util::future::join_all(attempts).await {
        assert_eq!((answer.status.as_u16(), &answer.body["seq"]), (200, &json!(1)));
    }
}

#[tokio::test]
async fn accounts_open_rooms_and_messages_stay_in_their_room() {
    let server = Server::start();
    let (host, guest) = (server.owner().await, server.guest("阿明").await);
    let open = |title: &'static str| {
        host.post("/gateway/rooms", if title.is_empty() { vec![("title", " ")] } else { vec![("title", title)] }.leak())
    };
    assert_eq!(open("听歌").await.body, json!({"room": "2"}));
    assert_eq!(open("唱歌").await.body, json!({"room": "3"}));
    assert_eq!(open("").await.body["code"], "blank");
    assert_eq!(guest.post("/gateway/rooms", &[("title", "mine")]).await.status, 403);
    assert_eq!(server.visitor().post("/gateway/rooms", &[("title", "mine")]).await.status, 401);

    // Before anybody is in a room: those with people come first.
    let lobby = host.get("/").await.text().await.unwrap();
    let (second, third) = (lobby.find("听歌").unwrap(), lobby.find("唱歌").unwrap());
    assert!(third < second, "newest first");
    let mut in_first = guest.open_bound(None).await;
    let mut in_second = host.open(None).await;
    assert_eq!(host.post("/gateway/bind", &[("client_id", &in_second.client_id), ("room", "2")]).await.status, 200);
    assert_eq!(guest.post("/gateway/send", &[("room", "2"), ("message", "here")]).await.body["seq"], 1);
    assert_eq!(guest.send("there").await.status, 200, "a cooldown is per room");
    assert_eq!(in_second.push().await["text"], "here");
    assert_eq!(in_first.push().await["text"], "there");
}

#[tokio::test]
async fn rooms_per_account_are_limited() {
    let server = Server::with(&["chat.rooms_per_account=2"]);
    let host = server.owner().await;
    // Room 1 is the owner's.
    assert_eq!(host.post("/gateway/rooms", &[("title", "two")]).await.status, 200);
    assert_eq!(host.post("/gateway/rooms", &[("title", "three")]).await.body["code"], "not_allowed");
}
