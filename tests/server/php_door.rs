//! PHP's door beside the others: workers, keys, bounds, and the same people at every door.

use crate::support::{Server, Socket, binary, read};
use crate::vectors::packet::{Packet, command, shown};
use crate::vectors::peers::{OFFLINE, Wire, is_anyone_online};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message as Frame;

const KICK: u8 = 7;
const UPDATE_SESSION: u8 = 9;
const JOIN_GROUP: u8 = 20;
const SET_SESSION: u8 = 204;

fn connection(socket: &Socket) -> u32 {
    u32::from_str_radix(&socket.client_id[12..], 16).unwrap()
}

fn packet(command: u8, connection: u32, ext: &[u8], body: &[u8]) -> Vec<u8> {
    Packet { ext: ext.to_vec(), ..Packet::new(command, connection, body) }.into_bytes()
}

/// Says it, and waits until it is carried out.
async fn command(wire: &mut Wire, packet: Vec<u8>) {
    wire.send(&[packet, is_anyone_online()].concat()).await;
    assert_eq!(shown(&wire.take(OFFLINE.len()).await), shown(OFFLINE));
}

async fn query(wire: &mut Wire, packet: Vec<u8>) -> String {
    wire.send(&packet).await;
    let length = u32::from_be_bytes(wire.take(4).await[..].try_into().expect("a reply"));
    String::from_utf8(wire.take(length as usize).await).unwrap()
}

