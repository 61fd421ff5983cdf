//! The messages that the server pushes through the socket, and the codes it closes with (docs/protocol-pages.md).
//! `domain/message.rs` lists the places besides tests that a new field of a message touches.

use crate::domain::{
    id::{ClientId, RoomId, Seq},
    message::Message,
};
use serde::{Serialize, Serializer};

/// The WebSocket subprotocol in which every push is a JSON object with a `type`.
pub const SUBPROTOCOL: &str = "roomcast.v1";

/// The types of the server's own pushes in the dialect [`SUBPROTOCOL`], in alphabetical order, those of later versions among them.
/// A back end's payload of one of these types arrives there as `data`, so that no back end can forge them.
pub const OWN_TYPES: [&str; 15] = [
    "action",
    "bye",
    "changed",
    "gap",
    "held",
    "held_done",
    "init",
    "message",
    "online",
    "raid",
    "report",
    "room",
    "session",
    "tick",
    "you",
];

/// A push in the dialect [`SUBPROTOCOL`]. Pages read it with [`reading`](crate::domain::reading).
///
/// ```
/// use roomcast::domain::push::Push;
///
/// let push = Push::Bye { reconnect_after_ms: 1730 };
/// assert_eq!(push.to_json(), r#"{"type":"bye","reconnect_after_ms":1730}"#);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Push {
    /// The first push of every connection. The page posts the id to `bind`.
    Init {
        /// Id of this connection.
        client_id: ClientId,
    },
    /// A chat message.
    Message(Message),
    /// Messages that this connection skipped because it read too slowly. The page fetches them from the history.
    Gap {
        /// The room of the messages.
        room: RoomId,
        /// First skipped seq.
        from: Seq,
        /// Last skipped seq.
        to: Seq,
    },
    /// The number of people in a room, at most once per second and room, and only if it changed.
    Online {
        /// The room.
        room: RoomId,
        /// People online.
        count: u32,
    },
    /// The node drains and will close the connection.
    Bye {
        /// Milliseconds to wait before reconnecting, jitter included.
        reconnect_after_ms: u64,
    },
    /// A push of a back end, or of a type that this version does not know. The chat page ignores it.
    Data,
}

impl Push {
    /// Returns the push as JSON.
    pub fn to_json(&self) -> String {
        // Serialization fails only for maps whose keys are not strings; a push has none.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Serializes the messages of a reply in the form in which they are pushed.
pub fn as_pushes<S: Serializer>(messages: &[Message], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(messages.iter().cloned().map(Push::Message))
}

/// A WebSocket close code. After 4500-4999 a page does not reconnect, after all others it does. Codes below 4000 are RFC
/// 6455's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The node shuts down, or the page was left.
    pub const GOING_AWAY: Self = Self(1001);
    /// None of PHP's workers could be told of the connection, or of its message.
    pub const NO_WORKER: Self = Self(1012);
    /// The rooms begin a new epoch, and the page binds again. "Service restart", the number of [`CloseCode::NO_WORKER`].
    pub const NEW_EPOCH: Self = Self(1012);
    /// The client sent bytes that violate RFC 6455.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// The client sent a text message that is not UTF-8.
    pub const NOT_UTF8: Self = Self(1007);
    /// Nobody used the connection, and the node needed its place.
    pub const IDLE: Self = Self(4407);
    /// The client exceeded the limits of the inbound direction: 1 KiB per message and 10 frames per second, or those of the
    /// configuration with `gateway.workers = "on"`.
    pub const INBOUND_LIMIT: Self = Self(4408);
    /// The client's send queue made no progress for too long.
    pub const SLOW: Self = Self(4409);
    /// The client did not answer a ping in time.
    pub const PING_TIMEOUT: Self = Self(4410);
    /// A back end closed the connection without a code of its own.
    pub const KICKED: Self = Self(4500);
    /// The session ended; a reconnect would be refused.
    pub const SIGNED_OUT: Self = Self(4501);

    /// Returns true if a page reconnects after this code.
    pub fn allows_reconnect(self) -> bool {
        !(4500..5000).contains(&self.0)
    }

    /// Returns the reason in the close frame; empty for codes that are not listed here.
    pub fn reason(self) -> &'static str {
        match self {
            Self::GOING_AWAY => "going away",
            Self::NO_WORKER => "no worker",
            Self::PROTOCOL_ERROR => "protocol error",
            Self::NOT_UTF8 => "not UTF-8",
            Self::IDLE => "idle",
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
    use crate::domain::{message::Role, reading::FromJson};
    use serde_json::Value;

    fn read(json: &str) -> Option<Push> {
        Push::from_json(&serde_json::from_str::<Value>(json).unwrap())
    }

    #[test]
    fn every_push_has_its_wire_form() {
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
            assert_eq!(read(&push.to_json()), Some(push));
        }
    }

    #[test]
    fn t1_a_push_of_a_later_version_is_read_as_far_as_it_is_known() {
        let line = r#"{"type":"message","room":"1","seq":42,"id":"00000000-0000-0000-0000-000000000000","user":"","nickname":"",
            "role":"moderator","text":"","message":"","at":1,"badges":["vip3"],"avatar":"/a.png","re":{"seq":4,"nickname":"a"},
            "mentions":["u1"],"style":"announce","removed":{"why":"author","rev":7}}"#;
        let Some(Push::Message(message)) = read(line) else { panic!("not a message") };
        assert_eq!((message.role, message.user.as_str(), message.text.as_str()), (Role::Viewer, "-", ""));
        assert_eq!(serde_json::from_str::<Message>(line).unwrap(), message);
        for later in [
            r#"{"type":"changed","room":"1","rev":318,"at":5,"why":"author","removed":[41,[57,63]]}"#,
            r#"{"type":"room","room":"1","rev":321,"state":{"modes":{},"raid":null,"pinned":null,"poll":null}}"#,
            r#"{"type":"you","room":"1","held":{"id":"h","outcome":"released","seq":4}}"#,
        ] {
            assert_eq!(read(later), Some(Push::Data), "{later}");
        }
    }

    #[test]
    fn codes_from_4500_forbid_reconnecting() {
        assert!(CloseCode::SLOW.allows_reconnect() && CloseCode(1006).allows_reconnect());
        assert!(!CloseCode::SIGNED_OUT.allows_reconnect() && !CloseCode(4999).allows_reconnect());
    }
}
