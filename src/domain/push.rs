//! What goes down the socket, and with which code it closes (README, “The socket”).

use crate::domain::{
    id::{ClientId, RoomId, Seq, Uid},
    message::{Message, Role},
};
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

/// The subprotocol in which every push is one JSON object with a `type`.
pub const SUBPROTOCOL: &str = "roomcast.v1";

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", try_from = "FlatPush")]
pub enum Push {
    /// Always the first: which connection this is, to be posted to `bind`.
    Init {
        client_id: ClientId,
    },
    Message(Message),
    /// This connection was too slow and skipped these: fetch them.
    Gap {
        room: RoomId,
        from: Seq,
        to: Seq,
    },
    /// At most one a second a room, and only when it changed.
    Online {
        room: RoomId,
        count: u32,
    },
    /// The node drains: come back after this, already jittered.
    Bye {
        reconnect_after_ms: u64,
    },
    /// What a foreign back end pushed: not the chat's to read.
    Data,
}

impl Push {
    pub fn to_json(&self) -> String {
        // Only maps with keys that are no strings can fail, and there are none.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A push as it arrives: flat, because a page is a third smaller without serde's machinery for tagged enums.
#[derive(Deserialize)]
struct FlatPush {
    r#type: PushType,
    client_id: Option<ClientId>,
    room: Option<RoomId>,
    seq: Option<Seq>,
    id: Option<Uuid>,
    user: Option<Uid>,
    nickname: Option<String>,
    role: Option<Role>,
    text: Option<String>,
    at: Option<u64>,
    from: Option<Seq>,
    to: Option<Seq>,
    count: Option<u32>,
    reconnect_after_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum PushType {
    Init,
    Message,
    Gap,
    Online,
    Bye,
    /// What a back end of the site pushed, or a type of tomorrow: nothing for this page.
    #[serde(other)]
    Data,
}

impl TryFrom<FlatPush> for Push {
    type Error = &'static str;

    fn try_from(push: FlatPush) -> Result<Self, &'static str> {
        push.into_push().ok_or("a push lacks a field of its type")
    }
}

impl FlatPush {
    fn into_push(self) -> Option<Push> {
        Some(match self.r#type {
            PushType::Init => Push::Init { client_id: self.client_id? },
            PushType::Message => Push::Message(Message {
                room: self.room?,
                seq: self.seq?,
                id: self.id?,
                user: self.user?,
                nickname: self.nickname?,
                role: self.role?,
                text: self.text?,
                at: self.at?,
            }),
            PushType::Gap => Push::Gap { room: self.room?, from: self.from?, to: self.to? },
            PushType::Online => Push::Online { room: self.room?, count: self.count? },
            PushType::Bye => Push::Bye { reconnect_after_ms: self.reconnect_after_ms? },
            PushType::Data => Push::Data,
        })
    }
}

/// Messages in a reply, in the very form they are pushed in.
pub fn as_pushes<S: Serializer>(messages: &[Message], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(messages.iter().cloned().map(Push::Message))
}

/// Why a socket was closed: 4000-4499 come back, 4500-4999 do not; below 4000 RFC 6455's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseCode(pub u16);

impl CloseCode {
    pub const GOING_AWAY: Self = Self(1001);
    pub const PROTOCOL_ERROR: Self = Self(1002);
    pub const NOT_UTF8: Self = Self(1007);
    /// The socket is one way, and this client talked up it: a frame over 1 KiB, or over 10 a second.
    pub const INBOUND_LIMIT: Self = Self(4408);
    /// Nothing could be written for too long.
    pub const SLOW: Self = Self(4409);
    /// No answer to a ping.
    pub const PING_TIMEOUT: Self = Self(4410);
    /// The site closed it, and says nothing of coming back.
    pub const KICKED: Self = Self(4500);
    /// The session ended: a page that came back by itself would be refused.
    pub const SIGNED_OUT: Self = Self(4501);

    pub fn allows_reconnect(self) -> bool {
        !(4500..5000).contains(&self.0)
    }

    /// The word that goes along in the close frame.
    pub fn reason(self) -> &'static str {
        match self {
            Self::GOING_AWAY => "going away",
            Self::PROTOCOL_ERROR => "protocol error",
            Self::NOT_UTF8 => "not UTF-8",
            Self::INBOUND_LIMIT => "one way",
            Self::SLOW => "slow",
            Self::PING_TIMEOUT => "silent",
            Self::KICKED => "closed by the site",
            Self::SIGNED_OUT => "signed out",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::Role;

    #[test]
    fn the_wire_form_of_every_push() {
        let room: RoomId = "1".parse().unwrap();
        let message = Message {
            room: room.clone(),
            seq: Seq(42),
            id: uuid::Uuid::nil(),
            user: "u1".parse().unwrap(),
            nickname: "阿明".into(),
            role: Role::Host,
            text: "大家好".into(),
            at: 1_700_000_000_000,
        };
        let pushes = [
            Push::Init { client_id: "7f0000010b54000000ff".parse().unwrap() },
            Push::Message(message),
            Push::Gap { room: room.clone(), from: Seq(43), to: Seq(51) },
            Push::Online { room, count: 1234 },
            Push::Bye { reconnect_after_ms: 1730 },
            Push::Data,
        ];
        insta::assert_json_snapshot!(pushes);
        for push in pushes {
            assert_eq!(serde_json::from_str::<Push>(&push.to_json()).unwrap(), push);
        }
    }

    #[test]
    fn who_may_come_back() {
        assert!(CloseCode::SLOW.allows_reconnect() && CloseCode(1006).allows_reconnect());
        assert!(!CloseCode::SIGNED_OUT.allows_reconnect() && !CloseCode(4999).allows_reconnect());
    }
}
