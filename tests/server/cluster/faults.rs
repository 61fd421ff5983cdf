//! Faults of a whole node, and of the database of all: a long sleep, a wrong clock, a database that takes no writes, one that refuses
//! leases, a reload while NATS is away.

use super::stage::{SETTINGS, Screen, all_got, call, stage, talk};
use crate::moderation_doors::account;
use crate::support::cluster::Cluster;
use crate::support::postgres::Postgres;
use crate::support::{Person, eventually};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The longest sleep of a node in the tests.
const LONG: Duration = Duration::from_secs(30);

/// The time in which such a node has healed: 3 s, and some for a busy machine.
const HEALED: Duration = Duration::from_secs(5);

/// Checks that the messages of a screen rise, each once, and that it was told of those that it skipped.
fn rises(screen: &Screen) {
    let mut next = None;
    for (_, push) in &*screen.seen.lock().unwrap() {
        let number = |name: &str| push[name].as_u64().unwrap();
        match push["type"].as_str().unwrap() {
            "message" => {
                assert!(next.is_none_or(|next| next == number("seq")), "{} after {next:?} at {}", number("seq"), screen.node);
                next = Some(number("seq") + 1);
            }
            "gap" if push["to"].is_u64() => {
                assert_eq!(next, push["from"].as_u64(), "at {}", screen.node);
                next = Some(number("to") + 1);
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_slept_for_30_s_catches_up_and_carries_out_no_old_command() {
    let Some((cluster, people, screens)) = stage(3).await else { return };
    let [one, _, sleeper] = &cluster.nodes[..] else { panic!("three nodes") };
    all_got(&screens, &talk(&people, 2).await).await;
    let mut of_api = sleeper.visitor().open(None).await;
    let leaves = sleeper.guest("leaves").await;
    let mut ended = leaves.open_bound(Some("roomcast.v1")).await;
    sleeper.signal(libc::SIGSTOP);
    let slept = Instant::now();

    let old = json!({"client_id": of_api.client_id, "message": "old"});
    let request = one.visitor().request("POST", "/gateway/api/sendToClient").bearer_auth("secret").json(&old);
    let answer = crate::support::read(request.send().await.unwrap()).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (503, &json!("busy")), "{}", answer.body);
    assert_eq!(leaves.at(one).post("/session/logout", &[]).await.status, 200);
    // More than a node keeps of a room in its memory.
    let sent = talk(&people[..2], 150).await;
    all_got(&screens[..2], &sent).await;
    let removed = call(one, "mod.remove", json!({"room": "1", "seq": sent[0].0})).await;
    one.knows(2).await;
    sleep(LONG.saturating_sub(slept.elapsed())).await;
    sleeper.signal(libc::SIGCONT);
    let woke = Instant::now();

    assert_eq!(ended.close_code().await, 4501);
    screens[2].has("message", "seq", sent.last().unwrap().0).await;
    screens[2].has("changed", "rev", removed["rev"].as_u64().unwrap()).await;
    assert!(woke.elapsed() < HEALED, "healed after {:?}", woke.elapsed());
    cluster.is_whole().await;
    let sent = talk(&people, 3).await;
    all_got(&screens[..2], &sent).await;
    screens[2].has("message", "seq", sent.last().unwrap().0).await;
    screens.iter().for_each(rises);
    call(one, "sendToClient", json!({"client_id": of_api.client_id, "message": "new"})).await;
    assert_eq!(of_api.push().await, "new", "the old command was carried out");
    cluster.nodes.iter().for_each(|node| assert_eq!(node.errors(), Vec::<String>::new()));
}

/// Sends until a message is accepted, and returns its seq.
async fn accepted(person: &Person) -> u64 {
    let mut seq = None;
    eventually("a send is accepted", async || {
        seq = person.send("again").await.body["seq"].as_u64();
        seq.is_some()
    })
    .await;
    seq.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_refuses_sends_on_every_node_and_loses_nothing() {
    let Some(postgres) = Postgres::own() else { return };
    let settings = [&SETTINGS[..], &["cluster.answer_within_ms=10000"]].concat();
    let Some(cluster) = Cluster::on(postgres.database(), 2, &settings).await else { return };
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    let people = [one.guest("one").await, two.guest("two").await];
    let screens = [Screen::open(one).await, Screen::open(two).await];
    let mut sockets = [one.visitor().open(None).await, two.visitor().open(None).await];
    all_got(&screens, &talk(&people, 2).await).await;
    let set = |value: &str| {
        postgres.sql("postgres", &format!("ALTER SYSTEM SET default_transaction_read_only = {value}"));
        postgres.sql("postgres", "SELECT pg_reload_conf()");
    };
    set("on");
    for (node, person) in cluster.nodes.iter().zip(&people) {
        eventually("a send is busy", async || {
            let answer = person.send("refused").await;
            (answer.status.as_u16(), &answer.body["code"]) == (503, &json!("busy"))
        })
        .await;
        eventually("the store is down", async || node.metric("roomcast_store_up").await == Some(0.0)).await;
        assert_eq!(node.visitor().get("/readyz").await.status(), 200);
    }
    // Pushes of back ends need no database.
    assert_eq!(call(two, "sendToAll", json!({"message": "without a database"})).await["to"], json!(4));
    for socket in &mut sockets {
        assert_eq!(socket.push().await, "without a database");
    }
    set("off");
    let mut newest = 0;
    for person in &people {
        newest = accepted(person).await;
    }
    for screen in &screens {
        screen.has("message", "seq", newest).await;
        rises(screen);
        assert_eq!(screen.of("gap", "from").len(), 0, "at {}", screen.node);
    }
    assert_eq!(cluster.database.sql("SELECT count(*) = max(seq) FROM roomcast.messages"), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_of_a_node_decides_nothing() {
    let settings = ["chat.cooldown_ms=3000", "chat.first_message_ms=0"];
    let Some(database) = Postgres::shared() else { return };
    let Some(cluster) = Cluster::with_clocks(database, 2, &settings).await else { return };
    let [wrong, right] = &cluster.nodes[..] else { panic!("two nodes") };
    let owner = cluster.nodes.iter().find(|node| node.owner_link.is_some()).unwrap().owner().await;
    let viewer = account(right, "viewer").await;
    for hours in [1, -1, 0_i64] {
        wrong.clock.as_ref().unwrap().shift(hours * 3_600);
        eventually("the node has another time", async || cluster.hours_ahead(wrong).await == hours.to_string()).await;
        let person = wrong.guest("Ming").await;
        let mut socket = person.at(right).open_bound(Some("roomcast.v1")).await;
        let sent = person.send("hello").await;
        assert_eq!(sent.status, 200, "{}", sent.body);
        let message = socket.push_of("message").await;
        let stored = cluster.database.sql("SELECT max(abs(at - roomcast.now_ms())) < 60000 FROM roomcast.messages");
        assert_eq!((stored.as_str(), &message["seq"]), ("t", &sent.body["seq"]));
        for node in [wrong, right] {
            let soon = person.at(node).send("too soon").await;
            let wait = soon.body["retry_after_ms"].as_u64();
            assert!(wait.is_some_and(|wait| (1..=3_000).contains(&wait)), "{hours}: {}", soon.body);
        }
        eventually("the cooldown ends on the node", async || person.send("later").await.status == 200).await;

        let form = [("room", "1"), ("user", viewer.uid.as_str()), ("seconds", "60")];
        let timed_out = owner.at(wrong).post("/gateway/mod/timeout", &form).await;
        assert_eq!(timed_out.status, 200, "{}", timed_out.body);
        for node in [wrong, right] {
            let refused = viewer.at(node).send("in a timeout").await;
            assert_eq!(refused.body["code"], "muted", "{hours}: {}", refused.body);
        }
        let case = timed_out.body["case"].as_str().unwrap();
        let lifted = owner.at(wrong).post("/gateway/mod/lift", &[("room", "1"), ("case", case)]).await;
        assert_eq!(lifted.status, 200, "{}", lifted.body);
        assert_eq!(person.post("/session/logout", &[]).await.status, 200);
        assert_eq!(socket.close_code().await, 4501);
    }
    cluster.nodes.iter().for_each(|node| assert_eq!(node.errors(), Vec::<String>::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_leases_are_logged_once() {
    let Some(cluster) = Cluster::start(1).await else { return };
    let node = &cluster.nodes[0];
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1919902818 \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("the node has the jobs", async || cluster.database.sql(held) == "4").await;
    let function = "FUNCTION pg_catalog.pg_try_advisory_lock(integer, integer)";
    cluster.database.sql(&format!("REVOKE EXECUTE ON {function} FROM public"));
    let lines = |text: &str| node.log().matches(text).count();
    eventually("the jobs are given up", async || cluster.database.sql(held) == "0").await;
    eventually("it is logged", async || lines("gives no lease of the jobs") == 1).await;
    let asked = || cluster.database.postgres.log().matches("permission denied for function pg_try_advisory_lock").count();
    eventually("it asks again", async || asked() > 2).await;
    cluster.database.sql(&format!("GRANT EXECUTE ON {function} TO public"));
    eventually("the node has the jobs again", async || cluster.database.sql(held) == "4").await;
    eventually("that is logged, too", async || lines("gives leases of the jobs again") == 1).await;
    assert_eq!(lines("gives no lease of the jobs"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_while_nats_is_away_goes_on_as_the_same_node() {
    let Some((mut cluster, people, screens)) = stage(2).await else { return };
    all_got(&screens, &talk(&people, 2).await).await;
    cluster.nats.stop();
    cluster.nodes[0].reload().await;
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    // A send under way at the change of the processes is repeated by its page.
    let first = accepted(&people[0]).await;
    let screen = Screen::open(one).await;
    let sent = talk(&people, 3).await;
    assert!(sent[0].0 > first);
    for screen in [&screen, &screens[1]] {
        screen.got(&sent).await;
    }
    cluster.nats.run();
    cluster.is_whole().await;
    screen.got(&talk(&people, 3).await).await;
    assert_eq!(cluster.database.sql("SELECT count(*) FROM roomcast.nodes"), "2");
    assert_eq!((one.errors(), two.errors()), (Vec::new(), Vec::new()));
}
