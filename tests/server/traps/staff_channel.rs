//! The staff's pushes reach the staff alone: no call of the API or of PHP and no name of a group reaches their channel.

use super::{KEY, Room, account, act, comes, history, say, try_act};
use crate::gatewayworker::{command, packet, query};
use crate::support::{Person, Server, Socket, finished};
use crate::vectors::packet::command as commands;
use crate::vectors::peers::Wire;
use serde_json::{Value, json};
use std::time::Duration;

/// The types of the staff's pushes.
const STAFF_TYPES: [&str; 5] = ["action", "report", "held", "held_done", "raid"];

/// Names that somebody might try.
fn guesses() -> Vec<String> {
    let names = ["staff", "mod", "moderators", "1", "room", ""];
    let ends = [
        "staff:1",
        "1:staff",
        "staff-1",
        "1-staff",
        "staff/1",
        "1/staff",
        "$staff$1",
        "*1",
        "#1",
        "\u{0}1",
        "1\u{0}",
        "1\u{0}staff",
    ];
    names.into_iter().chain(ends).map(str::to_owned).collect()
}

/// Pushes of the staff's types that come within a moment.
async fn staff_push(socket: &mut Socket, within: Duration) -> Option<Value> {
    let until = tokio::time::Instant::now() + within;
    loop {
        let push = tokio::time::timeout_at(until, socket.push()).await.ok()?;
        if STAFF_TYPES.iter().any(|kind| push["type"] == *kind) {
            return Some(push);
        }
    }
}

/// Reports a message of that person, of which the staff is told.
async fn report(room: &Room, by: &Person, of: &Person) {
    let seq = say(of, "reported").await.to_string();
    let form = [("room", "1"), ("seq", seq.as_str()), ("reason", "spam")];
    let answer = by.post("/gateway/report", &form).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let _ = room;
}

/// Trap 13.
#[tokio::test(flavor = "multi_thread")]
async fn no_name_of_a_group_reaches_the_staff() {
    let room = Room::start().await;
    let server = &room.server;
    let (author, viewer) = (server.guest("一").await, server.guest("二").await);
    let mut staff = room.moderator.open_bound(Some("roomcast.v1")).await;
    let (mut intruder, mut of_api) =
        (viewer.open_bound(Some("roomcast.v1")).await, server.visitor().open(Some("roomcast.v1")).await);
    let mut php = Wire::to(server.inner.into()).await;
    let groups = room.api("getAllGroupIdList", json!({})).await.body["result"].clone();
    assert_eq!(groups, json!(["1"]), "the staff is no group");
    for name in guesses() {
        for client in [&intruder.client_id, &of_api.client_id] {
            room.api("joinGroup", json!({"client_id": client, "group": name})).await;
        }
        let connection = crate::gatewayworker::connection(&intruder);
        if !name.is_empty() {
            command(&mut php, packet(commands::JOIN_GROUP, connection, name.as_bytes(), b"")).await;
        }
        let listed = room.api("getClientIdListByGroup", json!({"group": name})).await.body["result"].to_string();
        if name != "1" {
            assert!(!listed.contains(&staff.client_id), "{name:?} lists the moderator's socket: {listed}");
        }
        room.api("sendToGroup", json!({"group": name, "message": {"type": "report", "room": "1"}})).await;
        if name == "1" {
            let count = query(&mut php, packet(commands::COUNT_OF_GROUP, 0, name.as_bytes(), b"")).await;
            assert_eq!(count, "i:3;");
        }
    }
    report(&room, &viewer, &author).await;
    let told = staff_push(&mut staff, Duration::from_secs(10)).await.expect("the staff is told of the report");
    assert_eq!(told["room"], "1", "{told}");
    for socket in [&mut intruder, &mut of_api] {
        let got = staff_push(socket, Duration::from_millis(300)).await;
        assert!(got.is_none(), "{got:?}");
    }
    // A back end's message of a staff's type is data: nobody forges the staff's pushes.
    room.api("sendToGroup", json!({"group": "1", "message": {"type": "report", "room": "1"}})).await;
    assert_eq!(staff.push_of("data").await["data"]["type"], "report");
}

