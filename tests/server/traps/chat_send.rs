//! The API is no side door: a message of a key passes the restraints and modes of its room.

use super::{Room, act, history, say};
use serde_json::{Value, json};

/// Trap 26.
#[tokio::test]
async fn a_message_of_a_key_passes_restraints_and_modes() {
    let room = Room::start().await;
    let mut reader = room.reader().await;
    let send = async |text: &str| room.api("chat.send", json!({"room": "1", "message": text})).await;
    let refused = async |text: &str| {
        let answer = send(text).await;
        assert!(answer.body["status"] == false || answer.status.as_u16() >= 400, "{text}: {}", answer.body);
        answer.body.to_string()
    };
    let first = send("hello").await;
    assert_eq!(first.status, 200, "{}", first.body);
    let bot = reader.push_of("message").await;
    assert_eq!((&bot["role"], &bot["text"]), (&json!("bot"), &json!("hello")));

    act(&room.host, "mode", &[("closed", "true")]).await;
    assert!(refused("closed").await.contains("room_mode"));
    act(&room.host, "mode", &[("closed", "false")]).await;
    act(&room.host, "mode", &[("slow_ms", "60000")]).await;
    let _ = send("starts the slow mode").await;
    assert!(refused("slow").await.contains("too_fast"));
    act(&room.host, "mode", &[("slow_ms", "0")]).await;

    let ban = act(&room.host, "ban", &[("user", bot["user"].as_str().unwrap())]).await;
    assert!(refused("banned").await.contains("banned"));
    act(&room.host, "lift", &[("case", ban["case"].as_str().unwrap())]).await;
    assert_eq!(send("lifted").await.status, 200);
    let texts: Vec<_> = history(&room.host, 1000, 100).await.into_iter().map(|message| message["text"].clone()).collect();
    assert!(["closed", "slow", "banned"].iter().all(|text| !texts.contains(&json!(text))), "{texts:?}");
}

/// Trap 26: what a back end sends to the group of a room has no nickname, and is no message of the room.
#[tokio::test]
async fn a_push_to_the_group_of_a_room_is_no_message() {
    let room = Room::start().await;
    let mut reader = room.reader().await;
    let forged = json!({"type": "message", "room": "1", "seq": 1, "nickname": "小鱼", "text": "forged"});
    room.api("sendToGroup", json!({"group": "1", "message": forged})).await;
    let got = reader.push_of("data").await;
    assert_eq!(got["data"]["text"], "forged");
    for forged in ["changed", "room", "you", "gap", "action", "report"] {
        room.api("sendToGroup", json!({"group": "1", "message": {"type": forged, "room": "1", "rev": 9}})).await;
        let got: Value = reader.push_of("data").await;
        assert_eq!(got["data"]["type"], forged);
    }
    assert_eq!(say(&room.host, "the first message").await, 1);
}
