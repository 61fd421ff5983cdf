//! A kill, a locked database, a full disk: accepted messages are stored exactly once, refused ones are not, and the server
//! recovers without help.

use crate::support::{Server, binary, eventually};
use futures_util::future::join_all;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Reads all messages of room 1 from the history, oldest first.
async fn stored_messages(person: &crate::support::Person) -> Vec<(u64, String)> {
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
async fn acknowledged_messages_survive_a_kill_exactly_once() {
    let mut server = Server::with(&["chat.cooldown_ms=0", "limits.per_ip=off"]);
    let people = join_all((0..100).map(|n| {
        let server = &server;
        async move { server.guest(&format!("p{n}")).await }
    }))
    .await;
    // Each sender sends messages until the server is gone, and returns those that were acknowledged.
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
    // Every sender has sent two or three messages by then.
    eventually("300 messages are stored", async || stored_messages(&witness).await.len() >= 300).await;
    server.kill();
    let mut acknowledged = BTreeMap::new();
    let mut unanswered = Vec::new();
    for sender in senders {
        let (known, last) = sender.await.unwrap();
        for (seq, text) in known {
            assert_eq!(acknowledged.insert(seq, text), None, "a seq was used twice");
        }
        unanswered.push(last);
    }
    server.restart();
    let stored = stored_messages(&witness).await;
    assert!(stored.iter().map(|(seq, _)| *seq).eq(1..=stored.len() as u64), "seqs have no gaps");
    let stored: BTreeMap<u64, String> = stored.into_iter().collect();
    for (seq, text) in &acknowledged {
        assert_eq!(stored.get(seq), Some(text), "an acknowledged message was lost");
    }
    // An unanswered message is stored once or not at all. Sending it again with its nonce stores it exactly once.
    for (person, text) in people.iter().zip(&unanswered) {
        assert_eq!(person.post("/gateway/send", &[("room", "1"), ("message", text), ("nonce", text)]).await.status, 200);
    }
    let after = stored_messages(&witness).await;
    for text in &unanswered {
        assert_eq!(after.iter().filter(|(_, stored)| stored == text).count(), 1, "{text}");
    }
}

#[tokio::test]
async fn a_locked_database_answers_busy_and_recovers() {
    let server = Server::with(&["storage.busy_within_ms=200"]);
    let person = server.guest("阿明").await;
    let lock = server.lock().await;
    let refused = person.send("now").await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (503, &json!("busy")));
    assert_eq!(person.get("/rooms/1").await.status(), 200, "reads are still answered");
    lock.release().await;
    assert_eq!(person.send("now").await.body["seq"], 1, "a refused message starts no cooldown and uses no seq");
    assert!(server.errors().is_empty());
}

#[tokio::test]
async fn a_full_disk_answers_busy_stores_nothing_and_recovers() {
    let server = Server::with_ignored(&[libc::SIGXFSZ]);
    let people = join_all((0..40).map(|n| {
        let server = &server;
        async move { server.guest(&format!("p{n}")).await }
    }))
    .await;
    let limit = |bytes: &str| {
        let status = Command::new("prlimit").args(["--pid", &server.pid().to_string(), &format!("--fsize={bytes}:")]).status();
        assert!(status.expect("prlimit (util-linux) is needed").success());
    };
    assert_eq!(people[0].send("before").await.body["seq"], 1);
    // As on a full disk: no file of the server can grow.
    limit("4096");
    let mut refused = 0;
    for person in &people[1..20] {
        let answer = person.send("while full").await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (503, &json!("busy")), "{}", answer.body);
        refused += 1;
    }
    assert_eq!(refused, 19);
    limit("unlimited");
    for (n, person) in people[1..].iter().enumerate() {
        assert_eq!(person.send("after").await.body["seq"], n as u64 + 2);
    }
    assert!(stored_messages(&people[0]).await.iter().all(|(_, text)| text != "while full"));
}

#[tokio::test]
async fn a_second_server_on_the_same_data_folder_exits() {
    let server = Server::start();
    let second = server.command().args(["--addr", "127.0.0.1:0"]).output().unwrap();
    let words = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && words.contains("another roomcast already serves"), "{words}");
    assert_eq!(server.visitor().get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn incomplete_requests_time_out() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::with(&["web.read_within_ms=300"]);
    for start in ["", "GET /", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.expect(start).unwrap();
    }
    // A complete header without its body.
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"POST /gateway/send HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nroom=").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("body").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 422"), "{}", String::from_utf8_lossy(&answer));
}

/// A server whose output the test reads, or does not. Dropping it kills the process.
struct Logging(std::process::Child);

impl Drop for Logging {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends requests whose log lines are longer than the pipe and the queue of the log.
async fn fill_the_log(client: &reqwest::Client, base: &str) {
    let path = "x".repeat(7000);
    for _ in 0..800 {
        let answer = client.get(format!("{base}/gateway/{path}")).send().await.expect("the server answers");
        assert!(answer.status().is_client_error(), "{}", answer.status());
    }
}

#[tokio::test]
async fn f6_a_log_that_nobody_reads_holds_up_neither_requests_nor_sigterm() {
    let data = tempfile::TempDir::new().unwrap();
    let mut command = binary();
    command.current_dir(data.path()).args(["--addr", "127.0.0.1:0", "--set", "gateway.php=off", "--set", "limits.per_ip=off"]);
    let mut server = Logging(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let (stdout, log) = (server.0.stdout.take().unwrap(), server.0.stderr.take().unwrap());
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let base = lines.find_map(|line| Some(line.strip_prefix("Roomcast serves ")?.split(' ').next()?.to_owned())).unwrap();
    let client = reqwest::Client::builder().timeout(crate::support::DEADLINE).build().unwrap();
    fill_the_log(&client, &base).await;
    assert_eq!(client.get(format!("{base}/healthz")).send().await.unwrap().status(), 200);
    let metrics = client.get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("roomcast_log_lines_dropped_total "));
    assert!(dropped.is_some_and(|count| count.parse::<u64>().unwrap() > 0), "{metrics}");
    // The reader is back, is told of the lines that it missed, and stops again.
    let reading = tokio::task::spawn_blocking(move || {
        let mut log = BufReader::new(log);
        let mut line = String::new();
        while !line.contains("log lines dropped") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the log ended");
        }
        (log, line)
    });
    let (log, line) = tokio::time::timeout(crate::support::DEADLINE, reading).await.expect("no line about the gap").unwrap();
    assert!(line.contains("\"lines\":"), "{line}");
    fill_the_log(&client, &base).await;
    // SAFETY: the child has not been waited for, so its pid is not reused.
    unsafe { libc::kill(server.0.id() as i32, libc::SIGTERM) };
    eventually("the server exits", async || server.0.try_wait().unwrap().is_some()).await;
    assert!(server.0.wait().unwrap().success());
    drop(log);
}
