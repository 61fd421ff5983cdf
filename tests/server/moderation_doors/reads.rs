//! The reads of the staff, and that nobody else reads a removed text or the name of a moderator.

use super::{Room, done, read_json, refused, send, text_of};
use crate::support::{Person, read, routes};
use serde_json::{Value, json};

#[tokio::test]
async fn the_staff_reads_card_restraints_and_reports_as_json() {
    let room = Room::new(&[]).await;
    let guest = room.guest.uid.as_str();
    let (removed, kept) = (send(&room.guest, "to be removed").await, send(&room.guest, "kept").await);
    let form = [("room", "1"), ("user", guest), ("seconds", "600"), ("reason", "calm down")];
    let timeout = done(room.act("/gateway/mod/timeout", &form).await);
    done(room.act("/gateway/mod/remove", &[("room", "1"), ("seq", &removed)]).await);
    done(room.act("/gateway/mod/note", &[("room", "1"), ("user", guest), ("text", "first offence")]).await);
    done(room.viewer.post("/gateway/report", &[("room", "1"), ("seq", &kept), ("reason", "abuse")]).await);

    let person = format!("/gateway/mod/person?room=1&user={guest}");
    for accept in ["application/json", "text/html", "*/*"] {
        let request = room.moderator.request("GET", &person).header("accept", accept);
        let answer = read(request.send().await.unwrap()).await;
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/json"), "{accept}");
        let card = done(answer)["card"].clone();
        assert_eq!((&card["messages"], &card["removed"], &card["rank"]), (&json!(2), &json!(1), &json!("guest")), "{card}");
        assert_eq!((&card["notes"][0]["text"], &card["in_force"][0]["case"]), (&json!("first offence"), &timeout["case"]));
        assert!(card.to_string().contains("to be removed"), "the staff reads removed texts");
        assert!(!card.to_string().contains("127.0.0.1"), "a card has no address");
    }
    let restraints = done(read_json(&room.moderator, "/gateway/mod/restraints?room=1").await);
    let row = &restraints["rows"][0];
    assert_eq!((&row["user"], &row["kind"], &row["by"]), (&json!(guest), &json!("timeout"), &json!(room.moderator.uid)));
    assert_eq!(restraints["next"], Value::Null);
    let reports = done(read_json(&room.moderator, "/gateway/mod/reports?room=1").await);
    assert_eq!((&reports["rows"][0]["reasons"], &reports["rows"][0]["count"]), (&json!(["abuse"]), &json!(1)), "{reports}");
    let note = text_of(&done(read_json(&room.moderator, &person).await)["card"]["notes"][0]["id"]);
    done(room.act("/gateway/mod/unnote", &[("room", "1"), ("note", &note)]).await);
    assert_eq!(done(read_json(&room.moderator, &person).await)["card"]["notes"], json!([]));

    for what in ["log?room=1", "restraints?room=1", "reports?room=1", &format!("person?room=1&user={guest}")] {
        let path = format!("/gateway/mod/{what}");
        assert_eq!(refused(&read_json(&room.server.visitor(), &path).await), (401, "not_signed_in", ""), "{path}");
        assert_eq!(refused(&read_json(&room.viewer, &path).await), (403, "not_allowed", ""), "{path}");
        let nowhere = path.replace("room=1", "room=nowhere");
        assert_eq!(refused(&read_json(&room.owner, &nowhere).await), (404, "no_such_room", ""), "{path}");
    }
    assert_eq!(refused(&read_json(&room.moderator, "/gateway/mod/log").await), (403, "not_allowed", ""), "the site's log");
    assert_eq!(read_json(&room.owner, "/gateway/mod/log").await.status, 200);
    assert_eq!(refused(&read_json(&room.moderator, "/gateway/mod/person?room=1").await), (422, "malformed", "user"));
}

#[tokio::test]
async fn the_log_has_pages() {
    let room = Room::new(&["limits.per_ip=off"]).await;
    for n in 0..110 {
        let slow_ms = ((n + 1) % 2 * 1000).to_string();
        done(room.act("/gateway/mod/mode", &[("room", "1"), ("slow_ms", &slow_ms)]).await);
    }
    let first = done(read_json(&room.moderator, "/gateway/mod/log?room=1").await);
    let numbers =
        |page: &Value| -> Vec<u64> { page["rows"].as_array().unwrap().iter().map(|row| row["n"].as_u64().unwrap()).collect() };
    assert_eq!(numbers(&first), (12..=111).rev().collect::<Vec<_>>(), "the newest 100 of 110 acts and the grant");
    let before = first["next"].to_string();
    let second = done(read_json(&room.moderator, &format!("/gateway/mod/log?room=1&before={before}")).await);
    assert_eq!((numbers(&second), &second["next"]), ((1..=11).rev().collect::<Vec<_>>(), &Value::Null));
    assert_eq!(refused(&read_json(&room.moderator, "/gateway/mod/log?room=1&before=x").await), (422, "malformed", "before"));
}

/// Traps 2 and 12.
#[tokio::test]
async fn no_answer_to_a_viewer_has_a_removed_text_or_the_moderator() {
    const SECRET: &str = "xyzzy-removed-text";
    let room = Room::new(&["gateway.api_key=a key of the configuration", "limits.per_ip=off"]).await;
    let seq = send(&room.guest, SECRET).await;
    send(&room.guest, "kept").await;
    done(room.act("/gateway/mod/remove", &[("room", "1"), ("seq", &seq), ("reason", "a-reason-for-staff")]).await);
    let values = routes::values(seq.parse().unwrap(), &room.guest.uid);
    for person in [&room.viewer, &room.server.visitor()] {
        let seen = routes::walk(&room.server, person, "a key of the configuration", &values).await;
        assert!(seen.len() > 100, "{}", seen.len());
        for answer in seen.iter().filter(|answer| !answer.is_of_staff || answer.status == 200 && !answer.route.contains("/api/"))
        {
            for hidden in [SECRET, "a-reason-for-staff"] {
                assert!(!answer.text.contains(hidden), "{hidden} in the answer of {}: {}", answer.route, answer.text);
            }
            let has_moderator = answer.text.contains(&room.moderator.uid);
            assert!(!has_moderator, "the moderator in the answer of {}: {}", answer.route, answer.text);
        }
        let failed: Vec<_> =
            seen.iter().filter(|answer| answer.status >= 500).map(|answer| (&answer.route, &answer.text)).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
    assert!(!room.server.log().contains(SECRET), "the log");
}

/// The rank is checked first: a viewer is told the same of every name.
#[tokio::test]
async fn nobody_learns_by_a_role_which_accounts_there_are() {
    let room = Room::new(&[]).await;
    let role = async |by: &Person, user: &str| {
        let answer = by.post("/gateway/mod/role", &[("room", "1"), ("user", user), ("role", "vip")]).await;
        let (status, code, field) = refused(&answer);
        (status, code.to_owned(), field.to_owned())
    };
    for by in [&room.guest, &room.viewer, &room.moderator] {
        for user in ["helper", "no-such-account", "owner", "x\u{7}", ""] {
            assert_eq!(role(by, user).await, (403, "not_allowed".to_owned(), String::new()), "{user}");
        }
    }
    for user in ["no-such-account", "x\u{7}", ""] {
        assert_eq!(role(&room.owner, user).await, (422, "malformed".to_owned(), "user".to_owned()), "{user}");
    }
}