/// Trap 13.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_moderator_gets_no_further_staff_push() {
    let room = Room::start().await;
    let (author, viewer) = (room.server.guest("一").await, room.server.guest("二").await);
    let mut tabs = [room.moderator.open_bound(Some("roomcast.v1")).await, room.moderator.open_bound(Some("roomcast.v1")).await];
    let mut host = room.host.open_bound(Some("roomcast.v1")).await;
    report(&room, &viewer, &author).await;
    for socket in tabs.iter_mut().chain([&mut host]) {
        assert!(staff_push(socket, Duration::from_secs(10)).await.is_some());
    }
    act(&room.host, "role", &[("user", &room.moderator.uid), ("role", "none")]).await;
    assert_eq!(try_act(&room.moderator, "remove", &[("seq", "1")]).await.status, 403);
    report(&room, &viewer, &author).await;
    // The host may be told of the revoked role before.
    while staff_push(&mut host, Duration::from_secs(10)).await.expect("the host is told")["type"] != "report" {}
    for tab in &mut tabs {
        let got = staff_push(tab, Duration::from_millis(300)).await;
        assert!(got.as_ref().is_none_or(|push| push["type"] != "report"), "{got:?}");
    }
    // Nor after it binds anew.
    let mut again = room.moderator.open_bound(Some("roomcast.v1")).await;
    report(&room, &viewer, &author).await;
    assert!(!comes(&mut again, "report", Duration::from_millis(300)).await);
}

/// The open pages of a new moderator, and of a new host, hear of reports at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_granted_moderator_gets_the_next_staff_push() {
    let room = Room::start().await;
    let (author, viewer) = (room.server.guest("一").await, room.server.guest("二").await);
    let (second, third) = (account(&room.server, "second", "甲").await, account(&room.server, "third", "乙").await);
    let mut tabs = [second.open_bound(Some("roomcast.v1")).await, second.open_bound(Some("roomcast.v1")).await];
    let mut elsewhere = room.server.visitor().open(Some("roomcast.v1")).await;
    let mut of_third = third.open_bound(Some("roomcast.v1")).await;
    act(&room.host, "role", &[("user", &second.uid), ("role", "moderator")]).await;
    report(&room, &viewer, &author).await;
    for tab in &mut tabs {
        while staff_push(tab, Duration::from_secs(10)).await.expect("the new moderator is told")["type"] != "report" {}
    }
    let mut command = room.server.command();
    command.args(["room", "host", "1", "third"]);
    assert!(finished(command).await.status.success());
    report(&room, &viewer, &author).await;
    while staff_push(&mut of_third, Duration::from_secs(10)).await.expect("the new host is told")["type"] != "report" {}
    assert!(staff_push(&mut elsewhere, Duration::from_millis(300)).await.is_none());
}

/// The staff's sockets count once, as members of the room.
#[tokio::test]
async fn a_moderator_counts_once_as_online() {
    let server = Server::with(&[&format!("gateway.api_key={KEY}"), "chat.cooldown_ms=0"]);
    let host = server.owner().await;
    let mut socket = host.open_bound(Some("roomcast.v1")).await;
    assert_eq!(socket.push_of("online").await["count"], 1);
    let moderator = account(&server, "helper", "巡查").await;
    act(&host, "role", &[("user", &moderator.uid), ("role", "moderator")]).await;
    let _second = moderator.open_bound(Some("roomcast.v1")).await;
    assert_eq!(socket.push_of("online").await["count"], 2);
}

/// The answer to the first report may be lost: a repeated one succeeds, and adds nothing.
#[tokio::test]
async fn a_repeated_report_succeeds_and_is_one_report() {
    let room = Room::start().await;
    let (author, by) = (room.server.guest("一").await, room.server.guest("二").await);
    let seq = say(&author, "x").await.to_string();
    let form = [("room", "1"), ("seq", seq.as_str()), ("reason", "spam"), ("nonce", "n")];
    for fields in [&form[..], &form[..], &form[..3]] {
        let answer = by.post("/gateway/report", fields).await;
        assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &true.into()), "{}", answer.body);
    }
    assert_eq!(room.server.count("SELECT count(*) FROM {}reports").await, 1);
    act(&room.moderator, "remove", &[("seq", &seq)]).await;
    assert_eq!(by.post("/gateway/report", &form).await.status, 200, "its first report was taken");
}

