//! A chat message as it is stored, pushed and shown.
//!
//! A new field of [`Message`] touches these places, for the reasons in CONTRIBUTING.md:
//!
//! 1. `domain/message.rs`: [`Message`], and `Wire` in its `Serialize`;
//! 2. `domain/reading.rs`, which reads it in the page, and the snapshot test in `domain/push.rs`;
//! 3. `domain/snapshots/`: the accepted wire form of every push;
//! 4. `server/storage/`: a migration; `NewMessage`, `InsertRow`, the view `shown_messages`, `RawShown` and their queries; then `make queries`;
//! 5. `server/chat/`: `Chat::try_send`, which fills `NewMessage`;
//! 6. `app/chat/line.rs`, if pages show it;
//! 7. `docs/protocol-pages.md`, `docs/integrate.md` and CHANGELOG.md.
//!
//! The compiler finds 1, 2 and 5, and 4 except for `InsertRow` and its INSERT. It does not find `Wire` or 6.

use crate::domain::change::Removed;
use crate::domain::id::{RoomId, Seq, Uid};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Role of the author in the room when the message was sent. The badge is made from it, never from text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The host of the room.
    Host,
    /// A moderator of the room.
    Moderator,
    /// A guest of honour.
    Vip,
    /// A program of the site.
    Bot,
    /// Everyone else. A page reads a role of a later version as this one.
    #[serde(other)]
    Viewer,
}

impl Role {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Moderator => "moderator",
            Self::Vip => "vip",
            Self::Bot => "bot",
            Self::Viewer => "viewer",
        }
    }

    /// Returns the role of a word; a viewer for one that this version does not know.
    pub fn from_word(word: &str) -> Self {
        match word {
            "host" => Self::Host,
            "moderator" => Self::Moderator,
            "vip" => Self::Vip,
            "bot" => Self::Bot,
            _ => Self::Viewer,
        }
    }
}

/// The message that another one answers. Its text is not copied: a removed text must not live on in its answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReplyTo {
    /// Its seq.
    pub seq: Seq,
    /// The nickname of its author; empty if it was removed.
    pub nickname: String,
}

/// A chat message.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Message {
    /// The room it was sent to.
    pub room: RoomId,
    /// Its number in the room.
    pub seq: Seq,
    /// A uuid v7, assigned when the message was accepted.
    pub id: Uuid,
    /// The author's uid. A page reads the empty text of an erased person as [`Uid::nobody`].
    #[serde(deserialize_with = "author")]
    pub user: Uid,
    /// The author's nickname at that time.
    pub nickname: String,
    /// The author's role at that time.
    pub role: Role,
    /// The cleaned text; empty if the message was removed.
    pub text: String,
    /// When it was accepted: unix milliseconds, by the server's clock.
    pub at: u64,
    /// The message that it answers.
    #[serde(default)]
    pub re: Option<ReplyTo>,
    /// The people that it mentions, at most 5.
    #[serde(default)]
    pub mentions: Vec<Uid>,
    /// Set if it was removed: nickname and text are empty then.
    #[serde(default)]
    pub removed: Option<Removed>,
}

impl Message {
    /// Returns the message without nickname, text and mentions, with the mark of its removal.
    pub fn into_tombstone(self, mark: Removed) -> Self {
        Self { nickname: String::new(), text: String::new(), mentions: Vec::new(), removed: Some(mark), ..self }
    }
}

/// Reads the author of a message; a text that is no uid is nobody's.
fn author<'de, D: Deserializer<'de>>(input: D) -> Result<Uid, D::Error> {
    Ok(String::deserialize(input)?.try_into().unwrap_or_else(|_| Uid::nobody()))
}

impl Serialize for Message {
    /// Adds the field `message`, the line `nickname : text` that pages written for GatewayWorker show.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            room: &'a RoomId,
            seq: Seq,
            id: Uuid,
            user: &'a str,
            nickname: &'a str,
            role: Role,
            text: &'a str,
            message: String,
            at: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            re: &'a Option<ReplyTo>,
            #[serde(skip_serializing_if = "<[Uid]>::is_empty")]
            mentions: &'a [Uid],
            #[serde(skip_serializing_if = "Option::is_none")]
            removed: Option<Removed>,
        }
        let Self { room, seq, id, user, nickname, role, text, at, re, mentions, removed } = self;
        let message = if removed.is_some() { String::new() } else { format!("{nickname} : {text}") };
        let user = if *user == Uid::nobody() { "" } else { user.as_str() };
        Wire { room, seq: *seq, id: *id, user, nickname, role: *role, text, message, at: *at, re, mentions, removed: *removed }
            .serialize(serializer)
    }
}
