//! The settings of a room that its host makes on its page: title, closed or open.

use crate::support::{Answer, Person, Server};
use serde_json::json;

async fn set_closed(person: &Person, room: &str, closed: &str) -> Answer {
    person.post("/gateway/mod/mode", &[("room", room), ("closed", closed)]).await
}

async fn set_title(person: &Person, room: &str, title: &str) -> Answer {
    person.post("/gateway/mod/title", &[("room", room), ("title", title)]).await
}

/// Slow mode and closed state, of an answer with all modes.
fn modes(answer: &Answer) -> (u64, bool) {
    let modes = &answer.body["state"]["modes"];
    (modes["slow_ms"].as_u64().unwrap(), modes["closed"].as_bool().unwrap())
}

async fn page(person: &Person, path: &str) -> String {
    person.get(path).await.text().await.unwrap()
}

#[tokio::test]
async fn p5_a_host_closes_and_opens_the_room_at_once() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let (host, guest) = (server.owner().await, server.guest("阿明").await);
    assert_eq!(guest.send("before").await.status, 200);
    let answer = set_closed(&host, "1", "true").await;
    assert_eq!((answer.status.as_u16(), modes(&answer)), (200, (0, true)));
    for person in [&guest, &host] {
        let refused = person.send("after").await;
        assert_eq!(
            (refused.status.as_u16(), &refused.body["code"], &refused.body["mode"]),
            (403, &json!("room_mode"), &json!("closed"))
        );
    }
    assert!(page(&guest, "/rooms/1").await.contains("before"), "a closed room stays readable");
    let slow = host.post("/gateway/mod/mode", &[("room", "1"), ("slow_ms", "5000")]).await;
    assert_eq!(modes(&slow), (5000, true), "all modes, also those left as they are");
    let both = host.post("/gateway/mod/mode", &[("room", "1"), ("slow_ms", "0"), ("closed", "false")]).await;
    assert_eq!(modes(&both), (0, false));
    assert_eq!(guest.send("after").await.status, 200);
    assert!(server.errors().is_empty());
}

#[tokio::test]
async fn p5_a_host_gives_the_room_another_title() {
    let server = Server::start();
    let (host, guest) = (server.owner().await, server.guest("阿明").await);
    let answer = set_title(&host, "1", "  深夜\u{202e}电台 \n 第二季 ").await;
    assert_eq!((answer.status.as_u16(), &answer.body["title"]), (200, &json!("深夜电台 第二季")));
    for path in ["/rooms/1", "/"] {
        assert!(page(&guest, path).await.contains("深夜电台 第二季"), "{path}");
    }
    assert!(server.errors().is_empty());
}

#[tokio::test]
async fn p5_only_the_host_of_a_room_has_its_tools() {
    let server = Server::start();
    let (host, guest) = (server.owner().await, server.guest("阿明").await);
    let other = server.visitor();
    other.post("/session/register", &[("name", "ming"), ("password", "correct horse")]).await;
    other.post("/gateway/rooms", &[("title", "of another host")]).await;
    let check = |answer: Answer, status: u16, code: &str| {
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (status, &json!(code)), "{}", answer.body);
    };
    for (person, room, status, code) in [
        (&guest, "1", 403, "not_allowed"),
        (&other, "1", 403, "not_allowed"),
        (&server.visitor(), "1", 401, "not_signed_in"),
        (&host, "nowhere", 404, "no_such_room"),
    ] {
        check(set_closed(person, room, "true").await, status, code);
        check(set_title(person, room, "taken over").await, status, code);
    }
    for bad in ["yes", "1", ""] {
        check(set_closed(&host, "1", bad).await, 422, "malformed");
    }
    check(host.post("/gateway/mod/mode", &[("room", "1")]).await, 422, "malformed");
    check(set_title(&host, "1", " \u{200b} ").await, 422, "blank");
    check(set_title(&host, "1", &"x".repeat(61)).await, 413, "too_long");
    assert_eq!(guest.send("still open").await.status, 200);
    for path in ["/rooms/1", "/"] {
        assert!(!page(&guest, path).await.contains("taken over"), "{path}");
    }
    for (person, has) in [(&guest, false), (&other, false), (&host, true)] {
        let html = page(person, "/rooms/1").await;
        for action in ["/gateway/mod/mode", "/gateway/mod/title"] {
            assert_eq!(html.contains(action), has, "{action}");
        }
    }
    assert!(server.errors().is_empty());
}

fn by_operator(server: &Server, act: &str) {
    let command = server.command().args(["room", act, "1"]).output().unwrap();
    assert!(command.status.success(), "{command:?}");
}

#[tokio::test]
async fn p4_a_host_does_not_open_a_room_that_the_operator_closed() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let (host, guest) = (server.owner().await, server.guest("阿明").await);
    let status = async |closed: &str| set_closed(&host, "1", closed).await.status.as_u16();
    // The host's own is the host's to open, also after the operator's was undone.
    assert_eq!((status("true").await, status("false").await), (200, 200));
    assert_eq!(status("true").await, 200);
    for closed_before in [true, false] {
        by_operator(&server, "close");
        assert_eq!((status("true").await, status("false").await), (200, 403), "closed by the host before: {closed_before}");
        let both = host.post("/gateway/mod/mode", &[("room", "1"), ("slow_ms", "5000"), ("closed", "false")]).await;
        assert_eq!((both.status.as_u16(), &both.body["code"]), (403, &json!("not_allowed")));
        let slow = host.post("/gateway/mod/mode", &[("room", "1"), ("slow_ms", "0")]).await;
        assert_eq!(modes(&slow), (0, true), "nothing of the refused request was set");
        assert_eq!(guest.send("x").await.status, 403);
        by_operator(&server, "open");
        assert_eq!(guest.send("x").await.status, 200);
        assert_eq!((status("true").await, status("false").await), (200, 200));
    }
}
