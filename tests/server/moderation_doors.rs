//! The requests of moderation over HTTP: each act, its refusals, its nonce, its form without JavaScript, and the staff's reads.

mod api;
mod forms;
mod reads;

use crate::support::{Answer, Person, Server};
use serde_json::{Value, json};

/// A server with room 1: its host, the owner, a moderator, a viewer with an account, and a guest.
struct Room {
    server: Server,
    owner: Person,
    moderator: Person,
    viewer: Person,
    guest: Person,
}

impl Room {
    async fn new(settings: &[&str]) -> Self {
        let mut all = vec!["chat.cooldown_ms=0", "limits.session_burst=10000", "limits.visitor_burst=10000"];
        all.extend(settings);
        let server = Server::with(&all);
        let owner = server.owner().await;
        let (moderator, viewer) = (account(&server, "helper").await, account(&server, "ming").await);
        let guest = server.guest("阿明").await;
        let granted = owner.post("/gateway/mod/role", &[("room", "1"), ("user", &moderator.uid), ("role", "moderator")]).await;
        assert_eq!(granted.status, 200, "{}", granted.body);
        Self { server, owner, moderator, viewer, guest }
    }

    async fn act(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.moderator.post(path, form).await
    }
}

pub async fn account(server: &Server, name: &str) -> Person {
    let mut person = server.visitor();
    let form = [("name", name), ("password", "correct horse"), ("nickname", name)];
    let answer = person.post("/session/register", &form).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    person.uid = answer.body["uid"].as_str().unwrap().to_owned();
    person
}

/// Sends a message to room 1 and returns its seq.
async fn send(person: &Person, text: &str) -> String {
    let answer = person.send(text).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["seq"].to_string()
}

/// The answer of an act that was done.
fn done(answer: Answer) -> Value {
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!(true)), "{}", answer.body);
    answer.body
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Status, code, and field of a refusal.
fn refused(answer: &Answer) -> (u16, &str, &str) {
    let word = |name: &str| answer.body[name].as_str().unwrap_or_default();
    assert_eq!(answer.body["status"], false, "{}", answer.body);
    (answer.status.as_u16(), word("code"), word("field"))
}

async fn texts(person: &Person) -> Vec<String> {
    let history = person.post("/gateway/history", &[("room", "1"), ("before", "1000")]).await;
    history.body["messages"].as_array().unwrap().iter().map(|message| text_of(&message["text"])).collect()
}

#[tokio::test]
async fn a_moderator_does_each_act_by_its_request() {
    let room = Room::new(&[]).await;
    let (guest, viewer) = (room.guest.uid.as_str(), room.viewer.uid.as_str());
    let (first, second) = (send(&room.guest, "first").await, send(&room.guest, "second").await);
    let third = send(&room.viewer, "third").await;

    let form = [("room", "1"), ("seq", first.as_str()), ("seq", second.as_str()), ("reason", "spam")];
    let removed = done(room.act("/gateway/mod/remove", &form).await);
    assert!(removed["rev"].as_u64().is_some(), "{removed}");
    assert_eq!(texts(&room.viewer).await, ["", "", "third"]);
    done(room.act("/gateway/mod/undo", &[("action", &text_of(&removed["action"]))]).await);
    assert_eq!(texts(&room.viewer).await, ["first", "second", "third"]);
    done(room.act("/gateway/mod/purge", &[("room", "1"), ("user", guest), ("seconds", "0")]).await);
    assert_eq!(texts(&room.viewer).await, ["", "", "third"]);
    done(room.owner.post("/gateway/mod/erase", &[("room", "1"), ("seq", &first)]).await);
    done(room.viewer.post("/gateway/retract", &[("room", "1"), ("seq", &third)]).await);
    assert_eq!(texts(&room.viewer).await, ["", "", ""]);

    let form = [("room", "1"), ("user", guest), ("seconds", "600"), ("reason", "calm down")];
    let timeout = done(room.act("/gateway/mod/timeout", &form).await);
    assert!(timeout["until"].as_u64().is_some() && timeout["action"].is_string(), "{timeout}");
    let muted = room.guest.send("x").await;
    assert_eq!(refused(&muted), (403, "muted", ""));
    assert_eq!((&muted.body["case"], &muted.body["reason"]), (&timeout["case"], &json!("calm down")));
    done(room.act("/gateway/mod/lift", &[("case", &text_of(&timeout["case"]))]).await);
    let ban = done(room.act("/gateway/mod/ban", &[("room", "1"), ("user", guest)]).await);
    let banned = room.guest.send("x").await;
    assert_eq!((refused(&banned), &banned.body["until"]), ((403, "banned", ""), &Value::Null));
    done(room.act("/gateway/mod/lift", &[("case", &text_of(&ban["case"])), ("room", "1")]).await);
    let site = done(room.owner.post("/gateway/mod/ban", &[("site", "true"), ("user", guest)]).await);
    assert_eq!(refused(&room.guest.send("x").await).1, "banned");
    done(room.owner.post("/gateway/mod/lift", &[("case", &text_of(&site["case"]))]).await);

    let warning = done(room.act("/gateway/mod/warn", &[("room", "1"), ("user", guest), ("reason", "rule 3")]).await);
    assert_eq!(refused(&room.guest.send("x").await).1, "muted");
    done(room.guest.post("/gateway/acknowledge", &[("case", &text_of(&warning["case"]))]).await);
    let fourth = send(&room.guest, "fourth").await;

    assert!(done(room.act("/gateway/mod/pin", &[("room", "1"), ("seq", &fourth), ("seconds", "60")]).await)["until"].is_u64());
    done(room.act("/gateway/mod/unpin", &[("room", "1")]).await);
    let mode = done(room.act("/gateway/mod/mode", &[("room", "1"), ("accounts", "true"), ("emoji", "false")]).await);
    assert_eq!(mode["state"]["modes"]["accounts"], true);
    assert_eq!(refused(&room.guest.send("x").await).1, "room_mode");
    let title = done(room.owner.post("/gateway/mod/title", &[("room", "1"), ("title", " 夜 \u{202e}")]).await);
    assert_eq!((&title["title"], title["action"].is_string()), (&json!("夜"), true));
    done(room.viewer.post("/gateway/report", &[("room", "1"), ("seq", &fourth), ("reason", "spam")]).await);
    done(room.act("/gateway/mod/settle", &[("room", "1"), ("seq", &fourth)]).await);
    done(room.owner.post("/gateway/mod/role", &[("room", "1"), ("user", viewer), ("role", "vip")]).await);
    done(room.owner.post("/gateway/mod/role", &[("room", "1"), ("user", "Ming"), ("role", "none")]).await);
    assert!(room.server.errors().is_empty(), "{:?}", room.server.errors());
}

