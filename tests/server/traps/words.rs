//! Words of strangers on the staff's pages and in exports: nicknames, titles, reasons and notes are text there, never markup.

use super::{Room, account, act, say};
use crate::support::{Person, Server, finished};
use serde_json::{Value, json};

/// Markup that would run, were it not escaped; each begins with a mark that no page has.
const PAYLOADS: [&str; 5] = [
    "<img src=zqx onerror=alert(1)>",
    "</script><script>zqx()</script>",
    "\"><svg/onload=zqx>",
    "</title><i id=zqx>",
    "=cmd|'/C zqx'!A1",
];

/// Trap 20.
#[tokio::test(flavor = "multi_thread")]
async fn markup_in_words_of_strangers_is_text_on_every_page_of_the_staff() {
    let room = Room::start().await;
    let mut pages = Vec::new();
    for (n, payload) in PAYLOADS.iter().enumerate() {
        // A nickname has 20 characters at most: a shorter one of the same kind.
        let nickname = format!("{n}<b onclick=zqx>");
        let person = room.server.guest(&nickname).await;
        let seq = say(&person, payload).await.to_string();
        let user = ("user", person.uid.as_str());
        act(&room.moderator, "note", &[user, ("text", payload)]).await;
        act(&room.moderator, "warn", &[user, ("reason", payload)]).await;
        act(&room.moderator, "timeout", &[user, ("seconds", "600"), ("reason", payload)]).await;
        act(&room.host, "title", &[("title", &payload[..payload.len().min(40)])]).await;
        room.host.post("/gateway/report", &[("room", "1"), ("seq", seq.as_str()), ("reason", "abuse")]).await;
        act(&room.moderator, "remove", &[("seq", &seq), ("reason", payload)]).await;
        for reader in [&room.host, &room.moderator, &person] {
            for path in ["/", "/rooms/1", "/rooms/1/moderate", &format!("/rooms/1/messages/{seq}")] {
                pages.push((path.to_owned(), reader.get(path).await));
            }
        }
        for path in ["log", "reports", "restraints", "person"] {
            let path = format!("/gateway/mod/{path}?room=1&user={}", person.uid);
            pages.push((path.clone(), room.moderator.get(&path).await));
        }
    }
    let (mut shown, mut json) = (0, 0);
    for (path, page) in pages {
        let kind = page.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
        let text = page.text().await.unwrap();
        if !kind.starts_with("text/html") {
            json += usize::from(kind.starts_with("application/json"));
            continue;
        }
        shown += usize::from(text.contains("zqx"));
        for markup in ["<img src=zqx", "<script>zqx", "<svg/onload=zqx", "<b onclick=zqx", "<i id=zqx"] {
            assert!(!text.contains(markup), "{path} has markup of a stranger: {markup}");
        }
    }
    assert!(shown > PAYLOADS.len() && json >= PAYLOADS.len(), "{shown} pages and {json} answers have the words");
    let mut command = room.server.command();
    command.args(["mod", "log", "--room", "1", "--export", "export.jsonl"]);
    let output = finished(command).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let exported = std::fs::read_to_string(room.server.data.path().join("export.jsonl")).unwrap();
    assert!(exported.lines().count() > 4 * PAYLOADS.len(), "{exported}");
    for line in exported.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(row.is_object(), "{line}");
    }
}

/// The name with which an account signs in is no business of the moderators.
#[tokio::test(flavor = "multi_thread")]
async fn the_staff_sees_that_a_person_has_an_account_and_not_its_name() {
    let room = Room::start().await;
    let author = account(&room.server, "zqx-signs-in", "小号").await;
    let guest = room.server.guest("游客").await;
    let seq = say(&author, "hello").await;
    act(&room.moderator, "warn", &[("user", &author.uid), ("reason", "x")]).await;
    let card = async |of: &Person| {
        let path = format!("/gateway/mod/person?room=1&user={}", of.uid);
        room.moderator.get(&path).await.json::<Value>().await.unwrap()["card"].clone()
    };
    let of_author = card(&author).await;
    assert_eq!((&of_author["account"], &of_author["nickname"]), (&json!(true), &json!("小号")));
    assert_eq!(card(&guest).await["account"], json!(false));
    let of_api = room.api("mod.person", json!({"room": "1", "user": author.uid})).await.body["result"].clone();
    assert_eq!(of_api["account"], json!(true));
    let mut shown = vec![of_author.to_string(), of_api.to_string()];
    for path in [&format!("/rooms/1/messages/{seq}"), "/rooms/1/moderate", "/gateway/mod/log?room=1"] {
        shown.push(room.moderator.get(path).await.text().await.unwrap());
    }
    assert!(shown[2].contains("小号") && shown[3].contains("小号"), "{shown:?}");
    assert!(shown.iter().all(|text| !text.contains("zqx-signs-in")), "{shown:?}");
}

/// The mentions of a message, as its pushed form in the history has them.
async fn mentions(by: &Person, text: &str) -> Value {
    let seq = say(by, text).await;
    super::history(by, seq + 1, 1).await[0]["mentions"].clone()
}

/// A mention tells everybody a uid: that of a moderator who says nothing is not told.
#[tokio::test(flavor = "multi_thread")]
async fn a_mention_finds_speakers_and_the_host_and_no_silent_moderator() {
    let room = Room::start().await;
    let viewer = room.server.guest("一").await;
    assert_eq!(mentions(&viewer, "@巡查 hello").await, Value::Null);
    say(&room.moderator, "here I am").await;
    for _ in 0..2 {
        // In memory from the second page on.
        assert_eq!(mentions(&viewer, "@巡查 hello").await, json!([room.moderator.uid]));
        viewer.get("/rooms/1").await;
    }
    let other = room.server.guest("巡查甲").await;
    say(&other, "me, too").await;
    assert_eq!(mentions(&viewer, "＠巡查甲").await, json!([other.uid]), "who spoke just now is known");
    let host = room.host.get("/gateway/mod/log?room=1").await.json::<Value>().await.unwrap()["rows"][0].clone();
    let host = format!("@{}", host["actor_nickname"].as_str().unwrap());
    assert_eq!(mentions(&viewer, &host).await, json!([room.host.uid]), "the lobby shows the host");
}

/// The reads of windows of messages so far.
async fn windows_read(server: &Server) -> u64 {
    let metrics = server.visitor().get("/metrics").await.text().await.unwrap();
    let counts = metrics.lines().filter(|line| line.starts_with("roomcast_windows_read_total{"));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// A flood of sends that the cooldown refuses costs no look-up of the people it mentions.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_send_looks_nobody_up() {
    let room = Room::with(&["chat.cooldown_ms=600000"]).await;
    let viewer = room.server.guest("一").await;
    // With its socket here, a node of several follows the room.
    let _page = viewer.open_bound(Some("roomcast.v1")).await;
    say(&viewer, "first").await;
    for _ in 0..3 {
        viewer.get("/rooms/1").await;
    }
    let before = windows_read(&room.server).await;
    for _ in 0..20 {
        let form = [("room", "1"), ("message", "@一 @二"), ("re", "1")];
        assert_eq!(viewer.post("/gateway/send", &form).await.status, 429);
    }
    assert_eq!(windows_read(&room.server).await, before);
}
