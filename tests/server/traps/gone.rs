//! Removed text is nowhere: no route, no push, no file, no line of the log has it; replies, pins and mentions of it do not bring it
//! back.

use super::{KEY, Room, SECRET, act, history, pushes_until, say};
use crate::support::routes::{self, Seen};
use crate::support::{Person, eventually};
use serde_json::{Value, json};

/// A part of the removed word, for searches: pages repeat what was searched for.
const PART: &str = "zqxremoved";

/// Every request of a viewer, and of programs without a staff scope, that could show a message: a form, a page or a method of the API.
async fn seen_by(room: &Room, person: &Person, seq: u64) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    let (own, next) = (seq.to_string(), (seq + 1).to_string());
    let mut pages = vec!["/", "/metrics", "/healthz", "/readyz", "/sign-in", "/account", "/gateway/api/openapi.json", "/rooms/1"]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    pages.extend(["/rooms/1/moderate".to_owned(), format!("/rooms/1/messages/{seq}"), format!("/?q={PART}")]);
    for query in [format!("before={next}"), format!("q={PART}"), format!("search={PART}"), "view=stage".into()] {
        pages.push(format!("/rooms/1?{query}"));
    }
    for path in ["log", "person", "restraints", "reports"] {
        pages.push(format!("/gateway/mod/{path}?room=1&user={}", person.uid));
    }
    for page in pages {
        let answer = person.get(&page).await;
        seen.push((page, answer.text().await.unwrap()));
    }
    let before = [("room", "1"), ("before", next.as_str())];
    seen.push(("history".into(), person.post("/gateway/history", &before).await.body.to_string()));
    for more in [vec![], vec![("since", "0"), ("rev", "0")], vec![("since", own.as_str())]] {
        for dialect in [None, Some("roomcast.v1")] {
            let socket = person.open(dialect).await;
            seen.push((format!("bind {more:?}"), person.bind(&socket, &more).await.body.to_string()));
        }
    }
    let report = [("room", "1"), ("seq", own.as_str()), ("reason", "spam")];
    seen.push(("report".into(), person.post("/gateway/report", &report).await.body.to_string()));
    let retract = [("room", "1"), ("seq", own.as_str())];
    seen.push(("retract".into(), person.post("/gateway/retract", &retract).await.body.to_string()));
    let reply = [("room", "1"), ("message", "a reply"), ("re", own.as_str())];
    seen.push(("reply".into(), person.post("/gateway/send", &reply).await.body.to_string()));
    for (method, params) in [
        ("chat.history", json!({"room": "1"})),
        ("chat.history", json!({"room": "1", "before": seq + 1})),
        ("getAllClientSessions", json!({})),
        ("getAllGroupIdList", json!({})),
    ] {
        seen.push((method.into(), room.api(method, params).await.body.to_string()));
    }
    seen
}

/// The answers of every route of the router and of every method of the API.
async fn walk_as(room: &Room, nickname: &str, seq: u64, author: &str) -> Vec<Seen> {
    let walker = room.server.guest(nickname).await;
    let seen = routes::walk(&room.server, &walker, KEY, &routes::values(seq, author)).await;
    assert!(seen.len() > 60, "{} answers", seen.len());
    seen
}

