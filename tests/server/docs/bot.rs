//! The bot of docs/bot.md runs beside a server: it answers, and removes.

use super::blocks::{Block, blocks};
use super::is_installed;
use crate::support::{Server, eventually};
use serde_json::Value;
use std::process::{Child, Command, Stdio};

struct Bot(Child);

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_the_bot_answers_and_removes() {
    if !is_installed("python3", "python3") {
        return;
    }
    let programs: Vec<Block> = blocks().into_iter().filter(|block| block.info == "python").collect();
    assert_eq!(programs.len(), 1, "docs/bot.md has the only program in Python");
    let lines = programs[0].text.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 35, "{lines} lines");
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let (_host, guest) = (server.owner().await, server.guest("阿明").await);
    let mut command = server.command();
    command.args(["key", "add", "timekeeper", "--scope", "chat.read,chat.send,mod.act", "--rooms", "1"]);
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = String::from_utf8(made.stdout).unwrap();
    let key = key.split_whitespace().find(|word| word.starts_with("roomcast_")).unwrap_or_else(|| panic!("no secret: {key}"));
    let file = server.data.path().join("bot.py");
    std::fs::write(&file, &programs[0].text).unwrap();
    let log = std::fs::File::create(server.data.path().join("bot.log")).unwrap();
    let mut python = Command::new("python3");
    python.arg(&file).env_clear().env("PATH", std::env::var("PATH").unwrap()).env("SITE", &server.base).env("KEY", key);
    let _bot = Bot(python.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    let history = async || -> Vec<Value> {
        let answer = guest.post("/gateway/history", &[("room", "1"), ("before", "100000")]).await;
        answer.body["messages"].as_array().unwrap().clone()
    };
    let mut page = guest.open_bound(Some("roomcast.v1")).await;
    // The bot does not answer what was sent before it looked first: ask until it does.
    eventually("the bot answers", async || {
        assert_eq!(guest.send("!time").await.status, 200);
        let answer = async { while page.push_of("message").await["role"] != "bot" {} };
        tokio::time::timeout(std::time::Duration::from_millis(300), answer).await.is_ok()
    })
    .await;
    let said = history().await.into_iter().rfind(|message| message["role"] == "bot").unwrap();
    assert!(said["text"].as_str().unwrap().starts_with("It is "), "{said}");
    let spam = guest.send("Buy followers here").await.body["seq"].clone();
    eventually("the bot removes", async || {
        history().await.iter().any(|message| message["seq"] == spam && message["removed"]["why"] == "moderator")
    })
    .await;
    let said = std::fs::read_to_string(server.data.path().join("bot.log")).unwrap();
    assert!(!said.contains("Traceback"), "{said}");
}
