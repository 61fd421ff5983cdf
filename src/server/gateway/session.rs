//! What a back end keeps with a connection: a JSON object, stored as its text. It ends with the connection.

use serde_json::{Map, Value};

/// Bytes of a session's text at most: it is kept for every connection, and asked for of all at once.
pub const MAX_SESSION_BYTES: usize = 16 * 1024;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session(Box<str>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotASession {
    #[error("a session is an object")]
    NoObject,
    #[error("a session holds at most {MAX_SESSION_BYTES} bytes")]
    TooLong,
}

impl Session {
    /// An object; an empty list counts as an empty one, as PHP knows no difference.
    pub fn new(value: &Value) -> Result<Self, NotASession> {
        let text = match value {
            Value::Object(_) => value.to_string(),
            Value::Array(items) if items.is_empty() => "{}".into(),
            _ => return Err(NotASession::NoObject),
        };
        if text.len() > MAX_SESSION_BYTES { Err(NotASession::TooLong) } else { Ok(Self(text.into())) }
    }

    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// `array_replace_recursive`: keys are replaced, arrays within are merged, nothing is ever removed.
    pub fn merged(before: Option<&Self>, update: &Self) -> Result<Self, NotASession> {
        let mut value = before.map_or_else(|| Value::Object(Map::new()), Self::to_value);
        replace(&mut value, update.to_value());
        Self::new(&value)
    }
}

/// Two arrays (objects and lists alike, lists by their positions) are merged; anything else replaces.
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

/// A list as the object its positions make it.
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
    fn updates_merge_as_php_does_it() {
        let check = |before: Value, update: Value, expected: Value| {
            let (before, update) = (Session::new(&before).unwrap(), Session::new(&update).unwrap());
            assert_eq!(Session::merged(Some(&before), &update).unwrap().to_value(), expected, "{update:?}");
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
        assert_eq!(Session::merged(None, &Session::new(&json!({"a": 1})).unwrap()).unwrap().to_value(), json!({"a": 1}));
    }

    #[test]
    fn a_session_is_an_object_of_bounded_size() {
        assert_eq!(Session::new(&json!("text")), Err(NotASession::NoObject));
        assert_eq!(Session::new(&json!([1])), Err(NotASession::NoObject));
        let long = Session::new(&json!({"a": "x".repeat(MAX_SESSION_BYTES - 10)})).unwrap();
        let more = Session::new(&json!({"b": "y".repeat(20)})).unwrap();
        assert_eq!(Session::merged(Some(&long), &more), Err(NotASession::TooLong));
    }
}
