//! The parameters of the methods `chat.*` and `mod.*`.

use super::param_types::{OneOrMany, UidParam};
use super::params::params;
use super::room_types::{
    IdParam, LimitParam, NonceParam, OffFlag, OffLinks, OffNumber, PinSeconds, PurgeSeconds, ReasonParam, RequiredText,
    RoleParam, RoomParam, RowParam, SeqParam, SlowMs, TimeoutSeconds,
};
use crate::server::web::act_fields::MAX_SEQS;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::json;

params! {
    /// A room, and the place in its messages
    ReadHistory {
        room: RoomParam,
        /// Only messages before this one; without it the newest
        #[serde(default)] before: Option<SeqParam>,
        #[serde(default)] limit: Option<LimitParam>,
    }
    /// A message for a room
    SendMessage {
        room: RoomParam,
        /// The text: not blank, and at most as long as this installation's limit for all messages
        #[schemars(length(min = 1))] message: String,
        #[serde(default)] nonce: Option<NonceParam>,
        /// The message that this one answers
        #[serde(default)] re: Option<SeqParam>,
    }
    /// Messages to remove
    #[schemars(transform = describe_seqs)]
    Remove {
        room: RoomParam,
        /// A seq, or 1 to 100 of them
        seq: OneOrMany<SeqParam>,
        #[serde(default)] reason: Option<ReasonParam>,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// A person whose messages are to be removed
    Purge {
        room: RoomParam,
        user: UidParam,
        #[serde(default)] seconds: Option<PurgeSeconds>,
        #[serde(default)] reason: Option<ReasonParam>,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// An act to take back
    Undo {
        action: IdParam,
        /// The room of the act. A key that is limited to rooms gives it
        #[serde(default)] room: Option<RoomParam>,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// A person and the length of a timeout
    TimeOut {
        room: RoomParam,
        user: UidParam,
        seconds: TimeoutSeconds,
        #[serde(default)] reason: Option<ReasonParam>,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// A person to ban in a room
    Ban {
        room: RoomParam,
        user: UidParam,
        #[serde(default)] reason: Option<ReasonParam>,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// A restraint to end
    Lift {
        /// Its case
        case: IdParam,
        /// The room of the restraint. A key that is limited to rooms gives it
        #[serde(default)] room: Option<RoomParam>,
        #[serde(default)] reason: Option<ReasonParam>,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// A person to warn
    Warn {
        room: RoomParam,
        user: UidParam,
        reason: RequiredText,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// A note about a person
    Note {
        room: RoomParam,
        user: UidParam,
        text: RequiredText,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// A note to remove
    Unnote {
        /// Its id
        note: IdParam,
        room: RoomParam,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// A message to pin
    Pin {
        room: RoomParam,
        seq: SeqParam,
        #[serde(default)] seconds: Option<PinSeconds>,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// A room whose pin is to be removed
    Unpin {
        room: RoomParam,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// Modes of a room: at least one of slow_ms, accounts and closed
    #[schemars(transform = describe_modes)]
    Mode {
        room: RoomParam,
        #[serde(default)] slow_ms: Option<SlowMs>,
        /// Only accounts send
        #[serde(default)] accounts: Option<bool>,
        /// The room takes no messages
        #[serde(default)] closed: Option<bool>,
        #[serde(default)] #[expect(dead_code, reason = "it is off")] emoji: Option<OffFlag>,
        #[serde(default)] #[expect(dead_code, reason = "it is off")] unique_s: Option<OffNumber>,
        #[serde(default)] #[expect(dead_code, reason = "it is off")] delay_ms: Option<OffNumber>,
        #[serde(default)] #[expect(dead_code, reason = "it is off")] links: Option<OffLinks>,
        #[serde(default)] #[expect(dead_code, reason = "it is off")] regulars: Option<OffFlag>,
        #[serde(default)] #[expect(dead_code, reason = "it is off")] until_ms: Option<OffNumber>,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// A new title of a room
    SetTitle {
        room: RoomParam,
        /// The title: not blank, at most 60 characters
        #[schemars(length(min = 1))] title: String,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// An account and its role in a room
    SetRole {
        room: RoomParam,
        user: UidParam,
        role: RoleParam,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// A reported message
    Settle {
        room: RoomParam,
        seq: SeqParam,
        #[serde(default)] nonce: Option<NonceParam>,
    }
    /// A room, and the place in its log
    ReadLog {
        room: RoomParam,
        #[serde(default)] before: Option<RowParam>,
    }
    /// A person in a room
    ReadPerson { room: RoomParam, user: UidParam, }
    /// A room
    ReadRoom { room: RoomParam, }
}

/// Adds the bounds of the list to the schema of a removal.
fn describe_seqs(schema: &mut Schema) {
    if let Some(list) = schema.pointer_mut("/properties/seq/anyOf/1").and_then(|list| list.as_object_mut()) {
        list.insert("minItems".into(), json!(1));
        list.insert("maxItems".into(), json!(MAX_SEQS));
    }
}

/// Adds that one of the modes is needed.
fn describe_modes(schema: &mut Schema) {
    let needs = |mode: &str, kind: &str| json!({"required": [mode], "properties": {mode: {"type": kind}}});
    schema.insert("anyOf".into(), json!([needs("slow_ms", "integer"), needs("accounts", "boolean"), needs("closed", "boolean")]));
}
