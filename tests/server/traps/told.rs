//! Viewers are told what concerns them, before they type, and nothing of the staff.

use super::{Room, SECRET, account, act, comes, pushes_until, refusal, say};
use crate::support::Socket;
use serde_json::{Value, json};
use std::time::Duration;

/// Trap 12.
#[tokio::test(flavor = "multi_thread")]
async fn no_frame_of_a_viewer_has_a_staff_uid_a_removed_text_or_a_reason() {
    let room = Room::start().await;
    let persons = [room.server.guest("一").await, room.server.guest("二").await];
    let (mut v1, mut plain) = (room.reader().await, room.server.visitor().open_bound(None).await);
    // Secrets stand in messages that are sent before the viewers are here, so that any frame with one is wrong.
    let mut acts = 0;
    for n in 0..17u64 {
        let person = &persons[n as usize % 2];
        let seq = say(person, &format!("open line {n}")).await.to_string();
        let reason = ("reason", "zqxreasonzqx");
        let removed = act(&room.moderator, "remove", &[("seq", &seq), reason]).await;
        act(&room.moderator, "note", &[("user", &person.uid), ("text", "zqxnotezqx")]).await;
        let timeout = act(&room.moderator, "timeout", &[("user", &person.uid), ("seconds", "600"), reason]).await;
        act(&room.moderator, "lift", &[("case", timeout["case"].as_str().unwrap()), reason]).await;
        act(&room.moderator, "mode", &[("slow_ms", &(n % 2).to_string())]).await;
        if n % 3 == 0 {
            act(&room.moderator, "undo", &[("action", removed["action"].as_str().unwrap())]).await;
            act(&room.moderator, "pin", &[("seq", &seq)]).await;
            acts += 2;
        }
        acts += 5;
        let report = [("room", "1"), ("seq", seq.as_str()), ("reason", "spam")];
        persons[1 - n as usize % 2].post("/gateway/report", &report).await;
        acts += 1;
    }
    assert!(acts >= 100, "{acts}");
    act(&room.host, "mode", &[("slow_ms", "0")]).await;
    say(&room.host, "the end").await;
    let frames = [pushes_until(&mut v1, "the end").await, pushes_until(&mut plain, "the end").await];
    assert!(frames[0].iter().filter(|push| push["type"] == "changed").count() >= 17, "the viewer got the changes");
    assert!(frames[1].iter().all(|push| push["type"] == "message"), "the plain dialect has no changes");
    for (frame, forbidden) in frames
        .iter()
        .flatten()
        .flat_map(|frame| [room.moderator.uid.as_str(), "zqxreasonzqx", "zqxnotezqx", "巡查"].map(|forbidden| (frame, forbidden)))
    {
        assert!(!frame.to_string().contains(forbidden), "{forbidden}: {frame}");
    }
    // Removed texts are in no frame but their own message, which came before.
    for (at, frame) in frames[0].iter().enumerate().filter(|(_, frame)| frame["type"] == "changed" && frame["why"] != "undo") {
        assert!(!frame.to_string().contains("open line"), "{at}: {frame}");
    }
}

/// Trap 23.
#[tokio::test]
async fn a_restraint_is_told_before_one_types_and_ends_by_itself() {
    let room = Room::start().await;
    let person = room.server.guest("一").await;
    let mut tabs = [person.open_bound(Some("roomcast.v1")).await, person.open_bound(Some("roomcast.v1")).await];
    let mut other = room.reader().await;
    let timeout = act(&room.moderator, "timeout", &[("user", &person.uid), ("seconds", "2"), ("reason", "zqxreasonzqx")]).await;
    for tab in &mut tabs {
        let told = tab.push_of("you").await;
        assert_eq!((&told["restraint"]["kind"], &told["restraint"]["case"]), (&json!("timeout"), &timeout["case"]), "{told}");
        assert_eq!((&told["restraint"]["until"], &told["restraint"]["reason"]), (&timeout["until"], &json!("zqxreasonzqx")));
    }
    assert!(!comes(&mut other, "you", Duration::from_millis(200)).await, "nobody else is told");
    let bound = person.bind(&person.open(Some("roomcast.v1")).await, &[]).await.body;
    assert_eq!(bound["restraint"]["case"], timeout["case"]);
    let page = person.get("/rooms/1").await.text().await.unwrap();
    assert!(page.contains("zqxreasonzqx"), "the first HTML says why the person cannot send");
    assert!(!room.server.visitor().get("/rooms/1").await.text().await.unwrap().contains("zqxreasonzqx"));
    assert_eq!(refusal(&person.send("a").await), (403, "muted"));
    crate::support::eventually("the timeout ends by itself", async || person.send("b").await.status == 200).await;
    let bound = person.bind(&person.open(Some("roomcast.v1")).await, &[]).await.body;
    assert!(bound["restraint"].is_null(), "{bound}");
}

/// The cooldown is checked in memory, before the store judges.
#[tokio::test]
async fn a_restraint_and_a_closed_room_are_told_before_the_cooldown() {
    let room = Room::with(&["chat.cooldown_ms=60000"]).await;
    let (banned, person) = (room.server.guest("一").await, room.server.guest("二").await);
    say(&banned, "a").await;
    say(&person, "b").await;
    act(&room.moderator, "ban", &[("user", &banned.uid)]).await;
    let answers = [banned.send("c").await, person.send("d").await];
    assert_eq!(answers.each_ref().map(refusal), [(403, "banned"), (429, "too_fast")]);
    act(&room.host, "mode", &[("closed", "true")]).await;
    let answers = [banned.send("e").await, person.send("f").await];
    assert_eq!(answers.each_ref().map(refusal), [(403, "banned"), (403, "room_mode")]);
}

