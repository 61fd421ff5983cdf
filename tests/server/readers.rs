//! Reading without a session: whose socket it is, what a reader receives, counts and limits.

use crate::support::{Answer, Person, Server, Socket, eventually, read};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

const KEY: &str = "secret";

fn cookie(headers: &HeaderMap, name: &str) -> String {
    let set = headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let cookie = set.into_iter().find(|cookie| cookie.starts_with(&format!("{name}="))).unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// A visitor cookie, as a page sets it.
async fn visitor_cookie(server: &Server) -> String {
    cookie(server.visitor().get("/rooms/1").await.headers(), "roomcast_visitor")
}

async fn session_cookie(server: &Server) -> String {
    let answer = server.visitor().post("/session/guest", &[("nickname", "阿明")]).await;
    cookie(&answer.headers, "roomcast_session")
}

/// A client that sends exactly these cookies.
fn with(server: &Server, cookies: &[&str]) -> Person {
    let person = server.visitor();
    cookies.iter().for_each(|cookie| person.set_cookie(cookie));
    person
}

/// A browser that has loaded a page, and so has a visitor cookie.
async fn browser(server: &Server) -> Person {
    let person = server.visitor();
    assert_eq!(person.get("/rooms/1").await.status(), 200);
    person
}

async fn bind_room(person: &Person, client: &str, room: &str) -> (u16, Value) {
    let answer = person.post("/gateway/bind", &[("client_id", client), ("room", room)]).await;
    (answer.status.as_u16(), answer.body["code"].clone())
}

async fn call(server: &Server, method: &str, params: Value) -> Value {
    let request = server.visitor().request("POST", &format!("/gateway/api/{method}")).bearer_auth(KEY).json(&params);
    let answer = read(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{method}: {}", answer.body);
    answer.body["result"].clone()
}

#[tokio::test]
async fn p1_bind_takes_a_socket_of_its_own_owner() {
    let server = Server::with(&["limits.per_ip=off"]);
    let (v, w) = (visitor_cookie(&server).await, visitor_cookie(&server).await);
    let (a, b) = (session_cookie(&server).await, session_cookie(&server).await);
    let requests: [&[&str]; 7] = [&[], &[&v], &[&w], &[&a], &[&a, &v], &[&b, &v], &["roomcast_session=ended"]];
    let refused = (403, "not_yours");
    // Per request: the status, and whether `code` is a uid, "" or a refusal.
    let (reader, person) = ((200, ""), (200, "uid"));
    type Row<'a> = (&'a [&'a str], [(u16, &'a str); 7]);
    let sockets: [Row; 5] = [
        (&[], [reader, refused, refused, refused, refused, refused, reader]),
        (&[&v], [refused, reader, refused, refused, person, person, refused]),
        (&[&a], [refused, refused, refused, person, person, refused, refused]),
        (&[&a, &v], [refused, refused, refused, person, person, refused, refused]),
        (&["roomcast_session=ended", &v], [refused, reader, refused, refused, person, person, refused]),
    ];
    for protocol in [None, Some("roomcast.v1")] {
        for (opened, expected) in &sockets {
            for (request, expected) in requests.iter().zip(expected) {
                let socket = with(&server, opened).open(protocol).await;
                let (status, code) = bind_room(&with(&server, request), &socket.client_id, "1").await;
                let code = code.as_str().unwrap();
                let kind = if code.len() == 36 { "uid" } else { code };
                assert_eq!((status, kind), *expected, "{request:?} binds a socket of {opened:?}");
            }
        }
    }
    let socket = server.visitor().open(None).await;
    let bind = |token: &str| {
        let request = server.visitor().request("POST", "/gateway/bind").header("authorization", token);
        request.form(&[("client_id", socket.client_id.as_str()), ("room", "1")]).send()
    };
    assert_eq!(bind("Bearer rcs_unknown").await.unwrap().status(), 403, "a bearer is somebody");
    assert_eq!(bind("Basic bWluZzp4").await.unwrap().status(), 200, "the password of a proxy is nobody's");
}

