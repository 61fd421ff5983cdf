//! The fields of the methods `chat.*` and `mod.*`: each accepts exactly the values that its schema describes.

use crate::domain::id::{Nonce, RoomId, Seq};
use crate::domain::room::MAX_SLOW_MS;
use crate::server::web::act_fields::{MAX_REASON_CHARS, PIN_SECONDS, TIMEOUT_SECONDS};
use crate::server::web::api::param_types::{name_of, schema, whole_number};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};
use std::borrow::Cow;
use uuid::Uuid;

/// The id of a room: a string or a whole number.
#[derive(Clone)]
pub(super) struct RoomParam(pub RoomId);

impl<'de> Deserialize<'de> for RoomParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let room = name_of(Value::deserialize(deserializer)?).and_then(|text| text.parse().ok());
        room.map(Self).ok_or_else(|| D::Error::custom("the id of a room has 1 to 64 letters, digits, _ and -"))
    }
}

schema!(RoomParam, {
    "description": "The id of a room",
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9_-]+$"},
        {"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX},
    ],
});

/// Defines a whole number between bounds.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $min:expr, $max:expr, $description:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(super) struct $name(pub u64);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let number = whole_number(&Number::deserialize(deserializer)?).and_then(|number| u64::try_from(number).ok());
                let number = number.filter(|number| ($min..=$max).contains(number));
                number.map(Self).ok_or_else(|| D::Error::custom(format!("a whole number from {} to {}", $min, $max)))
            }
        }

        schema!($name, {"type": "integer", "minimum": $min, "maximum": $max, "description": $description});
    };
}

number!(/// The number of a message.
    SeqParam, 1, i64::MAX as u64, "The seq of a message");
number!(/// The number of a row of the log.
    RowParam, 1, i64::MAX as u64, "Only rows with a number below this one");
number!(/// Messages of a page.
    LimitParam, 1, 100, "The most messages of the answer");
number!(/// How far back a purge goes.
    PurgeSeconds, 0, i64::MAX as u64 / 1000, "How far back, in seconds; 0: all messages. Without it a day");
number!(/// The length of a timeout.
    TimeoutSeconds, *TIMEOUT_SECONDS.start(), *TIMEOUT_SECONDS.end(), "For how long, in seconds");
number!(/// The length of a pin.
    PinSeconds, *PIN_SECONDS.start(), *PIN_SECONDS.end(), "For how long, in seconds; without it until it is removed");
number!(/// The slow mode.
    SlowMs, 0, MAX_SLOW_MS, "Milliseconds between two messages of a person; 0 is off");

impl SeqParam {
    /// The seq.
    pub(super) fn seq(self) -> Seq {
        Seq(self.0)
    }
}

/// The id of an act, a case or a note.
#[derive(Clone, Copy)]
pub(super) struct IdParam(pub Uuid);

impl<'de> Deserialize<'de> for IdParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The parser also takes other forms of a UUID, which the schema does not describe.
        let id = Uuid::parse_str(&text).ok().filter(|id| id.to_string() == text.to_ascii_lowercase());
        id.map(Self).ok_or_else(|| D::Error::custom("an id is a UUID with hyphens"))
    }
}

schema!(IdParam, {
    "type": "string",
    "minLength": 36,
    "maxLength": 36,
    "pattern": "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
    "description": "A UUID",
});

/// The caller's key of the attempt.
#[derive(Clone)]
pub(super) struct NonceParam(pub Nonce);

impl<'de> Deserialize<'de> for NonceParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nonce = String::deserialize(deserializer)?.parse();
        nonce.map(Self).map_err(|_| D::Error::custom("a nonce has 1 to 64 printable ASCII characters"))
    }
}

schema!(NonceParam, {
    "type": "string",
    "minLength": 1,
    "maxLength": 64,
    "pattern": "^[ -~]+$",
    "description": "The same nonce again returns the first result again",
});

/// A reason, or the text of a note. It is cleaned and bounded where it is used, with the refusals of forms.
#[derive(Clone, Deserialize)]
pub(super) struct ReasonParam(pub String);

schema!(ReasonParam, {"type": "string", "maxLength": MAX_REASON_CHARS, "description": "A line of text for the person and for the staff"});

/// A reason or a note that is required.
#[derive(Deserialize)]
pub(super) struct RequiredText(pub String);

schema!(RequiredText, {"type": "string", "minLength": 1, "maxLength": MAX_REASON_CHARS, "description": "A line of text that is not blank"});

/// A role to grant; `none` revokes.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RoleParam {
    /// Keeps order in the room
    Moderator,
    /// A guest of honour
    Vip,
    /// No role
    None,
}

impl RoleParam {
    /// The word of the form's field.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Moderator => "moderator",
            Self::Vip => "vip",
            Self::None => "none",
        }
    }
}

/// Defines the value of a mode of a later version, which is off.
macro_rules! off {
    ($name:ident, $off:expr) => {
        /// A mode of a later version.
        pub(super) struct $name;

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let is_off = Value::deserialize(deserializer)? == serde_json::json!($off);
                if is_off { Ok(Self) } else { Err(D::Error::custom("this version has this mode off")) }
            }
        }

        schema!($name, {"const": $off, "description": "A mode of a later version: off"});
    };
}

off!(OffFlag, false);
off!(OffNumber, 0);
off!(OffLinks, "off");