/// A room's new host takes the former one out of the staff at once, and the log has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_former_host_gets_no_further_staff_push() {
    let mut room = Room::start().await;
    let (author, viewer) = (room.server.guest("一").await, room.server.guest("二").await);
    let former = account(&room.server, "former", "甲").await;
    account(&room.server, "next", "乙").await;
    let host = async |server: &Server, name: &str| {
        let mut command = server.command();
        command.args(["room", "host", "1", name]);
        let output = finished(command).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    host(&room.server, "former").await;
    let mut tab = former.open_bound(Some("roomcast.v1")).await;
    let mut staff = room.moderator.open_bound(Some("roomcast.v1")).await;
    report(&room, &viewer, &author).await;
    assert!(staff_push(&mut tab, Duration::from_secs(10)).await.is_some(), "the host is of the staff");
    host(&room.server, "next").await;
    report(&room, &viewer, &author).await;
    let mut told = Vec::new();
    while told.iter().filter(|kind| *kind == "report").count() < 2 {
        let push = staff_push(&mut staff, Duration::from_secs(10)).await.expect("the staff is told");
        told.push(push["type"].as_str().unwrap().to_owned());
    }
    assert!(told.contains(&"action".to_owned()), "the change of the host is told: {told:?}");
    let got = staff_push(&mut tab, Duration::from_millis(300)).await;
    assert!(got.is_none(), "{got:?}");
    assert_eq!(try_act(&former, "mode", &[("slow_ms", "1000")]).await.status, 403);
    room.server.kill();
    host(&room.server, "former").await;
    room.server.restart();
    let rows = room.moderator.get("/gateway/mod/log?room=1").await.json::<Value>().await.unwrap();
    let hosts: Vec<_> = rows["rows"].as_array().unwrap().iter().filter(|row| row["verb"] == "host").collect();
    let actors: Vec<_> = hosts.iter().map(|row| row["actor"].as_str().unwrap()).collect();
    assert_eq!((actors, &hosts[0]["target"]), (vec!["cli"; 3], &json!(former.uid)), "{rows}");
}

/// Trap 26: a back end's push beside the chat is no message and no row, and the staff sees by whom and how often.
#[tokio::test(flavor = "multi_thread")]
async fn the_staff_sees_which_back_ends_push_to_the_room() {
    let room = Room::start().await;
    let mut php = Wire::to(room.server.inner.into()).await;
    let log = async |person: &Person| person.get("/gateway/mod/log?room=1").await.json::<Value>().await.unwrap();
    assert_eq!(log(&room.moderator).await["pushed"], json!([]));
    for n in 0..3 {
        let groups = if n == 2 { json!(["1", "2"]) } else { json!("1") };
        room.api("sendToGroup", json!({"group": groups, "message": {"n": n}})).await;
    }
    command(&mut php, packet(commands::SEND_TO_GROUP, 0, br#"{"group":["1"],"exclude":null}"#, b"hello")).await;
    let page = log(&room.moderator).await;
    let pushed = page["pushed"].as_array().unwrap();
    let counts: Vec<_> =
        pushed.iter().map(|pushed| (pushed["by"].as_str().unwrap(), pushed["count"].as_u64().unwrap())).collect();
    assert_eq!(counts, [("php", 1), ("bot:configured", 3)], "the newest first: {page}");
    assert!(pushed[1]["since"].as_u64() <= pushed[1]["at"].as_u64() && pushed[1]["at"].as_u64() > Some(1_700_000_000_000));
    assert_eq!(room.api("mod.log", json!({"room": "1"})).await.body["result"]["pushed"][1]["count"], 3);
    assert!(page["rows"].as_array().unwrap().iter().all(|row| row["verb"] == "role"), "no rows: {page}");
    let html = room.moderator.get("/rooms/1/moderate").await.text().await.unwrap();
    assert!(html.contains("bot:configured") && html.contains("PHP"), "{html}");
    // Viewers do not see it.
    let viewer = room.server.guest("三").await;
    assert_eq!(viewer.get("/gateway/mod/log?room=1").await.status(), 403);
    assert_eq!(history(&viewer, 100, 10).await, Vec::<Value>::new());
}
