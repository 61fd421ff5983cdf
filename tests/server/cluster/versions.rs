//! Nodes of several versions: a node passes over messages that it does not know, and an older node serves beside a newer schema that permits it.

use crate::moderation_doors::account;
use crate::support::cluster::{Cluster, Node};
use crate::support::{Person, binary, eventually, finished};
use roomcast::server::bus::Subject;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A sender of another version on the cluster's NATS server.
async fn stranger(cluster: &Cluster) -> async_nats::Client {
    // The client takes no credentials from a URL.
    let options = async_nats::ConnectOptions::with_user_and_password("roomcast".into(), cluster.nats.password().into());
    options.connect(cluster.nats.address().to_string()).await.unwrap()
}

async fn publish(nats: &async_nats::Client, subject: &str, payload: impl Into<Vec<u8>>) {
    nats.publish(format!("rc.roomcast.{subject}"), payload.into().into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_another_version_are_passed_over() {
    let Some(cluster) = Cluster::with(2, &["chat.cooldown_ms=0"]).await else { return };
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    let (sender, reader) = (one.guest("Ming").await, two.guest("Mei").await);
    let mut socket = reader.open_bound(Some("roomcast.v1")).await;
    let nats = stranger(&cluster).await;
    let messages = Subject::messages(&"1".parse().unwrap()).to_string();
    let node = roomcast::server::cluster::NodeName::from(two.inner).hex();
    let newer = [&[2u8][..], &[0xff; 400]].concat();
    let payloads = [newer, Vec::new(), b"{}".to_vec(), br#"{"v":2,"rooms":"others"}"#.to_vec(), vec![1; 20], vec![b'['; 200_000]];
    for subject in [&messages, "here", "hello", "all", &format!("n.{node}"), "news", "of-a-later-version"] {
        for payload in &payloads {
            publish(&nats, subject, payload.clone()).await;
        }
        nats.flush().await.unwrap();
        assert_eq!(sender.send(subject).await.status, 200);
        assert_eq!(socket.push_of("message").await["text"], subject);
    }
    cluster.is_whole().await;
    assert_eq!((one.errors(), two.errors()), (Vec::new(), Vec::new()));
    let mut other = two.guest("Lan").await.open_bound(Some("roomcast.v1")).await;
    assert!(other.push_of("online").await["count"].as_u64() <= Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_newer_version_is_a_node() {
    let Some(cluster) = Cluster::start(1).await else { return };
    let nats = stranger(&cluster).await;
    let name = roomcast::server::cluster::NodeName::from("10.9.8.7:2900".parse::<std::net::SocketAddrV4>().unwrap());
    let hello = |at: u64| {
        json!({
            "name": name, "incarnation": 7, "process": 1, "at": at, "version": "9.9.9", "state": "serving", "connections": 3,
            "region": "eu", "protocols": [1, 2],
        })
    };
    let started = Instant::now();
    let says_hello = async {
        loop {
            publish(&nats, "hello", hello(started.elapsed().as_millis() as u64).to_string()).await;
            sleep(Duration::from_millis(500)).await;
        }
    };
    // It tells of its people, in a form with more fields than this version knows.
    let here =
        json!({"v": 1, "node": name, "run": 7, "load": 0.5, "rooms": [{"room": "1", "count": 2, "nobody": 2, "mood": "fine"}]});
    let knows = async {
        cluster.nodes[0].knows(2).await;
        publish(&nats, "here", here.to_string()).await;
        eventually("the page counts its people", async || {
            let page =
                cluster.nodes[0].visitor().request("GET", "/rooms/1").header("accept-language", "en").send().await.unwrap();
            page.text().await.unwrap().contains("2 online")
        })
        .await;
    };
    tokio::select! {
        () = says_hello => {}
        () = knows => {}
    }
    cluster.nodes[0].knows(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_node_starts_again_beside_a_newer_schema_that_is_compatible_with_it() {
    let Some(mut cluster) = Cluster::with(2, &["chat.cooldown_ms=0"]).await else { return };
    cluster.database.sql(
        "INSERT INTO roomcast._sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9000, '', true, '', 0)",
    );
    cluster.nodes[0].kill();
    cluster.nodes[0].restart();
    cluster.is_whole().await;
    let (sender, reader) = (cluster.nodes[0].guest("Ming").await, cluster.nodes[1].guest("Mei").await);
    let mut socket = reader.open_bound(Some("roomcast.v1")).await;
    assert_eq!(sender.send("of the older node").await.status, 200);
    assert_eq!(socket.push_of("message").await["text"], "of the older node");

    // The next version takes it away: nodes that serve go on, and none of this version starts any more.
    cluster.database.sql("UPDATE roomcast.facts SET value = '9000' WHERE name = 'schema.compatible_from'");
    cluster.nodes[0].kill();
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = binary();
    command.args(["--addr", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
    command.env("ROOMCAST_STORAGE_URL", cluster.database.url()).env("ROOMCAST_CLUSTER_NATS", cluster.nats.url());
    command
        .env("ROOMCAST_CLUSTER_LOOPBACK", "on")
        .env("ROOMCAST_LAN_ADDR", "127.0.0.1:0")
        .env("ROOMCAST_REGISTER_ADDR", "127.0.0.1:0");
    let output = finished(command).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("needs a newer roomcast"), "{output:?}");
    assert_eq!(reader.send("of the one that serves").await.status, 200);
    assert_eq!(socket.push_of("message").await["text"], "of the one that serves");
}

/// Does each kind of act and reads what the staff reads, on one node.
async fn moderates(node: &Node, owner: &Person, viewer: &Person, turn: usize) {
    let owner = owner.at(node);
    let form = |more: &[(&'static str, String)]| {
        let room = [("room", "1".to_owned()), ("nonce", format!("{turn}-{}", uuid::Uuid::new_v4()))];
        room.into_iter().chain(more.iter().cloned()).collect::<Vec<_>>()
    };
    let act = async |verb: &str, more: &[(&'static str, String)]| {
        let form = form(more);
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = owner.post(&format!("/gateway/mod/{verb}"), &form).await;
        assert_eq!(answer.status, 200, "{turn}: {verb}: {}", answer.body);
        answer.body
    };
    let user = || ("user", viewer.uid.clone());
    let sent = viewer.at(node).send("a message").await;
    assert_eq!(sent.status, 200, "{turn}: {}", sent.body);
    let removed = act("remove", &[("seq", sent.body["seq"].to_string())]).await;
    act("undo", &[("action", removed["action"].as_str().unwrap().to_owned())]).await;
    act("note", &[user(), ("text", "a note".into())]).await;
    let timeout = act("timeout", &[user(), ("seconds", "60".into())]).await;
    act("lift", &[("case", timeout["case"].as_str().unwrap().to_owned())]).await;
    act("purge", &[user()]).await;
    let person = format!("/gateway/mod/person?room=1&user={}", viewer.uid);
    let reads = ["/gateway/mod/log?room=1", "/gateway/mod/restraints?room=1", "/gateway/mod/reports?room=1", &person];
    for path in reads.into_iter().chain(["/rooms/1/moderate", "/rooms/1"]) {
        assert_eq!(owner.get(path).await.status(), 200, "{turn}: {path}");
    }
}

/// A later version adds columns while this one serves, on connections that know its tables.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_a_newer_version_disturbs_no_node_that_serves() {
    let settings = ["chat.cooldown_ms=0", "chat.first_message_ms=0", "limits.per_ip=off"];
    let Some(cluster) = Cluster::with(2, &settings).await else { return };
    let owner = cluster.nodes.iter().find(|node| node.owner_link.is_some()).unwrap().owner().await;
    let viewer = account(&cluster.nodes[0], "viewer").await;
    for turn in 0..16 {
        if turn == 8 {
            let tables = cluster.database.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'roomcast'");
            for table in tables.lines() {
                let alter = format!("ALTER TABLE roomcast.{table} ADD COLUMN of_a_later_version text DEFAULT 'x'");
                cluster.database.sql(&alter);
            }
        }
        moderates(&cluster.nodes[turn % 2], &owner, &viewer, turn).await;
    }
    let log = cluster.nodes.iter().map(|node| node.log()).collect::<String>();
    assert!(!log.contains("cached plan"), "{log}");
    cluster.nodes.iter().for_each(|node| assert_eq!(node.errors(), Vec::<String>::new()));
}
