//! Keys, limits and odd input at the ports for PHP: the rejections, their metrics, and that other connections are unaffected.

use super::{command, connection, packet, query};
use crate::support::{DEADLINE, Server, binary};
use crate::vectors::packet::{Packet, shown};
use crate::vectors::peers::{OFFLINE, Wire, is_anyone_online};
use crate::vectors::register::worker_line;
use futures_util::StreamExt;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message as Frame;

#[tokio::test(flavor = "multi_thread")]
async fn names_are_any_bytes_up_to_a_limit() {
    let server = Server::start();
    let socket = server.visitor().open(None).await;
    let mut php = Wire::to(server.inner.into()).await;
    let long = "长".repeat(600);
    for name in [&b"\xff\xfe\0"[..], long.as_bytes(), b" ", b"-0"] {
        command(&mut php, packet(command::JOIN_GROUP, connection(&socket), name, b"")).await;
        assert_eq!(query(&mut php, packet(command::COUNT_OF_GROUP, 0, name, b"")).await, "i:1;", "{}", shown(name));
        command(&mut php, packet(command::BIND_UID, connection(&socket), name, b"")).await;
        let list = format!("a:1:{{i:0;i:{};}}", connection(&socket));
        assert_eq!(query(&mut php, packet(command::CLIENTS_OF_UID, 0, name, b"")).await, list, "{}", shown(name));
    }
    // A name over the limit is rejected.
    command(&mut php, packet(command::JOIN_GROUP, connection(&socket), &[b'x'; 4097], b"")).await;
    assert_eq!(query(&mut php, packet(command::COUNT_OF_GROUP, 0, &[b'x'; 4097], b"")).await, "i:0;");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_packet_is_accepted_and_a_larger_one_closes_the_connection() {
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
async fn unauthenticated_connections_are_closed() {
    let server = Server::with(&["gateway.secret_key=k€y", "gateway.max_inner_connections=3"]);
    let since = Instant::now();
    let mut idle = Wire::to(server.inner.into()).await;
    let hello = |key: &str| {
        Packet::new(command::GATEWAY_CLIENT_CONNECT, 0, json!({"secret_key": key}).to_string().as_bytes()).into_bytes()
    };
    for wrong in
        [is_anyone_online(), hello(""), hello("k€y "), hello("key"), Packet::new(command::WORKER_CONNECT, 0, b"{}").into_bytes()]
    {
        let mut wire = Wire::to(server.inner.into()).await;
        wire.send(&wrong).await;
        assert_eq!(wire.rest_of("without the key").await, b"");
    }
    // An incomplete short packet with the key has until the timeout; a long one is rejected.
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
    // All permits are in use: a further connection waits for one, and its commands are carried out then.
    let mut waits = Wire::to(server.inner.into()).await;
    waits.send(&[hello("k€y"), is_anyone_online()].concat()).await;
    known.pop();
    assert_eq!(shown(&waits.take(OFFLINE.len()).await), shown(OFFLINE));
    // After the timeout it is closed.
    let mut beyond = Wire::to(server.inner.into()).await;
    assert_eq!(beyond.rest_of("a connection beyond the bound").await, b"");
    for wire in known.iter_mut().chain([&mut waits]) {
        command(wire, vec![]).await;
    }
    is_counted(&server, &["unauthorized", "max_connections"]).await;
    // Mistakes of peers are not logged as errors.
    assert_eq!(server.errors(), [""; 0]);
}

/// A host without the key holds all the connections that it gets, and opens further ones all the time.
#[tokio::test(flavor = "multi_thread")]
async fn f18_a_host_without_the_key_keeps_no_call_of_php_out() {
    let server = Server::with(&["gateway.secret_key=k", "gateway.max_inner_connections=40"]);
    let mut strangers = Vec::new();
    for port in [std::net::SocketAddr::from(server.inner), server.register] {
        for _ in 0..60 {
            strangers.push(Wire::to(port).await);
        }
    }
    let hello = Packet::new(command::GATEWAY_CLIENT_CONNECT, 0, br#"{"secret_key":"k"}"#).into_bytes();
    let mut kept = Vec::new();
    for _ in 0..12 {
        strangers.push(Wire::to(server.inner.into()).await);
        let mut php = Wire::to(server.inner.into()).await;
        php.send(&[hello.clone(), is_anyone_online()].concat()).await;
        assert_eq!(shown(&php.take(OFFLINE.len()).await), shown(OFFLINE));
        kept.push(php);
        strangers.push(Wire::to(server.register).await);
        let mut worker = Wire::to(server.register).await;
        worker.send(&worker_line("k")).await;
        let list = worker.until(b"\n").await;
        assert!(list.starts_with(b"{\"event\":\"broadcast_addresses\""), "{}", shown(&list));
        kept.push(worker);
    }
    // A peer that has presented the key is displaced by nobody.
    for (number, wire) in kept.iter_mut().enumerate() {
        assert!(wire.is_quiet(), "{number}: {}", shown(&wire.take(1000).await));
    }
    is_counted(&server, &["without_key"]).await;
}

#[test]
fn a_public_listener_requires_a_key() {
    let folder = tempfile::TempDir::new().unwrap();
    for variable in ["ROOMCAST_LAN_ADDR", "ROOMCAST_REGISTER_ADDR"] {
        let started = binary().current_dir(folder.path()).args(["--addr", "127.0.0.1:0"]).env(variable, "0.0.0.0:0").output();
        let output = started.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains("gateway.secret_key"), "{variable}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_rejected_packets_are_counted() {
    let server = Server::start();
    let mut php = Wire::to(server.inner.into()).await;
    command(&mut php, packet(command::SEND_TO_ONE, 7, b"", b"to nobody")).await;
    command(&mut php, Packet::new(99, 0, b"").into_bytes()).await;
    let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
    for line in [
        "roomcast_php_commands_total{command=\"send_to_one\"} 1",
        "roomcast_php_client_not_found_total 1",
        "roomcast_php_packets_rejected_total 1",
        "roomcast_php_connections{port=\"inner\"} 1",
        "roomcast_php_workers 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    // The rejected packet is logged once.
    assert_eq!(server.log().matches("inner packet rejected: unknown command").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn unauthenticated_peers_of_register_are_limited() {
    let server = Server::with(&["gateway.secret_key=k", "gateway.max_inner_connections=3"]);
    let mut long = Wire::to(server.register).await;
    long.send(&[b'x'; 4097]).await;
    assert_eq!(long.rest_of("a stranger's long line").await, b"");
    // An authenticated peer may send longer lines.
    let mut known = Wire::to(server.register).await;
    known.send(&worker_line("k")).await;
    let list = known.until(b"\n").await;
    let (name, value) = ("worker_connect", "x".repeat(100_000));
    known.send(format!("{{\"event\":\"{name}\",\"secret_key\":\"k\",\"x\":\"{value}\"}}\n").as_bytes()).await;
    assert_eq!(shown(&known.until(b"\n").await), shown(&list));
    // Idle connections use permits, too; a further connection is closed.
    let mut pinging = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::to(server.register).await;
        wire.send(b"{\"event\":\"ping\"}\n").await;
        pinging.push(wire);
    }
    let mut beyond = Wire::to(server.register).await;
    beyond.send(&worker_line("k")).await;
    assert_eq!(beyond.rest_of("a connection beyond the bound").await, b"");
    drop(pinging);
    // Permits are free once the node has seen the connections close.
    let admitted = async {
        loop {
            let mut later = Wire::to(server.register).await;
            later.send(&worker_line("k")).await;
            match later.until(b"\n").await {
                nothing if nothing.is_empty() => {}
                received => break (later, received),
            }
        }
    };
    let (mut later, received) = tokio::time::timeout(DEADLINE, admitted).await.expect("no permit became free");
    assert_eq!(shown(&received), shown(&list));
    later.send(&worker_line("another")).await;
    assert_eq!(later.rest_of("another key").await, b"");
    is_counted(&server, &["register_line_too_long", "max_connections", "register_request_rejected"]).await;
}

async fn is_counted(server: &Server, reasons: &[&str]) {
    let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
    for reason in reasons {
        assert!(
            metrics.contains(&format!("roomcast_php_connections_rejected_total{{reason=\"{reason}\"}}")),
            "{reason} is not in\n{metrics}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_body_that_is_not_a_frame_affects_only_its_receiver() {
    let server = Server::start();
    let (mut one, mut other) = (server.visitor().open(None).await, server.visitor().open(None).await);
    let mut php = Wire::to(server.inner.into()).await;
    let mut raw = Packet::new(command::SEND_TO_ONE, connection(&one), b"\xff\xff\xff");
    raw.head[21] = 0x03;
    command(&mut php, raw.into_bytes()).await;
    command(&mut php, packet(command::SEND_TO_ALL, 0, b"", b"goes on")).await;
    assert_eq!(other.push().await, json!("goes on"));
    // The receiver fails to parse it.
    assert!(one.stream.next().await.unwrap().is_err());
    drop(one);
    command(&mut php, packet(command::SEND_TO_ALL, 0, b"", b"and on")).await;
    assert_eq!(other.push().await, json!("and on"));
    assert_eq!(server.errors(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_for_php_can_be_switched_off() {
    let server = Server::with(&["gateway.php=off"]);
    // No addresses for PHP are printed.
    assert_eq!((server.register.port(), server.inner.port()), (1, 1));
    server.visitor().open(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_advertised_address_may_differ_from_the_listen_address() {
    let opened = "127.9.8.7:29017";
    let settings = ["gateway.lan_addr=10.9.8.7:2900", &format!("gateway.lan_listen={opened}"), "gateway.secret_key=k"];
    let server = Server::with(&settings);
    let client = server.visitor().open(None).await;
    assert!(client.client_id.starts_with("0a0908070b54"), "{}", client.client_id);
    let mut register = Wire::to(server.register).await;
    register.send(&worker_line("k")).await;
    let list = br#"{"event":"broadcast_addresses","addresses":["10.9.8.7:2900"]}"#;
    assert_eq!(shown(register.until(b"\n").await.trim_ascii_end()), shown(list));
    let mut php = Wire::to(opened.parse().unwrap()).await;
    let hello = Packet::new(command::GATEWAY_CLIENT_CONNECT, 0, br#"{"secret_key":"k"}"#).into_bytes();
    command(&mut php, hello).await;
    assert_eq!(query(&mut php, packet(command::IS_ONLINE, connection(&client), b"", b"")).await, "i:1;");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_input_is_handled_as_gatewayworker_handles_it() {
    let server = Server::start();
    let (mut one, mut other) = (server.visitor().open(None).await, server.visitor().open(None).await);
    let (id, other_id) = (connection(&one), connection(&other));
    let mut php = Wire::to(server.inner.into()).await;
    // A client that is named twice receives the message twice.
    let ext = json!({"connections": [id, other_id, id]}).to_string();
    command(&mut php, packet(command::SEND_TO_ALL, 0, ext.as_bytes(), b"again")).await;
    for socket in [&mut one, &mut other] {
        assert_eq!(socket.push().await, json!("again"));
    }
    assert_eq!(one.push().await, json!("again"));
    // A repeated field occurs once, and empty arguments select no client.
    let mut select = async |ext: &str| query(&mut php, packet(command::SELECT, 0, ext.as_bytes(), b"")).await;
    assert_eq!(select("{}").await, "a:0:{}");
    let rows = format!("a:2:{{i:{id};a:1:{{s:3:\"uid\";N;}}i:{other_id};a:1:{{s:3:\"uid\";N;}}}}");
    assert_eq!(select(r#"{"fields":["uid","uid"],"where":[]}"#).await, rows);
    let fields: Vec<_> = (0..17).map(|number| format!("f{number}")).collect();
    let mut beyond = Wire::to(server.inner.into()).await;
    beyond.send(&packet(command::SELECT, 0, json!({"fields": fields}).to_string().as_bytes(), b"")).await;
    assert_eq!(beyond.rest_of("a question with too many fields").await, b"");
    // Messages sent before a destroy are delivered.
    let last = packet(command::SEND_TO_ONE, id, b"", b"last");
    command(&mut php, [last, packet(command::DESTROY, id, b"", b"")].concat()).await;
    assert_eq!((one.push().await, one.close_code().await), (json!("last"), 1006));
    // A malformed last message does not prevent the kick.
    let mut kick = Packet::new(command::KICK, other_id, b"garbage");
    kick.head[21] = 0;
    command(&mut php, kick.into_bytes()).await;
    assert_eq!(other.close_code().await, 1006);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_large_packet_times_out_and_releases_its_memory() {
    let server = Server::start();
    let head = |length: u32| {
        let mut head = Packet::new(command::SEND_TO_ALL, 0, b"").into_bytes();
        head[..4].copy_from_slice(&length.to_be_bytes());
        head
    };
    let (mut halfway, since) = (Vec::new(), Instant::now());
    for _ in 0..12 {
        halfway.push(Wire::to(server.inner.into()).await);
        halfway.last_mut().unwrap().send(&head(10_485_760)).await;
    }
    // The memory budget is used up.
    let mut beyond = Wire::to(server.inner.into()).await;
    beyond.send(&head(10_485_760)).await;
    assert_eq!(beyond.rest_of("a large packet too many").await, b"");
    halfway.pop();
    let mut php = Wire::to(server.inner.into()).await;
    command(&mut php, packet(command::SEND_TO_ALL, 0, b"", &vec![b'x'; 10_485_760 - 28])).await;
    // The incomplete packets time out.
    for mut wire in halfway {
        assert_eq!(wire.rest_of("half a large packet").await, b"");
    }
    assert!(since.elapsed() > Duration::from_secs(10), "{:?}", since.elapsed());
    command(&mut php, vec![]).await;
    is_counted(&server, &["large_packet_budget", "incomplete_packet"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_read_replies_blocks_no_other_connection() {
    let server = Server::start();
    let client = server.visitor().open(None).await;
    let (mut php, mut slow) = (Wire::to(server.inner.into()).await, Wire::to(server.inner.into()).await);
    command(&mut php, packet(command::SET_SESSION, connection(&client), &vec![b'x'; 1_000_000], b"")).await;
    // More than its socket and its send buffer hold.
    slow.send(&packet(command::GET_SESSION, connection(&client), b"", b"").repeat(40)).await;
    for _ in 0..50 {
        // Its further commands wait.
        slow.send(&packet(command::IS_ONLINE, 1, b"", b"")).await;
        command(&mut php, vec![]).await;
    }
    for _ in 0..40 {
        assert_eq!(query(&mut slow, vec![]).await.len(), 1_000_000);
    }
    for _ in 0..50 {
        assert_eq!(shown(&slow.take(OFFLINE.len()).await), shown(OFFLINE));
    }
}
