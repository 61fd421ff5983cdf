//! The gateway without the web server, over thousands of real sockets, compared with a simple model.

mod model;

use crate::support::{Server, eventually};
use bytes::Bytes;
use model::Run;
use roomcast::domain::id::ClientId;
use roomcast::server::config::GatewaySettings as Settings;
use roomcast::server::gateway::{
    Credentials, Delivered, Dialect, Frame, Gateway, LimitReached, NewConnection, Publication, RawStream, Selection, Uid,
};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(60);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn gateway(settings: Settings) -> Gateway {
    // The clients of these tests answer no ping.
    let unbounded = Settings { max_per_address: usize::MAX, max_connections: usize::MAX, pong_within_ms: 3_600_000, ..settings };
    Gateway::start(unbounded).unwrap()
}

/// The client's end of a connection. The gateway gets the server's end after a handshake.
struct Client {
    id: ClientId,
    stream: BufReader<TcpStream>,
}

async fn connect(gateway: &Gateway, listener: &TcpListener, dialect: Dialect) -> Client {
    let (theirs, ours) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let raw = RawStream::Plain(ours.unwrap().0.into_std().unwrap());
    let permit = gateway.reserve_connection(HERE, Credentials::default()).unwrap();
    gateway.connect(raw, NewConnection { dialect, permit, early: Bytes::new(), port: 1, handshake: None }).await;
    let mut stream = BufReader::with_capacity(512, theirs.unwrap());
    let init: serde_json::Value = serde_json::from_str(&frame(&mut stream).await.unwrap()).unwrap();
    Client { id: init["client_id"].as_str().unwrap().parse().unwrap(), stream }
}

