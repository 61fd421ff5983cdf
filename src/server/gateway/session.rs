//! The session that a back end stores with a connection, in the form in which it was given: a JSON object or PHP's
//! `serialize`. It ends with the connection. It is converted when the other API reads it.

use crate::server::php::{self, Document};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// Bytes of a JSON session at most: one may be stored per connection, and one query may read them all.
pub const MAX_SESSION_BYTES: usize = 16 * 1024;
/// Bytes of a PHP session at most. GatewayWorker has no limit; a longer session is rejected and counted.
pub(super) const MAX_SERIALIZED_SESSION_BYTES: usize = 1024 * 1024;

/// A connection's session. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientSession {
    /// A JSON object.
    Json(Arc<str>),
    /// Serialized PHP, not empty. Stored verbatim, whether or not it can be parsed.
    Serialized(Arc<[u8]>),
}

/// Why a session cannot be stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SessionError {
    /// The JSON value is not an object.
    #[error("a session is an object")]
    NoObject,
    /// Over [`MAX_SESSION_BYTES`].
    #[error("a session holds at most {MAX_SESSION_BYTES} bytes")]
    TooLong,
    /// Over [`MAX_SERIALIZED_SESSION_BYTES`].
    #[error("a session holds at most {MAX_SERIALIZED_SESSION_BYTES} serialized bytes")]
    SerializedTooLong,
    /// The stored value or the update cannot be merged.
    #[error(transparent)]
    NotMerged(#[from] php::MergeError),
}

impl ClientSession {
    /// Returns the session for a JSON object. An empty list counts as an empty object, as in PHP.
    pub fn new(value: &Value) -> Result<Self, SessionError> {
        let text = match value {
            Value::Object(_) => value.to_string(),
            Value::Array(items) if items.is_empty() => "{}".into(),
            _ => return Err(SessionError::NoObject),
        };
        if text.len() > MAX_SESSION_BYTES { Err(SessionError::TooLong) } else { Ok(Self::Json(text.into())) }
    }

    /// Returns the session for PHP's serialized bytes; `None` for no bytes.
    pub fn serialized(bytes: &[u8]) -> Result<Option<Self>, SessionError> {
        if bytes.len() > MAX_SERIALIZED_SESSION_BYTES {
            return Err(SessionError::SerializedTooLong);
        }
        Ok((!bytes.is_empty()).then(|| Self::Serialized(bytes.into())))
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Json(text) => text.len(),
            Self::Serialized(bytes) => bytes.len(),
        }
    }

    /// Returns the session as JSON; null if it cannot be represented.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Json(text) => serde_json::from_str(text).unwrap_or_default(),
            Self::Serialized(bytes) => {
                let json = Document::read(bytes).ok().and_then(|document| document.to_json(MAX_SERIALIZED_SESSION_BYTES).ok());
                keyed(json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
            }
        }
    }

    /// Returns the session as PHP's serialized bytes.
    pub fn to_serialized(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Json(_) => {
                let mut out = php::Serializer::default();
                php::from_json(&self.to_value(), &mut out);
                out.into_bytes().into()
            }
            Self::Serialized(bytes) => (&**bytes).into(),
        }
    }

    /// Returns `update` with the keys of `before` that it does not have, as PHP's `$update + $before`.
    pub(super) fn extended(before: &Self, update: Option<&Self>) -> Result<Self, SessionError> {
        let Some(update) = update else { return Ok(before.clone()) };
        let extended = php::replace(&before.to_serialized(), &update.to_serialized(), MAX_SERIALIZED_SESSION_BYTES)?;
        Ok(Self::Serialized(extended.into()))
    }

    /// Merges as PHP's `array_replace_recursive` does: replaces keys, merges nested arrays, removes nothing. Without an earlier
    /// session the update is stored verbatim.
    pub fn merged(before: Option<&Self>, update: &Self) -> Result<Self, SessionError> {
        match (before, update) {
            (None, update) => Ok(update.clone()),
            // PHP treats "0" as empty.
            (Some(Self::Serialized(before)), update) if **before == *b"0" => Ok(update.clone()),
            (Some(Self::Json(_)), Self::Json(_)) => {
                let mut value = before.map_or_else(|| Value::Object(Map::new()), Self::to_value);
                replace(&mut value, update.to_value());
                Self::new(&value)
            }
            (Some(before), update) => {
                let merged =
                    php::replace_recursive(&before.to_serialized(), &update.to_serialized(), MAX_SERIALIZED_SESSION_BYTES)?;
                Ok(Self::Serialized(merged.into()))
            }
        }
    }
}

/// Merges two arrays (objects, and lists by their index); any other value is replaced.
fn replace(value: &mut Value, update: Value) {
    match (value, update) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, update) in from {
                match into.get_mut(&key) {
                    Some(present) => replace(present, update),
                    None => _ = into.insert(key, update),
                }
            }
        }
        (Value::Array(into), Value::Array(from)) => {
            for (place, update) in from.into_iter().enumerate() {
                match into.get_mut(place) {
                    Some(present) => replace(present, update),
                    None => into.push(update),
                }
            }
        }
        (value @ Value::Array(_), update @ Value::Object(_)) => {
            *value = keyed(std::mem::take(value));
            replace(value, update);
        }
        (value @ Value::Object(_), update @ Value::Array(_)) => replace(value, keyed(update)),
        (value, update) => *value = update,
    }
}

