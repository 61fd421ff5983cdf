//! The gateway without the web server, over thousands of real sockets, compared with a simple model.

use crate::support::{Server, eventually};
use bytes::Bytes;
use roomcast::domain::id::ClientId;
use roomcast::domain::push::CloseCode;
use roomcast::server::config::GatewaySettings as Settings;
use roomcast::server::gateway::{
    Delivered, Dialect, Except, Frame, Gateway, Group, LimitReached, NewConnection, Publication, RawStream, Selection, Uid,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
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
    let permit = gateway.reserve_connection(HERE, None).unwrap();
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

/// A random generator with a seed, so that every run is the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % sides
    }
}

/// The state a client should have, and the pushes it should receive, in order.
#[derive(Default)]
struct Expected {
    groups: BTreeSet<usize>,
    uid: Option<usize>,
    pushes: Vec<String>,
}

/// Random commands to a gateway, and a model of their effects.
struct Run {
    gateway: Gateway,
    dice: Dice,
    model: BTreeMap<Key, Expected>,
    /// Per client, the pushes it received until its connection ended.
    readers: BTreeMap<Key, JoinHandle<Vec<String>>>,
    /// Per client, ends its reader and drops its connection.
    droppers: BTreeMap<Key, oneshot::Sender<()>>,
    kicked: usize,
}

const GROUPS: usize = 20;
const UIDS: usize = 300;

fn group(n: usize) -> Group {
    Group::new(format!("g{n}"))
}

fn uid(n: usize) -> Uid {
    Uid::new(format!("u{n}"))
}

impl Run {
    async fn with_clients(count: usize) -> Self {
        let (gateway, dice) = (gateway(Settings::default()), Dice(7));
        let (model, readers, droppers) = Default::default();
        let mut run = Self { gateway, dice, model, readers, droppers, kicked: 0 };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for place in 0..count {
            let dialect = if place % 2 == 0 { Dialect::Plain } else { Dialect::V1 };
            run.add(connect(&run.gateway, &listener, dialect).await);
        }
        run
    }

    fn add(&mut self, Client { id, mut stream }: Client) {
        let (dropper, mut dropped) = oneshot::channel::<()>();
        let reader = tokio::spawn(async move {
            let mut got = Vec::new();
            loop {
                tokio::select! {
                    biased;
                    next = frame(&mut stream) => match next {
                        Some(push) => got.push(push),
                        None => return got,
                    },
                    _ = &mut dropped => return got,
                }
            }
        });
        self.readers.insert(Key(id), reader);
        self.droppers.insert(Key(id), dropper);
        self.model.insert(Key(id), Expected::default());
    }

    fn pick(&mut self) -> Key {
        *self.model.keys().nth(self.dice.roll(self.model.len())).unwrap()
    }

    fn expected(&mut self, client: Key) -> &mut Expected {
        self.model.get_mut(&client).unwrap()
    }

    async fn step(&mut self, step: usize) {
        match self.dice.roll(100) {
            0..40 => self.join_group().await,
            40..50 => self.leave_group().await,
            50..65 => self.bind_uid().await,
            65..80 => self.send_to_groups(format!("groups {step}")).await,
            80..88 => self.send_to_uid(format!("uid {step}")).await,
            88..94 => self.send_to_client(format!("client {step}")).await,
            94 => self.send_to_all(format!("all {step}")).await,
            95 | 96 => self.kick().await,
            97 => self.ungroup().await,
            _ => self.drop_connection().await,
        }
    }

    async fn join_group(&mut self) {
        let (client, n) = (self.pick(), self.dice.roll(GROUPS));
        let is_new = self.expected(client).groups.insert(n);
        assert_eq!(self.gateway.join_group(client.0, group(n)).await, Some(is_new).into());
    }

    async fn leave_group(&mut self) {
        let (client, n) = (self.pick(), self.dice.roll(GROUPS));
        let was_member = self.expected(client).groups.remove(&n);
        assert_eq!(self.gateway.leave_group(client.0, group(n)).await, Some(was_member).into());
    }

    async fn ungroup(&mut self) {
        let n = self.dice.roll(GROUPS);
        let left = self.model.values_mut().filter_map(|expected| expected.groups.remove(&n).then_some(())).count();
        assert_eq!(self.gateway.ungroup(group(n)).await, left);
    }

