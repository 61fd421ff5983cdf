//! Acts amid sends: a ban, slow mode and a purge hold at their place in the room's order.

use super::{Room, act, history, refusal, say, try_act};
use serde_json::{Value, json};

/// Trap 7.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_banned_person_comes_after_the_ban() {
    let room = Room::start().await;
    let mut was_amid = false;
    for round in 0..6 {
        let person = room.server.guest(&format!("spammer {round}")).await;
        let mut reader = room.reader().await;
        let first = say(&person, "first").await;
        let mut sends = tokio::task::JoinSet::new();
        let (answered, mut answers) = tokio::sync::mpsc::unbounded_channel();
        // In every other round 64 are on their way at once; else 8, so that the ban comes amid their batches.
        let at_once = std::sync::Arc::new(tokio::sync::Semaphore::new(if round % 2 == 0 { 64 } else { 8 }));
        for n in 0..64 {
            let (person, answered, at_once) = (person.clone(), answered.clone(), at_once.clone());
            sends.spawn(async move {
                let _place = at_once.acquire_owned().await.unwrap();
                let answer = person.send(&format!("spam {n}")).await;
                answered.send(()).unwrap();
                answer
            });
        }
        // The ban begins when so many sends are answered, and the others are on their way.
        for _ in 0..round * 4 {
            answers.recv().await.unwrap();
        }
        // One of the others marks the ban's place: it is sent once the ban is answered.
        act(&room.moderator, "ban", &[("user", &person.uid)]).await;
        let mark = say(&room.host, "the mark").await;
        let (mut stored, mut refused) = (Vec::new(), 0);
        for answer in sends.join_all().await {
            match answer.status.as_u16() {
                200 => stored.push(answer.body["seq"].as_u64().unwrap()),
                _ => {
                    assert_eq!(refusal(&answer), (403, "banned"));
                    refused += 1;
                }
            }
        }
        assert!(stored.iter().all(|seq| *seq > first && *seq < mark), "{stored:?} and the mark {mark}");
        assert_eq!(refusal(&person.send("again").await), (403, "banned"));
        was_amid |= refused > 0 && !stored.is_empty();
        // The pushes have the same order: none of that person behind the mark.
        let pushes = super::pushes_until(&mut reader, "the mark").await;
        let of_person = pushes.iter().filter(|push| push["user"] == person.uid.as_str());
        assert_eq!(of_person.count(), stored.len() + 1);
        let after = say(&room.host, "the end").await;
        let behind = history(&room.host, after + 1, 50).await;
        assert!(behind.iter().all(|message| message["user"] != person.uid.as_str() || message["seq"].as_u64() < Some(mark)));
    }
    assert!(was_amid, "no ban came amid the sends");
}

/// Trap 8.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_sends_at_once_over_five_tabs_store_one_in_slow_mode() {
    let room = Room::start().await;
    act(&room.host, "mode", &[("slow_ms", "60000")]).await;
    let person = super::account(&room.server, "five-tabs", "五个标签").await;
    // Five sessions of one account, as five browsers.
    let mut tabs = Vec::new();
    for _ in 0..5 {
        let tab = room.server.visitor();
        let form = [("name", "five-tabs"), ("password", "correct horse")];
        assert_eq!(tab.post("/session/login", &form).await.status, 200);
        tabs.push(tab);
    }
    let mut sends = tokio::task::JoinSet::new();
    for n in 0..50 {
        let tab = tabs[n % 5].clone();
        sends.spawn(async move { tab.send(&format!("line {n}")).await });
    }
    let answers = sends.join_all().await;
    let stored = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(stored, 1);
    assert!(answers.iter().filter(|answer| answer.status != 200).all(|answer| refusal(answer) == (429, "too_fast")));
    let theirs = history(&person, 1000, 100).await.into_iter().filter(|message| message["user"] == person.uid.as_str());
    assert_eq!(theirs.count(), 1);
    // Staff and vip do not wait.
    act(&room.host, "role", &[("user", &person.uid), ("role", "vip")]).await;
    assert_eq!((tabs[0].send("a").await.status.as_u16(), tabs[1].send("b").await.status.as_u16()), (200, 200));
}

/// Trap 15.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_keeps_what_comes_after_it_and_its_undo_restores_what_it_removed() {
    let room = Room::start().await;
    let (person, other) = (room.server.guest("一").await, room.server.guest("二").await);
    for n in 0..20 {
        say(if n % 4 == 3 { &other } else { &person }, &format!("line {n}")).await;
    }
    act(&room.moderator, "remove", &[("seq", "1")]).await;
    let before = history(&other, 1000, 100).await;
    let mut sends = tokio::task::JoinSet::new();
    for n in 0..16 {
        let person = person.clone();
        sends.spawn(async move { person.send(&format!("amid {n}")).await.body["seq"].as_u64().unwrap() });
    }
    let mut reader = room.reader().await;
    let purge = act(&room.moderator, "purge", &[("user", &person.uid), ("seconds", "0")]).await;
    sends.join_all().await;
    let upto = reader.push_of("changed").await["purged"]["upto"].as_u64().unwrap();
    assert!(upto >= 19, "{upto}");
    let is_removed = |message: &Value| message["removed"].is_object();
    for message in history(&other, 1000, 100).await {
        let is_purged = message["user"] == person.uid.as_str() && message["seq"].as_u64() <= Some(upto);
        assert_eq!(is_removed(&message), is_purged, "up to {upto}: {message}");
    }
    act(&room.moderator, "undo", &[("action", purge["action"].as_str().unwrap())]).await;
    super::super::support::eventually("the texts are back", async || {
        history(&other, 1000, 100).await.iter().filter(|message| is_removed(message)).count() == 1
    })
    .await;
    let after = history(&other, 1000, 100).await;
    assert_eq!(after[..before.len()], before[..], "message 1 stays removed");
    assert!(after[before.len()..].iter().all(|message| message["text"].as_str().unwrap().starts_with("amid")));
}

