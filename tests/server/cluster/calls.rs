//! Calls between nodes, each a cluster's handle in this process, on a real NATS server.

use crate::support::nats::Nats;
use crate::support::proxy::{Link as Wire, Proxy};
use crate::support::{DEADLINE, Place, eventually};
use bytes::Bytes;
use roomcast::domain::id::ClientId;
use roomcast::server::cluster::{CallError, Cluster, Handler, Joining, NodeName, Place as Owner};
use roomcast::server::config::ClusterSettings;
use roomcast::server::storage::Store;
use std::future::{Ready, pending, ready};
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

struct Node {
    cluster: Cluster,
    name: NodeName,
    proxy: Proxy,
    _place: Place,
}

/// Joins the nodes 10.0.0.1, 10.0.0.2 … and waits until each knows all.
async fn nodes(nats: &Nats, count: u8, answer_within_ms: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    for last in 1..=count {
        let (place, proxy) = (Place::sqlite(), Proxy::to(nats.address()));
        let nats = nats.url_at(proxy.address).as_str().into();
        let settings = ClusterSettings { nats, answer_within_ms, ..ClusterSettings::default() };
        let store = Store::open(&place.settings()).await.unwrap();
        let lan_addr = SocketAddrV4::new([10, 0, 0, last].into(), 2900);
        let joining = Joining { lan_addr, incarnation: None, data_dir: place.folder(), connections: Arc::new(|| 7) };
        let cluster = Cluster::join(&settings, &store, joining).await.unwrap();
        cluster.announce();
        nodes.push(Node { cluster, name: lan_addr.into(), proxy, _place: place });
    }
    for node in &nodes {
        know(node, count).await;
    }
    nodes
}

async fn know(node: &Node, count: u8) {
    eventually("the nodes know each other", async || node.cluster.others().len() == usize::from(count) - 1).await;
}

fn handler<F: Future<Output = Bytes> + Send + 'static>(handle: impl Fn(Bytes) -> F + Send + Sync + 'static) -> Handler {
    Arc::new(move |body| Box::pin(handle(body)))
}

