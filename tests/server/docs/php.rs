//! docs/php.md's example, served by PHP's own web server: bind.php and send.php as a page calls them. GatewayClient is the one of
//! `tests/php/`, under its name.

use super::blocks::{Block, blocks, root};
use super::{assert_success, is_installed};
use crate::support::{Server, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const ORIGIN: &str = "https://www.example.com";
const KEY: &str = "documents";
/// The site's own login.
const LOGIN: &str = "<?php session_start(['use_strict_mode' => true]);
$_SESSION['user'] = ['id' => (int) $_GET['id'], 'name' => 'Ming'];
echo session_id();";

fn php_blocks() -> Vec<Block> {
    blocks().into_iter().filter(|block| block.info == "php").collect()
}

/// PHP's web server over the example's files.
struct Site {
    child: Child,
    base: String,
    folder: TempDir,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Site {
    async fn start(server: &Server) -> Self {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        for name in ["push.php", "bind.php", "send.php"] {
            let block = php_blocks().into_iter().find(|block| block.before.starts_with(&format!("`{name}`")));
            let text = block.unwrap_or_else(|| panic!("docs/php.md has no {name}")).text;
            let text = text.replace("127.0.0.1:1239", &server.register.to_string());
            write(name, &text.replace("127.0.0.1:2910", &server.inner.to_string()));
        }
        std::fs::create_dir(folder.path().join("vendor")).unwrap();
        let client = root().join("tests/php/gateway.php");
        write(
            "vendor/autoload.php",
            &format!("<?php require '{}'; class_alias('Gateway', 'GatewayClient\\Gateway');", client.display()),
        );
        write("login.php", LOGIN);

        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut php = Command::new("php");
        php.arg("-d").arg(format!("session.save_path={}", folder.path().display())).arg("-S").arg(format!("127.0.0.1:{port}"));
        php.arg("-t").arg(folder.path()).env("ROOMCAST_SECRET_KEY", KEY);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = php.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let site = Self { child, base: format!("http://127.0.0.1:{port}"), folder };
        eventually("PHP listens", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        site
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Signs a person in; returns the session id.
    async fn login(&self, id: u32) -> String {
        reqwest::get(format!("{}/login.php?id={id}", self.base)).await.unwrap().text().await.unwrap()
    }

    async fn post(&self, path: &str, session: &str, form: &[(&str, &str)]) -> (StatusCode, String) {
        let request = reqwest::Client::new().post(format!("{}{path}", self.base)).form(form);
        let answer = request.header("origin", ORIGIN).header("cookie", format!("PHPSESSID={session}")).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}\n{}", self.log()));
        (status, body["code"].as_str().unwrap().to_owned())
    }
}

#[test]
fn docs_php_blocks_parse() {
    if !is_installed("php", "php-cli") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let check = |block: &Block, file: &Path| {
        std::fs::write(file, &block.text).unwrap();
        assert_success(&Command::new("php").arg("-l").arg(file).output().unwrap(), block);
    };
    let blocks = php_blocks();
    blocks.iter().for_each(|block| check(block, &folder.path().join("block.php")));
    assert!(blocks.len() >= 4);
}

#[tokio::test]
async fn docs_php_example_binds_and_sends() {
    if !is_installed("php", "php-cli") {
        return;
    }
    let server = Server::with(&[&format!("gateway.secret_key={KEY}")]);
    let site = Site::start(&server).await;
    let (ming, other) = (site.login(7).await, site.login(8).await);
    let mut socket = server.visitor().open(None).await;
    let id = socket.client_id.clone();
    let expect = async |path: &str, session: &str, form: &[(&str, &str)], status: u16, code: &str| {
        let answer = site.post(path, session, form).await;
        assert_eq!((answer.0.as_u16(), answer.1.as_str()), (status, code), "{path} {form:?}\n{}", site.log());
    };
    let bind = [("room", "news"), ("client_id", id.as_str())];
    expect("/bind.php", "", &bind, 401, "not_signed_in").await;
    expect("/bind.php", &ming, &[("room", "secret"), ("client_id", &id)], 404, "no_such_room").await;
    expect("/bind.php", &ming, &[("room", "news"), ("client_id", "7f0000010050000000ff")], 422, "malformed").await;
    expect("/bind.php", &ming, &bind, 200, "bound").await;
    expect("/bind.php", &ming, &bind, 200, "bound").await;
    expect("/bind.php", &other, &bind, 403, "not_yours").await;

    expect("/send.php", &ming, &[("room", "news"), ("text", " ")], 422, "length").await;
    expect("/send.php", &ming, &[("room", "news"), ("text", "大家好")], 200, "sent").await;
    expect("/send.php", &ming, &[("room", "news"), ("text", "again")], 429, "too_fast").await;
    let mut push = socket.push().await;
    push["at"] = Value::Null;
    assert_eq!(push, json!({"type": "say", "room": "news", "name": "Ming", "text": "大家好", "at": null}));

    let stranger = reqwest::Client::new().post(format!("{}/bind.php", site.base)).form(&bind).send().await.unwrap();
    assert_eq!(stranger.status(), 403, "another site's page");
}
