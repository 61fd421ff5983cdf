//! Shutdown: `bye` to every socket, requests in flight finished, exit status 0, within the deadline. Health, metrics, log.

use crate::support::Server;
use std::time::{Duration, Instant};

#[tokio::test]
async fn f24_every_signal_sends_bye_with_jitter_and_exits_with_0() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        let mut server = Server::start();
        let person = server.guest("阿明").await;
        let mut plain = person.open_bound(None).await;
        let mut v1 = Vec::new();
        for _ in 0..8 {
            v1.push(person.open_bound(Some("roomcast.v1")).await);
        }
        let began = Instant::now();
        server.signal(signal);
        let mut waits = Vec::new();
        for socket in &mut v1 {
            waits.push(socket.push_of("bye").await["reconnect_after_ms"].as_u64().unwrap());
            assert_eq!(socket.close_code().await, 1001);
        }
        waits.sort();
        waits.dedup();
        assert!(waits.len() > 4, "the delays differ: {waits:?}");
        assert_eq!(plain.close_code().await, 1001, "a plain socket gets no bye and is closed too");
        drop((plain, v1));
        assert!(server.exit_status().await.success());
        assert!(began.elapsed() < Duration::from_secs(8));
        assert!(!server.data.path().join("data/roomcast.db-wal").exists(), "the log is in the database, and both are closed");
        assert!(server.errors().is_empty());
    }
}

/// nohup, and a shell's background job, start a process with signals ignored.
#[tokio::test]
async fn f24_a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let mut server = Server::with_ignored(&[libc::SIGHUP, libc::SIGQUIT]);
    let mut socket = server.guest("阿明").await.open_bound(Some("roomcast.v1")).await;
    server.signal(libc::SIGHUP);
    server.signal(libc::SIGQUIT);
    assert_eq!(server.guest("hong").await.send("still here").await.status, 200);
    assert_eq!(socket.push_of("message").await["text"], "still here");
    server.signal(libc::SIGTERM);
    assert_eq!(socket.push_of("bye").await["type"], "bye");
    assert!(server.exit_status().await.success());
}

#[tokio::test]
async fn unresponsive_sockets_do_not_delay_the_shutdown() {
    let mut server = Server::with(&["web.drain_within_ms=500"]);
    let person = server.guest("阿明").await;
    // Open, and never read.
    let _deaf = person.open_bound(Some("roomcast.v1")).await;
    server.signal(libc::SIGTERM);
    assert!(server.exit_status().await.success());
}

#[tokio::test]
async fn health_metrics_and_log_report_requests() {
    let server = Server::start();
    let person = server.guest("阿明").await;
    assert_eq!(person.get("/healthz").await.status(), 200);
    assert_eq!(person.get("/readyz").await.status(), 200);
    let _socket = person.open_bound(None).await;
    person.send("one").await;
    person.send("two").await;
    person.post("/gateway/history", &[("room", "1"), ("before", "9")]).await;
    let metrics = person.get("/metrics").await.text().await.unwrap();
    for line in [
        "roomcast_connections 1",
        "roomcast_sends_total{outcome=\"accepted\"} 1",
        "roomcast_sends_total{outcome=\"too_fast\"} 1",
        "roomcast_commit_messages_count 1",
        "roomcast_commit_seconds_count 1",
        "roomcast_history_reads_total 1",
        "roomcast_pushes_total 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.contains("roomcast_push_bytes_total"));
    let log = server.log();
    assert_eq!(log.lines().filter(|line| line.contains("\"path\":\"/gateway/send\"")).count(), 2, "one line a request");
    assert!(log.contains("\"code\":\"too_fast\""));
    let token = person.cookie().unwrap().split('=').nth(1).unwrap().to_owned();
    assert!(!log.contains(&token) && !log.contains("阿明"), "no secret and no text of a person in the log");
}

#[tokio::test]
async fn metrics_are_readable_from_metrics_from_only() {
    let server = Server::with(&["web.metrics_from=10.0.0.0/8", "web.trusted_proxies=127.0.0.0/8"]);
    let visitor = server.visitor();
    assert_eq!(visitor.get("/metrics").await.status(), 403);
    let proxied = Server::start();
    let forwarded = proxied.visitor().request("GET", "/metrics").header("x-forwarded-for", "203.0.113.5").send();
    assert_eq!(forwarded.await.unwrap().status(), 403, "the address behind an untrusted proxy is unknown");
    let from = |address: &'static str| visitor.request("GET", "/metrics").header("x-forwarded-for", address).send();
    assert_eq!(from("10.1.1.1").await.unwrap().status(), 200);
    assert_eq!(from("10.1.1.1, 203.0.113.5").await.unwrap().status(), 403);
}
