//! Results that several methods return. They are converted while they are written, so that their text is never in memory twice.

use super::method::ApiError;
use crate::domain::id::ClientId;
use crate::server::gateway::ClientSession;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A list of names, as JSON strings.
pub(super) struct Strings<T>(Vec<T>);

impl<T: ToString> Serialize for Strings<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

/// Names as JSON strings.
pub(super) fn to_strings<T: ToString>(names: impl IntoIterator<Item = T>) -> Strings<T> {
    Strings(names.into_iter().collect())
}

/// client_ids as the result of a handler.
pub(super) fn client_id_strings(ids: Vec<ClientId>) -> Result<Strings<ClientId>, ApiError> {
    Ok(Strings(ids))
}

/// The sessions of connections, by client_id.
pub(super) struct SessionsById(Vec<(String, Option<ClientSession>)>);

impl SessionsById {
    /// Sorts the sessions by client_id.
    pub(super) fn new(mut sessions: Vec<(String, Option<ClientSession>)>) -> Self {
        sessions.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self(sessions)
    }
}

impl Serialize for SessionsById {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(id, session)| (id, session_object(session.as_ref()))))
    }
}

/// A session as a JSON object; empty if there is none, or if it is not an object.
pub(super) fn session_object(session: Option<&ClientSession>) -> Map<String, Value> {
    match session.map(ClientSession::to_value) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// Describes a type in openapi.json as another one, whose JSON it has.
macro_rules! described_as {
    (<$($generic:ident)?> $type:ty, $described:ty) => {
        impl<$($generic)?> JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                <$described>::schema_name()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                <$described>::json_schema(generator)
            }
        }
    };
}

described_as!(<T> Strings<T>, Vec<String>);
described_as!(<> SessionsById, BTreeMap<String, Map<String, Value>>);