fn echo(body: Bytes) -> Ready<Bytes> {
    ready(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_answered_by_its_node_and_one_to_all_by_all_others() {
    let Some(nats) = Nats::start() else { return };
    let nodes = nodes(&nats, 3, 5_000).await;
    for node in &nodes {
        let name = node.name.to_string();
        node.cluster.answer("who", handler(move |_| ready(name.clone().into())));
        node.cluster.answer("echo", handler(echo));
    }
    nodes[1].cluster.answer("long", handler(|_| ready(vec![1_u8; 65 * 1024 * 1024].into())));
    nodes[1].cluster.answer("panic", handler(|_| -> Ready<Bytes> { panic!("on purpose") }));
    let (cluster, other) = (&nodes[0].cluster, nodes[1].name);
    assert_eq!(cluster.call(other, "who", Bytes::new()).await, Ok("10.0.0.2:2900".into()));
    assert_eq!(cluster.call(nodes[0].name, "who", Bytes::new()).await, Ok("10.0.0.1:2900".into()));
    assert_eq!(cluster.others()[0].connections, 7);
    // Body and answer are longer than a message of the bus.
    let long: Bytes = (0..10_000_000_u32).map(|at| (at % 251) as u8).collect::<Vec<_>>().into();
    assert!(cluster.call(other, "echo", long.clone()).await.is_ok_and(|answer| answer == long));
    assert_eq!(cluster.call(other, "long", Bytes::new()).await, Err(CallError::TooLong(other)));

    let start = Instant::now();
    assert_eq!(cluster.call(other, "nobody knows", Bytes::new()).await, Err(CallError::Unknown(other)));
    let gathered = cluster.call_others("who", Bytes::new()).await;
    let answers: Vec<_> = gathered.answers.iter().map(|(_, answer)| answer.as_ref()).collect();
    assert_eq!((answers, gathered.silent.len()), (vec![&b"10.0.0.2:2900"[..], b"10.0.0.3:2900"], 0));
    assert_eq!(cluster.call_others("long", Bytes::new()).await.silent, [other, nodes[2].name]);
    assert!(start.elapsed() < Duration::from_secs(4), "it waited for the deadline");

    assert_eq!(cluster.call(other, "panic", Bytes::new()).await, Err(CallError::Silent(other)));
    assert_eq!(cluster.call(other, "who", Bytes::new()).await, Ok("10.0.0.2:2900".into()), "after a panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_start_in_their_order_and_run_at_the_same_time_up_to_a_bound() {
    let Some(nats) = Nats::start() else { return };
    let nodes = nodes(&nats, 2, 10_000).await;
    let (started, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
    let (seen, wait) = (started.clone(), gate.clone());
    nodes[1].cluster.answer(
        "wait",
        handler(move |body| {
            let (seen, wait) = (seen.clone(), wait.clone());
            async move {
                seen.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
                wait.acquire().await.unwrap().forget();
                body
            }
        }),
    );
    let name = nodes[1].name;
    // Polled in their order, so sent in their order.
    let mut calls: Vec<_> =
        (0..1_100).map(|number: u32| Box::pin(nodes[0].cluster.call(name, "wait", number.to_string().into()))).collect();
    let refused = futures_util::future::join_all(calls.iter_mut().map(|call| timeout(Duration::from_secs(3), call))).await;
    assert_eq!(refused.iter().filter(|answer| **answer == Ok(Err(CallError::Silent(name)))).count(), 1_100 - 1_024);
    assert_eq!(*started.lock().unwrap(), (0..1_024).map(|number| number.to_string()).collect::<Vec<_>>());
    gate.add_permits(2_000);
    let open = calls.into_iter().zip(refused).filter(|(_, answer)| answer.is_err()).map(|(call, _)| call);
    let answered = timeout(DEADLINE, futures_util::future::join_all(open)).await.unwrap();
    assert!(answered.len() == 1_024 && answered.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_node_is_named_at_the_deadline_and_a_cut_one_at_once() {
    let Some(nats) = Nats::start() else { return };
    let nodes = nodes(&nats, 3, 700).await;
    nodes[1].cluster.answer("ask", handler(|_| pending()));
    nodes[2].cluster.answer("ask", handler(echo));
    let (cluster, [_, silent, third]) = (&nodes[0].cluster, [nodes[0].name, nodes[1].name, nodes[2].name]);
    let start = Instant::now();
    let gathered = cluster.call_others("ask", "x".into()).await;
    assert_eq!((gathered.answers, gathered.silent), (vec![(third, "x".into())], vec![silent]));
    assert_eq!(cluster.call(silent, "ask", Bytes::new()).await, Err(CallError::Silent(silent)));
    assert!(start.elapsed() >= Duration::from_millis(1_400));

    // Cut from NATS, a node does not take the others for gone.
    nodes[0].proxy.set(Wire::BlackHole);
    eventually("the others are not heard", async || cluster.others().is_empty()).await;
    let client = |name: NodeName, connection| {
        let address = name.address();
        ClientId { address: address.ip().octets(), port: address.port(), connection }
    };
    let start = Instant::now();
    assert_eq!(cluster.place(client(third, 5)), Owner::Node(third));
    assert_eq!(cluster.call(third, "ask", Bytes::new()).await, Err(CallError::Silent(third)));
    assert_eq!(cluster.call_others("ask", Bytes::new()).await.silent, [silent, third]);
    assert!(start.elapsed() < Duration::from_millis(600), "it waited: {:?}", start.elapsed());
    let stranger = NodeName::from(SocketAddrV4::new([10, 0, 0, 9].into(), 1));
    assert_eq!(cluster.place(client(stranger, 5)), Owner::Nowhere);
    assert_eq!(cluster.place(client(nodes[0].name, 5)), Owner::Here);
    nodes[0].proxy.reset();
    know(&nodes[0], 3).await;
    eventually("calls are answered again", async || cluster.call(third, "ask", "y".into()).await == Ok("y".into())).await;

    // A node that leaves is gone at once.
    nodes[2].cluster.leave().await;
    eventually("the node is gone", async || cluster.place(client(third, 5)) == Owner::Nowhere).await;
    know(&nodes[1], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_lay_too_long_is_not_carried_out() {
    let Some(nats) = Nats::start() else { return };
    let nodes = nodes(&nats, 2, 500).await;
    let carried_out = Arc::new(Mutex::new(Vec::new()));
    let seen = carried_out.clone();
    nodes[1].cluster.answer(
        "act",
        handler(move |body| {
            seen.lock().unwrap().push(body.clone());
            ready(body)
        }),
    );
    let (cluster, other) = (&nodes[0].cluster, nodes[1].name);
    assert!(cluster.call(other, "act", "first".into()).await.is_ok());
    // NATS sleeps for longer than the caller waits, and passes the call on when it awakes.
    nats.signal(libc::SIGSTOP);
    assert_eq!(cluster.call(other, "act", "late".into()).await, Err(CallError::Silent(other)));
    sleep(Duration::from_millis(700)).await;
    nats.signal(libc::SIGCONT);
    // It comes after the late one on the same connection.
    eventually("calls are carried out again", async || cluster.call(other, "act", "again".into()).await.is_ok()).await;
    assert_eq!(carried_out.lock().unwrap().first(), Some(&Bytes::from("first")));
    assert!(!carried_out.lock().unwrap().contains(&Bytes::from("late")));
}