/// Verb, field and the wrong value of an act that is refused for it.
const MALFORMED: [(&str, &str, &str); 23] = [
    ("remove", "seq", "0"),
    ("remove", "seq", "1,,2"),
    ("remove", "seq", ""),
    ("purge", "seconds", "-1"),
    ("purge", "user", ""),
    ("timeout", "seconds", "0"),
    ("timeout", "seconds", "1209601"),
    ("pin", "seconds", "29"),
    ("pin", "seconds", "86401"),
    ("mode", "slow_ms", "21600001"),
    ("mode", "accounts", "yes"),
    ("mode", "emoji", "true"),
    ("mode", "unique_s", "1"),
    ("mode", "delay_ms", "2000"),
    ("mode", "links", "all"),
    ("mode", "regulars", "true"),
    ("mode", "until_ms", "9"),
    ("role", "role", "host"),
    ("ban", "site", "maybe"),
    ("undo", "action", "7"),
    ("lift", "case", "R-7F3K"),
    ("unnote", "note", "x"),
    ("remove", "nonce", "é"),
];

/// Posts an act with every field that any act has, and with `fields` in place of those of the same name.
async fn post(room: &Room, person: &Person, verb: &str, seq: &str, fields: &[(&str, &str)]) -> Answer {
    let id = "0193a5d0-5f3c-7c4e-8a51-2f6f0c1d9e77";
    let mut form = vec![("room", "1"), ("user", room.guest.uid.as_str()), ("seq", seq), ("text", "x"), ("reason", "spam")];
    form.extend([("seconds", "60"), ("title", "x"), ("role", "vip"), ("slow_ms", "0")]);
    form.extend([("action", id), ("case", id), ("note", id)]);
    form.retain(|(name, _)| fields.iter().all(|(other, _)| other != name));
    form.extend(fields);
    person.post(&format!("/gateway/mod/{verb}"), &form).await
}

#[tokio::test]
async fn acts_are_refused_by_session_rank_and_place() {
    let room = Room::new(&[]).await;
    let (guest, seq) = (room.guest.uid.as_str(), send(&room.guest, "hello").await);
    let of_owner = send(&room.owner, "the owner's").await;
    let of_staff = [
        "remove", "purge", "timeout", "ban", "warn", "note", "unnote", "pin", "unpin", "mode", "title", "role", "settle", "erase",
    ];
    for verb in of_staff {
        assert_eq!(refused(&post(&room, &room.server.visitor(), verb, &seq, &[]).await), (401, "not_signed_in", ""), "{verb}");
        assert_eq!(refused(&post(&room, &room.viewer, verb, &seq, &[]).await), (403, "not_allowed", ""), "{verb}");
        assert_eq!(
            refused(&post(&room, &room.owner, verb, &seq, &[("room", "nowhere")]).await),
            (404, "no_such_room", ""),
            "{verb}"
        );
        assert_eq!(refused(&post(&room, &room.owner, verb, &seq, &[("room", "")]).await), (422, "malformed", "room"), "{verb}");
    }
    for verb in ["title", "role", "erase"] {
        let answer = post(&room, &room.moderator, verb, &seq, &[]).await;
        assert_eq!(refused(&answer), (403, "not_allowed", ""), "{verb} is above a moderator");
    }
    assert_eq!(refused(&room.act("/gateway/mod/remove", &[("room", "1"), ("seq", &of_owner)]).await), (403, "not_allowed", ""));
    let own = room.owner.uid.as_str();
    assert_eq!(refused(&room.act("/gateway/mod/ban", &[("room", "1"), ("user", own)]).await), (403, "not_allowed", ""));
    assert_eq!(refused(&room.act("/gateway/mod/ban", &[("site", "true"), ("user", guest)]).await), (403, "not_allowed", ""));
    assert!(room.server.errors().is_empty(), "{:?}", room.server.errors());
}

