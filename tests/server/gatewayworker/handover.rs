//! The ports for PHP during a reload, which hands the node over to another process, and during a stop.

use super::{command, connected, connection, event, packet, query, worker};
use crate::support::Server;
use crate::vectors::packet::shown;
use crate::vectors::peers::Wire;
use crate::vectors::register::worker_line;
use futures_util::StreamExt;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message as Frame;

/// PHP continues to call during the reload.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_the_addresses_for_php() {
    let server = Server::with(&["web.drain_slowly_ms=1000"]);
    let mut kept = Wire::to(server.inner.into()).await;
    let mut registered = Wire::to(server.register).await;
    registered.send(b"{\"event\":\"worker_connect\",\"secret_key\":\"\"}\n").await;
    let list = registered.until(b"\n").await;
    command(&mut kept, vec![]).await;
    let before = server.pid();
    let mut reload = server.command();
    let reload = tokio::task::spawn_blocking(move || reload.arg("reload").output().unwrap());
    // Both connections close, and reconnect to the new process at the old addresses.
    assert_eq!((kept.rest_of("a kept connection").await, registered.rest_of("a worker at Register").await), (vec![], vec![]));
    let mut kept = Wire::to(server.inner.into()).await;
    let mut registered = Wire::to(server.register).await;
    registered.send(b"{\"event\":\"worker_connect\",\"secret_key\":\"\"}\n").await;
    assert_eq!(shown(&registered.until(b"\n").await), shown(&list));
    command(&mut kept, vec![]).await;
    let output = reload.await.unwrap();
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stdout).contains(&before.to_string()), "{output:?}");
    let client = server.visitor().open(None).await;
    assert_eq!(query(&mut kept, packet(command::IS_ONLINE, connection(&client), b"", b"")).await, "i:1;");
}

/// Clients of the old process receive all messages of PHP during the reload, whichever process accepts the call.
#[tokio::test(flavor = "multi_thread")]
async fn no_message_of_php_is_lost_in_a_reload() {
    let server = Server::with(&["limits.per_ip=off", "web.drain_slowly_ms=20000"]);
    let mut sockets = Vec::new();
    // More clients than one drain step disconnects.
    for _ in 0..300 {
        sockets.push(server.visitor().open(None).await);
    }
    let inner = server.inner;
    let (pushed, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (pushing, done) = (pushed.clone(), is_over.clone());
    let pusher = tokio::spawn(async move {
        while !done.load(Ordering::Relaxed) {
            let number = pushing.fetch_add(1, Ordering::Relaxed);
            let mut php = Wire::to(inner.into()).await;
            php.send(&packet(command::SEND_TO_ALL, 0, b"", number.to_string().as_bytes())).await;
            php.half_close().await;
            assert_eq!(php.rest_of("a push").await, b"");
        }
    });
    let mut reload = server.command();
    let reload = tokio::task::spawn_blocking(move || reload.arg("reload").output().unwrap());
    assert!(reload.await.unwrap().status.success());
    let before = pushed.load(Ordering::Relaxed);
    let mut longest = 0;
    for socket in &mut sockets {
        let mut received = Vec::new();
        while let Some(Ok(frame)) = socket.stream.next().await {
            match frame {
                Frame::Text(text) => received.push(text.parse::<usize>().unwrap()),
                Frame::Close(_) => break,
                _ => {}
            }
        }
        received.sort();
        assert!(received.iter().enumerate().all(|(at, number)| at == *number), "{received:?}");
        longest = longest.max(received.len());
    }
    assert!(longest > before, "no client received a message that was sent to the new process: {longest} of {before}");
    is_over.store(true, Ordering::Relaxed);
    pusher.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_receives_the_disconnect_of_every_client_that_a_stop_drains() {
    let mut server = Server::with(&["limits.per_ip=off", "gateway.max_per_address=1000"]);
    let mut biz = worker(&server, "Biz:0").await;
    let mut clients = Vec::new();
    let mut here = BTreeSet::new();
    for _ in 0..200 {
        let client = server.visitor().open(None).await;
        connected(&mut biz, &client).await;
        here.insert(connection(&client));
        clients.push(client);
    }
    // A peer that does not read its replies does not delay the stop.
    let mut slow = Wire::to(server.inner.into()).await;
    slow.send(&packet(command::SET_SESSION, connection(&clients[0]), &vec![b'x'; 1_000_000], b"")).await;
    slow.send(&packet(command::ALL_SESSIONS, 0, b"", b"").repeat(20)).await;
    slow.half_close().await;
    server.signal(libc::SIGTERM);
    let reading = tokio::spawn(async move {
        for client in &mut clients {
            client.close_code().await;
        }
    });
    while !here.is_empty() {
        let left = event(&mut biz).await;
        assert!(left.0 == command::ON_CLOSE && here.remove(&left.1), "{left:?}, {} are left", here.len());
    }
    assert_eq!(biz.rest_of("the worker").await, b"");
    reading.await.unwrap();
    assert!(server.exit_status().await.success());
}

/// GatewayClient queries Register before most calls. Every accepted connection gets a reply, also if it sends its request late.
#[tokio::test(flavor = "multi_thread")]
async fn register_answers_connections_that_it_accepted_before_a_reload() {
    let server = Server::start();
    let (register, is_over) = (server.register, Arc::new(AtomicBool::new(false)));
    let clients = (0..20).map(|_| {
        let is_over = is_over.clone();
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let mut wire = Wire::to(register).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                wire.send(&worker_line("")).await;
                let list = wire.until(b"\n").await;
                assert!(list.ends_with(b"]}\n"), "{}", shown(&list));
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut reload = server.command();
    let reload = tokio::task::spawn_blocking(move || reload.arg("reload").output().unwrap());
    assert!(reload.await.unwrap().status.success());
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
}
