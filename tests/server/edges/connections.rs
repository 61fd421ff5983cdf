//! HTTP connections: idle ones keep nobody out, and behind a proxy the client has the share.

use super::{connect_from, request};
use crate::support::{DEADLINE, Server, eventually};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn f2_idle_connections_keep_no_health_check_out() {
    let server = Server::with(&["web.max_http_connections=200"]);
    let mut idle = Vec::new();
    for number in 0..600 {
        if let Ok(mut stream) = connect_from("127.0.5.1", server.address()).await {
            // Half of them silent, the others with the beginning of a request.
            if number % 2 == 0 {
                let _ = stream.write_all(b"GET / HTTP/1.1\r\n").await;
            }
            idle.push(stream);
        }
    }
    for address in ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.1"] {
        let mut stream = connect_from(address, server.address()).await.unwrap();
        let head = request(&mut stream, "GET /healthz", "").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{address}: {head}");
    }
    // The last of them may still wait to be accepted.
    crate::support::eventually("400 idle connections are closed", async || {
        let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
        let closed = metrics.lines().find_map(|line| line.strip_prefix("roomcast_http_idle_closed_total "));
        closed.is_some_and(|closed| closed.parse::<u32>().unwrap() >= 400)
    })
    .await;
    assert!(server.errors().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_a_thousand_beginnings_of_requests_refuse_nobody() {
    let _ = rlimit::increase_nofile_limit(16_384);
    let server = Server::with(&["web.max_http_connections=200", "web.read_within_ms=600000"]);
    let mut begun = Vec::new();
    for number in 0..1_000 {
        let mut stream = connect_from("127.0.5.1", server.address()).await.unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: chat.example\r\nx-a: ").await;
        begun.push(stream);
        if number % 250 == 249 {
            let mut stream = connect_from("127.0.0.1", server.address()).await.unwrap();
            assert!(request(&mut stream, "GET /healthz", "").await.starts_with("HTTP/1.1 200"), "{number}");
        }
    }
    let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
    let refused: Vec<_> = metrics.lines().filter(|line| line.starts_with("roomcast_connections_refused_total{")).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn f2_a_handshake_of_http_1_0_gets_426() {
    let server = Server::start();
    for (version, status) in [("1.0", "426"), ("1.1", "101")] {
        let mut stream = connect_from("127.0.0.1", server.address()).await.unwrap();
        let head = format!(
            "GET /ws HTTP/{version}\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            server.address()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&answer[9..]), status, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_idle_connections_give_their_file_descriptors_to_health_checks() {
    let server = Server::with_open_files(120, &["web.read_within_ms=600000"]);
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(connect_from("127.0.5.1", server.address()).await.unwrap());
    }
    let visitor = server.visitor();
    let is_healthy = async || matches!(visitor.request("GET", "/healthz").send().await, Ok(answer) if answer.status() == 200);
    eventually("/healthz answers 200 beside them", is_healthy).await;
    drop(idle);
}

#[tokio::test]
async fn f2_a_kept_connection_serves_request_after_request_under_pressure() {
    let server = Server::with(&["web.max_http_connections=40"]);
    let mut kept = connect_from("127.0.0.1", server.address()).await.unwrap();
    for _ in 0..30 {
        for _ in 0..20 {
            drop(connect_from("127.0.5.1", server.address()).await);
        }
        // The newest idle connection is the last to lose its place.
        let head = request(&mut kept, "GET /pkg/nothing.js", "").await;
        if !head.starts_with("HTTP/1.1 404") {
            kept = connect_from("127.0.0.1", server.address()).await.unwrap();
            assert!(request(&mut kept, "GET /pkg/nothing.js", "").await.starts_with("HTTP/1.1 404"));
        }
        let mut body = [0; 9];
        kept.read_exact(&mut body).await.unwrap();
    }
}

/// Begins a request whose body does not come.
async fn held(server: &Server, client: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST /gateway/send HTTP/1.1\r\nhost: chat.example\r\nx-forwarded-for: {client}\r\ncontent-length: 9\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn status(server: &Server, path: &str, client: &str) -> u16 {
    let answer = server.visitor().request("GET", path).header("x-forwarded-for", client).send().await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn f2_behind_a_proxy_the_client_has_the_share_and_health_checks_have_none() {
    let server = Server::with(&["web.trusted_proxies=127.0.0.1", "web.max_http_per_address=2"]);
    let requests = [held(&server, "203.0.113.9").await, held(&server, "203.0.113.9:4711").await];
    eventually("the client is at its share", async || status(&server, "/", "203.0.113.9").await == 429).await;
    assert_eq!(status(&server, "/", "203.0.113.10").await, 200);
    assert_eq!(status(&server, "/healthz", "203.0.113.9").await, 200);
    drop(requests);
    eventually("the share is free again", async || status(&server, "/", "203.0.113.9").await == 200).await;
}

/// nginx in front of a server, with the block of docs/operate.md.
struct Nginx {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Nginx {
    async fn start(server: &Server) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (here, address) = (folder.path().display(), format!("127.0.0.1:{port}"));
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {here}/{kind};\n"));
        let text = format!(
            "daemon off;\nmaster_process off;\npid {here}/pid;\nerror_log {here}/error.log;\nworker_rlimit_nofile 10000;\n\
             events {{ worker_connections 8000; }}\nhttp {{\naccess_log off;\nkeepalive_timeout 300s;\n{}\
             upstream chat {{ server {}; keepalive 64; }}\n\
             server {{ listen {address}; location / {{ proxy_pass http://chat; proxy_http_version 1.1; proxy_set_header Host $host;\n\
             proxy_set_header Connection ''; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}\n",
            temporary.concat(),
            server.address()
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, text).unwrap();
        let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let mut command = Command::new(program);
        command.args(["-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(&file).stderr(Stdio::null());
        let nginx = Self { child: command.spawn().unwrap(), address, _folder: folder };
        eventually("nginx listens", async || TcpStream::connect(&nginx.address).await.is_ok()).await;
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_two_thousand_kept_connections_of_nginx_are_served() {
    if !crate::docs::is_installed("/usr/sbin/nginx", "nginx-light") {
        return;
    }
    let _ = rlimit::increase_nofile_limit(16_384);
    let server = Server::with(&["web.trusted_proxies=127.0.0.1", "web.max_http_per_address=50", "web.max_http_connections=4000"]);
    let nginx = Nginx::start(&server).await;
    let mut kept = Vec::new();
    for _ in 0..2_000 {
        let mut stream = TcpStream::connect(&nginx.address).await.unwrap();
        let head = request(&mut stream, "HEAD /healthz", "").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        kept.push(stream);
    }
    // At once on all of them.
    let again = kept.into_iter().map(|mut stream| {
        tokio::spawn(async move {
            let head = tokio::time::timeout(DEADLINE * 2, request(&mut stream, "HEAD /healthz", "")).await;
            (head.unwrap_or_default(), stream)
        })
    });
    let answers = futures_util::future::join_all(again).await;
    let served = answers.iter().filter(|answer| answer.as_ref().is_ok_and(|(head, _)| head.starts_with("HTTP/1.1 200"))).count();
    assert_eq!(served, 2_000);
    let other = reqwest::get(format!("http://{}/healthz", nginx.address)).await.unwrap();
    assert_eq!(other.status(), 200);
    assert_eq!(server.visitor().get("/healthz").await.status(), 200);
}
