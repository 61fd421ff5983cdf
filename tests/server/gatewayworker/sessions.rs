//! The order of a worker's session and the site's: neither is lost when a page binds at once.

use super::stand_ins::{Business, Events, Page, server, who};
use super::{command, connected, connection, packet, query, worker};
use crate::support::{Server, eventually};
use crate::vectors::packet::command as c;
use crate::vectors::peers::Wire;
use futures_util::StreamExt;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message as Frame;

/// A site's page binds a client while the worker's callback still runs, which began with an empty session.
#[tokio::test(flavor = "multi_thread")]
async fn m1_a_workers_session_does_not_overwrite_what_the_site_set_meanwhile() {
    let server = server(&["gateway.workers=on"]);
    let mut worker = worker(&server, "Biz:0").await;
    let mut client = server.visitor().open(None).await;
    connected(&mut worker, &client).await;
    let id = connection(&client);
    let mut php = Wire::to(server.inner.into()).await;
    let set = async |wire: &mut Wire, code: u8, session: &str| command(wire, packet(code, id, session.as_bytes(), b"")).await;
    let get = || packet(c::GET_SESSION, id, b"", b"");
    set(&mut php, c::UPDATE_SESSION, "a:1:{s:5:\"bound\";i:7;}").await;
    set(&mut worker, c::SET_SESSION, &who("u1")).await;
    let both = "a:2:{s:5:\"bound\";i:7;s:3:\"who\";s:2:\"u1\";}";
    assert_eq!(query(&mut php, get()).await, both);
    // From then on the worker's session replaces the other, also when keys are missing: it was computed from this one.
    client.send(Frame::text("x")).await;
    let message = worker.packet().await;
    assert_eq!((message.command(), &message.ext[..]), (c::ON_MESSAGE, both.as_bytes()));
    set(&mut php, c::UPDATE_SESSION, "a:1:{s:1:\"k\";i:1;}").await;
    set(&mut worker, c::SET_SESSION, "a:0:{}").await;
    assert_eq!(query(&mut php, get()).await, "a:0:{}");
}

/// A worker sets a session after each of its two callbacks for a handshake, both computed from the one that it was told.
#[tokio::test(flavor = "multi_thread")]
async fn m1_neither_session_of_the_first_two_callbacks_overwrites_what_the_site_set() {
    let server = server(&["gateway.workers=on"]);
    let mut worker = worker(&server, "Biz:0").await;
    let client = server.visitor().open(None).await;
    connected(&mut worker, &client).await;
    let id = connection(&client);
    let mut php = Wire::to(server.inner.into()).await;
    let set = async |wire: &mut Wire, code: u8, session: &str| command(wire, packet(code, id, session.as_bytes(), b"")).await;
    set(&mut php, c::UPDATE_SESSION, "a:1:{s:5:\"bound\";i:7;}").await;
    set(&mut worker, c::SET_SESSION, "a:1:{s:4:\"page\";i:1;}").await;
    set(&mut worker, c::SET_SESSION, &who("u1")).await;
    let session = query(&mut php, packet(c::GET_SESSION, id, b"", b"")).await;
    assert!(session.contains("s:5:\"bound\";i:7;") && session.contains("s:3:\"who\";s:2:\"u1\";"), "{session}");
    // A third one is computed from these.
    set(&mut worker, c::SET_SESSION, "a:0:{}").await;
    assert_eq!(query(&mut php, packet(c::GET_SESSION, id, b"", b"")).await, "a:0:{}");
}

/// Binds each page right after its first frame, and returns the sessions that the site read before it bound.
async fn bind_at_once(init: &str) -> (Server, Vec<String>, Vec<String>) {
    const SOCKETS: usize = 300;
    let server = server(&["gateway.workers=on", &format!("gateway.init={init}")]);
    let events = Events::default();
    let business = Business::start(server.inner.into(), "Biz:0", &events);
    let greeted = Page::open(&server, 1000);
    eventually("the worker is there", async || greeted.is_greeted()).await;
    let binds = (0..SOCKETS).map(|number| {
        let (address, inner) = (format!("{}/ws?token=u{number}", server.base.replace("http", "ws")), server.inner);
        tokio::spawn(async move {
            let (mut socket, _) = tokio_tungstenite::connect_async(address).await.unwrap();
            let first = loop {
                match socket.next().await.unwrap().unwrap() {
                    Frame::Text(text) => break text.to_string(),
                    _ => continue,
                }
            };
            let mut php = Wire::to(inner.into()).await;
            let uid = format!("u{number}");
            let id = match serde_json::from_str::<Value>(&first) {
                Ok(init) => u32::from_str_radix(&init["client_id"].as_str().unwrap()[12..], 16).unwrap(),
                Err(_) => {
                    let list = query(&mut php, packet(c::CLIENTS_OF_UID, 0, uid.as_bytes(), b"")).await;
                    list.trim_start_matches("a:1:{i:0;i:").trim_end_matches(";}").parse().unwrap()
                }
            };
            let unset = query(&mut php, packet(c::GET_SESSION, id, b"", b"")).await;
            command(&mut php, packet(c::UPDATE_SESSION, id, b"a:1:{s:5:\"bound\";i:1;}", b"")).await;
            (socket, php, id, unset)
        })
    });
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for bind in binds.collect::<Vec<_>>() {
        let (_socket, mut php, id, unset) = bind.await.unwrap();
        before.push(unset);
        let mut session = String::new();
        eventually("the worker has set its session", async || {
            session = query(&mut php, packet(c::GET_SESSION, id, b"", b"")).await;
            session.contains("\"who\"")
        })
        .await;
        after.push(session);
    }
    drop(business);
    (server, before, after)
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_no_session_is_lost_when_pages_bind_at_once() {
    let (server, _, after) = bind_at_once("roomcast").await;
    let lost = after.iter().filter(|session| !session.contains("\"bound\"") || !session.contains("\"who\"")).count();
    assert_eq!(lost, 0, "{after:?}");
    assert_eq!(server.errors(), [""; 0]);
}

/// The worker greets each page, so its session is set when the page binds.
#[tokio::test(flavor = "multi_thread")]
async fn m1_with_init_from_the_worker_no_page_binds_before_its_session_is_set() {
    let (server, before, after) = bind_at_once("worker").await;
    assert_eq!(before.iter().filter(|session| !session.contains("\"who\"")).count(), 0, "{before:?}");
    assert_eq!(after.iter().filter(|session| !session.contains("\"bound\"")).count(), 0, "{after:?}");
    // A page on roomcast.v1 gets its client id from the node in any case.
    assert_eq!(server.visitor().open(Some("roomcast.v1")).await.client_id.len(), 20);
}
