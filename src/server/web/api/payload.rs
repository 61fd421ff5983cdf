//! What a back end pushes, in the two forms its receivers understand (DESIGN.md 3.1). The gateway never looks into a
//! payload; this door does, once a publish.

use crate::server::gateway::{Frame, Publication};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

/// An object with a `type` is a push as it is.
#[derive(Deserialize)]
struct HasType {
    #[expect(dead_code, reason = "that it is there is what counts")]
    r#type: String,
}

/// Texts go as they are; numbers and the rest as their JSON. `roomcast.v1` wants an object with a `type`: what is none is
/// wrapped as `data`.
pub fn publication(message: &Value) -> Publication {
    let text = text(message);
    let plain = Frame::text(text.as_bytes());
    if text.trim_start().starts_with('{') && serde_json::from_str::<HasType>(&text).is_ok() {
        return Publication::both(plain);
    }
    let wrapped = json!({"type": "data", "data": message}).to_string();
    Publication { plain: Some(plain), v1: Some(Frame::text(wrapped.as_bytes())) }
}

/// Whole frames of the caller's own making; what they are is between it and its pages.
pub fn raw(message: &Value, is_base64: bool) -> Option<Publication> {
    let text = message.as_str().filter(|text| !text.is_empty())?;
    let bytes = if is_base64 { Bytes::from(BASE64_STANDARD.decode(text).ok()?) } else { Bytes::copy_from_slice(text.as_bytes()) };
    Some(Publication::both(Frame::raw(bytes)))
}

fn text(message: &Value) -> String {
    match message {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: Value, plain: &str, v1: &str) {
        let publication = publication(&message);
        let payload = |frame: Option<Frame>| frame.map(|frame| frame.bytes.slice(2..)).unwrap();
        assert_eq!(payload(publication.plain), plain.as_bytes(), "{message}");
        assert_eq!(payload(publication.v1), v1.as_bytes(), "{message}");
    }

    #[test]
    fn the_two_forms_of_a_payload() {
        check(json!("hello"), "hello", r#"{"data":"hello","type":"data"}"#);
        check(json!(r#" {"type":"x","a":1}"#), r#" {"type":"x","a":1}"#, r#" {"type":"x","a":1}"#);
        check(json!({"type": "x"}), r#"{"type":"x"}"#, r#"{"type":"x"}"#);
        check(json!({"type": 1}), r#"{"type":1}"#, r#"{"data":{"type":1},"type":"data"}"#);
        check(json!([1, 2]), "[1,2]", r#"{"data":[1,2],"type":"data"}"#);
        check(json!(7.5), "7.5", r#"{"data":7.5,"type":"data"}"#);
        check(Value::Null, "null", r#"{"data":null,"type":"data"}"#);
        check(json!(""), "", r#"{"data":"","type":"data"}"#);
        check(json!("{broken"), "{broken", r#"{"data":"{broken","type":"data"}"#);
        assert_eq!(&raw(&json!("gQJoaQ=="), true).unwrap().plain.unwrap().bytes[..], b"\x81\x02hi");
        assert!(raw(&json!("not base64!"), true).is_none() && raw(&json!(1), false).is_none());
    }
}