/// The bytes of every file of the data folder, and the log.
fn files(room: &Room) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("the log".to_owned(), room.server.log().into_bytes())];
    let mut folders = vec![room.server.folder()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => {
                    files.push((entry.path().display().to_string(), std::fs::read(entry.path()).unwrap_or_default()));
                }
                _ => {}
            }
        }
    }
    files
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Trap 2.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_text_is_in_no_answer_and_an_erased_one_in_no_file() {
    let room = Room::start().await;
    let author = room.server.guest("zqxauthorzqx").await;
    let viewer = room.server.guest("viewer").await;
    let seq = say(&author, SECRET).await;
    let found = seen_by(&room, &viewer, seq).await;
    let shown = |seen: &[(String, String)]| -> Vec<String> {
        seen.iter()
            .filter(|(_, text)| text.contains(&format!(">{SECRET}")) || text.contains(&format!("\"{SECRET}")))
            .map(|(name, _)| name.clone())
            .collect()
    };
    assert!(shown(&found).len() >= 5, "the walk finds the text before its removal: {:?}", shown(&found));
    act(&room.moderator, "remove", &[("seq", &seq.to_string()), ("reason", "zqxreasonzqx")]).await;

    for person in [&viewer, &author, &room.server.visitor()] {
        let seen = seen_by(&room, person, seq).await;
        for (name, text) in &seen {
            assert!(!text.contains(SECRET), "{name} has the removed text: {text}");
            assert!(!text.contains("zqxreasonzqx") || person.uid == author.uid, "{name} has the staff's reason");
        }
        assert!(shown(&seen).is_empty(), "{:?}", shown(&seen));
    }
    for seen in walk_as(&room, "a walker", seq, &author.uid).await {
        let may = seen.is_of_staff && seen.route.contains("/gateway/api/");
        assert!(may || !seen.text.contains(SECRET), "{} has the removed text: {}", seen.route, seen.text);
    }
    assert!(!has(room.server.log().as_bytes(), SECRET), "the log has the text");
    let kept = room.host.get(&format!("/rooms/1/messages/{seq}")).await.text().await.unwrap();
    assert!(kept.contains(SECRET), "the staff reads the text while it is kept");

    act(&room.host, "erase", &[("seq", &seq.to_string())]).await;
    for person in [&room.host, &room.moderator, &viewer] {
        for (name, text) in seen_by(&room, person, seq).await {
            assert!(!text.contains(SECRET), "{name} has the erased text: {text}");
        }
    }
    for seen in walk_as(&room, "another walker", seq, &author.uid).await {
        assert!(!seen.text.contains(SECRET), "{} has the erased text: {}", seen.route, seen.text);
    }
    match &room.server.database {
        None => {
            // The pages of the write-ahead log are overwritten by a task.
            let holders = || -> Vec<String> {
                files(&room).into_iter().filter(|(_, bytes)| has(bytes, SECRET)).map(|(name, _)| name).collect()
            };
            eventually("no file has the erased text", async || holders().is_empty()).await;
        }
        Some(database) => {
            let rows = database.sql("SELECT string_agg(m::text, ' ') FROM roomcast.messages m");
            let kept = database.sql("SELECT string_agg(r::text, ' ') FROM roomcast.removed_texts r");
            assert!(!rows.contains(SECRET) && !kept.contains(SECRET), "{rows} {kept}");
        }
    }
}

/// Trap 4.
#[tokio::test]
async fn a_reply_never_repeats_what_its_parent_said() {
    let room = Room::start().await;
    let (author, other) = (room.server.guest("zqxnicknamezqx").await, room.server.guest("other").await);
    let mut reader = room.reader().await;
    let reply = async |seq: u64| {
        let re = seq.to_string();
        other.post("/gateway/send", &[("room", "1"), ("message", "to that"), ("re", &re)]).await
    };
    // The reply comes before the removal.
    let first = say(&author, SECRET).await;
    let before = reply(first).await;
    assert_eq!(before.status, 200, "{}", before.body);
    pushes_until(&mut reader, "to that").await;
    act(&room.moderator, "remove", &[("seq", &first.to_string())]).await;
    // And behind it.
    let second = say(&author, SECRET).await;
    act(&room.moderator, "remove", &[("seq", &second.to_string())]).await;
    pushes_until(&mut reader, SECRET).await;
    let behind = reply(second).await;
    let mut pushed: Vec<Value> = Vec::new();
    say(&other, "the end").await;
    pushed.extend(pushes_until(&mut reader, "the end").await);
    let everything = format!("{} {} {pushed:?} {:?}", before.body, behind.body, history(&other, 100, 50).await);
    assert!(!everything.contains(SECRET), "{everything}");
    let replies: Vec<_> = history(&other, 100, 50).await.into_iter().filter(|message| message["text"] == "to that").collect();
    assert!(!replies.is_empty());
    assert!(replies.iter().all(|message| message["re"]["seq"].is_u64() || message["re"].is_null()), "{replies:?}");
    let page = other.get("/rooms/1").await.text().await.unwrap();
    assert!(!page.contains(SECRET), "the page quotes the removed text");
}

/// Trap 5.
#[tokio::test]
async fn a_pin_ends_with_its_message_in_the_same_change() {
    let mut room = Room::start().await;
    let author = room.server.guest("作者").await;
    let seq = say(&author, SECRET).await.to_string();
    let mut reader = room.reader().await;
    act(&room.moderator, "pin", &[("seq", &seq)]).await;
    assert_eq!(reader.push_of("room").await["state"]["pinned"]["seq"].to_string(), seq);
    let removal = act(&room.moderator, "remove", &[("seq", &seq)]).await;
    let (changed, state) = (reader.push_of("changed").await, reader.push_of("room").await);
    assert_eq!(state["state"]["pinned"], Value::Null);
    // One act, and its two changes follow each other: no page sees a state between them for long.
    let (first, second) = (changed["rev"].as_u64().unwrap(), state["rev"].as_u64().unwrap());
    assert!(second - first <= 1 && removal["rev"].as_u64().is_some_and(|rev| rev == first || rev == second), "{removal}");
    for _ in 0..2 {
        let socket = author.open(Some("roomcast.v1")).await;
        let bound = author.bind(&socket, &[("rev", "0"), ("since", "0")]).await.body;
        assert_eq!(bound["state"]["pinned"], Value::Null);
        assert!(!author.get("/rooms/1").await.text().await.unwrap().contains(SECRET));
        room.server.kill();
        room.server.restart();
    }
}