#[tokio::test]
async fn p1_a_reader_gets_every_message_on_both_dialects() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let host = server.owner().await;
    host.send("before").await;
    let (nobody, visitor) = (server.visitor(), browser(&server).await);
    let (mut plain, mut v1) = (nobody.open(None).await, visitor.open(Some("roomcast.v1")).await);
    let bound = nobody.bind(&plain, &[]).await.body;
    let mut fields: Vec<&str> = bound.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort();
    let of_changes = ["changes", "rev", "stale", "state"];
    fields.retain(|field| !of_changes.contains(field));
    assert_eq!(fields, ["code", "epoch", "gap", "message", "messages", "oldest", "seq", "status"]);
    assert_eq!((&bound["code"], &bound["status"], &bound["message"]), (&json!(""), &json!(true), &json!("Group Success")));
    assert_eq!((&bound["seq"], &bound["oldest"], &bound["gap"]), (&json!(1), &json!(1), &json!(false)));
    assert_eq!(bound["messages"][0]["text"], "before");
    assert_eq!(visitor.bind(&v1, &[]).await.body, bound);
    for n in 2..=20 {
        assert_eq!(host.send(&n.to_string()).await.status, 200);
        assert_eq!(plain.push().await["seq"], n);
        assert_eq!(v1.push_of("message").await["seq"], n);
    }
    let epoch = bound["epoch"].as_str().unwrap();
    let since = nobody.bind(&plain, &[("since", "18"), ("epoch", epoch)]).await.body;
    assert_eq!((since["messages"].as_array().unwrap().len(), &since["gap"]), (2, &json!(false)));
    assert_eq!(nobody.send("x").await.status, 401, "a send needs a session");
}

#[tokio::test]
async fn b20_a_page_without_a_nickname_is_live_and_joining_keeps_its_socket() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let person = browser(&server).await;
    let before = person.clone();
    let mut socket = person.open(Some("roomcast.v1")).await;
    assert_eq!(person.bind(&socket, &[]).await.body["code"], "");
    let visitor = person.cookie().unwrap();
    let answer = before.post("/session/guest", &[("nickname", "阿明")]).await;
    let bound = person.bind(&socket, &[]).await;
    assert_eq!((bound.status.as_u16(), &bound.body["code"]), (200, &answer.body["uid"]));
    person.send("here").await;
    assert_eq!(socket.push_of("message").await["text"], "here");

    let alone = with(&server, &[&visitor]);
    assert_eq!(alone.bind(&socket, &[]).await.status, 403, "from now on the visitor cookie alone does not suffice");
    person.post("/session/logout", &[]).await;
    assert_eq!(socket.close_code().await, 4501, "the sign-out closes it");
}

#[tokio::test]
async fn p1_a_session_takes_over_no_more_sockets_than_it_may_open() {
    let server = Server::with(&["gateway.max_per_session=2"]);
    let person = browser(&server).await;
    let (first, second, third) = (person.open(None).await, person.open(None).await, person.open(None).await);
    person.post("/session/guest", &[("nickname", "阿明")]).await;
    for (socket, status) in [(&first, 200), (&second, 200), (&third, 429), (&first, 200)] {
        assert_eq!(person.bind(socket, &[]).await.status, status);
    }
    drop(first);
    eventually("a closed socket frees its place", async || person.bind(&third, &[]).await.status == 200).await;
}

#[tokio::test]
async fn p1_what_a_back_end_uses_is_no_readers_socket() {
    let server = Server::with(&["gateway.api_key=secret", "limits.per_ip=off"]);
    let gives = [
        ("bindUid", json!({"uid": 7}), "unbindUid", json!({"uid": 7})),
        ("joinGroup", json!({"group": "news"}), "leaveGroup", json!({"group": "news"})),
        ("joinGroup", json!({"group": "1"}), "leaveGroup", json!({"group": "1"})),
        ("setSession", json!({"session": {"a": 1}}), "", json!({})),
    ];
    for (give, mut params, take, mut back) in gives {
        for is_reader_before in [false, true] {
            let (nobody, stranger) = (server.visitor(), browser(&server).await);
            let socket = nobody.open(None).await;
            (params["client_id"], back["client_id"]) = (json!(socket.client_id), json!(socket.client_id));
            if is_reader_before {
                assert_eq!(nobody.bind(&socket, &[]).await.status, 200);
            }
            call(&server, give, params.clone()).await;
            let refused = nobody.bind(&socket, &[]).await;
            assert_eq!((refused.status.as_u16(), &refused.body["code"]), (403, &json!("not_yours")), "{give} {params}");
            assert_eq!(stranger.bind(&socket, &[]).await.status, 403);
            if !take.is_empty() {
                call(&server, take, back.clone()).await;
                assert_eq!(nobody.bind(&socket, &[]).await.status, 200, "{take}");
            }
        }
    }
}

