//! A reload: no connection is refused, no message is lost, and the old process changes nothing after the hand-over.

use crate::operating::{KEY, run, stdout_of};
use crate::support::{Server, eventually};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Clients connect and send throughout two reloads: no connection is refused, no accepted message is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_refuses_no_connection_and_loses_no_message() {
    let mut server = Server::with(&["chat.cooldown_ms=0", "limits.per_ip=off", "web.drain_slowly_ms=2000"]);
    let mut first = server.guest("first").await.open_bound(Some("roomcast.v1")).await;
    let before = server.pid();
    let stop = Arc::new(AtomicBool::new(false));
    let mut talkers = Vec::new();
    for number in 0..4 {
        let (ming, stop) = (server.guest(&format!("p{number}")).await, stop.clone());
        talkers.push(tokio::spawn(async move {
            let (mut accepted, mut cut, mut sent) = (Vec::new(), 0, 0);
            while !stop.load(Ordering::Relaxed) {
                // A new connection per request, and a nonce: a request whose connection breaks is repeated.
                let text = format!("p{number} {sent}");
                sent += 1;
                loop {
                    match ming.try_send(&text, &text).await {
                        Some(answer) if answer.status == 200 => {
                            accepted.push((answer.body["seq"].as_u64().unwrap(), text));
                            break;
                        }
                        Some(answer) => panic!("{} {}", answer.status, answer.body),
                        None => cut += 1,
                    }
                }
            }
            (accepted, cut)
        }));
    }
    let mut pids = vec![before];
    for _ in 0..2 {
        let reloaded = stdout_of(&server, &["reload"]).await;
        let pid: u32 = reloaded.split_whitespace().next().unwrap().parse().unwrap();
        assert!(!pids.contains(&pid), "{reloaded}");
        pids.push(pid);
    }
    stop.store(true, Ordering::Relaxed);
    assert_eq!(first.push_of("bye").await["type"], "bye");
    let mut accepted = Vec::new();
    for talker in talkers {
        let (sent, cut) = talker.await.unwrap();
        assert!(!sent.is_empty() && cut == 0, "{cut} connections broke");
        accepted.extend(sent);
    }
    let reader = server.guest("reader").await;
    let mut stored = Vec::new();
    let mut after = u64::MAX / 2;
    loop {
        let page = reader.post("/gateway/history", &[("room", "1"), ("before", &after.to_string()), ("limit", "100")]).await;
        let page = page.body["messages"].as_array().unwrap().clone();
        let Some(oldest) = page.first() else { break };
        after = oldest["seq"].as_u64().unwrap();
        stored.extend(page.iter().map(|m| (m["seq"].as_u64().unwrap(), m["text"].as_str().unwrap().to_owned())));
    }
    stored.sort();
    accepted.sort();
    assert_eq!(stored, accepted);
    assert!(stdout_of(&server, &["stop"]).await.contains("stopped"));
    assert!(server.exit_status().await.success());
}

/// Until they are drained, sockets of the old process receive the messages and pushes of the new one.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_reload_sockets_of_the_old_process_receive_every_publish() {
    let server = Server::with(&[KEY, "limits.per_ip=off", "web.drain_slowly_ms=40000"]);
    let mut sockets = Vec::new();
    // More than one batch of the drain.
    for _ in 0..300 {
        sockets.push(server.visitor().open(Some("roomcast.v1")).await);
    }
    let mut ming = server.guest("阿明").await.open_bound(Some("roomcast.v1")).await;
    stdout_of(&server, &["reload"]).await;
    let hong = server.guest("hong").await;
    let (pushed, answer) = tokio::join!(
        server.visitor().request("POST", "/gateway/api/sendToAll").bearer_auth("secret").json(&json!({"message": "news"})).send(),
        hong.send("anyone there?")
    );
    assert_eq!((pushed.unwrap().status().as_u16(), answer.status.as_u16()), (200, 200));
    let mut received = 0;
    for socket in &mut sockets {
        loop {
            match socket.push().await {
                push if push["data"] == "news" => received += 1,
                push if push["type"] == "bye" => break,
                _ => {}
            }
        }
    }
    assert!(received > 100, "{received} of 300 received it before their bye");
    // This socket connected last and is drained last.
    assert_eq!(ming.push_of("message").await["text"], "anyone there?");
    assert_eq!(ming.push_of("bye").await["type"], "bye");
}

/// A request whose body arrives after the hand-over changes nothing: it would be stored by the old process, and not be pushed to
/// the pages of the new one.
#[tokio::test(flavor = "multi_thread")]
async fn f11_a_request_that_outlives_a_reload_is_not_stored() {
    let server = Server::with(&[KEY, "limits.per_ip=off", "chat.cooldown_ms=0", "web.drain_slowly_ms=40000"]);
    let ming = server.guest("阿明").await;
    let mut old_page = ming.open_bound(Some("roomcast.v1")).await;
    let mut late = Vec::new();
    for (path, head, body) in [
        ("/gateway/send", format!("cookie: {}", ming.cookie().unwrap()), "room=1&message=late".to_owned()),
        ("/gateway/api/sendToAll", "authorization: Bearer secret".to_owned(), json!({"message": "late"}).to_string()),
    ] {
        let kind = if path.contains("api") { "application/json" } else { "application/x-www-form-urlencoded" };
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let (host, length) = (server.address(), body.len());
        let request =
            format!("POST {path} HTTP/1.1\r\nhost: {host}\r\n{head}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(&body.as_bytes()[..5]).await.unwrap();
        late.push((stream, body));
    }
    // Both requests wait for their bodies.
    eventually("a page is answered", async || server.visitor().get("/healthz").await.status() == 200).await;
    stdout_of(&server, &["reload"]).await;
    let mut new_page = ming.open_bound(Some("roomcast.v1")).await;
    for (mut stream, body) in late {
        let _ = stream.write_all(&body.as_bytes()[5..]).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.expect("it is answered");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"busy\""), "{answer}");
    }
    let sent = ming.send("after").await;
    assert_eq!((sent.status.as_u16(), &sent.body["seq"]), (200, &json!(1)), "the late one was not stored: {}", sent.body);
    assert_eq!(new_page.push_of("message").await["text"], "after");
    loop {
        match old_page.push().await {
            push if push["type"] == "bye" => break,
            push => assert!(push["text"] != "late" && push["data"] != "late", "{push}"),
        }
    }
}

#[tokio::test]
async fn after_a_failed_reload_the_old_process_keeps_serving() {
    let server = Server::start();
    // The successor's configuration file has an unknown key.
    std::fs::write(server.data.path().join("Leptos.toml"), "[chat]\nnonsense = 1\n").unwrap();
    let output = run(&server, &["--config", "/dev/null", "reload"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("this process keeps serving"), "{output:?}");
    std::fs::remove_file(server.data.path().join("Leptos.toml")).unwrap();
    assert_eq!(server.guest("a").await.send("still here").await.status, 200);
    assert!(String::from_utf8_lossy(&run(&server, &["status"]).stdout).contains(&format!("pid {}", server.pid())));
}
