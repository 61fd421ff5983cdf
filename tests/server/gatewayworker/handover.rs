//! PHP's door while the node is handed over to another process, and while it stops.

use super::{came, command, connection, event, packet, query, worker};
use crate::support::{Server, binary};
use crate::vectors::packet::shown;
use crate::vectors::peers::Wire;
use crate::vectors::register::worker_line;
use futures_util::StreamExt;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message as Frame;

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
    deaf.send(&packet(command::SET_SESSION, connection(&clients[0]), &vec![b'x'; 1_000_000], b"")).await;
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

/// GatewayClient asks Register before most of its calls; who has come in is answered, however slowly it asks.
#[tokio::test(flavor = "multi_thread")]
async fn register_answers_whoever_came_before_it_was_handed_over() {
    let server = Server::start();
    let (register, is_over) = (server.register, Arc::new(AtomicBool::new(false)));
    let asking = (0..20).map(|_| {
        let is_over = is_over.clone();
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let mut wire = Wire::to(register).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                wire.send(&worker_line("")).await;
                let told = wire.until(b"\n").await;
                assert!(told.ends_with(b"]}\n"), "{}", shown(&told));
            }
        })
    });
    let asking: Vec<_> = asking.collect();
    let data = server.data.path().join("data");
    let reload = tokio::task::spawn_blocking(move || binary().arg("--data-dir").arg(data).arg("reload").output().unwrap());
    assert!(reload.await.unwrap().status.success());
    is_over.store(true, Ordering::Relaxed);
    for asking in asking {
        asking.await.unwrap();
    }
}
