//! A server that takes no writes, and another one that takes them in its place.

use super::{Talk, send_until_accepted, start, stored, until_store_is};
use crate::support::postgres::Postgres;
use crate::support::proxy::Proxy;
use crate::support::{DEADLINE, Server, Socket};
use serde_json::json;
use std::sync::atomic::AtomicU64;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_server_is_not_written() {
    let Some(postgres) = Postgres::own() else { return };
    let database = postgres.database();
    let server = start(&database.url());
    let talk = Talk::start(&server).await;
    let set = |value: &str| {
        postgres.sql("postgres", &format!("ALTER SYSTEM SET default_transaction_read_only = {value}"));
        postgres.sql("postgres", "SELECT pg_reload_conf()");
    };
    set("on");
    talk.is_refused().await;
    until_store_is(&server, 0).await;
    let count = stored(&database).len();
    talk.is_refused().await;
    assert_eq!(stored(&database).len(), count);
    set("off");
    talk.go_on().await;
    until_store_is(&server, 1).await;
    talk.end(&database).await;
    assert!(server.log().contains("read-only"), "{}", server.log());
}

/// After a promotion pages begin anew: the epoch is another one, sockets of rooms are sent away in turns, others stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_begins_a_new_epoch() {
    let Some(postgres) = Postgres::own() else { return };
    let database = postgres.database();
    let server = start(&database.url());
    let talk = Talk::start(&server).await;
    let reader = server.visitor();
    let (mut v1, mut plain) = (reader.open(Some("roomcast.v1")).await, server.visitor().open_bound(None).await);
    let before = reader.bind(&v1, &[]).await.body;
    let mut of_php = server.visitor().open(Some("roomcast.v1")).await;
    let ends = tokio::spawn(async move {
        let bye = v1.push_of("bye").await;
        (bye, v1.close().await, plain.close().await)
    });
    postgres.restart_as_standby();
    talk.is_refused().await;
    until_store_is(&server, 0).await;
    assert!(!ends.is_finished(), "a standby is no new epoch");
    postgres.promote();
    talk.go_on().await;
    let (bye, v1, plain) = timeout(DEADLINE, ends).await.expect("the sockets are not closed").unwrap();
    assert!(bye["reconnect_after_ms"].as_u64().unwrap() < 1000, "{bye}");
    assert_eq!((v1.0, plain.0), (1012, 1012));
    let again = reader.open(Some("roomcast.v1")).await;
    let (since, epoch) = (before["seq"].to_string(), before["epoch"].as_str().unwrap());
    let after = reader.bind(&again, &[("since", &since), ("epoch", epoch)]).await.body;
    assert_ne!(after["epoch"], before["epoch"]);
    assert_eq!(after["gap"], true, "{after}");
    assert!(epoch.ends_with(".00000001") && after["epoch"].as_str().unwrap().ends_with(".00000002"), "{epoch} {after}");
    pushes_reach(&server, &mut of_php).await;
    talk.end(&database).await;
}

/// The promoted standby lacks the last messages, so their seqs are given a second time. The address moves to it while the server
/// before is still there and read-only: connections to that one must not be used again.
#[tokio::test(flavor = "multi_thread")]
async fn a_fail_over_that_lost_messages_leads_to_the_new_primary() {
    let Some(before) = Postgres::own() else { return };
    let database = before.database();
    let proxy = Proxy::to(before.address());
    let server = start(&database.url_at(proxy.address));
    let (person, reader) = (server.guest("a").await, server.visitor());
    assert_eq!(person.send("kept").await.body["seq"], 1);
    let standby = before.standby();
    standby.promote();
    for seq in 2..5 {
        assert_eq!(person.send("lost").await.body["seq"], seq);
    }
    let mut socket = reader.open(Some("roomcast.v1")).await;
    let known = reader.bind(&socket, &[]).await.body;
    let ends = tokio::spawn(async move { socket.close_code().await });

    before.sql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on");
    before.sql("postgres", "SELECT pg_reload_conf()");
    until_store_is(&server, 0).await;
    proxy.retarget(standby.address());
    let refused = AtomicU64::new(0);
    assert_eq!(send_until_accepted(&person, "again", &refused).await, 2);
    assert_eq!(timeout(DEADLINE, ends).await.expect("the socket is not closed").unwrap(), 1012);
    let socket = reader.open(Some("roomcast.v1")).await;
    let form = [("since", "4"), ("epoch", known["epoch"].as_str().unwrap())];
    let bound = reader.bind(&socket, &form).await.body;
    let texts: Vec<_> = bound["messages"].as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap()).collect();
    assert_eq!((texts, &bound["gap"], &bound["seq"]), (vec!["kept", "again"], &json!(true), &json!(2)), "{bound}");
    let page = reader.get("/rooms/1").await.text().await.unwrap();
    assert!(page.contains("again") && !page.contains("lost"), "a message of the history that ended is shown");
    let row = "SELECT string_agg(text, ' ' ORDER BY seq) FROM roomcast.messages";
    assert_eq!(standby.sql(&database.name, row), "kept again");
    assert_eq!(database.sql(row), "kept lost lost lost", "nothing is written to the server before");
}

async fn pushes_reach(server: &Server, socket: &mut Socket) {
    let pushed = server.visitor().request("POST", "/gateway/api/sendToAll").bearer_auth("secret");
    assert_eq!(pushed.json(&json!({"message": "news"})).send().await.unwrap().status(), 200);
    assert_eq!(socket.push().await["data"], "news", "a socket in no room stays open");
}
