//! Memory of the server under a caller that asks for as much of it as it can. The margins are wide: the faults cost 10 to 30 times
//! as much.

use crate::gatewayworker::{command, connection, packet, query};
use crate::support::{DEADLINE, Server, Socket, eventually, read};
use crate::vectors::packet::{command, shown};
use crate::vectors::peers::{OFFLINE, Wire, is_anyone_online};
use futures_util::StreamExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message as Frame;

const MIB: u64 = 1024 * 1024;

fn memory(server: &Server, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The largest resident memory of the process until now, in bytes.
fn peak(server: &Server) -> u64 {
    memory(server, "VmHWM:")
}

/// The resident memory of the process, in bytes.
fn resident(server: &Server) -> u64 {
    memory(server, "VmRSS:")
}

/// The maintenance task returns freed pages to the system every 10 s.
async fn returns_to(server: &Server, before: u64) {
    let is_back = async || resident(server) < before + 40 * MIB;
    eventually("the memory is returned to the system", is_back).await;
}

async fn sockets(server: &Server, count: usize) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(server.visitor().open(None).await);
    }
    sockets
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_a_farewell_to_many_connections_of_one_uid_is_held_once() {
    const SOCKETS: usize = 200;
    const BYTES: usize = 900_000;
    let server = Server::with(&["gateway.api_key=secret", "limits.per_ip=off", "gateway.shards=1"]);
    let sockets = sockets(&server, SOCKETS).await;
    let call = async |method: &str, params: serde_json::Value| {
        let request = server.visitor().request("POST", &format!("/gateway/api/{method}")).bearer_auth("secret").json(&params);
        let answer = read(request.send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["result"].clone()
    };
    for socket in &sockets {
        call("bindUid", json!({"client_id": socket.client_id, "uid": "all"})).await;
    }
    let before = peak(&server);
    let reading = sockets.into_iter().map(|mut socket| {
        tokio::spawn(async move {
            let farewell = tokio::time::timeout(DEADLINE, socket.stream.next()).await.expect("no farewell").unwrap().unwrap();
            (farewell, socket.close_code().await)
        })
    });
    let reading: Vec<_> = reading.collect();
    assert_eq!(call("closeUid", json!({"uid": "all", "message": "x".repeat(BYTES)})).await, SOCKETS);
    for reader in reading {
        let (farewell, code) = reader.await.unwrap();
        assert!(matches!(farewell, Frame::Text(text) if text.len() == BYTES));
        assert_eq!(code, 4500);
    }
    let cost = peak(&server).saturating_sub(before);
    assert!(cost < 60 * MIB, "{} MiB for {SOCKETS} farewells of {BYTES} bytes", cost / MIB);
    returns_to(&server, before).await;
}

/// A SELECT writes the name of each field into each row.
#[tokio::test(flavor = "multi_thread")]
async fn f5_the_reply_of_a_select_is_bounded_by_its_names() {
    let server = Server::with(&["limits.per_ip=off"]);
    let sockets = sockets(&server, 120).await;
    let before = peak(&server);
    let mut php = Wire::to(server.inner.into()).await;
    let ask = |name: &str| packet(command::SELECT, 0, json!({"fields": [name], "where": null}).to_string().as_bytes(), b"");
    php.send(&ask(&"x".repeat(4 * MIB as usize))).await;
    assert_eq!(php.rest_of("a query with a name of 4 MiB").await, b"");
    let mut php = Wire::to(server.inner.into()).await;
    // A name of PHP's, unknown here, is null in each row; the longest has 4 KiB.
    let row = format!("i:{};a:1:{{s:8:\"nickname\";N;}}", connection(&sockets[0]));
    assert!(query(&mut php, ask("nickname")).await.contains(&row));
    assert!(query(&mut php, ask(&"x".repeat(4096))).await.len() > 120 * 4096);
    let cost = peak(&server).saturating_sub(before);
    assert!(cost < 80 * MIB, "{} MiB", cost / MIB);
    let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("roomcast_php_connections_rejected_total{reason=\"unanswerable_query\"} 1"), "{metrics}");
}