#[tokio::test]
async fn p1_readers_stand_in_lists_of_clients_and_in_none_of_uids() {
    let server = Server::with(&["gateway.api_key=secret"]);
    let (reader, person) = (browser(&server).await, server.guest("阿明").await);
    let (read, bound) = (reader.open(None).await, person.open_bound(None).await);
    assert_eq!(reader.bind(&read, &[]).await.status, 200);
    let group = json!({"group": "1"});
    let mut clients = [&read, &bound].map(|socket| socket.client_id.clone());
    clients.sort();
    let listed = call(&server, "getClientIdListByGroup", group.clone()).await;
    let mut listed: Vec<&str> = listed.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    listed.sort();
    assert_eq!(listed, clients);
    assert_eq!(call(&server, "getUidListByGroup", group.clone()).await, json!([person.uid]));
    assert_eq!(call(&server, "getClientIdCountByGroup", group).await, 2);
    assert_eq!(call(&server, "getUidByClientId", json!({"client_id": read.client_id})).await, Value::Null);
    assert_eq!(call(&server, "getAllUidCount", json!({})).await, 1);
    // A push to the group is for readers, too; one to a uid is not.
    assert_eq!(call(&server, "sendToGroup", json!({"group": "1", "message": "x"})).await["to"], 2);
}

#[tokio::test]
async fn p1_a_readers_socket_reads_four_rooms() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let host = server.owner().await;
    for _ in 2..=6 {
        host.post("/gateway/rooms", &[("title", "another")]).await;
    }
    for reader in [server.visitor(), browser(&server).await] {
        let mut socket = reader.open(None).await;
        for (room, expected) in [("1", 200), ("2", 200), ("3", 200), ("4", 200), ("5", 403), ("2", 200), ("6", 403)] {
            let (status, code) = bind_room(&reader, &socket.client_id, room).await;
            assert_eq!((status, &code), (expected, &json!(if expected == 200 { "" } else { "not_allowed" })), "{room}");
        }
        for room in ["5", "4"] {
            host.post("/gateway/send", &[("room", room), ("message", "x")]).await;
        }
        assert_eq!(socket.push().await["room"], "4");
    }
    let socket = host.open(None).await;
    for room in ["1", "2", "3", "4", "5", "6"] {
        assert_eq!(bind_room(&host, &socket.client_id, room).await.0, 200, "a person's socket has no such limit");
    }
}

#[tokio::test]
async fn p1_refused_binds_of_an_address_tell_nothing_beyond_twenty() {
    let server = Server::with(&["web.trusted_proxies=127.0.0.0/8"]);
    let theirs = browser(&server).await.open(None).await;
    let bind = async |address: &str, client: &str| -> Answer {
        let form = [("client_id", client), ("room", "1")];
        let request = server.visitor().request("POST", "/gateway/bind").header("x-forwarded-for", address).form(&form);
        read(request.send().await.unwrap()).await
    };
    let absent = "7f0000010b5400000001";
    for n in 0..20 {
        let (client, code) = [(theirs.client_id.as_str(), "not_yours"), (absent, "no_such_client")][n % 2];
        assert_eq!(bind("203.0.113.9", client).await.body["code"], code);
    }
    for client in [theirs.client_id.as_str(), absent] {
        let refused = bind("203.0.113.9", client).await;
        assert_eq!((refused.status.as_u16(), &refused.body["code"]), (429, &json!("too_fast")));
    }
    let own = server.visitor().open(None).await;
    assert_eq!(bind("203.0.113.9", &own.client_id).await.status, 200, "a socket that is one's own can be bound");
    assert_eq!(bind("203.0.113.10", absent).await.status, 404, "other addresses are not concerned");

    let server = Server::with(&["limits.per_ip=off"]);
    for _ in 0..30 {
        let answer = server.visitor().post("/gateway/bind", &[("client_id", absent), ("room", "1")]).await;
        assert_eq!(answer.status, 404);
    }
}

