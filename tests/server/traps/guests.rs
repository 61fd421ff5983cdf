//! A restraint of a guest's network concerns new guests of that network alone, and no address is stored.

use super::{Room, act, refusal};
use crate::support::{Answer, Person};

/// The address that the restrained guest came from, and one of another network.
const HERE: &str = "203.0.113.9";
const ELSEWHERE: &str = "198.51.100.7";

async fn post_from(person: &Person, address: &str, path: &str, form: &[(&str, &str)]) -> Answer {
    let request = person.request("POST", path).header("x-forwarded-for", address).form(form);
    crate::support::read(request.send().await.unwrap()).await
}

async fn sign_in_from(room: &Room, address: &str, path: &str, form: &[(&str, &str)]) -> Person {
    let mut person = room.server.visitor();
    let answer = post_from(&person, address, path, form).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    person.uid = answer.body["uid"].as_str().unwrap().to_owned();
    person
}

async fn guest_from(room: &Room, address: &str, nickname: &str) -> Person {
    sign_in_from(room, address, "/session/guest", &[("nickname", nickname)]).await
}

async fn send_from(person: &Person, address: &str) -> Answer {
    post_from(person, address, "/gateway/send", &[("room", "1"), ("message", "hello")]).await
}

/// Trap 25.
#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_older_guests_of_a_restrained_network_keep_talking() {
    let mut room = Room::with(&["moderation.network_bans=on", "web.trusted_proxies=127.0.0.1/32"]).await;
    let banned = guest_from(&room, HERE, "spammer").await;
    let older = guest_from(&room, HERE, "regular").await;
    let form = [("name", "of-the-campus"), ("password", "correct horse"), ("nickname", "同学")];
    let account = sign_in_from(&room, HERE, "/session/register", &form).await;
    for person in [&banned, &older, &account] {
        assert_eq!(send_from(person, HERE).await.status, 200);
    }
    // A guest's age is the time in its uid: the regular's session is now that of a guest of two days ago.
    let two_days_ago = u64::from_str_radix(&older.uid.replace('-', "")[..12], 16).unwrap() - 2 * 86_400_000;
    let time = format!("{two_days_ago:012x}");
    let uid = format!("{}-{}{}", &time[..8], &time[8..], &older.uid[13..]);
    let person = format!(
        "INSERT INTO {{}}people (uid, nickname, created_at) SELECT '{uid}', nickname, {two_days_ago} FROM {{}}people WHERE uid = '{}'",
        older.uid
    );
    room.server.sql_of_each(&person, &person).await;
    let session = format!("UPDATE {{}}sessions SET uid = '{uid}' WHERE uid = '{}'", older.uid);
    room.server.sql_of_each(&session, &session).await;
    // Sessions are known to the process for a while.
    room.server.kill();
    room.server.restart();
    act(&room.moderator, "ban", &[("user", &banned.uid)]).await;
    assert_eq!(refusal(&send_from(&banned, HERE).await), (403, "banned"));

    // The same browser comes back as a new guest.
    let again = guest_from(&room, HERE, "not the spammer").await;
    let refused = send_from(&again, HERE).await;
    assert_eq!(refusal(&refused), (403, "banned"), "{}", refused.body);
    for (person, address) in [(&older, HERE), (&account, HERE), (&guest_from(&room, ELSEWHERE, "far away").await, ELSEWHERE)] {
        let sent = send_from(person, address).await;
        assert_eq!(sent.status, 200, "{}", sent.body);
    }
    assert_eq!(send_from(&guest_from(&room, "203.0.114.9", "next door").await, "203.0.114.9").await.status, 200);

    // No record of moderation holds the address, as text or as bytes.
    if room.server.database.is_none() {
        for file in ["roomcast.db", "roomcast.db-wal"] {
            let bytes = std::fs::read(room.server.folder().join(file)).unwrap_or_default();
            let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
            assert!(!has(HERE.as_bytes()) && !has(&[203, 0, 113, 9]), "{file} holds the address");
        }
    }
    assert!(!room.server.log().contains(HERE), "the log holds the address");
}

/// Without the setting, and by default, a restraint concerns its person alone.
#[tokio::test]
async fn without_network_bans_a_new_guest_of_the_network_talks() {
    let room = Room::with(&["web.trusted_proxies=127.0.0.1/32"]).await;
    let banned = guest_from(&room, HERE, "spammer").await;
    assert_eq!(send_from(&banned, HERE).await.status, 200);
    act(&room.moderator, "ban", &[("user", &banned.uid)]).await;
    assert_eq!(send_from(&guest_from(&room, HERE, "new").await, HERE).await.status, 200);
}

/// The undo of a lift restores the restraint of the network too.
#[tokio::test]
async fn a_lift_and_its_undo_concern_the_network_and_a_ban_on_the_site_does() {
    let room = Room::with(&["moderation.network_bans=on", "web.trusted_proxies=127.0.0.1/32"]).await;
    let banned = guest_from(&room, HERE, "spammer").await;
    assert_eq!(send_from(&banned, HERE).await.status, 200);
    let ban = act(&room.moderator, "ban", &[("user", &banned.uid)]).await;
    let again = guest_from(&room, HERE, "not the spammer").await;
    assert_eq!(refusal(&send_from(&again, HERE).await), (403, "banned"));
    let lifted = act(&room.moderator, "lift", &[("case", ban["case"].as_str().unwrap())]).await;
    assert_eq!(send_from(&again, HERE).await.status, 200);
    act(&room.moderator, "undo", &[("action", lifted["action"].as_str().unwrap())]).await;
    assert_eq!(refusal(&send_from(&again, HERE).await), (403, "banned"));
    act(&room.moderator, "lift", &[("case", ban["case"].as_str().unwrap())]).await;
    let on_site = room.host.post("/gateway/mod/ban", &[("site", "true"), ("user", &banned.uid)]).await;
    assert_eq!(on_site.status, 200, "{}", on_site.body);
    assert_eq!(refusal(&send_from(&again, HERE).await), (403, "banned"));
}
