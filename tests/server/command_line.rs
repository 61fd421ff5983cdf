//! The command line while a server runs, and its errors.

use crate::support::{Server, binary};
use std::io::Write;
use std::process::{Output, Stdio};

pub fn run(server: &Server, arguments: &[&str], input: &str) -> Output {
    let mut child =
        server.command().args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

pub fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn users_and_rooms_are_managed_while_the_server_runs() {
    let server = Server::start();
    printed(&run(&server, &["user", "add", "Ming", "--nickname", "阿明"], "correct horse\n"));
    assert!(!run(&server, &["user", "add", "ming"], "correct horse\n").status.success(), "taken");
    assert!(!run(&server, &["user", "add", "lena"], "short\n").status.success());
    assert!(printed(&run(&server, &["user", "list"], "")).contains("Ming\t阿明"));
    let ming = server.visitor();
    assert_eq!(ming.post("/session/login", &[("name", "ming"), ("password", "correct horse")]).await.status, 200);

    assert_eq!(printed(&run(&server, &["room", "add", "听歌", "--host", "ming"], "")), "2\n");
    assert_eq!(printed(&run(&server, &["room", "add", "唱歌", "--id", "song"], "")), "song\n");
    assert!(!run(&server, &["room", "add", "唱歌", "--id", "song"], "").status.success());
    assert!(!run(&server, &["room", "title", "nowhere", "x"], "").status.success());
    printed(&run(&server, &["room", "title", "song", "K歌"], ""));
    printed(&run(&server, &["room", "host", "song", "Ming"], ""));
    assert!(printed(&run(&server, &["room", "list"], "")).contains("song\tK歌\t阿明"));
    assert_eq!(ming.post("/gateway/send", &[("room", "song"), ("message", "x")]).await.status, 200);
    let history = ming.post("/gateway/history", &[("room", "song"), ("before", "9")]).await;
    assert_eq!(history.body["messages"][0]["role"], "host");

    assert!(printed(&run(&server, &["user", "password", "ming"], "another horse\n")).contains("1 sessions ended"));
    assert_eq!(server.visitor().post("/session/login", &[("name", "ming"), ("password", "correct horse")]).await.status, 401);
    let ming = server.visitor();
    assert_eq!(ming.post("/session/login", &[("name", "ming"), ("password", "another horse")]).await.status, 200);
    assert!(printed(&run(&server, &["user", "sign-out", "ming"], "")).contains("1 sessions ended"));
}

#[tokio::test]
async fn b57c_a_host_made_by_command_has_the_role_with_the_next_line() {
    let server = Server::start();
    printed(&run(&server, &["user", "add", "ming"], "correct horse\n"));
    let ming = server.visitor();
    assert_eq!(ming.post("/session/login", &[("name", "ming"), ("password", "correct horse")]).await.status, 200);
    // The room without a host is cached by this message.
    assert_eq!(server.guest("阿明").await.send("hello").await.status, 200);
    printed(&run(&server, &["room", "host", "1", "ming"], ""));
    assert_eq!(ming.send("mine").await.status, 200);
    let history = ming.post("/gateway/history", &[("room", "1"), ("before", "9")]).await;
    assert_eq!(history.body["messages"][1]["role"], "host");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_closes_the_sockets_of_the_account() {
    let server = Server::start();
    printed(&run(&server, &["user", "add", "ming"], "correct horse\n"));
    let ming = server.visitor();
    assert_eq!(ming.post("/session/login", &[("name", "ming"), ("password", "correct horse")]).await.status, 200);
    let mut socket = ming.open_bound(Some("roomcast.v1")).await;
    let mut other = server.guest("other").await.open_bound(Some("roomcast.v1")).await;
    assert!(printed(&run(&server, &["user", "sign-out", "ming"], "")).contains("1 sockets closed"));
    assert_eq!(socket.close_code().await, 4501);
    assert_eq!(server.guest("a").await.send("hello").await.status, 200);
    assert_eq!(other.push_of("message").await["text"], "hello");
}

#[test]
fn errors_name_the_setting_or_file() {
    let folder = tempfile::TempDir::new().unwrap();
    let stderr_of = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = binary().current_dir(folder.path()).args(arguments).envs(environment.iter().copied()).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    std::fs::write(folder.path().join("Leptos.toml"), "[chat]\ncooldwn_ms = 1\n").unwrap();
    let error = stderr_of(&[], &[]);
    assert!(error.contains("chat.cooldwn_ms") && error.contains("chat.cooldown_ms"), "{error}");
    std::fs::remove_file(folder.path().join("Leptos.toml")).unwrap();
    assert!(stderr_of(&["--config", "nothing.toml"], &[]).contains("nothing.toml"));
    assert!(stderr_of(&["--set", "chat.x=1"], &[]).contains("chat.x"));
    assert!(stderr_of(&["--addr", "0.0.0.0:0"], &[("ROOMCAST_LIMITS_PER_IP", "off")]).contains("loopback"));
    assert!(stderr_of(&[], &[("ROOMCAST_CHAT_COOLDOWN_MS", "soon")]).contains("cooldown_ms"));
    assert!(stderr_of(&["--data-dir", "/proc/nowhere"], &[("LEPTOS_SITE_ADDR", "127.0.0.1:0")]).contains("/proc/nowhere"));
    for command in [&["--help"][..], &["serve", "--help"], &["user", "--help"], &["room", "--help"], &["user", "add", "--help"]] {
        assert!(binary().args(command).output().unwrap().status.success());
    }
}
