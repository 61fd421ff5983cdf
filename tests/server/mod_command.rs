//! `roomcast mod` and `roomcast room mods`: acts by the command line, with a running server and without one; the audit log printed
//! and exported. `log` has the verification of a log that was changed.

mod log;

use crate::command_line::{printed, run};
use crate::support::{Answer, Person, Place, Server};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

const ALL: [&str; 1] = ["chat.cooldown_ms=0"];

/// The text of a failed command.
fn failed(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap() + &String::from_utf8_lossy(&output.stdout)
}

/// Runs `roomcast` on a place, with a server or without one.
fn roomcast(place: &Place, line: &str) -> Output {
    place.command().args(line.split_whitespace()).output().unwrap()
}

/// The id after a word of a printed line: `…, case 0197…, act 0197…`.
fn id_after(word: &str, line: &str) -> String {
    let rest = line.split(&format!("{word} ")).nth(1).unwrap_or_else(|| panic!("no {word} in {line}"));
    rest.chars().take_while(|c| c.is_ascii_hexdigit() || *c == '-').collect()
}

fn code(answer: &Answer) -> Value {
    answer.body["code"].clone()
}

/// The texts of room 1, oldest first.
async fn texts(person: &Person) -> Vec<String> {
    let history = person.post("/gateway/history", &[("room", "1"), ("before", "99")]).await;
    let messages = history.body["messages"].as_array().unwrap().clone();
    messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_of_the_command_line_are_pushed_at_once() {
    let server = Server::with(&ALL);
    let (ming, viewer) = (server.guest("阿明").await, server.guest("viewer").await);
    let mut socket = viewer.open_bound(Some("roomcast.v1")).await;
    for text in ["one", "two", "three"] {
        assert_eq!(ming.send(text).await.status, 200);
    }
    let removed = printed(&roomcast(&server, "mod remove 1 1 2"));
    let changed = socket.push_of("changed").await;
    assert_eq!((&changed["rev"], &changed["removed"]), (&json!(1), &json!([[1, 2]])), "{changed}");
    assert_eq!(texts(&viewer).await, ["", "", "three"]);
    printed(&roomcast(&server, &format!("mod undo {}", id_after("act", &removed))));
    let changed = socket.push_of("changed").await;
    assert_eq!(changed["restored"][0]["text"], "one", "{changed}");
    assert!(failed(&roomcast(&server, &format!("mod undo {}", id_after("act", &removed)))).contains("roomcast: "));

    let banned = printed(&roomcast(&server, &format!("mod ban 1 uid:{} no-advertising", ming.uid)));
    let refused = ming.send("while banned").await;
    assert_eq!((refused.status.as_u16(), code(&refused)), (403, json!("banned")), "{}", refused.body);
    assert_eq!(refused.body["reason"], "no-advertising");
    printed(&roomcast(&server, &format!("mod lift {}", id_after("case", &banned))));
    assert_eq!(ming.send("again").await.status, 200);

    printed(&roomcast(&server, "mod timeout 1 阿明 10m"));
    assert_eq!(code(&ming.send("while muted").await), "muted");
    printed(&roomcast(&server, "mod purge 1 阿明"));
    let changed = socket.push_of("changed").await;
    assert_eq!(changed["purged"]["user"], json!(ming.uid), "{changed}");
    assert_eq!(texts(&viewer).await, ["", "", "", ""]);
    assert!(socket_never_told(&changed, "cli"));
    let log = printed(&roomcast(&server, "mod log --room 1"));
    for verb in ["remove", "undo", "ban", "lift", "timeout", "purge"] {
        assert!(log.contains(&format!("\tcli\t{verb}\t")), "{verb}: {log}");
    }
    assert!(printed(&roomcast(&server, "mod verify")).contains("whole: "));
}

fn socket_never_told(push: &Value, word: &str) -> bool {
    !push.to_string().contains(word)
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_without_a_server_are_in_force_when_it_starts() {
    let mut server = Server::with(&ALL);
    let (ming, lena, viewer) = (server.guest("阿明").await, server.guest("lena").await, server.guest("viewer").await);
    printed(&run(&server, &["user", "add", "vera"], "correct horse\n"));
    for (person, text) in [(&ming, "m1"), (&lena, "l2"), (&ming, "m3"), (&lena, "l4")] {
        assert_eq!(person.send(text).await.status, 200);
    }
    server.kill();
    let removed = printed(&roomcast(&server, "mod remove 1 2"));
    printed(&roomcast(&server, &format!("mod undo {}", id_after("act", &removed))));
    printed(&roomcast(&server, "mod remove 1 4"));
    printed(&roomcast(&server, "mod purge 1 阿明 --seconds 0"));
    let site = printed(&roomcast(&server, &format!("mod ban --site uid:{}", ming.uid)));
    printed(&roomcast(&server, &format!("mod warn 1 uid:{} stop-it", lena.uid)));
    printed(&roomcast(&server, "room mods 1 add vera"));
    assert!(printed(&roomcast(&server, "room mods 1")).starts_with("moderator\tvera\tuid:"));
    printed(&roomcast(&server, "room slow 1 30"));
    printed(&roomcast(&server, "room title 1 Night"));
    printed(&roomcast(&server, "mod verify"));
    server.restart();
    assert_eq!(texts(&viewer).await, ["", "l2", "", ""]);
    assert_eq!(code(&ming.send("x").await), "banned");
    let warned = lena.send("x").await;
    assert_eq!((code(&warned), &warned.body["reason"]), (json!("muted"), &json!("stop-it")), "{}", warned.body);
    let socket = viewer.open(Some("roomcast.v1")).await;
    let bound = viewer.bind(&socket, &[]).await.body;
    assert_eq!((&bound["state"]["modes"]["slow_ms"], &bound["state"]["title"]), (&json!(30_000), &json!("Night")), "{bound}");
    printed(&roomcast(&server, "room slow 1 0"));
    printed(&roomcast(&server, &format!("mod lift {}", id_after("case", &site))));
    assert_eq!(ming.send("back").await.status, 200);
    printed(&roomcast(&server, "room mods 1 remove vera"));
    assert_eq!(printed(&roomcast(&server, "room mods 1")), "");
    printed(&roomcast(&server, "mod verify"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_on_a_room_by_the_operator_is_pushed_and_logged() {
    let server = Server::with(&ALL);
    let viewer = server.guest("viewer").await;
    let mut socket = viewer.open_bound(Some("roomcast.v1")).await;
    for (line, key, value) in [
        ("room slow 1 30", "slow_ms", json!(30_000)),
        ("room close 1", "closed", json!(true)),
        ("room open 1", "closed", json!(false)),
    ] {
        printed(&roomcast(&server, line));
        let push = socket.push_of("room").await;
        assert_eq!(push["state"]["modes"][key], value, "{line}: {push}");
    }
    printed(&roomcast(&server, "room title 1 Night"));
    assert_eq!(socket.push_of("room").await["state"]["title"], "Night");
    assert_eq!(server.count("SELECT count(*) FROM {}actions WHERE actor = 'cli'").await, 4);
    assert!(failed(&roomcast(&server, "room close nowhere")).contains("no room nowhere"));
    assert!(failed(&roomcast(&server, "room title nowhere x")).contains("no room nowhere"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_several_persons_hits_nobody() {
    let server = Server::with(&ALL);
    let (one, two) = (server.guest("ming").await, server.guest("ming").await);
    assert_eq!(one.send("x").await.status, 200);
    assert_eq!(two.send("y").await.status, 200);
    let error = failed(&roomcast(&server, "mod ban 1 ming"));
    assert!(error.contains(&one.uid) && error.contains(&two.uid) && error.contains("2 persons"), "{error}");
    assert_eq!(server.count("SELECT count(*) FROM {}restraints").await, 0);
    printed(&roomcast(&server, "mod remove 1 2"));
    // The nickname of a removed message is kept for the staff.
    assert!(failed(&roomcast(&server, "mod ban 1 ming")).contains(&two.uid));
    // An account of the name is another person.
    printed(&run(&server, &["user", "add", "lena"], "correct horse\n"));
    let lena = server.guest("lena").await;
    assert_eq!(lena.send("z").await.status, 200);
    assert!(failed(&roomcast(&server, "mod timeout 1 lena 1m")).contains("account lena"));
    assert!(failed(&roomcast(&server, "mod ban 1 nobody")).contains("no account nobody"));
    assert!(failed(&roomcast(&server, "mod ban --site viewer")).contains("no account viewer"));
    assert!(failed(&roomcast(&server, "mod ban 1")).contains("name is missing"));
    assert!(failed(&roomcast(&server, "mod remove nowhere 1")).contains("no room nowhere"));
    assert!(failed(&roomcast(&server, "mod verify --head 1:2")).contains("CHAIN:N:HASH"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_listed_and_a_text_is_erased() {
    let server = Server::with(&ALL);
    let (ming, viewer) = (server.guest("阿明").await, server.guest("viewer").await);
    let secret = "a removed text 9a8b7c";
    assert_eq!(ming.send(secret).await.status, 200);
    let reported = viewer.post("/gateway/report", &[("room", "1"), ("seq", "1"), ("reason", "spam")]).await;
    assert_eq!(reported.status, 200, "{}", reported.body);
    assert_eq!(printed(&roomcast(&server, "mod reports 1")), format!("1\t1\tspam\t阿明\t{secret}\n"));
    let removed = printed(&roomcast(&server, "mod remove 1 1"));
    assert_eq!(printed(&roomcast(&server, "mod reports 1")), "");
    assert_eq!(server.count("SELECT count(*) FROM {}removed_texts").await, 1);
    printed(&roomcast(&server, "mod erase 1 1"));
    assert_eq!(server.count("SELECT count(*) FROM {}removed_texts").await, 0);
    failed(&roomcast(&server, &format!("mod undo {}", id_after("act", &removed))));
    failed(&roomcast(&server, "mod erase 1 1"));
    printed(&roomcast(&server, "mod verify"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_export_has_each_row_and_is_one_itself() {
    let server = Server::with(&ALL);
    let ming = server.guest("阿明").await;
    assert_eq!(ming.send("one").await.status, 200);
    printed(&roomcast(&server, "mod timeout 1 阿明 10m loud"));
    printed(&roomcast(&server, "mod remove 1 1"));
    let path = server.data.path().join("acts.jsonl");
    printed(&roomcast(&server, "mod log --export acts.jsonl"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (heads, rows) = lines.split_last().unwrap();
    let verbs: Vec<String> = rows.iter().map(|row| body(row)["verb"].as_str().unwrap().to_owned()).collect();
    assert_eq!(rows.len(), 3, "{text}");
    for verb in ["timeout", "remove", "log"] {
        assert!(verbs.contains(&verb.to_owned()), "{verbs:?}");
    }
    let reasons: Vec<&Value> = rows.iter().filter_map(|row| row.get("reason")).collect();
    assert_eq!(reasons, [&json!("loud")]);
    assert!(!text.contains("阿明") && !text.contains("one\""), "the log has no nickname and no text: {text}");
    // The heads of the export verify later.
    for head in heads["heads"].as_array().unwrap() {
        let head = format!("{}:{}:{}", head["chain"].as_str().unwrap(), head["n"], head["hash"].as_str().unwrap());
        assert!(printed(&roomcast(&server, &format!("mod verify --head {head}"))).contains("whole: 2 chains, 3 rows"));
    }
    // Reading is no row, a second export to the same file is none either.
    printed(&roomcast(&server, "mod log --since 1h"));
    assert!(failed(&roomcast(&server, "mod log --export acts.jsonl")).contains("acts.jsonl"));
    assert_eq!(server.count("SELECT count(*) FROM {}actions").await, 3);
    let of_room = printed(&roomcast(&server, "mod log --room 1"));
    assert_eq!(of_room.lines().count(), 2, "{of_room}");
    assert!(of_room.contains("loud"));
}

fn body(row: &Value) -> Value {
    serde_json::from_str(row["body"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_followed() {
    use std::io::{BufRead, BufReader};
    let server = Server::with(&ALL);
    let ming = server.guest("阿明").await;
    assert_eq!(ming.send("one").await.status, 200);
    let mut command = server.command();
    let following = command.args(["mod", "log", "--follow"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut following = Killed(following);
    let (sender, lines) = std::sync::mpsc::channel();
    let output = BufReader::new(following.0.stdout.take().unwrap());
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    for verb in ["warn 1 阿明 one", "timeout 1 阿明 1m"] {
        printed(&roomcast(&server, &format!("mod {verb}")));
        let line = tokio::task::block_in_place(|| lines.recv_timeout(crate::support::DEADLINE)).expect("no row was followed");
        assert!(line.contains(&format!("\tcli\t{}\t", verb.split(' ').next().unwrap())), "{line}");
    }
}

/// A child that does not outlive its test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