/// Turns a list into an object with its indices as keys.
fn keyed(list: Value) -> Value {
    match list {
        Value::Array(items) => items.into_iter().enumerate().map(|(place, item)| (place.to_string(), item)).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn updates_merge_as_in_php() {
        let check = |before: Value, update: Value, expected: Value| {
            let (before, update) = (ClientSession::new(&before).unwrap(), ClientSession::new(&update).unwrap());
            assert_eq!(ClientSession::merged(Some(&before), &update).unwrap().to_value(), expected, "{update:?}");
        };
        check(json!({"a": 1, "b": 2}), json!({"b": 3, "c": 4}), json!({"a": 1, "b": 3, "c": 4}));
        check(
            json!({"a": {"x": 1, "y": {"z": 2}}}),
            json!({"a": {"y": {"w": 3}}}),
            json!({"a": {"x": 1, "y": {"z": 2, "w": 3}}}),
        );
        check(json!({"a": [1, 2, 3]}), json!({"a": [9]}), json!({"a": [9, 2, 3]}));
        check(json!({"a": [1]}), json!({"a": []}), json!({"a": [1]}));
        check(json!({"a": [1, 2]}), json!({"a": {"1": 7, "k": 8}}), json!({"a": {"0": 1, "1": 7, "k": 8}}));
        check(json!({"a": {"k": 1}}), json!({"a": [5]}), json!({"a": {"k": 1, "0": 5}}));
        check(json!({"a": {"k": 1}}), json!({"a": null}), json!({"a": null}));
        check(json!({"a": 1}), json!({"a": {"k": 1}}), json!({"a": {"k": 1}}));
        check(json!({"a": 1}), json!([]), json!({"a": 1}));
        assert_eq!(
            ClientSession::merged(None, &ClientSession::new(&json!({"a": 1})).unwrap()).unwrap().to_value(),
            json!({"a": 1})
        );
    }

    #[test]
    fn json_and_php_read_each_others_sessions() {
        let php = |text: &str| ClientSession::serialized(text.as_bytes()).unwrap().unwrap();
        let json = |value: Value| ClientSession::new(&value).unwrap();
        let kept = php("a:2:{s:1:\"n\";i:7;s:1:\"l\";a:2:{i:0;s:1:\"x\";i:1;d:1.5;}}");
        // Key order is kept.
        assert_eq!(kept.to_value(), json!({"n": 7, "l": ["x", 1.5]}));
        assert_eq!(json(kept.to_value()).to_serialized(), kept.to_serialized());
        assert_eq!(
            ClientSession::merged(Some(&kept), &json(json!({"n": 8}))).unwrap().to_value(),
            json!({"n": 8, "l": ["x", 1.5]})
        );
        let merged = ClientSession::merged(Some(&json(json!({"a": {}}))), &php("a:1:{s:1:\"b\";i:1;}")).unwrap();
        assert_eq!(merged, php("a:2:{s:1:\"a\";a:0:{}s:1:\"b\";i:1;}"));
        // PHP's bytes are stored verbatim, even if they are not valid.
        assert_eq!(php("{\"a\":1}").to_serialized(), &b"{\"a\":1}"[..]);
        assert_eq!((php("garbage").to_value(), ClientSession::serialized(b"")), (Value::Null, Ok(None)));
        assert!(ClientSession::merged(Some(&php("garbage")), &kept).is_err());
        assert_eq!(ClientSession::merged(Some(&php("0")), &php("garbage")), Ok(php("garbage")));
    }

    #[test]
    fn m1_a_session_is_extended_by_the_keys_that_it_does_not_have() {
        let php = |text: &str| ClientSession::serialized(text.as_bytes()).unwrap().unwrap();
        let before = ClientSession::new(&json!({"bound": 7, "who": "b", "list": [1, 2]})).unwrap();
        let extended = ClientSession::extended(&before, Some(&php("a:2:{s:3:\"who\";s:1:\"w\";s:4:\"list\";a:1:{i:0;i:3;}}")));
        assert_eq!(extended.unwrap().to_value(), json!({"bound": 7, "who": "w", "list": [3]}));
        assert_eq!(ClientSession::extended(&before, None), Ok(before.clone()));
        assert!(ClientSession::extended(&before, Some(&php("garbage"))).is_err());
    }

    #[test]
    fn a_session_is_an_object_of_bounded_size() {
        assert_eq!(ClientSession::new(&json!("text")), Err(SessionError::NoObject));
        assert_eq!(ClientSession::new(&json!([1])), Err(SessionError::NoObject));
        let long = ClientSession::new(&json!({"a": "x".repeat(MAX_SESSION_BYTES - 10)})).unwrap();
        let more = ClientSession::new(&json!({"b": "y".repeat(20)})).unwrap();
        assert_eq!(ClientSession::merged(Some(&long), &more), Err(SessionError::TooLong));
    }
}
