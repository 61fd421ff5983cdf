//! The messages that the server pushes through the socket, and the codes it closes with (docs/protocol-pages.md).
//! `domain/message.rs` lists the places besides tests that a new field of a message touches.

use crate::domain::{
    change::{Changed, Restraint, Rev, RoomState},
    id::{ClientId, RoomId, Seq},
    message::Message,
};
use serde::{Deserialize, Serialize, Serializer};

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

/// A push in the dialect [`SUBPROTOCOL`]. Pages read it with [`reading`](crate::domain::reading); nodes read those of other nodes by
/// serde.
///
/// ```
/// use roomcast::domain::push::Push;
///
/// let push = Push::Bye { reconnect_after_ms: 1730 };
/// assert_eq!(push.to_json(), r#"{"type":"bye","reconnect_after_ms":1730}"#);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Push {
    /// The first push of every connection. The page posts the id to `bind`.
    Init {
        /// Id of this connection.
        client_id: ClientId,
    },
    /// A chat message.
    Message(Message),
    /// Pushes that this connection skipped because it read too slowly. The page fetches the messages from the history; with a
    /// `rev` it binds again.
    Gap {
        /// The room of the pushes.
        room: RoomId,
        /// First skipped seq; absent if only changes were skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Seq>,
        /// Last skipped seq.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Seq>,
        /// The newest skipped change; absent if none was skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rev: Option<Rev>,
    },
    /// Messages were removed or restored.
    Changed(Changed),
    /// The room's state, whole.
    Room {
        /// The room.
        room: RoomId,
        /// The number of the change.
        rev: Rev,
        /// The state from now on.
        state: RoomState,
    },
    /// To all connections of one person: the restraint in force, or null after its end.
    You {
        /// The room of the restraint.
        room: RoomId,
        /// A timeout or a ban.
        restraint: Option<Restraint>,
        /// A warning to be acknowledged.
        warning: Option<Restraint>,
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
    #[serde(other)]
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
    use crate::domain::{
        change::{Pinned, Purged, Removed, RestraintKind, RoomModes, Seqs, Why},
        id::Uid,
        message::{ReplyTo, Role},
        reading::FromJson,
    };
    use serde_json::Value;

    fn read(json: &str) -> Option<Push> {
        Push::from_json(&serde_json::from_str::<Value>(json).unwrap())
    }

    fn message() -> Message {
        Message {
            room: "1".parse().unwrap(),
            seq: Seq(42),
            id: uuid::Uuid::nil(),
            user: "u1".parse().unwrap(),
            nickname: "阿明".into(),
            role: Role::Host,
            text: "大家好".into(),
            at: 1_700_000_000_000,
            re: None,
            mentions: vec![],
            removed: None,
        }
    }

    fn change(rev: u64) -> Changed {
        Changed {
            room: "1".parse().unwrap(),
            rev: Rev(rev),
            at: 1_700_000_000_000,
            why: Why::Moderator,
            removed: vec![],
            purged: None,
            restored: vec![],
            reread: false,
        }
    }

    #[test]
    fn every_push_has_its_wire_form() {
        let room: RoomId = "1".parse().unwrap();
        let message = message();
        let state = RoomState {
            modes: RoomModes::default(),
            raid: None,
            pinned: Some(Pinned { seq: Seq(7), until: None }),
            poll: None,
            title: "一".into(),
        };
        let restraint = Restraint {
            kind: RestraintKind::Timeout,
            until: Some(1_700_000_600_000),
            reason: "刷屏".into(),
            case: uuid::Uuid::nil(),
        };
        let pushes = [
            Push::Init { client_id: "7f0000010b54000000ff".parse().unwrap() },
            Push::Message(message.clone()),
            Push::Gap { room: room.clone(), from: Some(Seq(43)), to: Some(Seq(51)), rev: None },
            Push::Gap { room: room.clone(), from: None, to: None, rev: Some(Rev(321)) },
            Push::Message(Message {
                user: Uid::nobody(),
                nickname: String::new(),
                text: String::new(),
                re: Some(ReplyTo { seq: Seq(41), nickname: "阿明".into() }),
                removed: Some(Removed { why: Why::Site, rev: Rev(7) }),
                ..message.clone()
            }),
            Push::Changed(Changed {
                removed: vec![Seqs { from: Seq(3), to: Seq(3) }, Seqs { from: Seq(5), to: Seq(9) }],
                ..change(322)
            }),
            Push::Changed(Changed {
                purged: Some(Purged { user: "u2".parse().unwrap(), from: Seq(1), upto: Seq(42) }),
                ..change(323)
            }),
            Push::Changed(Changed { why: Why::Undo, reread: true, ..change(324) }),
            Push::Changed(Changed { why: Why::Undo, restored: vec![message], ..change(325) }),
            Push::Room { room: room.clone(), rev: Rev(326), state },
            Push::You { room: room.clone(), restraint: Some(restraint), warning: None },
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
            "role":"captain","text":"","message":"","at":1,"badges":["vip3"],"avatar":"/a.png","re":{"seq":4,"nickname":"a"},
            "mentions":["u1"],"style":"announce","removed":{"why":"author","rev":7}}"#;
        let Some(Push::Message(message)) = read(line) else { panic!("not a message") };
        assert_eq!((message.role, message.user.as_str(), message.text.as_str()), (Role::Viewer, "-", ""));
        assert_eq!(serde_json::from_str::<Message>(line).unwrap(), message);
        for later in [r#"{"type":"tick","room":"1","likes":5}"#, r#"{"type":"queue","room":"1","held":{"id":"h","by":"rule"}}"#] {
            assert_eq!(read(later), Some(Push::Data), "{later}");
        }
    }

    #[test]
    fn codes_from_4500_forbid_reconnecting() {
        assert!(CloseCode::SLOW.allows_reconnect() && CloseCode(1006).allows_reconnect());
        assert!(!CloseCode::SIGNED_OUT.allows_reconnect() && !CloseCode(4999).allows_reconnect());
    }
}
