//! The number of people in a room, over the nodes.

use crate::support::cluster::{Cluster, Node};
use crate::support::{Person, Socket, eventually};
use std::time::{Duration, Instant};

const V1: Option<&str> = Some("roomcast.v1");

/// Reads the pushed counts of a socket until one is `count`. Returns those before it.
async fn sees(socket: &mut Socket, count: u64) -> Vec<u64> {
    let mut before = Vec::new();
    loop {
        match socket.push_of("online").await["count"].as_u64().unwrap() {
            seen if seen == count => return before,
            other => before.push(other),
        }
    }
}

/// A browser with a visitor cookie, and without a session.
async fn browser(node: &Node) -> Person {
    let visitor = node.visitor();
    assert_eq!(visitor.get("/rooms/1").await.status(), 200);
    visitor
}

/// Opens a socket at a node and binds it there.
async fn reads(person: &Person, node: &Node) -> Socket {
    person.at(node).open_bound(V1).await
}

async fn page_says(node: &Node, path: &str, count: u64) {
    let expected = format!("{count} online");
    eventually(&format!("{path} says {expected}"), async || {
        let request = node.visitor().request("GET", path).header("accept", "text/html").header("accept-language", "en");
        request.send().await.unwrap().text().await.unwrap().contains(&expected)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_on_two_nodes_counts_once_and_people_of_all_nodes_count() {
    let Some(cluster) = Cluster::start(2).await else { return };
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    let ming = one.guest("Ming").await;
    let mut first = reads(&ming, one).await;
    sees(&mut first, 1).await;
    page_says(two, "/rooms/1", 1).await;
    let mut second = reads(&ming, two).await;
    // Another person at the second node, and a reader with a tab at each.
    let mei = two.guest("Mei").await;
    let mut third = reads(&mei, two).await;
    assert_eq!(sees(&mut first, 2).await, Vec::<u64>::new());
    assert_eq!(sees(&mut second, 2).await, Vec::<u64>::new());
    let reader = browser(one).await;
    let tabs = [reads(&reader, one).await, reads(&reader, two).await];
    sees(&mut first, 3).await;
    sees(&mut third, 3).await;
    for node in [one, two] {
        page_says(node, "/rooms/1", 3).await;
        page_says(node, "/", 3).await;
    }
    // The reader joins with one tab: still one person, counted by the uid.
    reader.post("/session/guest", &[("nickname", "阿明")]).await;
    assert_eq!(reader.at(one).bind(&tabs[0], &[]).await.status, 200);
    drop(third);
    sees(&mut first, 2).await;
    sees(&mut second, 2).await;
    drop((second, tabs));
    sees(&mut first, 1).await;
    page_says(two, "/rooms/1", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_people_of_a_killed_node_are_gone_after_3_5_s() {
    let Some(mut cluster) = Cluster::start(2).await else { return };
    let (here, away) = (cluster.nodes[0].guest("Ming").await, cluster.nodes[1].guest("Mei").await);
    let mut socket = reads(&here, &cluster.nodes[0]).await;
    let _other = reads(&away, &cluster.nodes[1]).await;
    sees(&mut socket, 2).await;
    let killed = Instant::now();
    cluster.nodes[1].kill();
    sees(&mut socket, 1).await;
    let gone = killed.elapsed();
    assert!(Duration::from_millis(2_400) < gone && gone < Duration::from_millis(6_000), "{gone:?}");
    page_says(&cluster.nodes[0], "/", 1).await;
    // It starts again, and is told at once, not in its turn of the next 10 s.
    cluster.nodes[1].restart();
    cluster.is_whole().await;
    let whole = Instant::now();
    page_says(&cluster.nodes[1], "/", 1).await;
    assert!(whole.elapsed() < Duration::from_secs(4), "{:?}", whole.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nats_is_away_a_node_counts_its_own_people() {
    let Some(cluster) = Cluster::start(2).await else { return };
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    let (mut first, mut second) = (reads(&one.guest("Ming").await, one).await, reads(&two.guest("Mei").await, two).await);
    sees(&mut first, 2).await;
    sees(&mut second, 2).await;
    let stopped = Instant::now();
    cluster.nats.stop();
    sees(&mut first, 1).await;
    assert!(stopped.elapsed() > Duration::from_millis(2_400), "{:?}", stopped.elapsed());
    sees(&mut second, 1).await;
    let _third = reads(&one.guest("Lan").await, one).await;
    sees(&mut first, 2).await;
    cluster.nats.run();
    assert_eq!(sees(&mut first, 3).await, Vec::<u64>::new());
    sees(&mut second, 3).await;
}
