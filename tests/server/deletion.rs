//! Rooms that are closed and deleted, messages and guests that grow old: gone everywhere, and nothing else with them.

use crate::support::{Person, Server, binary, eventually};
use roomcast::domain::id::Seq;
use roomcast::server::config::StorageSettings;
use roomcast::server::storage::{NewMessage, NewSessionRow, SeqRange, Store};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::path::Path;
use std::process::Output;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use uuid::Uuid;

const DAY_MS: u64 = 24 * 3600 * 1000;

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn run(data: &TempDir, arguments: &[&str]) -> Output {
    let folder = data.path().join("data");
    binary().current_dir(data.path()).arg("--data-dir").arg(folder).args(arguments).output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn send(person: &Person, room: &str, message: &str) -> (u16, serde_json::Value) {
    let answer = person.post("/gateway/send", &[("room", room), ("message", message)]).await;
    (answer.status.as_u16(), answer.body)
}

/// Names of the data folder's files that contain the bytes of `text`.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let contains = |bytes: Vec<u8>| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let found = entries.filter(|path| path.is_file() && contains(std::fs::read(path).unwrap()));
    found.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

async fn count(folder: &Path, query: &'static str) -> i64 {
    let mut connection =
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(folder.join("roomcast.db"))).await.unwrap();
    sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
}

async fn open_store(folder: &Path) -> Store {
    Store::open(&StorageSettings { data_dir: folder.into(), ..StorageSettings::default() }).await.unwrap()
}

async fn put_session(store: &Store, token_hash: &[u8], uid: &str, expires_at: u64) {
    let uid = uid.parse().unwrap();
    store.put_session(NewSessionRow { token_hash, uid: &uid, label: "", created_at: 5, expires_at }).await.unwrap();
}

