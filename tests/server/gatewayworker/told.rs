//! PHP's workers hear of every client: once, and before anything else of it, whatever restarts.

use super::stand_ins::{Business, Events, Page, letter, server, who};
use super::{command, connection, event, packet, query, worker};
use crate::support::{DEADLINE, Server, eventually};
use crate::vectors::packet::command as c;
use crate::vectors::peers::Wire;
use futures_util::StreamExt;
use std::collections::HashMap;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;

const PAGES: usize = 40;

/// Waits until every page is greeted on its present connection, has its session, and the workers have heard of it once, first.
async fn all_are_known(server: &Server, pages: &[Page], events: &Events, workers: &str) {
    eventually("every page is greeted", async || pages.iter().all(Page::is_greeted)).await;
    let mut php = Wire::to(server.inner.into()).await;
    for page in pages {
        eventually("the session is set", async || {
            query(&mut php, packet(c::GET_SESSION, page.connection(), b"", b"")).await == who(&page.token)
        })
        .await;
    }
    if workers == "on" {
        let answer = |page: &Page| format!("session {}", who(&page.token));
        let answers = |page: &Page| page.seen().texts.iter().filter(|text| **text == answer(page)).count();
        let before: Vec<_> = pages.iter().map(answers).collect();
        pages.iter().for_each(Page::ask);
        let is_answered = |(page, before): (&Page, &usize)| answers(page) == before + 1;
        eventually("every message has its session", async || pages.iter().zip(&before).all(is_answered)).await;
    }
    for (client, heard) in &*events.lock().unwrap() {
        assert!(is_told_once(heard), "{client:x}: {heard}");
    }
}

/// Whether a worker heard of a client once, before its messages, and of its end at last.
fn is_told_once(heard: &str) -> bool {
    let rest = heard.strip_prefix("CW");
    rest.is_some_and(|rest| !rest.contains(['C', 'W']) && rest.find('D').is_none_or(|at| at + 1 == rest.len()))
}