/// Sessions have 1 MiB each. A reply over 64 MiB closes its connection, and the others are answered meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn f5_a_list_of_sessions_is_bounded_while_it_is_written() {
    let server = Server::with(&["limits.per_ip=off"]);
    let sockets = sockets(&server, 66).await;
    let mut php = Wire::to(server.inner.into()).await;
    for socket in &sockets {
        command(&mut php, packet(command::SET_SESSION, connection(socket), &vec![b'x'; MIB as usize], b"")).await;
    }
    let (before, idle) = (peak(&server), resident(&server));
    let mut askers = Vec::new();
    for ask in [packet(command::ALL_SESSIONS, 0, b"", b""), packet(command::SELECT, 0, br#"{"fields":["session"]}"#, b"")] {
        for _ in 0..3 {
            let mut asker = Wire::to(server.inner.into()).await;
            asker.send(&ask).await;
            askers.push(asker);
        }
    }
    php.send(&is_anyone_online()).await;
    assert_eq!(shown(&php.take(OFFLINE.len()).await), shown(OFFLINE));
    for mut asker in askers {
        assert_eq!(asker.rest_of("a query with a reply of 66 MiB").await, b"");
    }
    returns_to(&server, idle).await;
    // At most four lists are written at the same time.
    let cost = peak(&server).saturating_sub(before);
    assert!(cost < 600 * MIB, "{} MiB", cost / MIB);
    eventually("the closes are counted", async || {
        let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
        metrics.contains("roomcast_php_connections_rejected_total{reason=\"reply_too_long\"} 6")
    })
    .await;
    drop(sockets);
}

/// Waits until connections are closed because unread replies use all of their memory.
async fn reply_budget_is_reached(server: &Server) {
    eventually("connections are closed", async || {
        let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
        metrics.contains("roomcast_php_connections_rejected_total{reason=\"reply_budget\"}")
    })
    .await;
}

/// Replies of 1 MiB that nobody reads: together they have 256 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn f5_replies_that_nobody_reads_are_bounded_in_total() {
    let server = Server::with(&["limits.per_ip=off"]);
    let sockets = sockets(&server, 8).await;
    let mut php = Wire::to(server.inner.into()).await;
    for socket in &sockets {
        command(&mut php, packet(command::SET_SESSION, connection(socket), &vec![b'x'; MIB as usize], b"")).await;
    }
    let before = peak(&server);
    let mut askers = Vec::new();
    for _ in 0..60 {
        let mut asker = Wire::to(server.inner.into()).await;
        // Each is 8 MiB, of which the kernel's buffers take a part.
        asker.send(&packet(command::ALL_SESSIONS, 0, b"", b"")).await;
        askers.push(asker);
    }
    reply_budget_is_reached(&server).await;
    let cost = peak(&server).saturating_sub(before);
    assert!(cost < 450 * MIB, "{} MiB", cost / MIB);
    // The memory is there again as soon as they read or leave.
    drop(askers);
    eventually("a list is answered", async || {
        let mut asker = Wire::to(server.inner.into()).await;
        asker.send(&packet(command::ALL_SESSIONS, 0, b"", b"")).await;
        asker.take(8 * MIB as usize).await.len() == 8 * MIB as usize
    })
    .await;
}

/// Replies of 60 KiB, pipelined by callers that do not read: each counts, too.
#[tokio::test(flavor = "multi_thread")]
async fn f5_short_replies_that_nobody_reads_are_bounded_in_total() {
    let server = Server::with(&["limits.per_ip=off"]);
    let socket = server.visitor().open(None).await;
    let mut php = Wire::to(server.inner.into()).await;
    command(&mut php, packet(command::SET_SESSION, connection(&socket), &vec![b'x'; 60 * 1024], b"")).await;
    let before = peak(&server);
    let ask = packet(command::GET_SESSION, connection(&socket), b"", b"");
    let mut askers = Vec::new();
    // Those before the limit would wait for more than a gigabyte.
    for _ in 0..100 {
        let mut asker = Wire::to(server.inner.into()).await;
        asker.send(&ask.repeat(256)).await;
        askers.push(asker);
    }
    reply_budget_is_reached(&server).await;
    let cost = peak(&server).saturating_sub(before);
    // A send buffer that grows has up to twice its bytes, beside those of the replies that are copied into it.
    assert!(cost < 1200 * MIB, "{} MiB", cost / MIB);
    // A caller that reads is answered, however many replies it asked for.
    drop(askers);
    eventually("all replies are read", async || {
        let mut asker = Wire::to(server.inner.into()).await;
        asker.send(&ask.repeat(256)).await;
        asker.take(256 * 60 * 1024).await.len() == 256 * 60 * 1024
    })
    .await;
}