/// Reads counts of a `roomcast.v1` socket until one is `count`.
async fn sees(socket: &mut Socket, count: u64) {
    while socket.push_of("online").await["count"] != count {}
}

#[tokio::test]
async fn p1_a_visitor_is_counted_once_before_and_after_joining() {
    let server = Server::start();
    let person = server.guest("小鱼").await;
    let mut watch = person.open_bound(Some("roomcast.v1")).await;
    sees(&mut watch, 1).await;
    let (reader, nobody) = (browser(&server).await, server.visitor());
    let tabs = [reader.open(None).await, reader.open(Some("roomcast.v1")).await];
    for tab in &tabs {
        assert_eq!(reader.bind(tab, &[]).await.status, 200);
    }
    sees(&mut watch, 2).await;
    let sockets = [nobody.open(None).await, nobody.open(None).await];
    for socket in &sockets {
        assert_eq!(nobody.bind(socket, &[]).await.status, 200);
    }
    sees(&mut watch, 4).await;
    // One of the visitor's tabs joins, and the other goes on reading: still one person.
    reader.post("/session/guest", &[("nickname", "阿明")]).await;
    assert_eq!(reader.bind(&tabs[0], &[]).await.status, 200);
    drop(sockets);
    sees(&mut watch, 2).await;
    drop(tabs);
    sees(&mut watch, 1).await;
}

#[tokio::test]
async fn p24_a_page_has_the_count_of_its_moment() {
    let server = Server::start();
    let mut open = Vec::new();
    for n in 0..5 {
        let page = server.visitor().request("GET", "/rooms/1").header("accept-language", "en").send().await.unwrap();
        assert!(page.text().await.unwrap().contains(&format!("{n} online")), "{n}");
        let person = browser(&server).await;
        let socket = person.open(None).await;
        assert_eq!(person.bind(&socket, &[]).await.status, 200);
        open.push(socket);
    }
}

#[tokio::test]
async fn p1_under_https_the_handshake_reads_the_host_cookie() {
    let server = Server::with(&["web.public_url=https://chat.example.com"]);
    let visitor = cookie(server.visitor().get("/rooms/1").await.headers(), "__Host-roomcast_visitor");
    let socket = with(&server, &[&visitor]).open(None).await;
    assert_eq!(server.visitor().bind(&socket, &[]).await.status, 403);
    let bound = server.visitor().request("POST", "/gateway/bind").header("cookie", &visitor);
    let form = [("client_id", socket.client_id.as_str()), ("room", "1")];
    assert_eq!(bound.form(&form).send().await.unwrap().status(), 200);
}

/// The limits of requests without a session, as they are shipped.
#[tokio::test]
async fn p1_a_viewer_with_a_hundred_pages_of_history_and_reconnects_is_within_the_limits() {
    let server = Server::start();
    for reader in [server.visitor(), browser(&server).await] {
        let socket = reader.open(None).await;
        assert_eq!(reader.bind(&socket, &[]).await.status, 200);
        for _ in 0..100 {
            let history = reader.post("/gateway/history", &[("room", "1"), ("before", "5000")]).await;
            assert_eq!(history.status, 200, "{}", history.body);
        }
        for _ in 0..10 {
            let socket = reader.open(None).await;
            assert_eq!(reader.bind(&socket, &[("since", "0")]).await.status, 200);
        }
    }
}

#[tokio::test]
async fn p1_a_reader_is_not_idle_on_a_node_that_is_nearly_full() {
    let server = Server::with(&["gateway.max_connections=10"]);
    let reader = browser(&server).await;
    let mut read = reader.open(None).await;
    assert_eq!(reader.bind(&read, &[]).await.status, 200);
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(server.visitor().open(None).await);
    }
    // A socket is idle three seconds after it was opened.
    let mut more = Vec::new();
    eventually("an idle socket made way", async || {
        more.extend(reader.try_open(None, None).await.ok());
        more.truncate(1);
        let metrics = reader.get("/metrics").await.text().await.unwrap();
        metrics.contains("roomcast_sockets_closed_by_us_total{code=\"4407\"}")
    })
    .await;
    assert_eq!(idle[0].close_code().await, 4407, "the oldest of those that nobody uses");
    server.guest("阿明").await.send("to readers").await;
    assert_eq!(read.push().await["text"], "to readers");
}
