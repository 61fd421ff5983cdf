//! Killed, locked out, out of disk: what was accepted is there once, what was refused is not, and it recovers by itself.

use crate::support::{Server, binary};
use futures_util::future::join_all;
use serde_json::json;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

/// Everything in a room, by history, oldest first.
async fn everything(person: &crate::support::Person) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    let mut before = u64::MAX >> 2;
    loop {
        let answer = person.post("/gateway/history", &[("room", "1"), ("before", &before.to_string()), ("limit", "100")]).await;
        let page = answer.body["messages"].as_array().unwrap().clone();
        let Some(first) = page.first() else { break };
        before = first["seq"].as_u64().unwrap();
        all.splice(
            0..0,
            page.iter().map(|message| (message["seq"].as_u64().unwrap(), message["text"].as_str().unwrap().to_owned())),
        );
    }
    all
}

#[tokio::test]
async fn killed_amid_a_hundred_sends_every_acknowledged_one_is_there_once() {
    let mut server = Server::with(&["chat.cooldown_ms=0", "limits.per_ip=off"]);
    let people = join_all((0..100).map(|n| {
        let server = &server;
        async move { server.guest(&format!("p{n}")).await }
    }))
    .await;
    // Everyone sends one message after the other until the server is gone, and remembers what was acknowledged.
    let senders: Vec<_> = people
        .iter()
        .cloned()
        .enumerate()
        .map(|(n, person)| {
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for turn in 0.. {
                    let text = format!("{n}-{turn}");
                    let request = person
                        .request("POST", "/gateway/send")
                        .form(&[("room", "1"), ("message", &text), ("nonce", &text)])
                        .send();
                    let Ok(answer) = request.await else { return (acknowledged, text) };
                    let status = answer.status();
                    let Ok(body) = answer.json::<serde_json::Value>().await else { return (acknowledged, text) };
                    assert_eq!(status, 200, "{body}");
                    acknowledged.push((body["seq"].as_u64().unwrap(), text));
                }
                unreachable!()
            })
        })
        .collect();
    let witness = people[0].clone();
    // Not before every sender has had a turn or two.
    while everything(&witness).await.len() < 300 {}
    server.kill();
    let mut acknowledged = BTreeMap::new();
    let mut unanswered = Vec::new();
    for sender in senders {
        let (known, last) = sender.await.unwrap();
        for (seq, text) in known {
            assert_eq!(acknowledged.insert(seq, text), None, "a number was given twice");
        }
        unanswered.push(last);
    }
    server.start_again();
    let stored = everything(&witness).await;
    assert!(stored.iter().map(|(seq, _)| *seq).eq(1..=stored.len() as u64), "numbers have no holes");
    let stored: BTreeMap<u64, String> = stored.into_iter().collect();
    for (seq, text) in &acknowledged {
        assert_eq!(stored.get(seq), Some(text), "acknowledged and lost");
    }
    // What was never answered is there once or not at all; asking again under its nonce settles it.
    for (person, text) in people.iter().zip(&unanswered) {
        assert_eq!(person.post("/gateway/send", &[("room", "1"), ("message", text), ("nonce", text)]).await.status, 200);
    }
    let after = everything(&witness).await;
    for text in &unanswered {
        assert_eq!(after.iter().filter(|(_, stored)| stored == text).count(), 1, "{text}");
    }
}

#[tokio::test]
async fn a_locked_database_refuses_as_busy_and_recovers() {
    let server = Server::with(&["storage.busy_within_ms=200"]);
    let person = server.guest("阿明").await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(server.data.path().join("data/roomcast.db"));
    let mut intruder = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut intruder).await.unwrap();
    let refused = person.say("now").await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (503, &json!("busy")));
    assert_eq!(person.get("/rooms/1").await.status(), 200, "reading goes on");
    sqlx::query("ROLLBACK").execute(&mut intruder).await.unwrap();
    assert_eq!(person.say("now").await.body["seq"], 1, "what was refused started no cooldown and took no number");
    assert!(server.errors().is_empty());
}

#[tokio::test]
async fn a_full_disk_refuses_as_busy_stores_nothing_half_and_recovers() {
    let server = Server::with_file_size_signal_ignored();
    let people = join_all((0..40).map(|n| {
        let server = &server;
        async move { server.guest(&format!("p{n}")).await }
    }))
    .await;
    let limit = |bytes: &str| {
        let status = Command::new("prlimit").args(["--pid", &server.pid().to_string(), &format!("--fsize={bytes}:")]).status();
        assert!(status.expect("prlimit (util-linux) is needed").success());
    };
    assert_eq!(people[0].say("before").await.body["seq"], 1);
    // No file of the server may grow any more: as on a full disk.
    limit("4096");
    let mut refused = 0;
    for person in &people[1..20] {
        let answer = person.say("while full").await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (503, &json!("busy")), "{}", answer.body);
        refused += 1;
    }
    assert_eq!(refused, 19);
    limit("unlimited");
    for (n, person) in people[1..].iter().enumerate() {
        assert_eq!(person.say("after").await.body["seq"], n as u64 + 2);
    }
    assert!(everything(&people[0]).await.iter().all(|(_, text)| text != "while full"));
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused() {
    let server = Server::start();
    let second = binary()
        .current_dir(server.data.path())
        .args(["--addr", "127.0.0.1:0"])
        .arg("--data-dir")
        .arg(server.data.path().join("data"))
        .output()
        .unwrap();
    let words = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && words.contains("another roomcast already serves"), "{words}");
    assert_eq!(server.visitor().get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn half_a_request_does_not_stay_for_ever() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::with(&["web.read_within_ms=300"]);
    for begun in ["", "GET /", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.expect(begun).unwrap();
    }
    // A header that is whole and a body that never comes.
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"POST /gateway/send HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nroom=").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("body").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 422"), "{}", String::from_utf8_lossy(&answer));
}
