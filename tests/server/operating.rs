//! Operation of a running server: status, stop; limits of sockets and file descriptors; TLS.

use crate::gatewayworker;
use crate::support::{Server, binary, eventually};
use crate::vectors::{packet::command, peers::Wire};
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

pub const KEY: &str = "gateway.api_key=secret";

pub fn run(server: &Server, arguments: &[&str]) -> Output {
    server.command().args(arguments).output().unwrap()
}

pub async fn stdout_of(server: &Server, arguments: &[&str]) -> String {
    let output = run(server, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn status_and_connections_list_the_open_sockets() {
    let server = Server::start();
    let ming = server.guest("阿明").await;
    let socket = ming.open_bound(Some("roomcast.v1")).await;
    ming.send("hello").await;
    let status = stdout_of(&server, &["status"]).await;
    assert!(status.contains(&format!("pid {}", server.pid())) && status.contains("1 connections"), "{status}");
    let all = status.lines().find(|line| line.trim_start().starts_with("all ")).unwrap_or_else(|| panic!("{status}"));
    let all: Vec<_> = all.split_whitespace().collect();
    assert_eq!((all[1], all[2]), ("1", "1"), "{status}");
    // The unit of `queued` is a word of its own.
    assert!(all[7].parse::<u32>().unwrap() >= 1, "pushes: {status}");
    let connections = stdout_of(&server, &["connections"]).await;
    let line: Vec<_> = connections.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((line[0], line[2], line[3]), (socket.client_id.as_str(), "127.0.0.1", "v1"), "{connections}");
    assert_eq!(line[line.len() - 2..], [ming.uid.as_str(), "1"], "{connections}");
    let file = server.data.path().join("data/roomcast.sock");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);

    let nobody = binary().args(["--data-dir", "nowhere", "status"]).current_dir(server.data.path()).output().unwrap();
    assert!(!nobody.status.success());
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no roomcast is running on nowhere"));
}

/// Group names and uids are any bytes that a back end chose; they must not steer the terminal of an operator.
#[tokio::test]
async fn f27_the_output_of_a_command_has_no_foreign_control_characters() {
    let server = Server::start();
    let socket = server.visitor().open(None).await;
    let odd = "a\u{1b}[2J\u{9b}1m\u{202e}b\r\nc\u{7}".as_bytes();
    let mut php = Wire::to(server.inner.into()).await;
    for change in [command::JOIN_GROUP, command::BIND_UID] {
        gatewayworker::command(&mut php, gatewayworker::packet(change, gatewayworker::connection(&socket), odd, b"")).await;
    }
    for name in ["connections", "status"] {
        let output = stdout_of(&server, &[name]).await;
        let foreign = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!output.contains(foreign), "{output:?}");
    }
    let output = stdout_of(&server, &["connections"]).await;
    let escaped = r"a\u{1b}[2J\u{9b}1m\u{202e}b\r\nc\u{7}";
    assert_eq!((output.lines().count(), output.matches(escaped).count()), (2, 2), "{output}");
}

#[tokio::test]
async fn f28_idle_sockets_make_way_while_the_node_is_nearly_full() {
    let server = Server::with(&["gateway.max_connections=20", "gateway.shards=1", "limits.per_ip=off"]);
    let ming = server.guest("阿明").await;
    let mut bound = ming.open_bound(Some("roomcast.v1")).await;
    let mut idle = Vec::new();
    for _ in 0..19 {
        idle.push(server.visitor().open(None).await);
    }
    // The node is full; once the idle ones are older than the grace period, a visitor is let in.
    let mut socket = None;
    eventually("a socket is accepted", async || {
        socket = server.visitor().try_open(Some("roomcast.v1"), None).await.ok();
        socket.is_some()
    })
    .await;
    assert_eq!(idle[0].close_code().await, 4407, "the oldest makes way");
    assert_eq!(idle[1].close_code().await, 4407);
    assert_eq!(ming.send("hello").await.status, 200);
    assert_eq!(bound.push_of("message").await["text"], "hello");
    let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("roomcast_sockets_closed_by_us_total{code=\"4407\"}"), "{metrics}");
}