fn message(room: &str, at: u64, text: &str) -> NewMessage {
    NewMessage {
        room: room.parse().unwrap(),
        id: Uuid::now_v7(),
        user: "u".parse().unwrap(),
        nickname: "u".into(),
        text: text.into(),
        at,
        nonce: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_closed_room_takes_no_messages_until_it_is_opened_again() {
    let server = Server::with(&["chat.cooldown_ms=0"]);
    let person = server.guest("a").await;
    assert_eq!(send(&person, "1", "before").await.0, 200);
    assert_eq!(printed(&run(&server.data, &["room", "close", "1"])), "room 1 closed\n");
    // At once, although the server had the room in its cache.
    let (status, body) = send(&person, "1", "while closed").await;
    assert_eq!((status, &body["code"], &body["mode"]), (403, &json!("room_mode"), &json!("closed")), "{body}");
    let page = person.get("/rooms/1").await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("before"), "a closed room stays readable");
    assert!(!person.get("/").await.text().await.unwrap().contains("/rooms/1\""), "a closed room is not in the lobby");
    assert!(printed(&run(&server.data, &["room", "list"])).contains("closed"));
    printed(&run(&server.data, &["room", "open", "1"]));
    assert_eq!(send(&person, "1", "after").await.1["seq"], 2, "the refused message took no seq");
    assert!(person.get("/").await.text().await.unwrap().contains("/rooms/1\""));
    assert!(!run(&server.data, &["room", "close", "nowhere"]).status.success());
    let recorded = std::fs::read_to_string(server.data.path().join("data/security.log")).unwrap();
    assert!(recorded.contains("room_closed"), "{recorded}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_deleted_room_is_gone_everywhere_and_from_the_files() {
    let mut server = Server::with(&["chat.cooldown_ms=0"]);
    let folder = server.data.path().join("data");
    let (secret, kept) = ("a text that must be gone 1f2e3d", "a text of another room 4c5b6a");
    assert_eq!(printed(&run(&server.data, &["room", "add", "other"])), "2\n");
    let person = server.guest("a").await;
    for n in 0..20 {
        assert_eq!(send(&person, "1", &format!("{secret} {n}")).await.0, 200);
    }
    assert_eq!(send(&person, "2", kept).await.0, 200);
    let mut socket = person.open_bound(Some("roomcast.v1")).await;
    assert!(!files_with(&folder, secret).is_empty());
    let refused = run(&server.data, &["room", "delete", "1"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--yes"), "{refused:?}");
    assert_eq!(printed(&run(&server.data, &["room", "delete", "1", "--yes"])), "room 1 deleted, 1 sockets left it\n");
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
    eventually("the text is in no file", async || files_with(&folder, secret).is_empty()).await;
    assert!(!files_with(&folder, kept).is_empty(), "the other room's text is still there");
    assert_eq!(count(&folder, "SELECT count(*) FROM rooms WHERE room = '1'").await, 0);
    assert!(!run(&server.data, &["room", "delete", "1", "--yes"]).status.success());
    // Neither the numbering nor a start gives the id again.
    assert_eq!(printed(&run(&server.data, &["room", "add", "next"])), "3\n");
    server.kill();
    for room in ["2", "3"] {
        assert!(printed(&run(&server.data, &["room", "delete", room, "--yes"])).contains("deleted"), "without a server");
    }
    assert!(files_with(&folder, kept).is_empty());
    server.restart();
    assert_eq!(printed(&run(&server.data, &["room", "list"])), "");
    assert!(server.errors().is_empty(), "{:?}", server.errors());
}

#[tokio::test]
async fn f3_a_deletion_that_was_killed_goes_on_at_the_next_start() {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("data");
    let store = open_store(&folder).await;
    let room = store.open_room("one", None, 0).await.unwrap();
    store.append((0..1200).map(|n| message("1", 0, &n.to_string())).collect(), 0).await.unwrap();
    assert!(store.delete_room(&room, 0).await.unwrap());
    assert!(store.room(&room).await.unwrap().is_none());
    assert!(!store.delete_room(&room, 0).await.unwrap() && !store.close_room(&room, 0).await.unwrap(), "it is gone");
    assert_eq!(store.sweep_deleted_rooms(500).await.unwrap(), 500, "a batch is bounded");
    store.close().await;
    drop(store);
    let _server = Server::on(data, &[]);
    eventually("the rest is removed", async || {
        count(&folder, "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM rooms)").await == 0
    })
    .await;
}

#[tokio::test]
async fn f3_old_messages_are_removed_and_the_rest_is_told_as_the_oldest() {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("data");
    let store = open_store(&folder).await;
    let (old, young) = (now_ms() - 3 * DAY_MS, now_ms() - DAY_MS / 2);
    for room in ["1", "2", "3"] {
        assert_eq!(store.open_room(room, None, 0).await.unwrap().as_str(), room);
    }
    store.append((0..1100).map(|n| message("1", old, &format!("old {n}"))).collect(), 0).await.unwrap();
    store.append(vec![message("1", young, "young"), message("2", old, "old"), message("3", young, "young")], 0).await.unwrap();
    store.close().await;
    drop(store);
    let server = Server::on(data, &["chat.keep_days=1", "chat.cooldown_ms=0"]);
    eventually("the old messages are removed", async || count(&folder, "SELECT count(*) FROM messages").await == 2).await;
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
    let data = TempDir::new().unwrap();
    let folder = data.path().join("data");
    let store = open_store(&folder).await;
    store.open_room("one", None, 0).await.unwrap();
    store.append(vec![message("1", 5, "from 1970")], 0).await.unwrap();
    store.put_nickname(&"idle".parse().unwrap(), "n", 0).await.unwrap();
    put_session(&store, &[1; 32], "idle", 10).await;
    store.close().await;
    drop(store);
    let _server = Server::on(data, &[]);
    // The same sweep removes the guest, after the messages.
    eventually("the guest is removed", async || count(&folder, "SELECT count(*) FROM people").await == 0).await;
    assert_eq!(count(&folder, "SELECT count(*) FROM messages").await, 1);
}

#[tokio::test]
async fn f3_guests_that_left_nothing_are_removed_after_30_days() {
    let folder = TempDir::new().unwrap();
    let store = open_store(folder.path()).await;
    let month = 30 * DAY_MS;
    let uid = |name: &str| name.parse().unwrap();
    for name in ["idle", "here", "young", "spoke", "host", "u"] {
        let created_at = if name == "young" { month } else { 5 };
        store.put_nickname(&uid(name), "n", created_at).await.unwrap();
    }
    let account = roomcast::server::storage::NewPerson {
        uid: &uid("account"),
        nickname: "n",
        account: "account",
        password: "hash",
        created_at: 5,
    };
    store.put_account(account).await.unwrap();
    put_session(&store, &[3; 32], "idle", 100).await;
    put_session(&store, &[1; 32], "here", u64::MAX).await;
    store.open_room("one", Some(&uid("host")), 0).await.unwrap();
    let mut with_nonce = message("1", 5, "x");
    (with_nonce.user, with_nonce.nonce) = (uid("spoke"), Some("n".parse().unwrap()));
    store.append(vec![message("1", 5, "y"), with_nonce], 0).await.unwrap();
    let (idle, last) = store.idle_guests(month, 100, None).await.unwrap();
    assert_eq!((idle, last), (vec![uid("idle")], None));
    // One who came back since the search stays.
    put_session(&store, &[2; 32], "idle", u64::MAX).await;
    assert_eq!(store.remove_idle_guests(&[uid("idle"), uid("account"), uid("spoke")], 100).await.unwrap(), 0);
    store.end_session(&[2; 32]).await.unwrap();
    assert_eq!(store.remove_idle_guests(&[uid("idle"), uid("account"), uid("spoke")], 100).await.unwrap(), 1);
}

#[tokio::test]
async fn f3_a_batch_of_old_messages_ends_at_the_first_that_is_kept() {
    let folder = TempDir::new().unwrap();
    let store = open_store(folder.path()).await;
    let room = store.open_room("one", None, 0).await.unwrap();
    // The clock went back between 3 and 4: what remains has no holes all the same.
    let ages = [10, 11, 12, 50, 13, 60];
    store.append(ages.map(|at| message("1", at, "x")).to_vec(), 0).await.unwrap();
    assert_eq!(store.rooms_with_messages_before(20, None).await.unwrap(), std::slice::from_ref(&room));
    assert_eq!(store.remove_messages_before(&room, 20, 2).await.unwrap(), 2);
    assert_eq!(store.remove_messages_before(&room, 20, 2).await.unwrap(), 1);
    assert_eq!(store.remove_messages_before(&room, 20, 2).await.unwrap(), 0);
    assert_eq!(store.seq_range(&room).await.unwrap(), SeqRange { oldest: Seq(4), newest: Seq(6) });
    assert!(store.rooms_with_messages_before(20, None).await.unwrap().is_empty());
    assert!(store.rooms_with_messages_before(u64::MAX, Some(&room)).await.unwrap().is_empty());
    assert_eq!(store.remove_messages_before(&room, u64::MAX, 500).await.unwrap(), 3);
    assert_eq!(store.seq_range(&room).await.unwrap(), SeqRange { oldest: Seq(7), newest: Seq(6) });
    assert!(store.scrub().await.unwrap());
}

#[tokio::test]
async fn f26_expired_sessions_are_removed_in_bounded_batches() {
    let folder = TempDir::new().unwrap();
    let store = open_store(folder.path()).await;
    let uid = "u".parse().unwrap();
    store.put_nickname(&uid, "n", 0).await.unwrap();
    for n in 0..7 {
        put_session(&store, &[n; 32], "u", 10 + u64::from(n)).await;
    }
    assert_eq!(store.end_expired_sessions(15, 4).await.unwrap(), 4);
    assert_eq!(store.end_expired_sessions(15, 4).await.unwrap(), 2);
    assert_eq!(store.end_expired_sessions(15, 4).await.unwrap(), 0);
    assert!(store.session(&[6; 32]).await.unwrap().is_some());
}
