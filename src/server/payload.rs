//! Encodes a back end's payload for both dialects, once per publish. Only this file looks into a payload; the gateway does
//! not.

use crate::server::gateway::{Frame, Publication};
use bytes::Bytes;
use serde::Deserialize;

/// Matches a JSON object with a string `type`: such a payload is a push already.
#[derive(Deserialize)]
struct HasType {
    #[expect(dead_code, reason = "only its presence matters")]
    r#type: String,
}

/// Encodes a payload: unchanged for the plain dialect; for `roomcast.v1`, which requires an object with a `type`, it is wrapped
/// into `{"type":"data","data":…}` unless it is one. `to_json` returns the payload as JSON for the wrapper.
pub fn publication(payload: &[u8], to_json: impl FnOnce() -> String) -> Publication {
    let plain = Frame::text(payload);
    // serde_json does not validate UTF-8 in ignored fields, and a text frame with invalid UTF-8 ends a page's connection.
    let is_push = |text: &str| text.trim_ascii_start().starts_with('{') && serde_json::from_str::<HasType>(text).is_ok();
    if std::str::from_utf8(payload).is_ok_and(is_push) {
        return Publication::both(plain);
    }
    let wrapped = format!(r#"{{"type":"data","data":{}}}"#, to_json());
    Publication { plain: Some(plain), v1: Some(Frame::text(wrapped.as_bytes())) }
}

/// A publication of complete frames that the caller has encoded, for both dialects, unchecked. `None`: no bytes.
pub fn raw(bytes: Bytes) -> Option<Publication> {
    (!bytes.is_empty()).then(|| Publication::both(Frame::raw(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(payload: &[u8], v1: &str) {
        let publication = publication(payload, || "7".to_owned());
        let payload_of = |frame: Option<Frame>| frame.map(|frame| frame.bytes.slice(2..)).unwrap();
        assert_eq!(payload_of(publication.plain), payload);
        assert_eq!(payload_of(publication.v1), v1.as_bytes());
    }

    #[test]
    fn payloads_without_a_type_are_wrapped_for_v1() {
        check(b"hello", r#"{"type":"data","data":7}"#);
        check(br#" {"type":"x","a":1}"#, r#" {"type":"x","a":1}"#);
        check(br#"{"type":1}"#, r#"{"type":"data","data":7}"#);
        check(b"{\"type\":\"x\",\"a\":\"\xff\"}", r#"{"type":"data","data":7}"#);
        check(b"{broken", r#"{"type":"data","data":7}"#);
        check(b"\xff", r#"{"type":"data","data":7}"#);
        assert_eq!(&raw(Bytes::from_static(b"\x81\x02hi")).unwrap().plain.unwrap().bytes[..], b"\x81\x02hi");
        assert!(raw(Bytes::new()).is_none());
    }
}
