//! Successful replies to the requests of the pages (docs/protocol-pages.md). Their field names are a contract.

use crate::domain::{
    change::{Restraint, Rev, RoomState},
    id::{Epoch, RoomId, Seq, Uid},
    message::Message,
    push::{Push, as_pushes},
    rank::Rank,
    refusal::Refusal,
    room::Person,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Reply of `bind`: the socket receives the room's pushes from now on; `messages` fills the time before.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BindReply {
    /// The person's uid, under the name that pages written for GatewayWorker read. `None` for a reader, who has no session: an
    /// empty text on the wire.
    #[serde(with = "uid_or_empty")]
    pub code: Option<Uid>,
    /// Always true.
    pub status: bool,
    /// Always `Group Success`, for pages written for GatewayWorker.
    pub message: String,
    /// Epoch of the room's seqs.
    pub epoch: Epoch,
    /// Seq of the room's newest message.
    pub seq: Seq,
    /// The lowest seq that the room keeps; one above `seq` if it keeps none. An older server leaves it out.
    #[serde(default)]
    pub oldest: Seq,
    /// The messages after `since`; without a usable `since`, the newest messages. Newest last.
    #[serde(serialize_with = "as_pushes")]
    pub messages: Vec<Message>,
    /// The person of the request's session, so that a page follows a sign-in or another nickname in another tab. Left out for a
    /// reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub you: Option<Person>,
    /// True if messages that the room keeps are missing between `since` and the first of `messages`, or if `since` was of
    /// another epoch.
    pub gap: bool,
    /// The number of the room's newest change. An older server leaves it and the fields below out.
    #[serde(default)]
    pub rev: Rev,
    /// The room's state.
    #[serde(default)]
    pub state: Option<RoomState>,
    /// The pushes `changed` and `room` after the `rev` of the request, oldest first; at most 500, and 256 KiB.
    #[serde(default)]
    pub changes: Vec<Push>,
    /// True if `changes` is not complete: the page reads its window again.
    #[serde(default)]
    pub stale: bool,
    /// The person's rank in the room. Left out for a reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<Rank>,
    /// The restraint of the person that is in force: a ban before a timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restraint: Option<Restraint>,
    /// The warning that the person has not acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<Restraint>,
}

/// A uid on the wire, where an empty text is none.
mod uid_or_empty {
    use super::Uid;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(uid: &Option<Uid>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(uid.as_ref().map_or("", Uid::as_str))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uid>, D::Error> {
        Ok(Uid::try_from(String::deserialize(deserializer)?).ok())
    }
}

/// Reply of `send`: the message is stored, or held for moderators.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SendReply {
    /// Always true.
    pub status: bool,
    /// Id of the message. The page does not read it.
    #[serde(default)]
    pub id: Uuid,
    /// Seq of the message in its room. Left out of the reply of a held message; then it is 0 here.
    #[serde(default)]
    pub seq: Seq,
    /// Milliseconds until the person's next message in this room may be accepted: the cooldown, or a longer slow mode. If it is
    /// left out, the page counts the cooldown of the room's rules.
    #[serde(default)]
    pub cooldown_ms: Option<u64>,
}

/// Reply of [`paths::TITLE`](super::paths::TITLE): the room's title from now on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TitleReply {
    /// Always true.
    pub status: bool,
    /// The title, cleaned.
    pub title: String,
    /// Id of the act, which `undo` takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Uuid>,
    /// The change of the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<Rev>,
}

/// Reply of an act of moderation, with the fields that it has.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ActReply {
    /// Always true.
    pub status: bool,
    /// Id of the act, which `undo` takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Uuid>,
    /// Id of the restraint, which `lift` takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Uuid>,
    /// When the restraint or the pin ends, unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The change of the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<Rev>,
    /// The room's state from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RoomState>,
}

/// Reply of `history`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HistoryReply {
    /// Older messages, newest last.
    #[serde(serialize_with = "as_pushes")]
    pub messages: Vec<Message>,
    /// The lowest seq that the room keeps. An older server leaves it out.
    #[serde(default)]
    pub oldest: Seq,
}

/// Reply of [`paths::OPEN_ROOM`](super::paths::OPEN_ROOM): the id of the new room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OpenRoomReply {
    /// The room that was opened.
    pub room: RoomId,
}

/// Reply of `guest`, `register` and `login`: the person that the session cookie names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SignInReply {
    /// The person's uid.
    pub uid: Uid,
    /// The person's nickname.
    pub nickname: String,
}

/// One of the own sessions, for the account's page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OwnSession {
    /// Id for [`paths::END_SESSION`](super::paths::END_SESSION). It gives no right.
    pub id: String,
    /// The kind of browser; empty if unknown.
    pub label: String,
    /// Time of the sign-in, unix milliseconds.
    pub created_at: u64,
    /// Time of the last use, unix milliseconds, to the day.
    pub used_at: u64,
    /// The session of this request.
    pub is_current: bool,
}

/// Reply of requests that return nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Done {
    /// Always true.
    pub status: bool,
}

/// A refused form of a page without JavaScript. The page that is loaded next shows it, once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReturnedForm {
    /// The path that the form was posted to, one of [`paths`](crate::domain::paths).
    pub form: String,
    /// Why it was refused.
    pub refusal: Refusal,
    /// Content of its main text field, so that the person does not type it again.
    pub text: String,
    /// Content of its second text field: the nickname of a registration.
    #[serde(default)]
    pub more: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t1_a_reply_to_send_may_lack_seq_and_cooldown_and_have_more_fields() {
        let held: SendReply = serde_json::from_str(r#"{"status":true,"held":true,"release_at":5}"#).unwrap();
        assert_eq!(held, SendReply { status: true, id: Uuid::nil(), seq: Seq(0), cooldown_ms: None });
        let stored: SendReply = serde_json::from_str(r#"{"status":true,"seq":7,"cooldown_ms":3000,"badge":[1]}"#).unwrap();
        assert_eq!((stored.seq, stored.cooldown_ms), (Seq(7), Some(3000)));
    }
}