/// A warning is shown until it is acknowledged, and nothing can be sent before.
#[tokio::test]
async fn a_warning_is_acknowledged_before_the_next_message() {
    let room = Room::start().await;
    let person = room.server.guest("一").await;
    let mut tab = person.open_bound(Some("roomcast.v1")).await;
    let warning = act(&room.moderator, "warn", &[("user", &person.uid), ("reason", "rule 2")]).await;
    let told = tab.push_of("you").await;
    assert_eq!((&told["warning"]["case"], &told["warning"]["reason"]), (&warning["case"], &json!("rule 2")), "{told}");
    let refused = person.send("a").await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    let stranger = room.server.guest("二").await;
    let case = warning["case"].as_str().unwrap();
    let acknowledge = [("room", "1"), ("case", case)];
    assert_ne!(stranger.post("/gateway/acknowledge", &acknowledge).await.status, 200, "a warning is one's own");
    let done = person.post("/gateway/acknowledge", &acknowledge).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(person.send("a").await.status, 200);
}

/// Trap 27.
#[tokio::test]
async fn every_refusal_of_a_mode_was_told_by_the_state_before() {
    let room = Room::start().await;
    let guest = room.server.guest("一").await;
    let account = account(&room.server, "has-account", "二").await;
    let mut reader = room.reader().await;
    let modes = [
        ("slow_ms", "60000", "0", json!(60_000), (429, "too_fast"), 200),
        ("accounts", "true", "false", json!(true), (403, "room_mode"), 200),
        ("closed", "true", "false", json!(true), (403, "room_mode"), 403),
    ];
    for (mode, on, off, value, expected, of_account) in modes {
        say(&guest, "before").await;
        let answer = act(&room.host, "mode", &[(mode, on)]).await;
        assert_eq!(answer["state"]["modes"][mode], value, "{answer}");
        let told = reader.push_of("room").await;
        let keys: Vec<_> = told["state"]["modes"].as_object().unwrap().keys().cloned().collect();
        for key in ["slow_ms", "accounts", "closed", "emoji", "delay_ms", "unique_s", "links", "regulars"] {
            assert!(keys.iter().any(|known| known == key), "all keys are there: {keys:?}");
        }
        let bound = guest.bind(&guest.open(Some("roomcast.v1")).await, &[]).await.body;
        assert_eq!((&told["state"]["modes"][mode], &bound["state"]["modes"][mode]), (&value, &value));
        let refused = guest.send("refused").await;
        assert_eq!(refusal(&refused), expected, "{mode}: {}", refused.body);
        if expected.1 == "room_mode" {
            assert_eq!(refused.body["mode"], mode);
        }
        assert_eq!(account.send("of an account").await.status.as_u16(), of_account, "{mode}");
        act(&room.host, "mode", &[(mode, off)]).await;
        assert_ne!(reader.push_of("room").await["state"]["modes"][mode], value);
    }
}

/// Trap 12 for the text of an act's own person: what was removed is told to nobody, and `you` names no moderator.
#[tokio::test]
async fn the_person_acted_on_learns_the_reason_and_not_the_moderator() {
    let room = Room::start().await;
    let person = room.server.guest("一").await;
    let seq = say(&person, SECRET).await.to_string();
    let mut tab = person.open_bound(Some("roomcast.v1")).await;
    act(&room.moderator, "remove", &[("seq", &seq), ("reason", "spam")]).await;
    act(&room.moderator, "ban", &[("user", &person.uid), ("reason", "spam")]).await;
    let (changed, you) = (tab.push_of("changed").await, tab.push_of("you").await);
    let refused = person.send("x").await.body;
    let bound = person.bind(&person.open(Some("roomcast.v1")).await, &[("rev", "0")]).await.body;
    let all: Vec<Value> = vec![changed, you, refused, bound];
    for told in &all {
        assert!(!told.to_string().contains(&room.moderator.uid) && !told.to_string().contains(SECRET), "{told}");
    }
    assert_eq!((&all[1]["restraint"]["kind"], &all[1]["restraint"]["reason"]), (&json!("ban"), &json!("spam")));
}

/// The case that a page is told of after another one. A node of a cluster follows its own news, and may tell a case again.
async fn next_case(room: &Room, tab: &mut Socket, before: &Value) -> Value {
    loop {
        let case = tab.push_of("you").await["restraint"]["case"].take();
        if case != *before || !room.server.is_in_cluster() {
            return case;
        }
    }
}

/// The end of a restraint of the whole site leaves one of the room in force, and the page is told so.
#[tokio::test]
async fn the_end_of_a_ban_of_the_site_tells_the_timeout_of_the_room() {
    let room = Room::start().await;
    let person = room.server.guest("一").await;
    let mut tab = person.open_bound(Some("roomcast.v1")).await;
    let timeout = act(&room.moderator, "timeout", &[("user", &person.uid), ("seconds", "600")]).await;
    assert_eq!(next_case(&room, &mut tab, &Value::Null).await, timeout["case"]);
    let ban = room.host.post("/gateway/mod/ban", &[("user", &person.uid), ("site", "true")]).await.body;
    assert_eq!(next_case(&room, &mut tab, &timeout["case"]).await, ban["case"], "{ban}");
    let lifted = room.host.post("/gateway/mod/lift", &[("case", ban["case"].as_str().unwrap())]).await;
    assert_eq!(lifted.status, 200, "{}", lifted.body);
    assert_eq!(next_case(&room, &mut tab, &ban["case"]).await, timeout["case"]);
    assert_eq!(refusal(&person.send("x").await), (403, "muted"));
}
