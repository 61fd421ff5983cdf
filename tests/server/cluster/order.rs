//! Messages and changes of a room on several nodes: on every screen, in their order, once and soon, with NATS and without it.

use super::stage::{SETTINGS, all_got, call, stage, talk, talk_at_once};
use crate::support::cluster::Cluster;
use crate::support::proxy::Link;
use crate::support::{Person, eventually, fail_at};
use bytes::Bytes;
use serde_json::json;
use std::time::Instant;
use tokio::task::JoinHandle;

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_on_every_screen_also_without_nats() {
    let Some((cluster, people, screens)) = stage(3).await else { return };
    all_got(&screens, &talk_at_once(&people, 20).await).await;
    let healed = async || cluster.nodes[1].metric("roomcast_order_healed_total").await.unwrap_or_default();

    // NATS ends, is killed, and comes back.
    cluster.nats.stop();
    all_got(&screens, &talk(&people, 4).await).await;
    assert!(healed().await > 0.0, "the store was not asked");
    cluster.nats.run();
    cluster.is_whole().await;
    all_got(&screens, &talk_at_once(&people, 20).await).await;
    cluster.nats.kill();
    all_got(&screens, &talk_at_once(&people, 5).await).await;
    cluster.nats.run();
    cluster.is_whole().await;

    // One node's link is cut, or carries nothing without an end.
    for link in [Link::Cut, Link::BlackHole] {
        cluster.nodes[1].nats.set(link);
        all_got(&screens, &talk(&people, 5).await).await;
        cluster.nodes[1].nats.set(Link::Forward);
        cluster.nodes[1].nats.reset();
        cluster.is_whole().await;
        all_got(&screens, &talk_at_once(&people, 10).await).await;
    }
    for screen in &screens {
        let seqs: Vec<u64> = screen.of("message", "seq").into_iter().map(|(seq, ..)| seq).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "at {}", screen.node);
    }
    cluster.nodes.iter().for_each(|node| assert_eq!(node.errors(), Vec::<String>::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_node_that_was_killed_after_its_commit_is_on_every_screen() {
    let Some((mut cluster, people, mut screens)) = stage(3).await else { return };
    all_got(&screens, &talk(&people, 2).await).await;
    fail_at(&cluster.nodes[0].data, Some("appended"));
    cluster.nodes[0].kill();
    cluster.nodes[0].restart();
    screens.remove(0);
    assert!(people[0].try_send("the last words", "n").await.is_none(), "the node lives");
    let died = Instant::now();
    all_got(&screens, &[(7, died)]).await;
    let (_, _, message) = screens[0].of("message", "seq").pop().unwrap();
    assert_eq!((&message["text"], &message["user"]), (&json!("the last words"), &json!(people[0].uid)));
    // The page repeats its nonce at another node, and learns the seq.
    let elsewhere = Person::new(&cluster.nodes[1].base);
    people[0].cookie().unwrap().split("; ").for_each(|cookie| elsewhere.set_cookie(cookie));
    let answer = elsewhere.try_send("the last words", "n").await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body["seq"]), (200, &json!(7)), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_nonce_on_two_nodes_at_once_is_one_message() {
    let Some((cluster, people, screens)) = stage(2).await else { return };
    let elsewhere = people[0].at(&cluster.nodes[1]);
    for turn in 1..=20 {
        let (text, nonce) = (format!("turn {turn}"), format!("n{turn}"));
        let sends = [&people[0], &elsewhere].map(|person| person.try_send(&text, &nonce));
        for answer in futures_util::future::join_all(sends).await {
            let answer = answer.unwrap();
            assert_eq!((answer.status.as_u16(), &answer.body["seq"]), (200, &json!(turn)), "{}", answer.body);
        }
    }
    let sent: Vec<_> = (1..=20).map(|seq| (seq, Instant::now())).collect();
    all_got(&screens, &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_overtakes_its_message_waits_for_it() {
    let Some((cluster, people, screens)) = stage(3).await else { return };
    all_got(&screens, &talk(&people, 2).await).await;
    // Publishes of node 0 reach nobody, those of node 1 do.
    cluster.nodes[0].nats.set(Link::BlackHole);
    let answer = people[0].send("overtaken").await;
    let (seq, sent) = (answer.body["seq"].as_u64().unwrap(), Instant::now());
    let removed = call(&cluster.nodes[1], "mod.remove", json!({"room": "1", "seq": seq})).await;
    assert_eq!(removed["rev"], 1, "{removed}");
    for screen in &screens {
        screen.has("changed", "rev", 1).await;
        assert_eq!(screen.of("changed", "rev")[0].2["removed"], json!([seq]));
        let seen = screen.seen.lock().unwrap();
        let place = |kind: &str, number: &str, value: u64| {
            seen.iter().position(|(_, push)| push["type"] == kind && push[number] == value).unwrap()
        };
        assert!(place("message", "seq", seq) < place("changed", "rev", 1), "at {}: {seen:?}", screen.node);
    }
    all_got(&screens, &[(seq, sent)]).await;
}

/// Sends until the answer is a ban, at one node.
fn spam(person: Person) -> JoinHandle<usize> {
    tokio::spawn(async move {
        for number in 0..10_000 {
            let answer = person.send(&format!("spam {number}")).await;
            match answer.body["code"].as_str() {
                None => {}
                Some("banned") => return number,
                Some("busy" | "too_fast") => tokio::task::yield_now().await,
                Some(_) => panic!("{}", answer.body),
            }
        }
        panic!("no ban")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_a_ban_and_a_purge_amid_sends_hold_on_every_node() {
    let Some((cluster, people, screens)) = stage(3).await else { return };
    let spammer = cluster.nodes[0].guest("spammer").await;
    let spams: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| {
            let person = Person::new(&node.base);
            spammer.cookie().unwrap().split("; ").for_each(|cookie| person.set_cookie(cookie));
            spam(person)
        })
        .collect();
    screens[2].has("message", "seq", 20).await;
    // Windows of all nodes are in memory.
    for node in cluster.nodes.iter().cycle().take(6) {
        node.visitor().get("/rooms/1").await;
    }
    call(&cluster.nodes[0], "mod.remove", json!({"room": "1", "seq": 3})).await;
    call(&cluster.nodes[1], "mod.ban", json!({"room": "1", "user": spammer.uid})).await;
    let newest = cluster.database.sql("SELECT seq FROM roomcast.heads WHERE room = '1'").parse::<u64>().unwrap();
    for spam in spams {
        spam.await.unwrap();
    }
    let later = format!("SELECT count(*) FROM roomcast.messages WHERE uid = '{}' AND seq > {newest}", spammer.uid);
    assert_eq!(cluster.database.sql(&later), "0");
    let purged = call(&cluster.nodes[2], "mod.purge", json!({"room": "1", "user": spammer.uid})).await;
    let rev = purged["rev"].as_u64().unwrap();
    let sent = talk(&people, 2).await;
    for screen in &screens {
        screen.has("changed", "rev", rev).await;
        screen.has("message", "seq", sent.last().unwrap().0).await;
        for (kind, number) in [("message", "seq"), ("changed", "rev")] {
            let numbers: Vec<u64> = screen.of(kind, number).into_iter().map(|(number, ..)| number).collect();
            assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{kind} at {}", screen.node);
        }
    }
    for node in &cluster.nodes {
        for _ in 0..3 {
            let visitor = node.visitor();
            let socket = visitor.open(Some("roomcast.v1")).await;
            let window = visitor.bind(&socket, &[("since", "0")]).await.body.to_string();
            let history = visitor.post("/gateway/history", &[("room", "1"), ("before", "100000"), ("limit", "100")]).await;
            let page = visitor.get("/rooms/1").await.text().await.unwrap();
            for text in [window, history.body.to_string(), page] {
                assert!(!text.contains("spam "), "at {}: {text}", node.base);
            }
        }
    }
    assert_eq!(cluster.database.sql("SELECT count(*) FROM roomcast.shown_messages WHERE text LIKE 'spam %'"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_message_is_counted_and_harms_nothing() {
    let Some((cluster, people, screens)) = stage(2).await else { return };
    all_got(&screens, &talk(&people, 1).await).await;
    // The client takes no credentials from a URL.
    let options = async_nats::ConnectOptions::with_user_and_password("roomcast".into(), cluster.nats.password().into());
    let stranger = options.connect(cluster.nats.address().to_string()).await.unwrap();
    let subject = format!("rc.roomcast.m.{}.1", roomcast::server::bus::bucket(&"1".parse().unwrap()));
    let epoch = b"\x03old";
    let far = [&b"\x01\x01\0\0\0\0\0\0\0\x07"[..], epoch, &[0; 8], b"\0\x01", &3_u64.to_be_bytes(), b"\0\0\0\x02{}"].concat();
    for payload in [&b"\x09\x01"[..], b"\x01\x09", b"\x01\x01", &far] {
        stranger.publish(subject.clone(), Bytes::copy_from_slice(payload)).await.unwrap();
    }
    stranger.publish(subject.replace(".1", ".nowhere"), Bytes::from_static(b"x")).await.unwrap();
    stranger.flush().await.unwrap();
    for why in ["version", "kind", "malformed"] {
        let name = format!("roomcast_bus_unreadable_total{{why=\"{why}\"}}");
        eventually(&name, async || cluster.nodes[1].metric(&name).await == Some(1.0)).await;
    }
    eventually("unwanted", async || cluster.nodes[1].metric("roomcast_bus_unwanted_total").await == Some(1.0)).await;
    all_got(&screens, &talk(&people, 3).await).await;
}

/// The page of a room came from one node, which follows the room no more: what it keeps of that moment finds nobody who spoke since.
#[tokio::test(flavor = "multi_thread")]
async fn a_mention_finds_who_spoke_at_another_node() {
    let Some(cluster) = Cluster::with(2, &SETTINGS).await else { return };
    let [here, there] = &cluster.nodes[..] else { panic!("two nodes") };
    let (viewer, mei) = (here.guest("Viewer").await, there.guest("Mei").await);
    for person in [&viewer, &mei] {
        assert_eq!(person.send("hello").await.status, 200);
    }
    let mentions = async |text: &str| {
        let seq = viewer.send(text).await.body["seq"].as_u64().unwrap();
        let form = [("room", "1"), ("before", &*(seq + 1).to_string()), ("limit", "1")];
        viewer.post("/gateway/history", &form).await.body["messages"][0]["mentions"].clone()
    };
    for (joins, name) in [(false, "Mei Lan"), (true, "Mei Ling")] {
        // In memory from the second page on.
        for _ in 0..3 {
            viewer.get("/rooms/1").await;
        }
        let speaker = there.guest(name).await;
        assert_eq!(speaker.send("I am here").await.status, 200);
        let _socket = if joins { Some(viewer.open_bound(Some("roomcast.v1")).await) } else { None };
        assert_eq!(mentions(&format!("@{name} hi")).await, json!([speaker.uid]), "{name}");
    }
}
