//! Headers of proxies and browsers, origins, security headers, slashes.

use super::request;
use crate::support::{Server, binary, eventually, read};
use futures_util::StreamExt;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use tokio::net::TcpStream;

const PROXY: &str = "web.trusted_proxies=127.0.0.1";

async fn guest_from(server: &Server, forwarded_for: &str) -> u16 {
    let request = server.visitor().request("POST", "/session/guest").header("x-forwarded-for", forwarded_for);
    request.form(&[("nickname", "a")]).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn b29_clients_behind_a_proxy_are_told_apart_in_every_form_of_the_header() {
    let server = Server::with(&[PROXY, "limits.guest_burst=1", "limits.guest_a_minute=1"]);
    for (client, again) in [
        ("203.0.113.9:51234", "203.0.113.9"),
        ("[2001:db8:1::7]", "2001:db8:1::7"),
        ("[2001:db8:2::7]:51234", "\"[2001:db8:2::7]:9\""),
        ("203.0.113.10,", "6.6.6.6, 203.0.113.10"),
    ] {
        assert_eq!(guest_from(&server, client).await, 200, "{client}");
        assert_eq!(guest_from(&server, again).await, 429, "{again} is {client}");
    }
}

#[tokio::test]
async fn b29_a_header_that_cannot_be_read_is_logged_once_a_minute() {
    let server = Server::with(&[PROXY]);
    for _ in 0..5 {
        guest_from(&server, "unknown").await;
    }
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("header cannot be read")).collect();
    assert!(lines.len() == 1 && lines[0].contains("x-forwarded-for") && lines[0].contains("unknown"), "{lines:?}");
}

#[tokio::test]
async fn b29_the_scheme_is_the_first_of_a_list_in_any_case() {
    let server = Server::with(&[PROXY]);
    for (scheme, secure) in [("HTTPS", true), ("https,http", true), ("https, https", true), ("http, https", false)] {
        let request = server.visitor().request("POST", "/session/guest").header("x-forwarded-proto", scheme);
        let answer = request.form(&[("nickname", "a")]).send().await.unwrap();
        assert_eq!(answer.headers()["set-cookie"].to_str().unwrap().contains("Secure"), secure, "{scheme}");
    }
}

#[tokio::test]
async fn one_foreign_byte_in_a_header_does_not_hide_the_rest() {
    let server = Server::start();
    let send = server.visitor().request("POST", "/gateway/send").header("accept-language", b"en-US, \xff;q=0.1".as_slice());
    let refused = read(send.form(&[("room", "1"), ("message", "x")]).send().await.unwrap()).await;
    assert_eq!(refused.body["message"], "Please sign in first");
    let referer = [server.base.as_bytes(), b"/rooms/1?x=\xe4"].concat();
    let reader = server.visitor();
    reader.get("/").await;
    let form = reader.request("POST", "/session/preferences").header("accept", b"text/html, \xff".as_slice());
    let answer = form.header("referer", referer.as_slice()).form(&[("theme", "dark")]).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (303, "/rooms/1?x=%E4"));
}

#[tokio::test]
async fn b44_a_refused_origin_is_logged_once_with_the_key_to_set() {
    let server = Server::start();
    for _ in 0..5 {
        let request = server.visitor().request("POST", "/session/guest").header("origin", "https://chat.example:8443");
        assert_eq!(request.form(&[("nickname", "a")]).send().await.unwrap().status(), 403);
    }
    assert!(server.visitor().try_open(None, Some("https://chat.example:8443")).await.is_err());
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("origin refused")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["https://chat.example:8443", server.address(), "web.public_url", "web.allowed_origins"] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
}

#[tokio::test]
async fn b44b_origins_are_compared_as_origins_everywhere() {
    let server =
        Server::with(&["web.public_url=HTTPS://Chat.Example.com:443/", "web.allowed_origins=http://www.example.com:80/"]);
    let visitor = server.visitor();
    for (origin, status) in [
        ("https://chat.example.com", 200),
        ("https://chat.example.com:443", 200),
        ("http://www.example.com", 200),
        ("http://chat.example.com", 403),
        ("null", 403),
    ] {
        let request = visitor.request("POST", "/session/guest").header("origin", origin).form(&[("nickname", "a")]);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{origin}");
        let allowed = answer.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(allowed.as_deref(), origin.contains("www").then_some(origin));
        assert_eq!(visitor.try_open(None, Some(origin)).await.is_ok(), status == 200, "{origin}");
    }
}

#[tokio::test]
async fn f25_https_sites_have_hsts_and_json_has_a_policy() {
    let server = Server::with(&["web.public_url=https://chat.example.com"]);
    for path in ["/", "/healthz", "/nothing", "/ws"] {
        let answer = server.visitor().get(path).await;
        assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000", "{path}");
    }
    let server = Server::start();
    let answer = server.visitor().post("/gateway/send", &[("room", "1"), ("message", "x")]).await;
    assert!(!answer.headers.contains_key("strict-transport-security"));
    assert_eq!(answer.headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
}

#[tokio::test]
async fn b30_a_trailing_slash_is_redirected_and_never_to_another_host() {
    let server = Server::start();
    for (path, to) in [
        ("/rooms/1/", "/rooms/1"),
        ("/sign-in/?next=/rooms/1", "/sign-in?next=/rooms/1"),
        ("/rooms/1//", "/rooms/1"),
        ("/readyz/", "/readyz"),
    ] {
        let answer = server.visitor().get(path).await;
        assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (308, to), "{path}");
    }
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    for target in ["GET //evil.example/", "GET /\\evil.example/", "GET //"] {
        let head = request(&mut stream, target, "connection: keep-alive\r\n").await;
        assert!(!head.to_lowercase().contains("location:"), "{target}: {head}");
        stream = TcpStream::connect(server.address()).await.unwrap();
    }
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/ws/", server.address())).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().to_text().unwrap().contains("init"));
}

#[tokio::test]
async fn b57_an_unknown_variable_is_one_line_and_the_server_starts() {
    let folder = tempfile::TempDir::new().unwrap();
    let log = folder.path().join("log");
    let mut command = binary();
    command.current_dir(folder.path()).args(["--addr", "127.0.0.1:0", "--data-dir", "data", "--set", "gateway.php=off"]);
    command.env("ROOMCAST_CHAT_COLDOWN_MS", "1").stdout(Stdio::piped()).stderr(std::fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let started =
        BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).any(|line| line.starts_with("Open it"));
    let is_logged = async || std::fs::read_to_string(&log).unwrap().contains("ROOMCAST_CHAT_COLDOWN_MS sets nothing");
    eventually("the warning is logged", is_logged).await;
    let _ = child.kill();
    let _ = child.wait();
    let log = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("COLDOWN")).collect();
    assert!(started && lines.len() == 1 && lines[0].contains("ROOMCAST_CHAT_COOLDOWN_MS"), "{lines:?}");
}
