//! A chat message as it is stored, pushed and shown.
//!
//! A new field of [`Message`] touches these places, for the reasons in CONTRIBUTING.md:
//!
//! 1. `domain/message.rs`: [`Message`], and `Wire` in its `Serialize`;
//! 2. `domain/reading.rs`, which reads it in the page, and the snapshot test in `domain/push.rs`;
//! 3. `domain/snapshots/`: the accepted wire form of every push;
//! 4. `server/storage/`: a migration; `NewMessage`, `InsertRow`, `RawMessage` and their queries; then `make queries`;
//! 5. `server/chat/`: `Chat::try_send`, which fills `NewMessage`;
//! 6. `app/chat/line.rs`, if pages show it;
//! 7. `docs/protocol-pages.md`, `docs/integrate.md` and CHANGELOG.md.
//!
//! The compiler finds 1, 2 and 5, and 4 except for `InsertRow` and its INSERT. It does not find `Wire` or 6.

use crate::domain::id::{RoomId, Seq, Uid};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Role of the author in the room when the message was sent. The badge is made from it, never from text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The host of the room.
    Host,
    /// Everyone else. A page reads a role of a later version as this one.
    #[serde(other)]
    Viewer,
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
            user: &'a Uid,
            nickname: &'a str,
            role: Role,
            text: &'a str,
            message: String,
            at: u64,
        }
        let Self { room, seq, id, user, nickname, role, text, at } = self;
        let message = format!("{nickname} : {text}");
        Wire { room, seq: *seq, id: *id, user, nickname, role: *role, text, message, at: *at }.serialize(serializer)
    }
}