/// A worker that hears of everyone who comes from here on.
async fn worker(server: &Server, name: &str) -> Wire {
    let mut wire = Wire::to(server.inner.into()).await;
    let hello = format!(r#"{{"worker_key":"{name}","secret_key":""}}"#);
    command(&mut wire, Packet::new(200, 0, hello.as_bytes()).into_bytes()).await;
    wire
}

async fn event(wire: &mut Wire) -> (u8, u32, String) {
    let packet = wire.packet().await;
    (packet.command(), packet.connection(), String::from_utf8(packet.body).unwrap())
}

async fn came(wire: &mut Wire, socket: &Socket) {
    for told in [command::ON_CONNECT, command::ON_WEBSOCKET_CONNECT] {
        let (command, connection_id, _) = event(wire).await;
        assert_eq!((command, connection_id), (told, connection(socket)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_stays_with_its_worker_and_moves_when_that_goes() {
    let server = Server::with(&["gateway.workers=on"]);
    let (mut one, mut two) = (worker(&server, "Biz:0").await, worker(&server, "Biz:1").await);
    let mut clients = Vec::new();
    for number in 0..4 {
        let client = server.visitor().open(None).await;
        came(if number % 2 == 0 { &mut one } else { &mut two }, &client).await;
        clients.push(client);
    }
    for (client, at) in [(0, 0), (1, 1), (0, 0), (2, 0), (3, 1)] {
        clients[client].stream.send(Frame::text(format!("from {client}"))).await.unwrap();
        let heard = event(if at == 0 { &mut one } else { &mut two }).await;
        assert_eq!(heard, (command::ON_MESSAGE, connection(&clients[client]), format!("from {client}")));
    }
    // Another of its name takes its place, and its clients with their next words.
    let mut again = worker(&server, "Biz:0").await;
    assert_eq!(one.rest_of("the worker that was replaced").await, b"");
    clients[0].stream.send(Frame::binary(vec![b'x'])).await.unwrap();
    assert_eq!(event(&mut again).await, (command::ON_MESSAGE, connection(&clients[0]), "x".into()));
    drop(again);
    // That it is gone is seen when the node has read its end: until then what is said is lost with it.
    let moved = {
        let mut heard = pin!(event(&mut two));
        loop {
            clients[0].stream.send(Frame::text("y")).await.unwrap();
            tokio::select! {
                moved = &mut heard => break moved,
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    };
    assert_eq!(moved, (command::ON_MESSAGE, connection(&clients[0]), "y".into()));
    let left = clients.remove(1);
    let id = connection(&left);
    drop(left);
    loop {
        match event(&mut two).await {
            (command::ON_MESSAGE, ..) => {}
            told => break assert_eq!(told, (command::ON_CLOSE, id, String::new())),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unless_workers_are_on_the_socket_is_one_way() {
    let server = Server::start();
    let mut hears = worker(&server, "Biz:0").await;
    let mut client = server.visitor().open(None).await;
    came(&mut hears, &client).await;
    for _ in 0..3 {
        client.send(Frame::text("nobody hears this")).await;
    }
    client.send(Frame::text("x".repeat(1025))).await;
    assert_eq!(client.close_code().await, 4408);
    // Nothing between.
    assert_eq!(event(&mut hears).await, (command::ON_CLOSE, connection(&client), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_say_to_workers_is_bounded() {
    let server =
        Server::with(&["gateway.workers=on", "gateway.worker_message_bytes=2000", "gateway.worker_messages_a_second=30"]);
    let mut hears = worker(&server, "Biz:0").await;
    let mut client = server.visitor().open(None).await;
    came(&mut hears, &client).await;
    let long = "x".repeat(2000);
    client.send(Frame::text(long.clone())).await;
    assert_eq!(event(&mut hears).await, (command::ON_MESSAGE, connection(&client), long.clone()));
    client.send(Frame::text(long + "y")).await;
    assert_eq!(client.close_code().await, 4408);
    assert_eq!(event(&mut hears).await.0, command::ON_CLOSE);
    let mut talkative = server.visitor().open(None).await;
    came(&mut hears, &talkative).await;
    // More than a one-way socket may say.
    for _ in 0..25 {
        talkative.send(Frame::text("and")).await;
    }
    for _ in 0..25 {
        assert_eq!(event(&mut hears).await.0, command::ON_MESSAGE);
    }
    for _ in 0..60 {
        talkative.send(Frame::text("and")).await;
    }
    assert_eq!(talkative.close_code().await, 4408);
}

#[tokio::test(flavor = "multi_thread")]
async fn php_and_the_chat_meet() {
    let server = Server::start();
    let ming = server.guest("阿明").await;
    let (mut page, mut old_page) = (ming.enter(Some("roomcast.v1")).await, server.visitor().open(None).await);
    let mut php = Wire::to(server.inner.into()).await;
    // The group that `bind` joined.
    command(&mut php, packet(JOIN_GROUP, connection(&old_page), b"1", b"")).await;
    assert_eq!(query(&mut php, packet(command::COUNT_OF_GROUP, 0, b"1", b"")).await, "i:2;");
    assert_eq!(ming.say("大家好").await.status, 200);
    for socket in [&mut page, &mut old_page] {
        let said = socket.push_of("message").await;
        assert_eq!((&said["text"], &said["message"]), (&json!("大家好"), &json!("阿明 : 大家好")));
    }
    // Both dialects of what PHP pushes.
    let group = br#"{"group":["1"],"exclude":null}"#;
    for (body, flag, v1, plain) in [
        ("hello", 1, json!({"type": "data", "data": "hello"}), json!("hello")),
        (r#"{"type":"gift","n":1}"#, 1, json!({"type": "gift", "n": 1}), json!({"type": "gift", "n": 1})),
        ("a:1:{i:0;s:1:\"x\";}", 0, json!({"type": "data", "data": ["x"]}), json!(["x"])),
    ] {
        let mut message = Packet { ext: group.to_vec(), ..Packet::new(command::SEND_TO_GROUP, 0, body.as_bytes()) };
        message.head[21] = flag;
        command(&mut php, message.into_bytes()).await;
        // Who comes and goes is told besides.
        let heard = loop {
            match page.push().await {
                online if online["type"] == "online" => {}
                push => break push,
            }
        };
        assert_eq!((heard, old_page.push().await), (v1, plain), "{body}");
    }
    // A farewell, and then the end: with its reason where the page understands one.
    for (socket, farewell, code) in
        [(&mut page, json!({"type": "data", "data": "bye"}), 4500), (&mut old_page, json!("bye"), 1006)]
    {
        let client = connection(socket);
        command(&mut php, packet(KICK, client, b"", b"bye")).await;
        // It is nobody at once, whatever its stream still takes.
        assert_eq!(query(&mut php, packet(command::IS_ONLINE, client, b"", b"")).await, "i:0;");
        let heard = loop {
            match socket.push().await {
                online if online["type"] == "online" => {}
                push => break push,
            }
        };
        assert_eq!((heard, socket.close_code().await), (farewell, code));
    }
    assert_eq!(query(&mut php, packet(command::COUNT_OF_GROUP, 0, b"1", b"")).await, "i:0;");
}

async fn api(server: &Server, method: &str, params: Value) -> Value {
    let request = server.visitor().request("POST", &format!("/gateway/api/{method}")).bearer_auth("secret").json(&params);
    let answer = read(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["result"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_the_same_at_both_doors() {
    let server = Server::with(&["gateway.api_key=secret"]);
    let socket = server.visitor().open(None).await;
    let (id, client) = (socket.client_id.clone(), connection(&socket));
    let mut php = Wire::to(server.inner.into()).await;
    let kept = || packet(command::GET_SESSION, client, b"", b"");
    api(&server, "setSession", json!({"client_id": id, "session": {"name": "张", "tags": [1, "b"], "7": null}})).await;
    assert_eq!(query(&mut php, kept()).await, "a:3:{s:4:\"name\";s:3:\"张\";s:4:\"tags\";a:2:{i:0;i:1;i:1;s:1:\"b\";}i:7;N;}");
    command(&mut php, packet(UPDATE_SESSION, client, b"a:1:{s:4:\"tags\";a:1:{i:1;d:2.5;}}", b"")).await;
    assert_eq!(api(&server, "getSession", json!({"client_id": id})).await, json!({"name": "张", "tags": [1, 2.5], "7": null}));
    // What PHP serialized may come through the other door, too.
    api(&server, "setSocketSession", json!({"client_id": id, "session": "a:1:{i:0;b:1;}"})).await;
    assert_eq!(query(&mut php, kept()).await, "a:1:{i:0;b:1;}");
    assert_eq!(api(&server, "getSession", json!({"client_id": id})).await, json!({"0": true}));
    let object = "a:1:{s:1:\"o\";O:4:\"User\":2:{s:2:\"id\";i:5;s:7:\"\0*\0mail\";s:1:\"m\";}}";
    command(&mut php, packet(SET_SESSION, client, object.as_bytes(), b"")).await;
    api(&server, "updateSession", json!({"client_id": id, "session": {"seen": true}})).await;
    let expected = "a:2:{s:1:\"o\";O:4:\"User\":2:{s:2:\"id\";i:5;s:7:\"\0*\0mail\";s:1:\"m\";}s:4:\"seen\";b:1;}";
    assert_eq!(query(&mut php, kept()).await, expected);
    let seen = api(&server, "getAllClientSessions", json!({})).await;
    assert_eq!(seen[&id], json!({"o": {"__PHP_Incomplete_Class_Name": "User", "id": 5}, "seen": true}));
    // What is no array is kept as it is, and merged with nothing.
    command(&mut php, packet(SET_SESSION, client, b"anything", b"")).await;
    command(&mut php, packet(UPDATE_SESSION, client, b"a:0:{}", b"")).await;
    assert_eq!(query(&mut php, kept()).await, "anything");
    // Too long: it stays what it was.
    command(&mut php, packet(SET_SESSION, client, &vec![b'x'; 1024 * 1024 + 1], b"")).await;
    assert_eq!(query(&mut php, kept()).await, "anything");
    command(&mut php, packet(SET_SESSION, client, b"", b"")).await;
    assert_eq!(query(&mut php, kept()).await, "a:0:{}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_whatever_bytes_php_gives() {
    let server = Server::start();
    let socket = server.visitor().open(None).await;
    let mut php = Wire::to(server.inner.into()).await;
    let long = "长".repeat(600);
    for name in [&b"\xff\xfe\0"[..], long.as_bytes(), b" ", b"-0"] {
        command(&mut php, packet(JOIN_GROUP, connection(&socket), name, b"")).await;
        assert_eq!(query(&mut php, packet(command::COUNT_OF_GROUP, 0, name, b"")).await, "i:1;", "{}", shown(name));
        command(&mut php, packet(12, connection(&socket), name, b"")).await;
        let list = format!("a:1:{{i:0;i:{};}}", connection(&socket));
        assert_eq!(query(&mut php, packet(command::CLIENTS_OF_UID, 0, name, b"")).await, list, "{}", shown(name));
    }
    // But not without end.
    command(&mut php, packet(JOIN_GROUP, connection(&socket), &[b'x'; 4097], b"")).await;
    assert_eq!(query(&mut php, packet(command::COUNT_OF_GROUP, 0, &[b'x'; 4097], b"")).await, "i:0;");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_packet_is_taken_and_a_larger_one_ends_the_connection() {
    let server = Server::start();
    let mut socket = server.visitor().open(None).await;
    let mut php = Wire::to(server.inner.into()).await;
    let body = vec![b'x'; 10_485_760 - 28];
    let to_one = |body: &[u8]| packet(command::SEND_TO_ONE, connection(&socket), b"", body);
    let (largest, larger) = (to_one(&body), to_one(&[&body[..], b"y"].concat()));
    let sent = tokio::spawn(async move {
        php.send(&largest).await;
        php.send(&larger).await;
        php.rest_of("an inner connection with a packet that is too long").await
    });
    match socket.stream.next().await.unwrap().unwrap() {
        Frame::Text(text) => assert!(text.len() == body.len() && text.bytes().all(|byte| byte == b'x')),
        frame => panic!("{}", frame.len()),
    }
    assert_eq!(sent.await.unwrap(), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_stays_who_does_not_show_the_key() {
    let server = Server::with(&["gateway.secret_key=k€y", "gateway.max_inner_connections=3"]);
    let since = Instant::now();
    let mut idle = Wire::to(server.inner.into()).await;
    let hello = |key: &str| {
        Packet::new(command::GATEWAY_CLIENT_CONNECT, 0, json!({"secret_key": key}).to_string().as_bytes()).into_bytes()
    };
    for wrong in [is_anyone_online(), hello(""), hello("k€y "), hello("key"), Packet::new(200, 0, b"{}").into_bytes()] {
        let mut wire = Wire::to(server.inner.into()).await;
        wire.send(&wrong).await;
        assert_eq!(wire.rest_of("without the key").await, b"");
    }
    // Only a short hello is waited for.
    let mut long = Wire::to(server.inner.into()).await;
    long.send(&hello("k€y")[..28]).await;
    let mut huge = Wire::to(server.inner.into()).await;
    let mut head = hello("x");
    head[..4].copy_from_slice(&1_000_000u32.to_be_bytes());
    huge.send(&head).await;
    assert_eq!(huge.rest_of("a long hello").await, b"");
    assert_eq!(idle.rest_of("who says nothing").await, b"");
    assert_eq!(long.rest_of("who says only half of it").await, b"");
    assert!(since.elapsed() > Duration::from_secs(2), "{:?}", since.elapsed());
    let mut known = Vec::new();
    for _ in 0..3 {
        known.push(Wire::to(server.inner.into()).await);
        command(known.last_mut().unwrap(), [hello("k€y"), hello("k€y")].concat()).await;
    }
    // All places are taken: one more waits until there is one, and what it wrote is done then.
    let mut waits = Wire::to(server.inner.into()).await;
    waits.send(&[hello("k€y"), is_anyone_online()].concat()).await;
    known.pop();
    assert_eq!(shown(&waits.take(OFFLINE.len()).await), shown(OFFLINE));
    // But not for ever.
    let mut beyond = Wire::to(server.inner.into()).await;
    assert_eq!(beyond.rest_of("a connection beyond the bound").await, b"");
    for wire in known.iter_mut().chain([&mut waits]) {
        command(wire, vec![]).await;
    }
    // A few mistakes are no errors of ours.
    assert_eq!(server.errors(), [""; 0]);
}

#[test]
fn without_a_key_nobody_listens_in_public() {
    let folder = tempfile::TempDir::new().unwrap();
    for variable in ["ROOMCAST_LAN_ADDR", "ROOMCAST_REGISTER_ADDR"] {
        let started = binary().current_dir(folder.path()).args(["--addr", "127.0.0.1:0"]).env(variable, "0.0.0.0:0").output();
        let output = started.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("gateway.secret_key"), "{variable}: {said}");
    }
}

/// PHP goes on calling while the node is handed over.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_phps_addresses() {
    let server = Server::with(&["web.drain_slowly_ms=1000"]);
    let mut kept = Wire::to(server.inner.into()).await;
    let mut registered = Wire::to(server.register).await;
    registered.send(b"{\"event\":\"worker_connect\",\"secret_key\":\"\"}\n").await;
    let told = registered.until(b"\n").await;
    command(&mut kept, vec![]).await;
    let before = server.pid();
    let data = server.data.path().join("data");
    let reload = tokio::task::spawn_blocking(move || binary().arg("--data-dir").arg(data).arg("reload").output().unwrap());
    // Both are told to come again, and find the new process at the old addresses.
    assert_eq!((kept.rest_of("a kept connection").await, registered.rest_of("a worker at Register").await), (vec![], vec![]));
    let mut kept = Wire::to(server.inner.into()).await;
    let mut registered = Wire::to(server.register).await;
    registered.send(b"{\"event\":\"worker_connect\",\"secret_key\":\"\"}\n").await;
    assert_eq!(shown(&registered.until(b"\n").await), shown(&told));
    command(&mut kept, vec![]).await;
    let output = reload.await.unwrap();
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stdout).contains(&before.to_string()), "{output:?}");
    let client = server.visitor().open(None).await;
    assert_eq!(query(&mut kept, packet(command::IS_ONLINE, connection(&client), b"", b"")).await, "i:1;");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_php_does_is_counted() {
    let server = Server::start();
    let mut php = Wire::to(server.inner.into()).await;
    command(&mut php, packet(command::SEND_TO_ONE, 7, b"", b"to nobody")).await;
    command(&mut php, Packet::new(99, 0, b"").into_bytes()).await;
    let figures = server.visitor().get("/metrics").await.text().await.unwrap();
    for line in [
        "roomcast_php_commands_total{command=\"send_to_one\"} 1",
        "roomcast_php_stale_total 1",
        "roomcast_php_odd_packets_total 1",
        "roomcast_php_connections{port=\"inner\"} 1",
        "roomcast_php_workers 0",
    ] {
        assert!(figures.contains(line), "{line} is not in\n{figures}");
    }
}

/// Those who stay with the old process hear what PHP pushes all the while, whichever process takes the call.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_php_pushes_is_lost_in_a_reload() {
    let server = Server::with(&["limits.per_ip=off", "web.drain_slowly_ms=20000"]);
    let mut sockets = Vec::new();
    // More than leave at once.
    for _ in 0..300 {
        sockets.push(server.visitor().open(None).await);
    }
    let inner = server.inner;
    let (pushed, all_left) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (pushing, done) = (pushed.clone(), all_left.clone());
    let pusher = tokio::spawn(async move {
        while !done.load(Ordering::Relaxed) {
            let number = pushing.fetch_add(1, Ordering::Relaxed);
            let mut php = Wire::to(inner.into()).await;
            php.send(&packet(command::SEND_TO_ALL, 0, b"", number.to_string().as_bytes())).await;
            php.half_close().await;
            assert_eq!(php.rest_of("a push").await, b"");
        }
    });
    let data = server.data.path().join("data");
    let reload = tokio::task::spawn_blocking(move || binary().arg("--data-dir").arg(data).arg("reload").output().unwrap());
    assert!(reload.await.unwrap().status.success());
    let before = pushed.load(Ordering::Relaxed);
    let mut longest = 0;
    for socket in &mut sockets {
        let mut heard = Vec::new();
        while let Some(Ok(frame)) = socket.stream.next().await {
            match frame {
                Frame::Text(text) => heard.push(text.parse::<usize>().unwrap()),
                Frame::Close(_) => break,
                _ => {}
            }
        }
        heard.sort();
        assert!(heard.iter().enumerate().all(|(at, number)| at == *number), "{heard:?}");
        longest = longest.max(heard.len());
    }
    assert!(longest > before, "nobody heard what was pushed at the new process: {longest} of {before}");
    all_left.store(true, Ordering::Relaxed);
    pusher.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_told_of_everyone_whom_a_stop_sees_off() {
    let mut server = Server::with(&["limits.per_ip=off", "gateway.max_per_address=1000"]);
    let mut hears = worker(&server, "Biz:0").await;
    let mut clients = Vec::new();
    let mut here = BTreeSet::new();
    for _ in 0..200 {
        let client = server.visitor().open(None).await;
        came(&mut hears, &client).await;
        here.insert(connection(&client));
        clients.push(client);
    }
    // Answers that nobody reads, from who has said all, hold nothing up.
    let mut deaf = Wire::to(server.inner.into()).await;
    deaf.send(&packet(SET_SESSION, connection(&clients[0]), &vec![b'x'; 1_000_000], b"")).await;
    deaf.send(&packet(command::ALL_SESSIONS, 0, b"", b"").repeat(20)).await;
    deaf.half_close().await;
    server.signal(libc::SIGTERM);
    let reading = tokio::spawn(async move {
        for client in &mut clients {
            client.close_code().await;
        }
    });
    while !here.is_empty() {
        let left = event(&mut hears).await;
        assert!(left.0 == command::ON_CLOSE && here.remove(&left.1), "{left:?}, {} are left", here.len());
    }
    assert_eq!(hears.rest_of("the worker").await, b"");
    reading.await.unwrap();
    assert!(server.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_told_where_a_client_is() {
    let server = Server::with(&["web.trusted_proxies=127.0.0.1/32"]);
    let mut hears = worker(&server, "Biz:0").await;
    let mut client = Wire::to(server.address().parse().unwrap()).await;
    let handshake = "GET /ws?room=1&tags[]=a HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Forwarded-For: 2001:db8::5:6\r\n\
        Cookie: sid=42; roomcast_session=secret; lang=zh\r\n\r\n";
    client.send(handshake.as_bytes()).await;
    client.until(b"\"}").await;
    assert_eq!(event(&mut hears).await.0, command::ON_CONNECT);
    let (told, _, described) = event(&mut hears).await;
    assert_eq!(told, command::ON_WEBSOCKET_CONNECT);
    for part in [
        "s:3:\"get\";a:2:{s:4:\"room\";s:1:\"1\";s:4:\"tags\";a:1:{i:0;s:1:\"a\";}}",
        "s:11:\"SERVER_NAME\";s:12:\"chat.example\";",
        "s:11:\"REMOTE_ADDR\";s:13:\"2001:db8::5:6\";",
        // But for our own.
        "s:6:\"cookie\";a:2:{s:3:\"sid\";s:2:\"42\";s:4:\"lang\";s:2:\"zh\";}",
    ] {
        assert!(described.contains(part), "{part} is not in {described}");
    }
    assert!(!described.contains("secret"), "{described}");
}
