//! Every act has its undo, once; a nonce repeats an answer; a purge survives the end of its server.

use super::{Room, account, act, history, refusal, say, try_act};
use crate::support::{eventually, finished};
use serde_json::{Value, json};

fn id(answer: &Value) -> String {
    answer["action"].as_str().unwrap().to_owned()
}

/// Trap 5, and the undoing of each act.
#[tokio::test]
async fn an_undo_restores_what_its_act_replaced_and_is_done_once() {
    let room = Room::start().await;
    let person = room.server.guest("一").await;
    let seq = say(&person, "pinned").await.to_string();
    let before = history(&person, 1000, 10).await;
    let mut reader = room.reader().await;
    act(&room.moderator, "pin", &[("seq", &seq)]).await;
    assert_eq!(reader.push_of("room").await["state"]["pinned"]["seq"], 1);
    for fields in [("remove", vec![("seq", seq.as_str())]), ("purge", vec![("user", person.uid.as_str()), ("seconds", "0")])] {
        let done = act(&room.moderator, fields.0, &fields.1).await;
        let changed = reader.push_of("changed").await;
        let state = reader.push_of("room").await;
        assert!(state["state"]["pinned"].is_null() && state["rev"].as_u64() > changed["rev"].as_u64(), "{state}");
        assert_eq!(history(&person, 1000, 10).await[0]["text"], "");
        act(&room.moderator, "undo", &[("action", &id(&done))]).await;
        assert_eq!(reader.push_of("changed").await["restored"][0]["text"], "pinned");
        assert_eq!(reader.push_of("room").await["state"]["pinned"]["seq"], 1);
        assert_eq!(history(&person, 1000, 10).await, before);
        let again = try_act(&room.moderator, "undo", &[("action", &id(&done))]).await;
        assert_eq!(refusal(&again), (409, "already_decided"), "{}", fields.0);
    }
    let user = ("user", person.uid.as_str());
    for (verb, fields) in
        [("timeout", vec![user, ("seconds", "600")]), ("ban", vec![user]), ("warn", vec![user, ("reason", "rule 1")])]
    {
        let done = act(&room.moderator, verb, &fields).await;
        assert_eq!(person.send("x").await.status, 403, "{verb}");
        act(&room.moderator, "undo", &[("action", &id(&done))]).await;
        say(&person, verb).await;
        assert_eq!(refusal(&try_act(&room.moderator, "undo", &[("action", &id(&done))]).await), (409, "already_decided"));
    }
    let mode = act(&room.moderator, "mode", &[("slow_ms", "60000"), ("accounts", "true")]).await;
    let undone = act(&room.moderator, "undo", &[("action", &id(&mode))]).await;
    assert_eq!((&undone["state"]["modes"]["slow_ms"], &undone["state"]["modes"]["accounts"]), (&0.into(), &false.into()));
    let mut command = room.server.command();
    command.args(["mod", "verify"]);
    assert!(finished(command).await.status.success());
}

#[tokio::test]
async fn a_repeated_nonce_answers_as_the_first_act() {
    let room = Room::start().await;
    let person = room.server.guest("一").await;
    let seq = say(&person, "x").await.to_string();
    let fields = [("seq", seq.as_str()), ("nonce", "n1")];
    let first = act(&room.moderator, "remove", &fields).await;
    assert_eq!(act(&room.moderator, "remove", &fields).await, first);
    assert_eq!(refusal(&try_act(&room.moderator, "remove", &[("seq", &seq)]).await), (409, "already_decided"));
    // Under a nonce that is in use nothing else is done, and nothing else is answered as done.
    for (verb, fields) in [("mode", [("slow_ms", "1000"), ("nonce", "n1")]), ("ban", [("user", &person.uid), ("nonce", "n1")])] {
        let answer = try_act(&room.moderator, verb, &fields).await;
        assert_eq!((refusal(&answer), &answer.body["field"]), ((422, "malformed"), &Value::from("nonce")), "{}", answer.body);
    }
    assert_eq!(room.host.post("/gateway/rooms", &[("title", "two")]).await.body["room"], "2");
    let pinned = [("seq", seq.as_str()), ("nonce", "n2")];
    let other = say(&person, "y").await.to_string();
    act(&room.host, "remove", &[("seq", &other), ("nonce", "n2")]).await;
    let elsewhere = room.host.post("/gateway/mod/remove", &[&[("room", "2")], &pinned[..]].concat()).await;
    assert_eq!((refusal(&elsewhere), &elsewhere.body["field"]), ((422, "malformed"), &Value::from("nonce")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_purge_and_its_undo_go_on_after_a_killed_server() {
    let mut room = Room::with(&["limits.per_ip=off"]).await;
    let person = room.server.guest("一").await;
    for n in 0..1200 {
        say(&person, &format!("line {n}")).await;
    }
    let purge = act(&room.moderator, "purge", &[("user", &person.uid), ("seconds", "0")]).await;
    room.server.kill();
    room.server.restart();
    let texts = "SELECT count(*) FROM {}messages WHERE text <> ''";
    eventually("every row is blanked", async || room.server.count(texts).await == 0).await;
    act(&room.moderator, "undo", &[("action", &id(&purge))]).await;
    room.server.kill();
    room.server.restart();
    eventually("every row is back", async || room.server.count(texts).await == 1200).await;
}

/// A banned person would otherwise put a text on every screen.
#[tokio::test]
async fn nobody_takes_a_retraction_back() {
    let room = Room::start().await;
    let person = room.server.guest("一").await;
    let seq = say(&person, "x").await.to_string();
    let retracted = person.post("/gateway/retract", &[("room", "1"), ("seq", &seq)]).await;
    assert_eq!(retracted.status, 200, "{}", retracted.body);
    act(&room.moderator, "ban", &[("user", &person.uid)]).await;
    for by in [&person, &room.moderator, &room.host] {
        let undone = try_act(by, "undo", &[("action", &id(&retracted.body))]).await;
        assert_eq!((refusal(&undone), &undone.body["field"]), ((422, "malformed"), &json!("action")), "{}", undone.body);
    }
    assert_eq!(history(&person, 1000, 10).await[0]["text"], "");
}

/// The rank of the person acted on counts when an act is undone, not only when it was done.
#[tokio::test]
async fn the_undo_of_a_restraint_or_of_a_lift_needs_a_rank_that_may_restrain_the_person() {
    let room = Room::start().await;
    let person = account(&room.server, "promoted", "一").await;
    let user = ("user", person.uid.as_str());
    let timeout = act(&room.moderator, "timeout", &[user, ("seconds", "600")]).await;
    act(&room.host, "role", &[user, ("role", "moderator")]).await;
    for by in [&person, &room.moderator] {
        let undone = try_act(by, "undo", &[("action", &id(&timeout))]).await;
        assert_eq!(refusal(&undone), (403, "not_allowed"), "{}", undone.body);
    }
    act(&room.host, "role", &[user, ("role", "none")]).await;
    let lifted = act(&room.moderator, "lift", &[("case", timeout["case"].as_str().unwrap())]).await;
    act(&room.host, "role", &[user, ("role", "moderator")]).await;
    let undone = try_act(&room.moderator, "undo", &[("action", &id(&lifted))]).await;
    assert_eq!(refusal(&undone), (403, "not_allowed"), "{}", undone.body);
    act(&room.host, "undo", &[("action", &id(&lifted))]).await;
    assert_eq!(refusal(&person.send("x").await), (403, "muted"));
}
