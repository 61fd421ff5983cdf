//! `roomcast user export` and `user erase`: everything about a person, and its end, in every read and every file.

use crate::command_line::{printed, run};
use crate::support::{Person, Place, Server};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

const ALL: [&str; 2] = ["chat.cooldown_ms=0", "chat.open_rooms=accounts"];
const SECRET: &str = "a text of the erased 7f3e1d";
const REMOVED: &str = "a removed text of the erased 5b9a2c";
const NICKNAME: &str = "Erasmus0x5d";
const NOTE: &str = "a note about the erased 3c8d6e";
const REASON: &str = "a reason told to the erased 4a7b1f";

fn roomcast(place: &Place, line: &str) -> Output {
    place.command().args(line.split_whitespace()).output().unwrap()
}

fn failed(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}

async fn send(person: &Person, room: &str, message: &str) -> u64 {
    let answer = person.post("/gateway/send", &[("room", room), ("message", message)]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["seq"].as_u64().unwrap()
}

/// A person with an account, messages in two rooms, one of them removed, a warning that is over, a note, a role and a report.
async fn person_with_a_past(server: &Server) -> Person {
    assert_eq!(printed(&run(server, &["room", "add", "other"], "")), "2\n");
    printed(&run(server, &["user", "add", "erasmus", "--nickname", NICKNAME], "correct horse\n"));
    let mut person = server.visitor();
    let answer = person.post("/session/login", &[("name", "erasmus"), ("password", "correct horse")]).await;
    person.uid = answer.body["uid"].as_str().unwrap().to_owned();
    let other = server.guest("other").await;
    send(&other, "1", "a text of another").await;
    for n in 0..3 {
        send(&person, "1", &format!("{SECRET} {n}")).await;
        send(&person, "2", &format!("{SECRET} {n}")).await;
    }
    let seq = send(&person, "1", REMOVED).await;
    printed(&roomcast(server, &format!("mod remove 1 {seq}")));
    let report = [("room", "1"), ("seq", "1"), ("reason", "spam")];
    assert_eq!(person.post("/gateway/report", &report).await.status, 200);
    let report = [("room", "1"), ("seq", "2"), ("reason", "spam")];
    assert_eq!(other.post("/gateway/report", &report).await.status, 200);
    let warned = printed(&run(server, &["mod", "warn", "1", "erasmus", REASON], ""));
    let case = warned.split("case ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    printed(&roomcast(server, &format!("mod lift {case}")));
    printed(&roomcast(server, "room mods 2 add erasmus"));
    let id = if server.database.is_some() { "gen_random_uuid()" } else { "'0197c0de-1111-7222-8333-444455556666'" };
    let columns = "(id, room, uid, by_uid, at, text, until)";
    let values = format!("({id}, '1', '{}', 'cli', 1, '{NOTE}', 9000000000000)", person.uid);
    server.sql(&format!("INSERT INTO {{}}notes {columns} VALUES {values}")).await;
    person
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_everything_about_a_person() {
    let server = Server::with(&ALL);
    let person = person_with_a_past(&server).await;
    let exported = printed(&roomcast(&server, "user export erasmus --to erasmus.jsonl"));
    assert!(exported.split(' ').next().unwrap().parse::<u64>().unwrap() >= 15, "{exported}");
    let path = server.data.path().join("erasmus.jsonl");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    assert_eq!((&of("person")[0]["uid"], &of("person")[0]["account"]), (&json!(person.uid), &json!("erasmus")));
    assert_eq!((of("session").len(), of("note")[0]["text"].as_str(), of("role")[0]["room"].as_str()), (1, Some(NOTE), Some("2")));
    assert_eq!((of("report").len(), &of("report")[0]["seq"]), (1, &json!(1)), "only the own reports");
    assert_eq!((&of("restraint")[0]["kind"], &of("restraint")[0]["reason"]), (&json!("warning"), &json!(REASON)));
    let messages = of("message");
    assert_eq!(messages.len(), 7);
    assert_eq!(messages.iter().filter(|message| message["text"].as_str().unwrap().starts_with(SECRET)).count(), 6);
    let removed: Vec<_> = messages.iter().filter(|message| message["text"] == REMOVED).collect();
    assert_eq!((removed.len(), removed[0]["nickname"].as_str(), removed[0]["removed"].is_string()), (1, Some(NICKNAME), true));
    let verbs: Vec<&Value> = of("act").iter().map(|act| &act["act"]["verb"]).collect();
    for verb in ["remove", "warn", "role"] {
        assert!(verbs.contains(&&json!(verb)), "{verb}: {verbs:?}");
    }
    assert!(!text.contains("argon2") && !text.contains("a text of another"), "{text}");
    // The same on standard output, and by the uid.
    assert_eq!(printed(&roomcast(&server, &format!("user export uid:{}", person.uid))), text);
    assert!(failed(&roomcast(&server, "user export erasmus --to erasmus.jsonl")).contains("erasmus.jsonl"));
    assert!(failed(&roomcast(&server, "user export uid:nobody-knows")).contains("nothing is stored"));
}

/// Names of the data folder's files that contain the bytes of a text.
fn files_with(place: &Place, text: &str) -> Vec<String> {
    let entries = std::fs::read_dir(place.folder()).unwrap().map(|entry| entry.unwrap().path());
    let contains = |bytes: Vec<u8>| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let found = entries.filter(|path| path.is_file() && contains(std::fs::read(path).unwrap()));
    found.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// Every text of the person is in no table, no file and no answer. Trap 2 of the research.
async fn assert_gone(server: &Server, uid: &str) {
    for (table, column) in [
        ("messages", "text"),
        ("messages", "nickname"),
        ("removed_texts", "text"),
        ("removed_texts", "nickname"),
        ("notes", "text"),
        ("action_texts", "text"),
        ("restraints", "reason"),
        ("people", "nickname"),
        ("changes", "body"),
        ("actions", "body"),
    ] {
        for text in [SECRET, REMOVED, NICKNAME, NOTE, REASON] {
            let found = server.count(&format!("SELECT count(*) FROM {{}}{table} WHERE {column} LIKE '%{text}%'")).await;
            assert_eq!(found, 0, "{text} in {table}.{column}");
        }
    }
    for (table, column) in
        [("messages", "uid"), ("people", "uid"), ("sessions", "uid"), ("roles", "uid"), ("reports", "by_uid"), ("reports", "uid")]
    {
        assert_eq!(
            server.count(&format!("SELECT count(*) FROM {{}}{table} WHERE {column} = '{uid}'")).await,
            0,
            "{table}.{column}"
        );
    }
    if server.database.is_none() {
        for text in [SECRET, REMOVED, NICKNAME, NOTE, REASON] {
            assert_eq!(files_with(server, text), Vec::<String>::new(), "{text}");
        }
    }
    for text in [SECRET, REMOVED, NICKNAME] {
        assert!(!server.log().contains(text), "{text} in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_person_is_gone_everywhere_while_the_server_runs() {
    let server = Server::with(&ALL);
    let person = person_with_a_past(&server).await;
    let viewer = server.guest("viewer").await;
    let (mut own, mut socket) = (person.open_bound(Some("roomcast.v1")).await, viewer.open_bound(Some("roomcast.v1")).await);
    assert!(failed(&roomcast(&server, "user erase erasmus")).contains("--yes"));
    let erased = printed(&roomcast(&server, "user erase erasmus --yes"));
    assert!(erased.contains("1 sessions ended, 1 sockets closed"), "{erased}");
    assert_eq!(own.close_code().await, 4501);
    let changed = socket.push_of("changed").await;
    assert_eq!((&changed["why"], &changed["removed"]), (&json!("site"), &json!([[2, 5]])), "{changed}");
    assert!(!changed.to_string().contains(&person.uid), "{changed}");
    for room in ["1", "2"] {
        let history = viewer.post("/gateway/history", &[("room", room), ("before", "99")]).await.body;
        let tombstones = history["messages"].as_array().unwrap().iter().filter(|message| message["user"] == "");
        let tombstones: Vec<_> = tombstones.collect();
        assert_eq!(tombstones.len(), if room == "1" { 4 } else { 3 }, "{history}");
        assert!(tombstones.iter().all(|message| message["text"] == "" && message["nickname"] == ""), "{history}");
        // The message that a moderator had removed before keeps that reason.
        let by_site = tombstones.iter().filter(|message| message["removed"]["why"] == "site").count();
        assert_eq!(by_site, 3, "{history}");
        let page = viewer.get(&format!("/rooms/{room}")).await.text().await.unwrap();
        assert!(![SECRET, REMOVED, NICKNAME, &person.uid].iter().any(|text| page.contains(text)), "{page}");
    }
    let history = viewer.post("/gateway/history", &[("room", "1"), ("before", "99")]).await.body;
    assert_eq!(history["messages"][0]["text"], "a text of another", "{history}");
    assert_eq!(person.send("again").await.status, 401);
    assert_eq!(person.post("/session/login", &[("name", "erasmus"), ("password", "correct horse")]).await.status, 401);
    assert_gone(&server, &person.uid).await;
    assert!(printed(&roomcast(&server, "mod verify")).contains("whole: "));
    assert!(printed(&roomcast(&server, "mod log --room 1")).contains("\tcli\terase\t"));
    // Repeated, there is nothing left.
    assert!(failed(&roomcast(&server, &format!("user erase uid:{} --yes", person.uid))).contains("nothing was left"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_without_a_server_and_one_that_was_cut_short_are_complete() {
    let mut server = Server::with(&ALL);
    let person = person_with_a_past(&server).await;
    // As after a kill between two rooms: the messages of room 2 are erased, and nothing else.
    server.kill();
    server.sql(&format!("UPDATE {{}}messages SET uid = '-', nickname = '', text = '', removed_why = 'site', removed_rev = 1 WHERE room = '2' AND uid = '{}'", person.uid)).await;
    printed(&roomcast(&server, &format!("user erase uid:{} --yes", person.uid)));
    assert_gone(&server, &person.uid).await;
    printed(&roomcast(&server, "mod verify"));
    server.restart();
    let viewer = server.guest("viewer").await;
    let history = viewer.post("/gateway/history", &[("room", "1"), ("before", "99")]).await.body;
    assert_eq!(
        (&history["messages"][0]["text"], &history["messages"][1]["user"]),
        (&json!("a text of another"), &json!("")),
        "{history}"
    );
    assert_gone(&server, &person.uid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_and_the_owner_are_not_erased() {
    let server = Server::with(&ALL);
    let owner = server.owner().await;
    printed(&run(&server, &["user", "add", "ming"], "correct horse\n"));
    printed(&run(&server, &["room", "add", "other", "--host", "ming"], ""));
    send(&owner, "1", "kept").await;
    assert!(failed(&roomcast(&server, "user erase owner --yes")).contains("owner"));
    let error = failed(&roomcast(&server, "user erase ming --yes"));
    assert!(error.contains("host of room 2") && error.contains("roomcast room host"), "{error}");
    assert!(failed(&roomcast(&server, "user erase nobody --yes")).contains("no account nobody"));
    assert_eq!(server.count("SELECT count(*) FROM {}messages WHERE text = 'kept'").await, 1);
    printed(&roomcast(&server, "room host 2 owner"));
    printed(&roomcast(&server, "user erase ming --yes"));
    assert!(!printed(&roomcast(&server, "user list")).contains("ming"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_export_of_a_former_moderator_names_no_other_person() {
    let server = Server::with(&ALL);
    printed(&run(&server, &["user", "add", "helper"], "correct horse\n"));
    let (helper, other) = (server.visitor(), server.guest("other").await);
    assert_eq!(helper.post("/session/login", &[("name", "helper"), ("password", "correct horse")]).await.status, 200);
    printed(&roomcast(&server, "room mods 1 add helper"));
    let seq = send(&other, "1", "a text of another").await.to_string();
    assert_eq!(helper.post("/gateway/report", &[("room", "1"), ("seq", &seq), ("reason", "spam")]).await.status, 200);
    let timeout = [("room", "1"), ("user", &*other.uid), ("seconds", "60"), ("reason", REASON)];
    assert_eq!(helper.post("/gateway/mod/timeout", &timeout).await.status, 200);
    assert_eq!(helper.post("/gateway/mod/remove", &[("room", "1"), ("seq", &seq), ("reason", REASON)]).await.status, 200);
    printed(&roomcast(&server, "room mods 1 remove helper"));
    let text = printed(&roomcast(&server, "user export helper"));
    assert!(!text.contains(&other.uid) && !text.contains(REASON), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let own: Vec<_> = lines.iter().filter(|line| line["type"] == "own_act").collect();
    assert_eq!(own.iter().map(|act| act["verb"].as_str().unwrap()).collect::<Vec<_>>(), ["timeout", "remove"]);
    assert!(own.iter().all(|act| act["chain"] == "1" && act["at"].is_u64()), "{own:?}");
    assert_eq!(lines.iter().filter(|line| line["type"] == "act").count(), 2, "the role that was given and taken");
}

/// In mentions by others, and in a purge that was taken back.
#[tokio::test(flavor = "multi_thread")]
async fn the_uid_of_an_erased_person_is_in_no_record_of_others() {
    let server = Server::with(&ALL);
    assert_eq!(printed(&run(&server, &["room", "add", "other"], "")), "2\n");
    let (person, other) = (server.guest(NICKNAME).await, server.guest("other").await);
    send(&person, "1", "hello").await;
    send(&person, "2", "hello").await;
    for room in ["1", "2"] {
        send(&other, room, &format!("@{NICKNAME} hi")).await;
    }
    // In room 2 only the mention is left.
    server.sql("DELETE FROM {}messages WHERE room = '2' AND seq = 1").await;
    let purged = printed(&roomcast(&server, &format!("mod purge 1 uid:{}", person.uid)));
    let action = purged.split("act ").nth(1).unwrap().trim();
    printed(&roomcast(&server, &format!("mod undo {action}")));
    let viewer = server.guest("viewer").await;
    let read = async |room: &str| viewer.post("/gateway/history", &[("room", room), ("before", "99")]).await.body.to_string();
    for room in ["1", "2"] {
        assert!(read(room).await.contains(&format!("\"mentions\":[\"{}\"]", person.uid)), "room {room}");
    }
    printed(&roomcast(&server, &format!("user erase uid:{} --yes", person.uid)));
    for room in ["1", "2"] {
        assert!(!read(room).await.contains(&person.uid), "room {room}");
        let page = viewer.get(&format!("/rooms/{room}")).await.text().await.unwrap();
        assert!(!page.contains(&person.uid), "room {room}");
    }
    let socket = viewer.open(Some("roomcast.v1")).await;
    let bound = viewer.bind(&socket, &[("rev", "0")]).await.body.to_string();
    assert!(bound.contains("\"reread\":true") && !bound.contains(&person.uid), "{bound}");
    for (table, column) in
        [("messages", "mentions"), ("messages", "uid"), ("changes", "body"), ("purges", "uid"), ("people", "uid")]
    {
        let left = server.count(&format!("SELECT count(*) FROM {{}}{table} WHERE {column} LIKE '%{}%'", person.uid)).await;
        assert_eq!(left, 0, "{table}.{column}");
    }
    assert!(printed(&roomcast(&server, "mod verify")).contains("whole: "));
}
