//! One thing that was said, as it is stored, pushed and shown.

use crate::domain::id::{RoomId, Seq, Uid};
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

/// What the speaker was in the room when it was said. The badge is made from this, never from text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Host,
    Viewer,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Message {
    pub room: RoomId,
    pub seq: Seq,
    /// A uuid v7, given when it was accepted.
    pub id: Uuid,
    pub user: Uid,
    pub nickname: String,
    pub role: Role,
    pub text: String,
    /// Unix milliseconds, the server's clock.
    pub at: u64,
}

impl Serialize for Message {
    /// Adds `message`, the ready line that pages written for GatewayWorker show.
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
