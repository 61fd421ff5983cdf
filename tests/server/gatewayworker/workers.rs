//! BusinessWorkers: the events that they receive, and the limits of clients' messages to them.

use super::{connected, connection, event, worker};
use crate::support::Server;
use crate::vectors::packet::command;
use crate::vectors::peers::Wire;
use futures_util::{SinkExt, StreamExt};
use std::pin::pin;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message as Frame;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_stays_with_its_worker_and_moves_when_the_worker_disconnects() {
    let server = Server::with(&["gateway.workers=on"]);
    let (mut one, mut two) = (worker(&server, "Biz:0").await, worker(&server, "Biz:1").await);
    let mut clients = Vec::new();
    for number in 0..4 {
        let client = server.visitor().open(None).await;
        connected(if number % 2 == 0 { &mut one } else { &mut two }, &client).await;
        clients.push(client);
    }
    for (client, at) in [(0, 0), (1, 1), (0, 0), (2, 0), (3, 1)] {
        clients[client].stream.send(Frame::text(format!("from {client}"))).await.unwrap();
        let received = event(if at == 0 { &mut one } else { &mut two }).await;
        assert_eq!(received, (command::ON_MESSAGE, connection(&clients[client]), format!("from {client}")));
    }
    // A worker of the same name replaces it, and receives the next messages of its clients.
    let mut again = worker(&server, "Biz:0").await;
    assert_eq!(one.rest_of("the worker that was replaced").await, b"");
    clients[0].stream.send(Frame::binary(vec![b'x'])).await.unwrap();
    assert_eq!(event(&mut again).await, (command::ON_MESSAGE, connection(&clients[0]), "x".into()));
    drop(again);
    // The client moves when the node has read the end of the stream. A message that was written before is lost.
    let moved = {
        let mut next = pin!(event(&mut two));
        loop {
            clients[0].stream.send(Frame::text("y")).await.unwrap();
            tokio::select! {
                moved = &mut next => break moved,
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
            other => break assert_eq!(other, (command::ON_CLOSE, id, String::new())),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_gateway_workers_the_messages_of_clients_are_dropped() {
    let server = Server::start();
    let mut biz = worker(&server, "Biz:0").await;
    let mut client = server.visitor().open(None).await;
    connected(&mut biz, &client).await;
    for _ in 0..3 {
        client.send(Frame::text("dropped")).await;
    }
    client.send(Frame::text("x".repeat(1025))).await;
    assert_eq!(client.close_code().await, 4408);
    // No message arrived before it.
    assert_eq!(event(&mut biz).await, (command::ON_CLOSE, connection(&client), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_clients_to_workers_are_limited() {
    let server =
        Server::with(&["gateway.workers=on", "gateway.worker_message_bytes=2000", "gateway.worker_messages_a_second=30"]);
    let mut biz = worker(&server, "Biz:0").await;
    let mut client = server.visitor().open(None).await;
    connected(&mut biz, &client).await;
    let long = "x".repeat(2000);
    client.send(Frame::text(long.clone())).await;
    assert_eq!(event(&mut biz).await, (command::ON_MESSAGE, connection(&client), long.clone()));
    client.send(Frame::text(long + "y")).await;
    assert_eq!(client.close_code().await, 4408);
    assert_eq!(event(&mut biz).await.0, command::ON_CLOSE);
    let mut talkative = server.visitor().open(None).await;
    connected(&mut biz, &talkative).await;
    // More messages than without workers.
    for _ in 0..25 {
        talkative.send(Frame::text("and")).await;
    }
    for _ in 0..25 {
        assert_eq!(event(&mut biz).await.0, command::ON_MESSAGE);
    }
    for _ in 0..60 {
        talkative.send(Frame::text("and")).await;
    }
    assert_eq!(talkative.close_code().await, 4408);
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_a_worker_receives_the_handshake_of_a_client_without_secrets() {
    let server = Server::with(&["web.trusted_proxies=127.0.0.1/32"]);
    let mut biz = worker(&server, "Biz:0").await;
    let mut client = Wire::to(server.address().parse().unwrap()).await;
    let request = "GET /ws?room=1&tags[]=a HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Forwarded-For: 2001:db8::5:6\r\n\
        Sec-WebSocket-Protocol: chat, roomcast.bearer.secret\r\nSec-WebSocket-Protocol: roomcast.bearer.secret\r\n\
        Cookie: sid=42; roomcast_session=secret; lang=zh; roomcast_visitor=secret\r\n\
        Cookie: __Host-roomcast_session=secret; __host-Roomcast_device=secret\r\n\r\n";
    client.send(request.as_bytes()).await;
    client.until(b"\"}").await;
    assert_eq!(event(&mut biz).await.0, command::ON_CONNECT);
    let (kind, _, handshake) = event(&mut biz).await;
    assert_eq!(kind, command::ON_WEBSOCKET_CONNECT);
    for part in [
        "s:3:\"get\";a:2:{s:4:\"room\";s:1:\"1\";s:4:\"tags\";a:1:{i:0;s:1:\"a\";}}",
        "s:11:\"SERVER_NAME\";s:12:\"chat.example\";",
        "s:11:\"REMOTE_ADDR\";s:13:\"2001:db8::5:6\";",
        "s:27:\"HTTP_SEC_WEBSOCKET_PROTOCOL\";s:4:\"chat\";",
        // Without Roomcast's own cookies.
        "s:6:\"cookie\";a:2:{s:3:\"sid\";s:2:\"42\";s:4:\"lang\";s:2:\"zh\";}",
    ] {
        assert!(handshake.contains(part), "{part} is not in {handshake}");
    }
    assert!(!handshake.contains("secret"), "{handshake}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_clients_stay_connected_and_their_messages_wait() {
    let server = Server::with(&["gateway.workers=on"]);
    let mut client = server.visitor().open(None).await;
    for number in 0..3 {
        client.send(Frame::text(format!("waits {number}"))).await;
    }
    client.send(Frame::Ping(Default::default())).await;
    while !matches!(client.stream.next().await.expect("it stays").unwrap(), Frame::Pong(_)) {}
    let mut biz = worker(&server, "Biz:0").await;
    client.send(Frame::text("delivered")).await;
    connected(&mut biz, &client).await;
    for expected in ["waits 0", "waits 1", "waits 2", "delivered"] {
        assert_eq!(event(&mut biz).await, (command::ON_MESSAGE, connection(&client), expected.into()));
    }
}
