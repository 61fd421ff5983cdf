//! The results of the methods `chat.*` and `mod.*`. They are the replies of the pages' requests, without their `status`.

use crate::domain::{
    change::{Rev, RoomState},
    id::Seq,
    message::Message,
    push::as_pushes,
    reply::{ActReply, HistoryReply, SendReply},
    staff::{LogReply, LogRow, PersonCard, PushedBy, Reported, Restrained, Rows},
};
use crate::server::web::api::param_types::schema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use uuid::Uuid;

/// The result of an act, with the fields that it has.
#[derive(Serialize)]
pub(super) struct ActResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rev: Option<Rev>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<RoomState>,
}

impl From<ActReply> for ActResult {
    fn from(reply: ActReply) -> Self {
        let ActReply { status: _, action, case, until, rev, state } = reply;
        Self { action, case, until, rev, state }
    }
}

schema!(ActResult, {
    "type": "object",
    "properties": {
        "action": {"type": "string", "description": "Id of the act, which mod.undo takes"},
        "case": {"type": "string", "description": "Id of the restraint, which mod.lift takes"},
        "until": {"type": "integer", "description": "When the restraint or the pin ends, unix milliseconds"},
        "rev": {"type": "integer", "description": "The number of the room's change"},
        "state": {"type": "object", "description": "The room's state from now on"},
    },
});

/// A message that was sent.
#[derive(Serialize)]
pub(super) struct SentResult {
    id: Uuid,
    seq: Seq,
    #[serde(skip_serializing_if = "Option::is_none")]
    cooldown_ms: Option<u64>,
}

impl From<SendReply> for SentResult {
    fn from(SendReply { status: _, id, seq, cooldown_ms }: SendReply) -> Self {
        Self { id, seq, cooldown_ms }
    }
}

schema!(SentResult, {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "seq": {"type": "integer"},
        "cooldown_ms": {"type": "integer", "description": "Milliseconds until the next message in this room"},
    },
    "required": ["id", "seq"],
});

/// Messages of a room.
pub(super) struct HistoryResult(pub HistoryReply);

impl Serialize for HistoryResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Page<'a> {
            #[serde(serialize_with = "pushes")]
            messages: &'a [Message],
            oldest: Seq,
        }
        fn pushes<S: Serializer>(messages: &&[Message], serializer: S) -> Result<S::Ok, S::Error> {
            as_pushes(messages, serializer)
        }
        Page { messages: &self.0.messages, oldest: self.0.oldest }.serialize(serializer)
    }
}

schema!(HistoryResult, {
    "type": "object",
    "properties": {
        "messages": {"type": "array", "items": {"type": "object"}, "description": "As they are pushed, newest last"},
        "oldest": {"type": "integer", "description": "The lowest seq that the room keeps"},
    },
    "required": ["messages", "oldest"],
});

/// A page of the audit log.
#[derive(Serialize)]
pub(super) struct LogResult {
    rows: Vec<LogRow>,
    next: Option<u64>,
    pushed: Vec<PushedBy>,
}

impl From<LogReply> for LogResult {
    fn from(LogReply { status: _, rows, next, pushed }: LogReply) -> Self {
        Self { rows, next, pushed }
    }
}

schema!(LogResult, {
    "type": "object",
    "properties": {
        "rows": {"type": "array", "maxItems": Rows::<()>::MOST, "items": {"type": "object"}},
        "next": {"type": ["integer", "null"], "description": "The `before` of the next page; null on the last one"},
        "pushed": {
            "type": "array",
            "items": {"type": "object"},
            "description": "On the first page: the back ends that sent to the room's group, with the number of their sends",
        },
    },
    "required": ["rows", "next", "pushed"],
});

/// The card of a person.
#[derive(Serialize)]
pub(super) struct CardResult(pub PersonCard);

schema!(CardResult, {"type": "object", "description": "The card of a person, as the room's staff sees it"});

/// Restraints or reports of a room.
#[derive(Serialize)]
pub(super) struct RowsResult<T> {
    rows: Vec<T>,
}

impl<T> RowsResult<T> {
    /// The first rows.
    pub(super) fn first(rows: Vec<T>) -> Self {
        Self { rows: Rows::first(rows).rows }
    }
}

schema!(RowsResult<Restrained>, {
    "type": "object",
    "properties": {"rows": {"type": "array", "maxItems": Rows::<()>::MOST, "items": {"type": "object"}}},
    "required": ["rows"],
});
schema!(RowsResult<Reported>, {
    "type": "object",
    "properties": {"rows": {"type": "array", "maxItems": Rows::<()>::MOST, "items": {"type": "object"}}},
    "required": ["rows"],
});
