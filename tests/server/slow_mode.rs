//! The slow mode of a room: its host sets it, it holds at once, for everyone but the host.

use crate::support::{Answer, Person, Place, Server};
use serde_json::json;
use sqlx::Connection;
use std::time::Duration;

async fn set(person: &Person, room: &str, slow_ms: &str) -> Answer {
    person.post("/gateway/mod/mode", &[("room", room), ("slow_ms", slow_ms)]).await
}

fn set_on_the_command_line(server: &Server, room: &str, seconds: &str) -> bool {
    let status = server.command().args(["room", "slow", room, seconds]).output().unwrap().status;
    status.success()
}

fn wait_ms(answer: &Answer) -> u64 {
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (429, &json!("too_fast")), "{}", answer.body);
    answer.body["retry_after_ms"].as_u64().unwrap()
}

#[tokio::test]
async fn f1_a_host_slows_its_room_at_once() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let (host, guest, late) = (server.owner().await, server.guest("阿明").await, server.guest("late").await);
    let first = guest.send("before").await;
    assert_eq!((first.status.as_u16(), &first.body["cooldown_ms"]), (200, &json!(0)));
    let answer = set(&host, "1", "600000").await;
    let modes = &answer.body["state"]["modes"];
    assert_eq!((answer.status.as_u16(), &modes["slow_ms"], &modes["closed"]), (200, &json!(600_000), &json!(false)));
    let wait = wait_ms(&guest.send("after").await);
    assert!((500_000..=600_000).contains(&wait), "the message from before counts: {wait}");
    assert_eq!(late.send("first").await.body["cooldown_ms"], 600_000, "the page counts down the slow mode");
    wait_ms(&late.send("second").await);
    for text in ["the host", "is exempt"] {
        let sent = host.send(text).await;
        assert_eq!((sent.status.as_u16(), &sent.body["cooldown_ms"]), (200, &json!(0)));
    }
    assert_eq!(set(&host, "1", "0").await.body["state"]["modes"]["slow_ms"], 0);
    assert_eq!(guest.send("after").await.status, 200);
    assert!(server.errors().is_empty());
}

#[tokio::test]
async fn f1_only_the_host_of_a_room_sets_its_slow_mode() {
    let server = Server::start();
    let (host, guest) = (server.owner().await, server.guest("阿明").await);
    let other = server.visitor();
    other.post("/session/register", &[("name", "ming"), ("password", "correct horse")]).await;
    other.post("/gateway/rooms", &[("title", "of another host")]).await;
    let check = async |person: &Person, room: &str, slow_ms: &str, status: u16, code: &str| {
        let answer = set(person, room, slow_ms).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (status, &json!(code)), "{}", answer.body);
    };
    check(&guest, "1", "1000", 403, "not_allowed").await;
    check(&other, "1", "1000", 403, "not_allowed").await;
    check(&server.visitor(), "1", "1000", 401, "not_signed_in").await;
    check(&host, "nowhere", "1000", 404, "no_such_room").await;
    for bad in ["21600001", "-1", "1.5", "soon", ""] {
        check(&host, "1", bad, 422, "malformed").await;
    }
    assert_eq!(set(&host, "1", "21600000").await.status, 200);
    assert_eq!(set(&other, "2", "1000").await.status, 200);
    assert!(server.errors().is_empty());
}

#[tokio::test]
async fn f1_the_command_line_slows_a_room_at_once_and_a_restart_keeps_it() {
    let mut server = Server::with(&["chat.cooldown_ms=0"]);
    let guest = server.guest("阿明").await;
    assert_eq!(guest.send("first").await.status, 200);
    assert!(set_on_the_command_line(&server, "1", "600"));
    assert!(wait_ms(&guest.send("second").await) > 300_000);
    assert!(!set_on_the_command_line(&server, "1", "21601") && !set_on_the_command_line(&server, "nowhere", "1"));
    server.kill();
    server.restart();
    assert!(wait_ms(&guest.send("second").await) > 300_000, "the wait survives a restart");
    assert!(set_on_the_command_line(&server, "1", "0"));
    let answer = guest.send("second").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Another process ends the slow mode in the database. The settings that were kept refuse nobody.
#[tokio::test]
async fn f1_a_slow_mode_that_was_ended_elsewhere_refuses_nobody() {
    let Some(place) = Place::postgres() else { return };
    let server = Server::on(place, &["chat.cooldown_ms=0"]);
    // On an open connection: the settings are kept for 250 ms only.
    let mut elsewhere = sqlx::PgConnection::connect(&server.database.as_ref().unwrap().url()).await.unwrap();
    let guest = server.guest("阿明").await;
    assert_eq!(guest.send("first").await.status, 200);
    for turn in 0..5 {
        sqlx::raw_sql("UPDATE roomcast.rooms SET slow_ms = 600000 WHERE room = '1'").execute(&mut elsewhere).await.unwrap();
        // The settings from before are kept for 250 ms; then the send reads those of now, and they are kept.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(wait_ms(&guest.send("too fast").await) > 300_000);
        sqlx::raw_sql("UPDATE roomcast.rooms SET slow_ms = 0 WHERE room = '1'").execute(&mut elsewhere).await.unwrap();
        let answer = guest.send(&format!("turn {turn}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

#[tokio::test]
async fn f1_the_hosts_form_works_without_javascript() {
    let server = Server::start();
    let (host, guest) = (server.owner().await, server.guest("阿明").await);
    let page = async |person: &Person| person.get("/rooms/1").await.text().await.unwrap();
    assert!(!page(&guest).await.contains("/gateway/mod/mode") && page(&host).await.contains("/gateway/mod/mode"));
    let post = async |slow_ms: &str| {
        let form = [("room", "1"), ("slow_ms", slow_ms), ("next", "/rooms/1")];
        let request = host.request("POST", "/gateway/mod/mode").header("accept", "text/html");
        let request = request.header("accept-language", "en").header("referer", format!("{}/rooms/1", server.base));
        let response = request.form(&form).send().await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["location"]), (303, &"/rooms/1".parse().unwrap()));
    };
    let in_english = async || {
        let request = host.request("GET", "/rooms/1").header("accept", "text/html").header("accept-language", "en");
        request.send().await.unwrap().text().await.unwrap()
    };
    post("60000").await;
    let slow = in_english().await;
    assert!(slow.contains("value=\"60000\" selected"), "{slow}");
    post("99999999").await;
    assert!(in_english().await.contains("The slow mode is not valid"));
}
