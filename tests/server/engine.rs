//! The gateway by itself, over real sockets: thousands of them, doing whatever comes, held against the simplest model.

use crate::support::Server;
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
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn gateway(settings: Settings) -> Gateway {
    // Nobody here answers a ping.
    let unbounded = Settings { max_per_address: usize::MAX, max_connections: usize::MAX, pong_within_ms: 3_600_000, ..settings };
    Gateway::start(unbounded).unwrap()
}

/// A client's end, after a handshake that the gateway never sees.
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

/// The next text's payload; a close frame and the end are `None`. Pings are passed over.
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

/// Small, seeded, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % sides
    }
}

/// What one client should have been sent, in order.
#[derive(Default)]
struct Expected {
    groups: BTreeSet<usize>,
    uid: Option<usize>,
    pushes: Vec<String>,
}

/// 2,000 sockets join, leave, bind, are pushed to in every way, are kicked and drop by themselves; what each receives is
/// exactly what the model says, in its order.
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_sockets_get_what_is_theirs_and_nothing_else() {
    let _ = rlimit::increase_nofile_limit(16_384);
    let gateway = gateway(Settings::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut readers: BTreeMap<Key, JoinHandle<Vec<String>>> = BTreeMap::new();
    let mut model: BTreeMap<Key, Expected> = BTreeMap::new();
    let mut dropping = BTreeMap::new();
    for place in 0..2000 {
        let dialect = if place % 2 == 0 { Dialect::Plain } else { Dialect::V1 };
        let Client { id, mut stream } = connect(&gateway, &listener, dialect).await;
        let (drops, dropped) = tokio::sync::oneshot::channel::<()>();
        let reader = tokio::spawn(async move {
            let mut got = Vec::new();
            let mut dropped = dropped;
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
        readers.insert(Key(id), reader);
        dropping.insert(Key(id), drops);
        model.insert(Key(id), Expected::default());
    }
    let mut dice = Dice(7);
    let mut finished: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    let group = |n: usize| Group::new(format!("g{n}"));
    let uid = |n: usize| -> Uid { Uid::new(format!("u{n}")) };
    for step in 0..6000 {
        let ids: Vec<_> = if step % 500 == 0 { model.keys().copied().collect() } else { vec![] };
        let pick = |dice: &mut Dice, model: &BTreeMap<Key, Expected>| *model.keys().nth(dice.roll(model.len())).unwrap();
        match dice.roll(100) {
            0..40 => {
                let (who, n) = (pick(&mut dice, &model), dice.roll(20));
                assert_eq!(gateway.join_group(who.0, group(n)).await, Some(model.get_mut(&who).unwrap().groups.insert(n)).into());
            }
            40..50 => {
                let (who, n) = (pick(&mut dice, &model), dice.roll(20));
                assert_eq!(
                    gateway.leave_group(who.0, group(n)).await,
                    Some(model.get_mut(&who).unwrap().groups.remove(&n)).into()
                );
            }
            50..65 => {
                let (who, n) = (pick(&mut dice, &model), dice.roll(300));
                assert!(gateway.bind_uid(who.0, uid(n)).await);
                model.get_mut(&who).unwrap().uid = Some(n);
            }
            65..80 => {
                let (one, other, except) = (dice.roll(20), dice.roll(20), pick(&mut dice, &model));
                let push = format!("groups {step}");
                let mut count = 0;
                for (_, expected) in model.iter_mut().filter(|(who, _)| **who != except) {
                    let times = [one, other].iter().filter(|n| expected.groups.contains(n)).count();
                    expected.pushes.extend(std::iter::repeat_n(push.clone(), times));
                    count += times;
                }
                let except = Except { clients: [except.0].into(), ..Except::default() };
                let sent = gateway.send_to_group(vec![group(one), group(other)], except, text(&push)).await;
                assert_eq!(sent.delivered().await, to(count), "{push}");
            }
            80..88 => {
                let n = dice.roll(300);
                let push = format!("uid {step}");
                let theirs: Vec<_> = model.values_mut().filter(|expected| expected.uid == Some(n)).collect();
                let count = theirs.len();
                theirs.into_iter().for_each(|expected| expected.pushes.push(push.clone()));
                assert_eq!(gateway.send_to_uid(vec![uid(n)], Except::default(), text(&push)).await.delivered().await, to(count));
            }
            88..94 => {
                let who = pick(&mut dice, &model);
                let push = format!("client {step}");
                model.get_mut(&who).unwrap().pushes.push(push.clone());
                assert_eq!(gateway.send_to_client(who.0, text(&push)).await.delivered().await, to(1));
            }
            94 => {
                let push = format!("all {step}");
                model.values_mut().for_each(|expected| expected.pushes.push(push.clone()));
                assert_eq!(gateway.send_to_all(None, Except::default(), text(&push)).await.delivered().await, to(model.len()));
            }
            95 | 96 => {
                let who = pick(&mut dice, &model);
                let expected = model.remove(&who).unwrap();
                assert!(gateway.close_client(who.0, Some(text("farewell")), CloseCode::KICKED.into()).await);
                let got = timeout(PATIENCE, readers.remove(&who).unwrap()).await.unwrap().unwrap();
                assert_eq!(got, [expected.pushes, vec!["farewell".into()]].concat());
                finished.insert(who, vec![]);
            }
            97 => {
                let n = dice.roll(20);
                let left = model.values_mut().filter_map(|expected| expected.groups.remove(&n).then_some(())).count();
                assert_eq!(gateway.ungroup(group(n)).await, left);
            }
            _ => {
                // It goes by itself, in the middle of whatever is on its way.
                let who = pick(&mut dice, &model);
                let expected = model.remove(&who).unwrap();
                drop(dropping.remove(&who));
                let got = readers.remove(&who).unwrap().await.unwrap();
                assert!(expected.pushes.starts_with(&got), "a prefix of what was theirs");
                while gateway.is_online(who.0).await {
                    tokio::task::yield_now().await;
                }
            }
        }
        if !ids.is_empty() {
            let people = gateway.uids(Selection::All).await.len();
            let expected: BTreeSet<_> = model.values().filter_map(|expected| expected.uid).collect();
            assert_eq!(people, expected.len());
            let in_groups: BTreeMap<_, _> = (0..20)
                .map(|n| (group(n), model.values().filter(|expected| expected.groups.contains(&n)).count()))
                .filter(|(_, count)| *count > 0)
                .collect();
            assert_eq!(gateway.groups().await.into_iter().collect::<BTreeMap<_, _>>(), in_groups);
        }
    }
    assert!(finished.len() > 50, "kicks were part of it");
    gateway.drain(Duration::from_secs(20)).await;
    for (who, expected) in model {
        let mut got = timeout(PATIENCE, readers.remove(&who).unwrap()).await.unwrap().unwrap();
        got.retain(|push| !push.contains("\"bye\""));
        assert_eq!(got, expected.pushes);
    }
    assert_eq!((gateway.connection_count(), gateway.reserve_connection(HERE, None).err()), (0, Some(LimitReached::Draining)));
}

/// A name that can be a key of an ordered map.
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

/// Bytes of the server's memory that are not another's.
fn resident(server: &Server) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", server.pid())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A handshake by hand: 20,000 of them through a library would be most of the test's time.
async fn shake_hands(server: &Server) -> Client {
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
async fn twenty_thousand_come_and_go_and_leave_nothing_behind() {
    let server = Server::with(&["limits.per_ip=off", "gateway.api_key=secret"]);
    let http = reqwest::Client::new();
    let call = async |calls: serde_json::Value| {
        let request = http.post(format!("{}/gateway/api/batch", server.base)).bearer_auth("secret");
        let answer: serde_json::Value = request.json(&json!({ "calls": calls })).send().await.unwrap().json().await.unwrap();
        answer["results"].clone()
    };
    let mut after_warm_up = 0;
    for round in 0..100 {
        let clients = futures_util::future::join_all((0..200).map(|_| shake_hands(&server))).await;
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
        while call(json!([{"method": "getAllClientCount", "params": {}}])).await[0]["result"] != 0 {}
        if round == 20 {
            after_warm_up = resident(&server);
        }
    }
    let grown = resident(&server).saturating_sub(after_warm_up);
    assert!(grown < 6 << 20, "{grown} bytes more after 16,000 further connections");
    let left = call(json!([{"method": "getAllGroupIdList", "params": {}}, {"method": "getAllUidList", "params": {}}])).await;
    assert_eq!((&left[0]["result"], &left[1]["result"]), (&json!([]), &json!([])));
}

/// What the peer sent right behind its handshake is read, and ends it if it must.
#[tokio::test]
async fn what_came_with_the_handshake_is_not_lost() {
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
        timeout(PATIENCE, stream.read_exact(&mut got)).await.unwrap().unwrap();
        assert_eq!(got, answer);
        stream.get_mut().shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn shards_take_connections_in_turns_whatever_is_done_between() {
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
    // And listings are in the order they came, over all of them.
    let came: Vec<_> = clients.iter().map(|client| client.id).collect();
    assert_eq!(gateway.client_ids(Selection::All).await, came);
}