#[tokio::test]
async fn stop_drains_the_sockets_and_waits_for_the_exit() {
    let mut server = Server::start();
    let mut socket = server.guest("a").await.open_bound(Some("roomcast.v1")).await;
    let reading = tokio::spawn(async move {
        let bye = socket.push_of("bye").await;
        (bye, socket.close_code().await)
    });
    let mut stop = server.command();
    stop.arg("stop").stdout(Stdio::piped());
    let stopped = tokio::task::spawn_blocking(move || stop.output().unwrap()).await.unwrap();
    assert!(String::from_utf8_lossy(&stopped.stdout).contains("stopped"));
    let (bye, code) = reading.await.unwrap();
    assert!(bye["reconnect_after_ms"].as_u64().unwrap() >= 200);
    assert_eq!(code, 1001);
    assert!(server.exit_status().await.success());
    assert!(!server.data.path().join("data/roomcast.sock").exists(), "the socket file is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stop_shortens_a_graceful_shutdown() {
    let mut server = Server::with(&["limits.per_ip=off", "web.drain_slowly_ms=600000"]);
    let mut sockets = Vec::new();
    for _ in 0..250 {
        sockets.push(server.visitor().open(Some("roomcast.v1")).await);
    }
    let mut slowly = server.command();
    slowly.args(["stop", "-g"]).stdout(Stdio::piped());
    let slowly = tokio::task::spawn_blocking(move || slowly.output().unwrap());
    // The drain has started; its last batch would be minutes later.
    let byes = futures_util::future::select_all(sockets.iter_mut().map(|socket| Box::pin(socket.push_of("bye")))).await.2;
    server.signal(libc::SIGTERM);
    for bye in byes {
        bye.await;
    }
    assert!(server.exit_status().await.success());
    assert!(String::from_utf8_lossy(&slowly.await.unwrap().stdout).contains("stopped"));
}

#[tokio::test]
async fn push_sends_through_the_api() {
    let server = Server::with(&[KEY]);
    let mut socket = server.guest("a").await.open_bound(None).await;
    let push = |arguments: &[&str]| {
        let mut all = vec!["push", "--url", &server.base];
        all.extend(arguments);
        run(&server, &all)
    };
    let done = push(&["--key", "secret", "--group", "1", "news"]);
    assert_eq!(String::from_utf8_lossy(&done.stdout), "to 1, queued 0, slow 0\n", "{done:?}");
    assert_eq!(socket.push().await, "news");
    let wrong = push(&["--key", "wrong", "--all", "news"]);
    assert!(!wrong.status.success() && !wrong.stderr.is_empty());
    assert!(!push(&["news"]).status.success(), "a receiver is required");
}

#[tokio::test]
async fn without_file_descriptors_connections_get_503_until_some_are_free() {
    let server = Server::with_open_files(120, &["limits.per_ip=off"]);
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..160 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let request = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", server.address());
        let mut answer = vec![0; 512];
        stream.write_all(request.as_bytes()).await.unwrap();
        let count = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer)).await.unwrap().unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
        if answer.starts_with("HTTP/1.1 503") {
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["code"], "busy");
            refused += 1;
        } else {
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            held.push(stream);
        }
    }
    assert!(refused > 20, "{refused} of 160 were refused");
    drop(held);
    // The server notices each closed connection at its next read.
    let visitor = server.visitor();
    let is_healthy = async || matches!(visitor.request("GET", "/healthz").send().await, Ok(answer) if answer.status() == 200);
    eventually("/healthz answers 200", is_healthy).await;
    let mut socket = server.guest("a").await.open_bound(Some("roomcast.v1")).await;
    assert_eq!(socket.push_of("online").await["count"], 1);
}

#[tokio::test]
async fn sockets_are_limited_per_session_and_per_address() {
    let server = Server::with(&["gateway.max_per_session=2", "gateway.max_per_address=4"]);
    let (ming, hong) = (server.guest("a").await, server.guest("b").await);
    let mut open = vec![ming.open(None).await, ming.open(None).await];
    assert_eq!(ming.try_open(None, None).await.err(), Some(reqwest::StatusCode::TOO_MANY_REQUESTS));
    open.extend([hong.open(None).await, server.visitor().open(None).await]);
    assert_eq!(server.visitor().try_open(None, None).await.err(), Some(reqwest::StatusCode::TOO_MANY_REQUESTS));
    let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("roomcast_sockets_refused_total{limit=\"session\"} 1"), "{metrics}");
    assert!(metrics.contains("roomcast_sockets_refused_total{limit=\"address\"} 1"));
    open.clear();
    eventually("a socket is accepted", async || ming.try_open(None, None).await.is_ok()).await;
}

/// A TLS stream, if the server presents this certificate.
async fn encrypted(server: &Server, cert: &[u8]) -> Option<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(cert.to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(server.address()).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await.ok()
}

/// Sends a request and returns the whole response.
async fn https(server: &Server, cert: &[u8], request: &str) -> String {
    let mut stream = encrypted(server, cert).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn tls_serves_pages_and_sockets_and_reloads_its_certificate() {
    let folder = tempfile::TempDir::new().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let write = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    };
    let first = write();
    let server = Server::with(&[&format!("web.tls_cert={}", cert.display()), &format!("web.tls_key={}", key.display()), KEY]);
    assert!(server.base.starts_with("https://"));
    let stream = encrypted(&server, &first).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("ws://localhost/ws", stream).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().to_text().unwrap().contains("init"));
    // Larger than a TLS record and than the TLS buffer: it is queued and arrives complete.
    let body = json!({"message": "x".repeat(900_000)}).to_string();
    let request = format!(
        "POST /gateway/api/sendToAll HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer secret\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = https(&server, &first, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(socket.next().await.unwrap().unwrap().to_text().unwrap().len(), 900_000);
    socket.send(Message::Ping(b"hi".to_vec().into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong(b"hi".to_vec().into()));
    socket.close(None).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_close());
    let home = https(&server, &first, "POST /session/guest HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 10\r\n\r\nnickname=a").await;
    assert!(home.starts_with("HTTP/1.1 200") && home.contains("; Secure"), "{home}");
    assert!(home.contains("strict-transport-security: max-age=31536000\r\n"), "F25: {home}");

    // The next sweep loads the new certificate.
    let second = write();
    eventually("the new certificate is served", async || encrypted(&server, &second).await.is_some()).await;
}
