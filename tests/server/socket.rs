//! The WebSocket at `/ws`: frames from clients are checked against RFC 6455, and one client cannot disturb another.

use crate::support::{Server, eventually};
use std::collections::HashSet;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;

/// Completes a handshake without a WebSocket library, so that a test can send any bytes afterwards.
async fn raw(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.address()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    assert_eq!(stream.read_u8().await.unwrap(), 0x81);
    let length = stream.read_u8().await.unwrap();
    let mut init = vec![0; length as usize];
    stream.read_exact(&mut init).await.unwrap();
    assert!(init.starts_with(br#"{"type":"init","client_id":""#));
    stream
}

/// A client frame. Its mask is zero, so the payload is sent unchanged.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// Sends bytes, and expects a close frame with that code and then the end of the stream.
async fn check(server: &Server, case: &str, bytes: &[u8], expected: u16) {
    let mut stream = raw(server).await;
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect(case).unwrap();
    assert_eq!(answer.first(), Some(&0x88), "{case}: {answer:?}");
    assert_eq!(u16::from_be_bytes([answer[2], answer[3]]), expected, "{case}");
}

#[tokio::test]
async fn invalid_client_frames_close_the_socket_with_the_right_code() {
    let server = Server::start();
    let person = server.guest("阿明").await;
    let mut witness = person.open_bound(None).await;
    check(&server, "unmasked", b"\x81\x02hi", 1002).await;
    check(&server, "reserved bit", &frame(0xc1, b"x"), 1002).await;
    check(&server, "reserved opcode", &frame(0x83, b"x"), 1002).await;
    check(&server, "continuation of nothing", &frame(0x80, b"x"), 1002).await;
    check(&server, "fragmented ping", &frame(0x09, b"x"), 1002).await;
    check(&server, "not UTF-8", &frame(0x81, b"\xc3\x28"), 1007).await;
    check(&server, "not UTF-8 in parts", &[frame(0x01, b"\xc3"), frame(0x80, b"\x28")].concat(), 1007).await;
    check(&server, "oversized", &frame(0x81, &[b'x'; 1025]), 4408).await;
    check(&server, "a gigabyte announced", b"\x82\xff\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00", 4408).await;
    check(&server, "too many", &frame(0x81, b"x").repeat(11), 4408).await;
    check(&server, "a close frame is echoed", &frame(0x88, b"\x0f\xa0bye"), 4000).await;
    check(&server, "an impossible close code", &frame(0x88, b"\x03\xed"), 1002).await;

    person.send("still here").await;
    assert_eq!(witness.push().await["text"], "still here");
    assert!(server.errors().is_empty());
}

#[tokio::test]
async fn fragments_and_interleaved_pings_are_accepted() {
    let server = Server::start();
    let mut stream = raw(&server).await;
    let bytes = [frame(0x01, "né".as_bytes()), frame(0x89, b"are you there"), frame(0x80, b"!"), frame(0x82, b"\xff")].concat();
    // Byte by byte, so that frames arrive in parts.
    for byte in bytes {
        stream.write_all(&[byte]).await.unwrap();
    }
    let mut pong = [0; 15];
    stream.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\x8a\x0dare you there");
}

#[tokio::test]
async fn client_ids_hold_the_inner_address_and_a_random_part() {
    let server = Server::with(&["gateway.lan_addr=127.9.8.7:2901"]);
    let person = server.guest("阿明").await;
    let mut connections = HashSet::new();
    let mut sockets = Vec::new();
    for _ in 0..30 {
        let socket = person.open(None).await;
        assert_eq!((socket.client_id.len(), &socket.client_id[..12]), (20, "7f0908070b55"));
        connections.insert(u32::from_str_radix(&socket.client_id[12..], 16).unwrap());
        sockets.push(socket);
    }
    assert_eq!(connections.len(), 30);
    let (smallest, largest) = (connections.iter().min().unwrap(), connections.iter().max().unwrap());
    assert!(largest - smallest > 1_000_000, "random, not sequential");
}

#[tokio::test]
async fn the_subprotocol_is_selected_only_if_offered() {
    let server = Server::start();
    let person = server.guest("阿明").await;
    let mut chosen = person.open(Some("other, roomcast.v1")).await;
    chosen.send(Frame::Text("ignored".into())).await;
    let mut plain = person.open(Some("roomcast.v1")).await;
    assert_eq!(person.bind(&plain, &[]).await.status, 200);
    assert_eq!(plain.push_of("online").await["count"], 1);
    let not_a_socket = person.get("/ws").await;
    assert_eq!(not_a_socket.status(), 426);
}

#[tokio::test]
async fn sign_out_closes_the_sockets_of_the_session() {
    let server = Server::start();
    let person = server.guest("阿明").await;
    let mut socket = person.open_bound(None).await;
    let mut others = server.guest("other").await.open_bound(Some("roomcast.v1")).await;
    // Both are counted before one leaves: a count that does not change is not pushed.
    while others.push_of("online").await["count"] != 2 {}
    assert_eq!(person.post("/session/logout", &[]).await.status, 200);
    assert_eq!(socket.close_code().await, 4501);
    assert_eq!(others.push_of("online").await["count"], 1);
    assert_eq!(person.send("x").await.status, 401);
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_then_closed() {
    let server = Server::with(&["gateway.ping_every_ms=200", "gateway.pong_within_ms=200"]);
    let mut stream = raw(&server).await;
    let mut ping = [0; 2];
    stream.read_exact(&mut ping).await.unwrap();
    assert_eq!(&ping, b"\x89\x00");
    stream.write_all(&frame(0x8a, b"")).await.unwrap();
    stream.read_exact(&mut ping).await.unwrap();
    assert_eq!(&ping, b"\x89\x00", "the connection stays open after a pong");
    let mut rest = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(u16::from_be_bytes([rest[2], rest[3]]), 4410);
}

#[tokio::test]
async fn slow_reader_skips_frames_and_gets_one_gap() {
    let server = Server::with(&[
        "chat.cooldown_ms=0",
        "gateway.queue_bytes=20000",
        "limits.request_burst=100000",
        "limits.request_a_minute=1000000",
    ]);
    let (slow, quick) = (server.guest("slow").await, server.guest("quick").await);
    // A small receive window, so that the kernel buffers little for a reader that does not read.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let stream = socket.connect(server.address().parse().unwrap()).await.unwrap();
    let mut request =
        tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(format!("ws://{}/ws", server.address()))
            .unwrap();
    request.headers_mut().insert("cookie", slow.cookie().unwrap().parse().unwrap());
    request.headers_mut().insert("sec-websocket-protocol", "roomcast.v1".parse().unwrap());
    let (stream, _) = tokio_tungstenite::client_async(request, tokio_tungstenite::MaybeTlsStream::Plain(stream)).await.unwrap();
    let mut stuck = crate::support::Socket { stream, client_id: String::new() };
    stuck.client_id = stuck.push().await["client_id"].as_str().unwrap().to_owned();
    assert_eq!(slow.bind(&stuck, &[]).await.status, 200);
    let mut reader = quick.open_bound(Some("roomcast.v1")).await;

    let text = "👨‍👩‍👧‍👦".repeat(140);
    let mut sent = 0;
    // The size of the kernel's buffers is unknown: send until the gateway reports skipped frames.
    loop {
        assert_eq!(quick.send(&text).await.status, 200);
        sent += 1;
        assert_eq!(reader.push_of("message").await["seq"], sent, "the fast reader gets every message without delay");
        let figures = quick.request("GET", "/metrics").send().await.unwrap().text().await.unwrap();
        let skipped = figures
            .lines()
            .find_map(|line| line.strip_prefix("roomcast_pushes_skipped_total "))
            .map_or(0, |count| count.parse().unwrap());
        if skipped >= 3 {
            break;
        }
        assert!(sent < 5000, "no frame was skipped");
    }
    let mut expected = 1;
    let gap = loop {
        let push = stuck.push().await;
        match push["type"].as_str().unwrap() {
            "message" => {
                assert_eq!(push["seq"], expected);
                expected += 1;
            }
            "gap" => break push,
            _ => {}
        }
    };
    assert_eq!((gap["from"].as_u64(), gap["to"].as_u64()), (Some(expected), Some(sent)), "{gap}");
    assert_eq!(quick.send("after").await.status, 200);
    assert_eq!(stuck.push_of("message").await["seq"], sent + 1);
}

#[tokio::test]
async fn connections_above_the_limit_are_refused() {
    let server = Server::with(&["gateway.max_connections=2"]);
    let person = server.guest("阿明").await;
    let first = person.open(None).await;
    let _second = person.open(None).await;
    assert_eq!(person.try_open(None, None).await.err(), Some(503.try_into().unwrap()));
    drop(first);
    eventually("the released permit is used", async || person.try_open(None, None).await.is_ok()).await;
}