#[tokio::test]
async fn acts_are_refused_by_field() {
    let room = Room::new(&[]).await;
    let (guest, seq) = (room.guest.uid.as_str(), send(&room.guest, "hello").await);
    for (verb, field, value) in MALFORMED {
        assert_eq!(
            refused(&post(&room, &room.owner, verb, &seq, &[(field, value)]).await),
            (422, "malformed", field),
            "{verb} {field}={value}"
        );
    }
    let missing = room.act("/gateway/mod/timeout", &[("room", "1"), ("user", guest)]).await;
    assert_eq!(refused(&missing), (422, "malformed", "seconds"));
    let many = vec!["1"; 101].join(",");
    assert_eq!(refused(&room.act("/gateway/mod/remove", &[("room", "1"), ("seq", &many)]).await), (422, "malformed", "seq"));
    for (verb, field) in [("warn", "reason"), ("note", "text")] {
        assert_eq!(refused(&post(&room, &room.moderator, verb, &seq, &[(field, " \u{200b} ")]).await), (422, "blank", field));
    }
    let long = "字".repeat(501);
    let too_long = room.act("/gateway/mod/remove", &[("room", "1"), ("seq", &seq), ("reason", &long)]).await;
    assert_eq!((refused(&too_long), &too_long.body["max"]), ((413, "too_long", ""), &json!(500)));

    done(room.act("/gateway/mod/remove", &[("room", "1"), ("seq", &seq)]).await);
    let again = room.act("/gateway/mod/remove", &[("room", "1"), ("seq", &seq)]).await;
    assert_eq!(refused(&again), (409, "already_decided", ""));
    assert!(room.server.errors().is_empty(), "{:?}", room.server.errors());
}

#[tokio::test]
async fn a_repeated_nonce_returns_the_first_answer_and_is_the_actors_own() {
    let room = Room::new(&[]).await;
    let guest = room.guest.uid.as_str();
    let form = [("room", "1"), ("user", guest), ("seconds", "600"), ("nonce", "n 1")];
    let first = done(room.act("/gateway/mod/timeout", &form).await);
    assert_eq!(done(room.act("/gateway/mod/timeout", &form).await), first);
    let other = done(room.owner.post("/gateway/mod/timeout", &form).await);
    assert_ne!(other["action"], first["action"], "a nonce is of one actor");
    let log = done(read_json(&room.owner, "/gateway/mod/log?room=1").await);
    let timeouts = log["rows"].as_array().unwrap().iter().filter(|row| row["verb"] == "timeout").count();
    assert_eq!(timeouts, 2, "{log}");
}

async fn read_json(person: &Person, path: &str) -> Answer {
    crate::support::read(person.request("GET", path).send().await.unwrap()).await
}

#[tokio::test]
async fn a_session_does_120_acts_at_once_and_its_reads_go_on() {
    let room = Room::new(&[]).await;
    let mut codes = Vec::new();
    for _ in 0..125 {
        // It is not allowed, and it counts.
        let answer = room.viewer.post("/gateway/mod/unpin", &[("room", "1")]).await;
        codes.push(refused(&answer).1.to_owned());
    }
    // The limit refills two a second.
    let first = codes.iter().position(|code| code == "too_fast").expect("125 acts at once were not limited");
    assert!((120..125).contains(&first), "{first}");
    let limited = room.viewer.post("/gateway/report", &[("room", "1"), ("seq", "1"), ("reason", "spam")]).await;
    if limited.status == 429 {
        assert!(limited.headers.contains_key("retry-after"));
    }
    assert_eq!(room.viewer.send("a message is no act").await.status, 200);
    let other = room.moderator.post("/gateway/mod/unpin", &[("room", "1")]).await;
    assert_ne!(other.status, 429, "the limit is of each session");

    let unlimited = Server::with(&["limits.per_ip=off"]);
    let guest = unlimited.guest("a").await;
    for _ in 0..125 {
        assert_eq!(guest.post("/gateway/mod/unpin", &[("room", "1")]).await.status, 403);
    }
}

#[tokio::test]
async fn an_act_of_another_origin_is_refused_and_changes_nothing() {
    let room = Room::new(&[]).await;
    let seq = send(&room.guest, "stays").await;
    for header in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        for path in ["/gateway/mod/remove", "/gateway/retract", "/gateway/report"] {
            let request = room.moderator.request("POST", path).header(header.0, header.1);
            let request = request.form(&[("room", "1"), ("seq", seq.as_str()), ("reason", "spam")]);
            let answer = crate::support::read(request.send().await.unwrap()).await;
            assert_eq!(refused(&answer), (403, "not_allowed", ""), "{path}");
        }
    }
    assert_eq!(texts(&room.viewer).await, ["stays"]);
}