/// Trap 6: the end of one restraint ends no other.
#[tokio::test]
async fn a_lifted_timeout_leaves_the_ban_in_force() {
    let room = Room::start().await;
    let person = room.server.guest("一").await;
    let timeout = act(&room.moderator, "timeout", &[("user", &person.uid), ("seconds", "600")]).await;
    assert_eq!(refusal(&person.send("a").await), (403, "muted"));
    let ban = act(&room.moderator, "ban", &[("user", &person.uid), ("reason", "spam")]).await;
    let told = person.send("b").await;
    assert_eq!((refusal(&told), &told.body["until"], &told.body["reason"]), ((403, "banned"), &Value::Null, &json!("spam")));
    assert_eq!(told.body["case"], ban["case"]);
    let lift = async |case: &Value| try_act(&room.moderator, "lift", &[("case", case.as_str().unwrap())]).await;
    let first = lift(&timeout["case"]).await;
    assert!([200, 409].contains(&first.status.as_u16()), "{}", first.body);
    assert_eq!(refusal(&lift(&timeout["case"]).await), (409, "already_decided"));
    assert_eq!(refusal(&person.send("c").await), (403, "banned"), "the ban stands");
    assert_eq!(lift(&ban["case"]).await.status, 200);
    let sent = person.send("d").await;
    assert_eq!(sent.status, 200, "{}", sent.body);
}

/// Trap 6: all pairs of ranks, through the server.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_acts_on_an_equal_or_a_higher_rank() {
    let room = Room::start().await;
    let other_room = room.host.post("/gateway/rooms", &[("title", "another")]).await.body["room"].clone();
    assert!(other_room.is_string(), "{other_room}");
    // Room 2 is hosted by an account, so that owner and host are two persons there.
    let host = super::account(&room.server, "streamer", "播主").await;
    let opened = host.post("/gateway/rooms", &[("title", "theirs")]).await.body;
    let id = opened["room"].as_str().unwrap().to_owned();
    let [a_mod, b_mod] = [super::account(&room.server, "mod-a", "甲").await, super::account(&room.server, "mod-b", "乙").await];
    let [a_vip, b_vip] = [super::account(&room.server, "vip-a", "丙").await, super::account(&room.server, "vip-b", "丁").await];
    let [a, b] = [super::account(&room.server, "viewer-a", "戊").await, super::account(&room.server, "viewer-b", "己").await];
    let [a_guest, b_guest] = [room.server.guest("庚").await, room.server.guest("辛").await];
    for (person, role) in [(&a_mod, "moderator"), (&b_mod, "moderator"), (&a_vip, "vip"), (&b_vip, "vip")] {
        let form = [("room", id.as_str()), ("user", &person.uid), ("role", role)];
        assert_eq!(host.post("/gateway/mod/role", &form).await.status, 200);
    }
    // By rank: two persons each, where there are two. The first acts on the second.
    let ranks = [[&room.host, &room.host], [&host, &host], [&a_mod, &b_mod], [&a_vip, &b_vip], [&a, &b], [&a_guest, &b_guest]];
    let mut wrong = Vec::new();
    for (above, [actor, _]) in ranks.iter().enumerate() {
        for (below, [_, target]) in ranks.iter().enumerate() {
            let sent = target.post("/gateway/send", &[("room", id.as_str()), ("message", "hello")]).await;
            assert_eq!(sent.status, 200, "{}", sent.body);
            let seq = sent.body["seq"].to_string();
            // Only the staff acts at all.
            let may = above < below && above <= 2;
            if actor.uid == target.uid {
                continue;
            }
            for (verb, fields) in [
                ("remove", vec![("seq", seq.as_str())]),
                ("warn", vec![("user", target.uid.as_str()), ("reason", "rule 1")]),
                ("purge", vec![("user", target.uid.as_str()), ("seconds", "1")]),
                ("timeout", vec![("user", target.uid.as_str()), ("seconds", "1000")]),
                ("ban", vec![("user", target.uid.as_str())]),
            ] {
                let mut form = vec![("room", id.as_str())];
                form.extend(fields);
                let answer = actor.post(&format!("/gateway/mod/{verb}"), &form).await;
                match (may, refusal(&answer)) {
                    // Nothing is left to purge after the removal.
                    (true, (200, _) | (409, "already_decided")) | (false, (403, "not_allowed")) => {}
                    (_, got) => wrong.push((above, below, verb, format!("{got:?} {}", answer.body))),
                }
                if let Some(case) = answer.body["case"].as_str() {
                    let lift = room.host.post("/gateway/mod/lift", &[("room", id.as_str()), ("case", case)]).await;
                    assert_eq!(lift.status, 200, "{verb}: {}", lift.body);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
