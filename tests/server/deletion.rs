//! Rooms that are closed and deleted, messages and guests that grow old: gone everywhere, and nothing else with them.

use crate::support::{Person, Place, Server, eventually};
use roomcast::server::storage::{NewMessage, NewSessionRow, Store};
use serde_json::json;
use std::process::Output;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

const DAY_MS: u64 = 24 * 3600 * 1000;

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn run(server: &Server, arguments: &[&str]) -> Output {
    server.command().args(arguments).output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn send(person: &Person, room: &str, message: &str) -> (u16, serde_json::Value) {
    let answer = person.post("/gateway/send", &[("room", room), ("message", message)]).await;
    (answer.status.as_u16(), answer.body)
}

/// Whether a text is stored: in a row, and for SQLite in the bytes of a file.
async fn is_stored(place: &Place, text: &str) -> bool {
    let is_in_row = place.count(&format!("SELECT count(*) FROM {{}}messages WHERE text LIKE '{text}%'")).await > 0;
    is_in_row || (place.database.is_none() && !files_with(place, text).is_empty())
}

/// Names of the data folder's files that contain the bytes of `text`.
fn files_with(place: &Place, text: &str) -> Vec<String> {
    let entries = std::fs::read_dir(place.folder()).unwrap().map(|entry| entry.unwrap().path());
    let contains = |bytes: Vec<u8>| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let found = entries.filter(|path| path.is_file() && contains(std::fs::read(path).unwrap()));
    found.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

async fn open_store(place: &Place) -> Store {
    Store::open(&place.settings()).await.unwrap()
}

async fn put_session(store: &Store, token_hash: &[u8], uid: &str, expires_at: u64) {
    let uid = uid.parse().unwrap();
    store.put_session(NewSessionRow { token_hash, uid: &uid, label: "", created_at: 5, expires_at }).await.unwrap();
}

fn message(room: &str, text: &str) -> NewMessage {
    NewMessage {
        room: room.parse().unwrap(),
        id: Uuid::now_v7(),
        user: "u".parse().unwrap(),
        nickname: "u".into(),
        text: text.into(),
        at: now_ms(),
        nonce: None,
        has_account: false,
        re: None,
        mentions: vec![],
        networks: vec![],
        is_bot: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_closed_room_takes_no_messages_until_it_is_opened_again() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let person = server.guest("a").await;
    assert_eq!(send(&person, "1", "before").await.0, 200);
    assert_eq!(printed(&run(&server, &["room", "close", "1"])), "room 1 closed\n");
    // At once, although the server had the room in its cache.
    let (status, body) = send(&person, "1", "while closed").await;
    assert_eq!((status, &body["code"], &body["mode"]), (403, &json!("room_mode"), &json!("closed")), "{body}");
    let page = person.get("/rooms/1").await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("before"), "a closed room stays readable");
    assert!(!person.get("/").await.text().await.unwrap().contains("/rooms/1\""), "a closed room is not in the lobby");
    assert!(printed(&run(&server, &["room", "list"])).contains("closed"));
    printed(&run(&server, &["room", "open", "1"]));
    assert_eq!(send(&person, "1", "after").await.1["seq"], 2, "the refused message took no seq");
    assert!(person.get("/").await.text().await.unwrap().contains("/rooms/1\""));
    assert!(!run(&server, &["room", "close", "nowhere"]).status.success());
    let recorded = std::fs::read_to_string(server.data.path().join("data/security.log")).unwrap();
    assert!(recorded.contains("room_closed"), "{recorded}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_deleted_room_is_gone_everywhere_and_from_the_files() {
    let mut server = Server::with(&["chat.cooldown_ms=0"]);
    let (secret, kept) = ("a text that must be gone 1f2e3d", "a text of another room 4c5b6a");
    assert_eq!(printed(&run(&server, &["room", "add", "other"])), "2\n");
    let person = server.guest("a").await;
    for n in 0..20 {
        assert_eq!(send(&person, "1", &format!("{secret} {n}")).await.0, 200);
    }
    assert_eq!(send(&person, "2", kept).await.0, 200);
    let mut socket = person.open_bound(Some("roomcast.v1")).await;
    assert!(is_stored(&server, secret).await);
    let refused = run(&server, &["room", "delete", "1"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--yes"), "{refused:?}");
    assert_eq!(printed(&run(&server, &["room", "delete", "1", "--yes"])), "room 1 deleted, 1 sockets left it\n");
    assert_eq!(socket.close_code().await, 4500);
    assert_eq!(send(&person, "1", "x").await.1["code"], "no_such_room");
    assert_eq!(person.get("/rooms/1").await.status(), 404);
    assert!(!person.get("/").await.text().await.unwrap().contains("/rooms/1\""));
    for path in ["/gateway/history", "/gateway/bind"] {
        let socket = person.open(None).await;
        let form = [("room", "1"), ("before", "9"), ("client_id", socket.client_id.as_str())];
        let form = if path.ends_with("bind") { vec![form[0], form[2]] } else { vec![form[0], form[1]] };
        assert_eq!(person.post(path, &form).await.status, 404, "{path}");
    }
    eventually("the text is in no file", async || !is_stored(&server, secret).await).await;
    assert!(is_stored(&server, kept).await, "the other room's text is still there");
    assert_eq!(server.count("SELECT count(*) FROM {}rooms WHERE room = '1'").await, 0);
    assert!(!run(&server, &["room", "delete", "1", "--yes"]).status.success());
    // Neither the numbering nor a start gives the id again.
    assert_eq!(printed(&run(&server, &["room", "add", "next"])), "3\n");
    server.kill();
    for room in ["2", "3"] {
        assert!(printed(&run(&server, &["room", "delete", room, "--yes"])).contains("deleted"), "without a server");
    }
    assert!(!is_stored(&server, kept).await);
    server.restart();
    assert_eq!(printed(&run(&server, &["room", "list"])), "");
    assert!(server.errors().is_empty(), "{:?}", server.errors());
}

#[tokio::test]
async fn f3_a_deletion_that_was_killed_goes_on_at_the_next_start() {
    let place = Place::new();
    let store = open_store(&place).await;
    let room = store.open_room("one", None, 0).await.unwrap();
    store.append((0..1200).map(|n| message("1", &n.to_string())).collect(), 0).await.unwrap();
    assert!(store.delete_room(&room, 0).await.unwrap());
    assert!(store.room(&room).await.unwrap().is_none());
    assert!(!store.delete_room(&room, 0).await.unwrap(), "it is gone");
    assert_eq!(store.sweep_deleted_rooms(500).await.unwrap(), 500, "a batch is bounded");
    store.close().await;
    drop(store);
    let server = Server::on(place, &[]);
    eventually("the rest is removed", async || {
        server.count("SELECT (SELECT count(*) FROM {}messages) + (SELECT count(*) FROM {}rooms)").await == 0
    })
    .await;
}

#[tokio::test]
async fn f3_old_messages_are_removed_and_the_rest_is_told_as_the_oldest() {
    let place = Place::new();
    let store = open_store(&place).await;
    let (old, young) = (now_ms() - 3 * DAY_MS, now_ms() - DAY_MS / 2);
    for room in ["1", "2", "3"] {
        assert_eq!(store.open_room(room, None, 0).await.unwrap().as_str(), room);
    }
    store.append((0..1100).map(|n| message("1", &format!("old {n}"))).collect(), 0).await.unwrap();
    store.append(vec![message("1", "young"), message("2", "old"), message("3", "young")], 0).await.unwrap();
    // A store with a clock of its own gives other times.
    place.sql(&format!("UPDATE {{}}messages SET at = CASE WHEN text = 'young' THEN {young} ELSE {old} END")).await;
    store.close().await;
    drop(store);
    let server = Server::on(place, &["chat.keep_days=1", "chat.cooldown_ms=0"]);
    eventually("the old messages are removed", async || server.count("SELECT count(*) FROM {}messages").await == 2).await;
    let person = server.guest("a").await;
    let history = person.post("/gateway/history", &[("room", "1"), ("before", "9999")]).await.body;
    assert_eq!((&history["oldest"], &history["messages"][0]["seq"]), (&json!(1101), &json!(1101)));
    let socket = person.open(None).await;
    // A page that left at 7 has missed nothing that it could fetch.
    let bound = person.bind(&socket, &[("since", "7")]).await.body;
    assert_eq!((&bound["oldest"], &bound["seq"], &bound["gap"]), (&json!(1101), &json!(1101), &json!(false)), "{bound}");
    let bound = person.post("/gateway/bind", &[("client_id", &socket.client_id), ("room", "2"), ("since", "0")]).await.body;
    assert_eq!((&bound["oldest"], &bound["seq"], &bound["gap"]), (&json!(2), &json!(1), &json!(false)), "{bound}");
    // A room whose messages are all gone goes on with its numbering.
    assert_eq!(send(&person, "2", "next").await.1["seq"], 2);
}

#[tokio::test]
async fn f3_without_keep_days_every_message_stays() {
    let place = Place::new();
    let store = open_store(&place).await;
    store.open_room("one", None, 0).await.unwrap();
    store.append(vec![message("1", "from 1970")], 0).await.unwrap();
    place.sql("UPDATE {}messages SET at = 5").await;
    store.put_nickname(&"idle".parse().unwrap(), "n", 0).await.unwrap();
    put_session(&store, &[1; 32], "idle", 10).await;
    store.close().await;
    drop(store);
    let server = Server::on(place, &[]);
    // The same sweep removes the guest, after the messages.
    eventually("the guest is removed", async || server.count("SELECT count(*) FROM {}people").await == 0).await;
    assert_eq!(server.count("SELECT count(*) FROM {}messages").await, 1);
}
