//! Nodes as processes: they find each other, refuse settings that would mix them up, and leave.

use crate::operating::stdout_of;
use crate::support::cluster::Cluster;
use crate::support::nats::Nats;
use crate::support::postgres::Postgres;
use crate::support::proxy::Link;
use crate::support::{Person, Place, Server, eventually, finished};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The output of a server that must refuse to start.
async fn refusal(place: &Place, settings: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = place.command();
    command.args(["--addr", "127.0.0.1:0", "--set", "gateway.register_addr=127.0.0.1:0"]).envs(environment.iter().copied());
    settings.iter().for_each(|setting| _ = command.args(["--set", setting]));
    let output = finished(command).await;
    assert!(!output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    text.lines().find_map(|line| line.strip_prefix("roomcast: ")).unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_is_gone_after_3_5_s_and_comes_back_under_its_address() {
    let Some(mut cluster) = Cluster::start(3).await else { return };
    let killed = Instant::now();
    cluster.nodes[2].kill();
    cluster.nodes[0].knows(2).await;
    let gone = killed.elapsed();
    assert!(Duration::from_millis(2_400) < gone && gone < Duration::from_millis(6_000), "{gone:?}");
    cluster.nodes[1].knows(2).await;
    // The row of the killed run is younger than 15 s, and the data folder says that the run has ended.
    let (before, started) = (cluster.nodes[2].inner, Instant::now());
    cluster.nodes[2].restart();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(cluster.nodes[2].inner, before);
    cluster.is_whole().await;
    // A node that is stopped says so, and gives its address up.
    cluster.nodes[2].signal(libc::SIGTERM);
    assert!(cluster.nodes[2].exit_status().await.success());
    assert_eq!(cluster.database.sql("SELECT count(*) FROM roomcast.nodes"), "2");
    let stopped = Instant::now();
    cluster.nodes[0].knows(2).await;
    assert!(stopped.elapsed() < Duration::from_secs(2), "{:?}", stopped.elapsed());
    for node in &cluster.nodes[..2] {
        assert_eq!(node.errors(), Vec::<String>::new());
        assert!(!node.log().contains(cluster.nats.password()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_make_one_room_and_one_owner_link() {
    let (Some(database), Some(nats)) = (Postgres::shared(), Nats::start()) else { return };
    let database = std::sync::Arc::new(database);
    let (address, url) = (database.postgres.address(), nats.url());
    let start = || {
        let environment = [("ROOMCAST_CLUSTER_NATS", url.as_str()), ("ROOMCAST_CLUSTER_LOOPBACK", "on")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let place = Place::of_cluster(database.clone(), address, environment.into());
        std::thread::spawn(move || Server::on(place, &[]))
    };
    let started: Vec<_> = [start(), start(), start()].into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(database.sql("SELECT string_agg(room, ' ') FROM roomcast.rooms"), "1");
    assert_eq!(started.iter().filter(|server| server.owner_link.is_some()).count(), 1);
    let with_link = started.iter().find(|server| server.owner_link.is_some()).unwrap();
    with_link.owner().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_live_nodes_cannot_have_one_address() {
    let Some(mut cluster) = Cluster::start(1).await else { return };
    let (inner, url) = (cluster.nodes[0].inner, cluster.nats.url());
    let environment = [("ROOMCAST_CLUSTER_NATS", url.as_str()), ("ROOMCAST_CLUSTER_LOOPBACK", "on")];
    let place = Place::of_cluster(cluster.database.clone(), cluster.database.postgres.address(), Vec::new());
    let same = format!("gateway.lan_addr={inner}");
    let refused = refusal(&place, &[&same, "gateway.lan_listen=127.0.0.1:0"], &environment).await;
    assert!(refused.starts_with(&format!("another node serves with gateway.lan_addr {inner}")), "{refused}");
    // A server outside of the cluster is refused the database, and stays out.
    let refused = refusal(&place, &["gateway.lan_addr=127.0.0.1:0"], &[]).await;
    assert!(refused.contains("another roomcast already serves"), "{refused}");
    assert_eq!(cluster.nodes[0].errors(), Vec::<String>::new());
    // A node whose address another one took, while it was away, stops serving.
    cluster.database.sql("UPDATE roomcast.nodes SET incarnation = 'another', seen_at = now() + interval '1 minute'");
    assert!(cluster.nodes[0].exit_status().await.success());
    assert!(cluster.nodes[0].errors()[0].contains("another node took this one's address"));
    assert_eq!(cluster.database.sql("SELECT incarnation FROM roomcast.nodes"), "another");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_open_or_mix_up_a_cluster_is_refused() {
    let (place, url) = (Place::sqlite(), ("ROOMCAST_STORAGE_URL", "postgres://a:b@127.0.0.1:1/c"));
    let (near, loopback) = (("ROOMCAST_CLUSTER_NATS", "nats://127.0.0.1:1"), ("ROOMCAST_CLUSTER_LOOPBACK", "on"));
    let cases = [
        (vec![near, loopback], "cluster.nats needs storage.url"),
        (vec![near, url], "gateway.lan_addr is 127.0.0.1:2900"),
        (
            vec![url, loopback, ("ROOMCAST_CLUSTER_NATS", "nats://10.0.0.1:4222")],
            "10.0.0.1 is not loopback and has no credentials",
        ),
        (vec![url, loopback, ("ROOMCAST_CLUSTER_NATS", "http://127.0.0.1:1")], "cluster.nats begins with `http:`"),
        (vec![near, url, loopback, ("ROOMCAST_CLUSTER_NAME", "a.b")], "cluster.name is 1-32 letters"),
        (vec![url, loopback, ("ROOMCAST_CLUSTER_ANSWER_WITHIN_MS", "19")], "cluster.answer_within_ms must be 20 to 30000 ms"),
        (vec![url, loopback, ("ROOMCAST_CLUSTER_ANSWER_WITHIN_MS", "30001")], "cluster.answer_within_ms must be 20 to 30000"),
    ];
    for (environment, sentence) in cases {
        let refused = refusal(&place, &[], &environment).await;
        assert!(refused.contains(sentence), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_and_serves_without_nats_and_finds_the_others_later() {
    let Some(mut cluster) = Cluster::start(1).await else { return };
    cluster.nats.kill();
    cluster.add();
    let guest = cluster.nodes[1].guest("alone").await;
    assert_eq!(guest.send("without NATS").await.status, 200);
    assert_eq!(cluster.nodes[1].metric("roomcast_bus_up").await, Some(0.0));
    cluster.nats.run();
    cluster.is_whole().await;
    // One node is cut off: the other drops it, and it comes back.
    cluster.nodes[1].nats.set(Link::BlackHole);
    cluster.nodes[0].knows(1).await;
    // The cooldown holds all the same: PostgreSQL keeps it.
    eventually("the cooldown is over", async || guest.send("through this one").await.status == 200).await;
    assert_eq!(guest.at(&cluster.nodes[0]).send("too fast, through the other one").await.status, 429);
    cluster.nodes[1].nats.reset();
    cluster.is_whole().await;
    // One that is cut off from PostgreSQL stays: its sockets are there.
    cluster.nodes[1].postgres.set(Link::Cut);
    eventually("the store is away", async || cluster.nodes[1].metric("roomcast_store_up").await == Some(0.0)).await;
    cluster.is_whole().await;
    cluster.nodes[1].postgres.set(Link::Forward);
    eventually("the store is back", async || cluster.nodes[1].metric("roomcast_store_up").await == Some(1.0)).await;
    assert_eq!(cluster.nodes[0].errors(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_goes_on_as_the_same_node() {
    let Some(cluster) = Cluster::with(2, &["web.drain_slowly_ms=1000"]).await else { return };
    let run = |node: usize| {
        let inner = cluster.nodes[node].inner;
        cluster.database.sql(&format!("SELECT incarnation FROM roomcast.nodes WHERE lan_addr = '{inner}'"))
    };
    let (before, changes) = (run(0), cluster.nodes[1].log().matches("node is gone").count());
    let mut reader = cluster.nodes[0].guest("reader").await.open_bound(Some("roomcast.v1")).await;
    stdout_of(&cluster.nodes[0], &["reload"]).await;
    assert_eq!(run(0), before);
    reader.push_of("bye").await;
    cluster.is_whole().await;
    // The old process has ended, and the address still belongs to the node.
    reader.close_code().await;
    let renewed = || cluster.database.sql("SELECT min(seen_at) FROM roomcast.nodes");
    let seen = renewed();
    eventually("the claims are renewed", async || renewed() != seen).await;
    cluster.is_whole().await;
    assert_eq!((run(0), cluster.nodes[1].log().matches("node is gone").count()), (before, changes));
}

/// The sockets of the old process hear the other nodes through the new one: no message is lost or doubled while the new one takes over,
/// and after that no push without a number is.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_loses_and_doubles_no_push_of_another_node() {
    let settings = ["web.drain_slowly_ms=120000", "limits.per_ip=off", "chat.cooldown_ms=0", "gateway.api_key=a-key-of-the-test"];
    let Some(cluster) = Cluster::with(2, &settings).await else { return };
    let mut people = Vec::new();
    for number in 0..8 {
        people.push(cluster.nodes[1].guest(&format!("p{number}")).await);
    }
    // The reader connects last and is drained last, some seconds after these.
    let mut others = Vec::new();
    for _ in 0..300 {
        others.push(cluster.nodes[0].visitor().open(Some("roomcast.v1")).await);
    }
    let mut reader = cluster.nodes[0].guest("reader").await.open_bound(Some("roomcast.v1")).await;
    let is_over = AtomicBool::new(false);
    let reload = async {
        let mut command = cluster.nodes[0].command();
        command.arg("reload");
        assert!(finished(command).await.status.success());
        cluster.is_whole().await;
        is_over.store(true, Ordering::Relaxed);
    };
    // Together they send in every moment of the hand-over.
    let talk = async |person: &Person| {
        let mut newest = 0;
        while !is_over.load(Ordering::Relaxed) {
            newest = person.send("a message").await.body["seq"].as_u64().unwrap();
        }
        newest
    };
    let ((), newest) = tokio::join!(reload, futures_util::future::join_all(people.iter().map(talk)));
    let newest = newest.into_iter().max().unwrap();
    let push = |text: String| {
        let body = serde_json::json!({ "group": "1", "message": { "type": "test", "text": text } });
        let request = reqwest::Client::new().post(format!("{}/gateway/api/sendToGroup", cluster.nodes[1].base));
        request.bearer_auth("a-key-of-the-test").json(&body).send()
    };
    for number in 1..=20 {
        assert_eq!(people[0].send("a message").await.body["seq"], newest + number);
        let answer = push(format!("push {number}")).await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
    let (mut seqs, mut texts) = (Vec::new(), Vec::new());
    let newest = newest + 20;
    while seqs.last() != Some(&newest) || texts.len() < 20 {
        let push = reader.push().await;
        match push["type"].as_str().unwrap() {
            "message" => seqs.push(push["seq"].as_u64().unwrap()),
            "test" => texts.push(push["text"].as_str().unwrap().to_owned()),
            "bye" => panic!("the old process said bye too early: {seqs:?} {texts:?}"),
            _ => {}
        }
    }
    // Those that would be doubled come within a poll of the store.
    let late = tokio::time::timeout(Duration::from_secs(2), reader.push_of("message")).await;
    assert!(late.is_err(), "doubled: {late:?}");
    assert_eq!(seqs, (1..=newest).collect::<Vec<_>>());
    assert_eq!(texts, (1..=20).map(|number| format!("push {number}")).collect::<Vec<_>>());
}
