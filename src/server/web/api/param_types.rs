//! Ids as parameters in JSON: PHP back ends send them as numbers or strings, one or a list.

use crate::domain::id::{self, ClientId};
use crate::domain::push::CloseCode;
use crate::server::gateway::{Group, Uid};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};
use std::borrow::Cow;

/// Longest name of a group, in characters.
const MAX_GROUP_CHARS: usize = 128;

/// A client_id: 20 hex digits.
#[derive(Clone)]
pub(super) struct ClientIdParam(pub ClientId);

/// A uid: a string or a whole number.
#[derive(Clone)]
pub(super) struct UidParam(pub Uid);

/// A group: a string or a whole number.
#[derive(Clone)]
pub(super) struct GroupParam(pub Group);

/// A group, or `""` or null for all connections.
#[derive(Default)]
pub(super) struct OptionalGroupParam(pub Option<Group>);

/// A close code: 1000, or 3000 to 4999.
#[derive(Clone, Copy)]
pub(super) struct CloseCodeParam(pub CloseCode);

/// One value, or a list of values.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    /// A value that is not in a list.
    One(T),
    /// A list, which may be empty.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The values as a list.
    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// As PHP array keys, 7 and "7" are the same name. `None`: neither a string nor a whole number.
pub(super) fn name_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => whole_number(&number).map(|number| number.to_string()),
        _ => None,
    }
}

/// JSON does not distinguish 7 from 7.0. A float beyond 2^53 is rejected, since it may have been rounded from another number.
pub(super) fn whole_number(number: &Number) -> Option<i64> {
    let is_exact = |number: &f64| number.fract() == 0.0 && number.abs() <= (1_i64 << f64::MANTISSA_DIGITS) as f64;
    number.as_i64().or_else(|| number.as_f64().filter(is_exact).map(|number| number as i64))
}

impl<'de> Deserialize<'de> for ClientIdParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ClientId::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for UidParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = name_of(Value::deserialize(deserializer)?);
        let text = text.ok_or_else(|| D::Error::custom("a uid is a string or a whole number"))?;
        let uid = text.parse::<id::Uid>();
        uid.map(|uid| Self((&uid).into())).map_err(|_| D::Error::custom("a uid has 1 to 64 bytes and no control characters"))
    }
}

impl<'de> Deserialize<'de> for GroupParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = name_of(Value::deserialize(deserializer)?);
        let text = text.ok_or_else(|| D::Error::custom("a group is a string or a whole number"))?;
        if text.is_empty() || text.chars().count() > MAX_GROUP_CHARS {
            return Err(D::Error::custom("a group's name has 1 to 128 characters"));
        }
        Ok(Self(Group::new(text)))
    }
}

impl<'de> Deserialize<'de> for OptionalGroupParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.is_null() || value == "" {
            return Ok(Self(None));
        }
        GroupParam::deserialize(value).map(|GroupParam(group)| Self(Some(group))).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for CloseCodeParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = whole_number(&Number::deserialize(deserializer)?).and_then(|code| u16::try_from(code).ok());
        let code = code.filter(|code| *code == 1000 || (3000..5000).contains(code));
        code.map(|code| Self(CloseCode(code))).ok_or_else(|| D::Error::custom("a close code is 1000 or 3000 to 4999"))
    }
}

/// Implements `JsonSchema` with a literal schema, which is inlined where it is used.
macro_rules! schema {
    ($name:ty, $($schema:tt)*) => {
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($($schema)*)
            }
        }
    };
}

pub(super) use schema;

schema!(ClientIdParam, {
    "type": "string",
    "pattern": "^[0-9a-fA-F]{20}$",
    "description": "A client_id: 20 hexadecimal digits, as a page receives them in `init`",
});
schema!(UidParam, {
    "description": "The id of a person: a string of 1 to 64 bytes without control characters, or a whole number",
    // JSON Schema counts characters, not bytes; the description states the exact limit.
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"},
        {"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX},
    ],
});
schema!(GroupParam, {
    "description": "The name of a group: a string of 1 to 128 characters, or a whole number",
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": MAX_GROUP_CHARS},
        {"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX},
    ],
});
schema!(OptionalGroupParam, {
    "description": "The name of a group; an empty string or null selects all connections",
    "anyOf": [
        {"type": "string", "maxLength": MAX_GROUP_CHARS},
        {"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX},
        {"type": "null"},
    ],
});
schema!(CloseCodeParam, {
    "type": "integer",
    "anyOf": [{"const": 1000}, {"minimum": 3000, "maximum": 4999}],
    "description": "The close code (RFC 6455). After 4000 to 4499 pages connect again, after 4500 to 4999 they do not",
});

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one}]})
    }
}