/// Returns the payload of the next text frame, and skips pings. `None` is a close frame or the end.
async fn frame(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = stream.read_u8().await.ok()?;
    while head == 0x89 {
        assert_eq!(stream.read_u8().await.ok()?, 0);
        head = stream.read_u8().await.ok()?;
    }
    let length = match stream.read_u8().await.ok()? {
        126 => stream.read_u16().await.ok()? as usize,
        127 => stream.read_u64().await.ok()? as usize,
        short => short as usize,
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.ok()?;
    (head == 0x81).then(|| String::from_utf8(payload).unwrap())
}

fn text(text: &str) -> Publication {
    Publication::both(Frame::text(text.as_bytes()))
}

fn to(count: usize) -> Delivered {
    Delivered { to: count, queued: 0, slow: 0 }
}

/// The commands join, leave, bind, send in every way, kick and drop. Each client receives exactly the pushes of the model, in
/// their order.
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_clients_receive_exactly_their_pushes() {
    let _ = rlimit::increase_nofile_limit(16_384);
    let mut run = Run::with_clients(2000).await;
    for step in 0..6000 {
        run.step(step).await;
        if step % 500 == 0 {
            run.check_totals().await;
        }
    }
    assert!(run.kicked > 50, "too few kicks to test them");
    run.gateway.drain(Duration::from_secs(20)).await;
    for (client, expected) in run.model {
        let mut got = timeout(DEADLINE, run.readers.remove(&client).unwrap()).await.unwrap().unwrap();
        got.retain(|push| !push.contains("\"bye\""));
        assert_eq!(got, expected.pushes);
    }
    let refused = run.gateway.reserve_connection(HERE, Credentials::default()).err();
    assert_eq!((run.gateway.connection_count(), refused), (0, Some(LimitReached::Draining)));
}

/// Resident memory of the server, in bytes.
fn resident(server: &Server) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", server.pid())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Opens a WebSocket. 20,000 handshakes with a library would take most of the time of the test.
async fn handshake(server: &Server) -> Client {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let ask = "GET /ws HTTP/1.1\r\nhost: here\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
               sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut stream = BufReader::with_capacity(512, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let init: serde_json::Value = serde_json::from_str(&frame(&mut stream).await.unwrap()).unwrap();
    Client { id: init["client_id"].as_str().unwrap().parse().unwrap(), stream }
}

#[tokio::test]
async fn twenty_thousand_connections_leave_no_memory_groups_or_uids() {
    let server = Server::with(&["limits.per_ip=off", "gateway.api_key=secret"]);
    let http = reqwest::Client::new();
    let call = async |calls: serde_json::Value| {
        let request = http.post(format!("{}/gateway/api/batch", server.base)).bearer_auth("secret");
        let answer: serde_json::Value = request.json(&json!({ "calls": calls })).send().await.unwrap().json().await.unwrap();
        answer["results"].clone()
    };
    let (mut after_warm_up, mut grown) = (0, usize::MAX);
    for round in 0..100 {
        let clients = futures_util::future::join_all((0..200).map(|_| handshake(&server))).await;
        let mut calls = Vec::new();
        for (place, client) in clients.iter().enumerate() {
            let (id, n) = (client.id, round * 200 + place);
            let session = json!({"n": n, "text": "x".repeat(200)});
            calls.push(json!({"method": "bindUid", "params": {"client_id": id, "uid": format!("u{n}")}}));
            calls.push(json!({"method": "joinGroup", "params": {"client_id": id, "group": n % 50}}));
            calls.push(json!({"method": "setSession", "params": {"client_id": id, "session": session}}));
        }
        calls.push(json!({"method": "sendToAll", "params": {"message": "hello"}}));
        let results = call(calls.into()).await;
        assert!(results.as_array().unwrap()[..600].iter().all(|result| result["result"] == true), "{results}");
        assert_eq!(results[600]["result"]["to"], 200);
        drop(clients);
        let count = json!([{"method": "getAllClientCount", "params": {}}]);
        eventually("all clients are gone", async || call(count.clone()).await[0]["result"] == 0).await;
        if round == 20 {
            after_warm_up = resident(&server);
        }
        // The allocator keeps some MB of a round for a while, so the least of the last rounds counts.
        if round >= 80 {
            grown = grown.min(resident(&server).saturating_sub(after_warm_up));
        }
    }
    assert!(grown < 6 << 20, "{grown} bytes were not released after 12,000 further connections");
    let left = call(json!([{"method": "getAllGroupIdList", "params": {}}, {"method": "getAllUidList", "params": {}}])).await;
    assert_eq!((&left[0]["result"], &left[1]["result"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn bytes_after_the_handshake_are_processed() {
    let gateway = gateway(Settings::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (early, answer) in [(&b"\x89\x82\0\0\0\0hi"[..], &b"\x8a\x02hi"[..]), (b"\x81\x02hi", b"\x88\x10\x03\xeaprotocol error")]
    {
        let (theirs, ours) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let raw = RawStream::Plain(ours.unwrap().0.into_std().unwrap());
        let permit = gateway.reserve_connection(HERE, Credentials::default()).unwrap();
        let early = Bytes::copy_from_slice(early);
        gateway.connect(raw, NewConnection { dialect: Dialect::V1, permit, early, port: 1, handshake: None }).await;
        let mut stream = BufReader::new(theirs.unwrap());
        assert!(frame(&mut stream).await.unwrap().contains("init"));
        let mut got = vec![0; answer.len()];
        timeout(DEADLINE, stream.read_exact(&mut got)).await.unwrap().unwrap();
        assert_eq!(got, answer);
        stream.get_mut().shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn connections_are_spread_evenly_over_the_shards() {
    let gateway = gateway(Settings { shards: 4, ..Settings::default() });
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let mut clients = Vec::new();
    for number in 0..40 {
        let client = connect(&gateway, &listener, Dialect::V1).await;
        assert!(gateway.bind_uid(client.id, Uid::new(number.to_string())).await);
        clients.push(client);
    }
    let connections: Vec<_> = gateway.shard_statuses().await.iter().map(|line| line.connections).collect();
    assert_eq!(connections, [10; 4]);
    // Lists are in the order of connecting, over all shards.
    let ids: Vec<_> = clients.iter().map(|client| client.id).collect();
    assert_eq!(gateway.client_ids(Selection::All).await, ids);
}