    async fn bind_uid(&mut self) {
        let (client, n) = (self.pick(), self.dice.roll(UIDS));
        assert!(self.gateway.bind_uid(client.0, uid(n)).await);
        self.expected(client).uid = Some(n);
    }

    /// To two groups, one client excluded. A client in both receives the push twice.
    async fn send_to_groups(&mut self, push: String) {
        let (one, other, except) = (self.dice.roll(GROUPS), self.dice.roll(GROUPS), self.pick());
        let mut count = 0;
        for (_, expected) in self.model.iter_mut().filter(|(client, _)| **client != except) {
            let times = [one, other].iter().filter(|n| expected.groups.contains(n)).count();
            expected.pushes.extend(std::iter::repeat_n(push.clone(), times));
            count += times;
        }
        let except = Except { clients: [except.0].into(), ..Except::default() };
        let sent = self.gateway.send_to_group(vec![group(one), group(other)], except, text(&push)).await;
        assert_eq!(sent.delivered().await, to(count), "{push}");
    }

    async fn send_to_uid(&mut self, push: String) {
        let n = self.dice.roll(UIDS);
        let mut count = 0;
        for expected in self.model.values_mut().filter(|expected| expected.uid == Some(n)) {
            expected.pushes.push(push.clone());
            count += 1;
        }
        let sent = self.gateway.send_to_uid(vec![uid(n)], Except::default(), text(&push)).await;
        assert_eq!(sent.delivered().await, to(count));
    }

    async fn send_to_client(&mut self, push: String) {
        let client = self.pick();
        self.expected(client).pushes.push(push.clone());
        assert_eq!(self.gateway.send_to_client(client.0, text(&push)).await.delivered().await, to(1));
    }

    async fn send_to_all(&mut self, push: String) {
        for expected in self.model.values_mut() {
            expected.pushes.push(push.clone());
        }
        let sent = self.gateway.send_to_all(None, Except::default(), text(&push)).await;
        assert_eq!(sent.delivered().await, to(self.model.len()));
    }

    async fn kick(&mut self) {
        let client = self.pick();
        let expected = self.model.remove(&client).unwrap();
        assert!(self.gateway.close_client(client.0, Some(text("farewell")), CloseCode::KICKED.into()).await);
        let got = timeout(DEADLINE, self.readers.remove(&client).unwrap()).await.unwrap().unwrap();
        assert_eq!(got, [expected.pushes, vec!["farewell".into()]].concat());
        self.kicked += 1;
    }

    /// The client drops its connection, while pushes to it may be on their way.
    async fn drop_connection(&mut self) {
        let client = self.pick();
        let expected = self.model.remove(&client).unwrap();
        drop(self.droppers.remove(&client));
        let got = self.readers.remove(&client).unwrap().await.unwrap();
        assert!(expected.pushes.starts_with(&got), "the received pushes are the first of the expected ones");
        eventually("the client is offline", async || !self.gateway.is_online(client.0).await).await;
    }

    /// Compares the uids and groups of the gateway with those of the model.
    async fn check_totals(&self) {
        let uids: BTreeSet<_> = self.model.values().filter_map(|expected| expected.uid).collect();
        assert_eq!(self.gateway.uids(Selection::All).await.len(), uids.len());
        let members = |n| self.model.values().filter(|expected| expected.groups.contains(&n)).count();
        let groups: BTreeMap<_, _> = (0..GROUPS).map(|n| (group(n), members(n))).filter(|(_, count)| *count > 0).collect();
        assert_eq!(self.gateway.groups().await.into_iter().collect::<BTreeMap<_, _>>(), groups);
    }
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
    let refused = run.gateway.reserve_connection(HERE, None).err();
    assert_eq!((run.gateway.connection_count(), refused), (0, Some(LimitReached::Draining)));
}

/// A client id as the key of an ordered map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Key(ClientId);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.connection.cmp(&other.0.connection)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
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
    let mut after_warm_up = 0;
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
    }
    let grown = resident(&server).saturating_sub(after_warm_up);
    assert!(grown < 6 << 20, "{grown} bytes were not released after 16,000 further connections");
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
        let permit = gateway.reserve_connection(HERE, None).unwrap();
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