/// Opens pages that are greeted, and calls `disturb`; afterwards all pages are known.
async fn pages_are_known_after(settings: &[&str], disturb: impl AsyncFn(&mut Server, &[Page], &mut Vec<Business>, &Events)) {
    for workers in ["on", "off"] {
        let setting = format!("gateway.workers={workers}");
        let mut server = server(&[settings, &[setting.as_str()]].concat());
        let events = Events::default();
        let mut businesses =
            vec![Business::start(server.inner.into(), "Biz:0", &events), Business::start(server.inner.into(), "Biz:1", &events)];
        let pages: Vec<_> = (0..PAGES).map(|number| Page::open(&server, number)).collect();
        all_are_known(&server, &pages, &events, workers).await;
        let before: Vec<_> = pages.iter().map(Page::connection).collect();
        disturb(&mut server, &pages, &mut businesses, &events).await;
        // Their sessions show which pages came back.
        eventually("the pages come back", async || {
            let is_new = |(page, before): (&Page, &u32)| page.connection() != *before && page.connection() != 0;
            pages.iter().zip(&before).filter(|pair| is_new(*pair)).count() >= PAGES / 2
        })
        .await;
        all_are_known(&server, &pages, &events, workers).await;
        assert_eq!(server.errors(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_all_pages_are_known_after_a_restart() {
    pages_are_known_after(&[], async |server, _, _, _| {
        server.signal(libc::SIGTERM);
        server.exit_status().await;
        server.restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_all_pages_are_known_after_a_crash() {
    pages_are_known_after(&[], async |server, _, _, _| {
        server.kill();
        server.restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_all_pages_are_known_after_a_reload() {
    pages_are_known_after(&[], async |server, _, _, _| {
        let mut reload = server.command();
        let reload = move || reload.arg("reload").output().unwrap();
        assert!(tokio::task::spawn_blocking(reload).await.unwrap().status.success());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_all_pages_are_known_after_the_workers_were_away() {
    pages_are_known_after(&[], async |server, pages, businesses, events| {
        businesses.clear();
        let half = &pages[..PAGES / 2];
        let before: Vec<_> = half.iter().map(Page::connection).collect();
        half.iter().for_each(Page::reconnect);
        let is_back = |(page, before): (&Page, &u32)| page.connection() != *before && page.connection() != 0;
        eventually("half of the pages reconnect", async || half.iter().zip(&before).all(is_back)).await;
        assert!(!half.iter().any(Page::is_greeted));
        businesses.push(Business::start(server.inner.into(), "Biz:0", events));
    })
    .await;
}

/// No worker connects to the process that a reload ends.
#[tokio::test(flavor = "multi_thread")]
async fn h1_a_reload_turns_away_a_client_that_no_worker_was_told_of() {
    for workers in ["on", "off"] {
        let server = server(&["web.drain_slowly_ms=30000", &format!("gateway.workers={workers}")]);
        // More clients than the first drain steps disconnect.
        let mut others = Vec::new();
        for _ in 0..300 {
            others.push(server.visitor().open(None).await);
        }
        let mut business = worker(&server, "Biz:0").await;
        for _ in 0..600 {
            business.packet().await;
        }
        drop(business);
        eventually("the worker is gone", async || number(&server, "roomcast_php_workers").await == 0).await;
        let mut client = server.visitor().open(None).await;
        let mut reload = server.command();
        let reload = move || reload.arg("reload").output().unwrap();
        assert!(tokio::task::spawn_blocking(reload).await.unwrap().status.success());
        assert_eq!(client.close_code().await, 1012);
    }
}

/// One worker of two ends.
#[tokio::test(flavor = "multi_thread")]
async fn h1_all_pages_are_known_after_one_worker_ended() {
    pages_are_known_after(&[], async |_, pages, businesses, _| {
        businesses.pop();
        pages.iter().for_each(Page::reconnect);
    })
    .await;
}

/// A worker that does not read: its queue and the kernel's buffers fill up with messages.
#[tokio::test(flavor = "multi_thread")]
async fn h1_a_worker_with_a_full_queue_hears_of_a_client_later() {
    let server = server(&["gateway.workers=on"]);
    let mut stuck = worker(&server, "Biz:0").await;
    let (long, mut talkers) = ("x".repeat(60_000), Vec::new());
    // Then a message ends its sender.
    while number(&server, "roomcast_php_clients_turned_away_total").await == 0 {
        assert!(talkers.len() < 60, "nobody is turned away");
        let mut talker = server.visitor().open(None).await;
        for _ in 0..20 {
            talker.send(Frame::text(long.clone())).await;
        }
        talker.send(Frame::Ping(Default::default())).await;
        let heard = async { while !matches!(talker.stream.next().await, Some(Ok(Frame::Pong(_) | Frame::Close(_)))) {} };
        timeout(DEADLINE, heard).await.expect("no pong");
        talkers.push(talker);
    }
    assert!(number(&server, "roomcast_sockets_closed_by_us_total{code=\"1012\"}").await > 0);
    let client = server.visitor().open(None).await;
    let mut heard: HashMap<u32, String> = HashMap::new();
    while heard.get(&connection(&client)).is_none_or(|heard| heard.len() < 2) {
        let event = stuck.packet().await;
        heard.entry(event.connection()).or_default().push(letter(&event).expect("an event"));
    }
    heard.values().for_each(|heard| assert!(is_told_once(heard), "{heard}"));
    assert!(heard.len() > 5 && heard[&connection(&client)] == "CW", "{heard:?}");
}

/// The value of a metric; 0 if it is absent.
async fn number(server: &Server, metric: &str) -> usize {
    let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
    let value = metrics.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().unwrap())
}

/// The reproduction of the report: a socket that was open before the first worker.
#[tokio::test(flavor = "multi_thread")]
async fn h1_the_first_worker_hears_of_the_clients_that_were_there_before() {
    for workers in ["on", "off"] {
        let server = server(&[&format!("gateway.workers={workers}")]);
        let mut client = server.visitor().open(None).await;
        let gone = server.visitor().open(None).await;
        drop(gone);
        let mut php = Wire::to(server.inner.into()).await;
        eventually("the other client is gone", async || query(&mut php, packet(c::COUNT_OF_GROUP, 0, b"", b"")).await == "i:1;")
            .await;
        if workers == "on" {
            client.send(Frame::text("before")).await;
        }
        // A session that the site set before is the one that the worker receives.
        let session = b"a:1:{s:5:\"bound\";i:1;}";
        command(&mut php, packet(c::SET_SESSION, connection(&client), session, b"")).await;
        let mut worker = worker(&server, "Biz:0").await;
        let mut expected = vec![c::ON_CONNECT, c::ON_WEBSOCKET_CONNECT];
        expected.extend((workers == "on").then_some(c::ON_MESSAGE));
        for expected in expected {
            let event = worker.packet().await;
            assert_eq!((event.command(), event.connection()), (expected, connection(&client)));
            assert_eq!(event.ext, session);
        }
        drop(client);
        assert_eq!(event(&mut worker).await.0, c::ON_CLOSE);
    }
}

/// Before the first worker fewer handshakes are kept, since most nodes have no workers.
#[tokio::test(flavor = "multi_thread")]
async fn h1_clients_whose_handshakes_cannot_be_kept_come_again() {
    const CLIENTS: usize = 40;
    let server = server(&[]);
    let request = format!(
        "GET /ws?token=a HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: a={}\r\n\r\n",
        server.address(),
        "x".repeat(10_000)
    );
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Wire::to(server.address().parse().unwrap()).await;
        client.send(request.as_bytes()).await;
        let init = String::from_utf8_lossy(&client.until(b"\"}").await).into_owned();
        let id = init.split("\"client_id\":\"").nth(1).unwrap();
        clients.push((u32::from_str_radix(&id[12..20], 16).unwrap(), client));
    }
    let mut worker = worker(&server, "Biz:0").await;
    eventually("some are turned away", async || number(&server, "roomcast_php_clients_turned_away_total").await > 0).await;
    let turned_away = number(&server, "roomcast_php_clients_turned_away_total").await;
    assert!((10..30).contains(&turned_away), "{turned_away}");
    let mut told = HashMap::<u32, String>::new();
    for _ in 0..2 * (CLIENTS - turned_away) {
        let event = worker.packet().await;
        told.entry(event.connection()).or_default().push(letter(&event).unwrap());
    }
    for (id, mut client) in clients {
        match told.get(&id) {
            Some(heard) => assert!(heard == "CW" && client.is_quiet(), "{heard}"),
            None => assert_eq!(client.take(13).await, b"\x88\x0b\x03\xf4no worker"),
        }
    }
    // A page that comes again is told.
    let again = server.visitor().open(None).await;
    loop {
        let event = worker.packet().await;
        match event.command() {
            c::ON_CLOSE => assert!(told.contains_key(&event.connection())),
            _ => break assert_eq!(event.connection(), connection(&again)),
        }
    }
}
