//! Encodes a back end's payload for both dialects, once per publish. Only this file looks into a payload; the gateway does
//! not.

use crate::domain::push::OWN_TYPES;
use crate::server::gateway::{Frame, Publication};
use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;

/// Matches a JSON object with one string `type`: such a payload is a push already.
#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
}

/// Encodes a payload: unchanged for the plain dialect; for `roomcast.v1`, which requires an object with a `type`, it is wrapped
/// into `{"type":"data","data":…}` unless it is one, with a type that is not one of the server's own. `to_json` returns the payload as JSON for the wrapper.
pub fn publication(payload: &[u8], to_json: impl FnOnce() -> String) -> Publication {
    let plain = Frame::text(payload);
    // serde_json does not validate UTF-8 in ignored fields, and a text frame with invalid UTF-8 ends a page's connection.
    let is_push = |text: &str| {
        let typed = text.trim_ascii_start().starts_with('{').then(|| serde_json::from_str::<Typed>(text).ok()).flatten();
        typed.is_some_and(|Typed { r#type }| !OWN_TYPES.contains(&r#type.as_ref()))
    };
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
    fn f22_a_payload_of_an_own_type_is_data_on_v1_and_verbatim_on_plain() {
        for own in OWN_TYPES {
            check(format!(r#"{{"type":"{own}","seq":9}}"#).as_bytes(), r#"{"type":"data","data":7}"#);
        }
        check(br#" { "a":1, "\u0074ype" : "mess\u0061ge" }"#, r#"{"type":"data","data":7}"#);
        check(br#"{"type":"Message"}"#, r#"{"type":"Message"}"#);
        check(br#"{"type":"data","data":1}"#, r#"{"type":"data","data":1}"#);
    }

    #[test]
    fn payloads_without_a_type_are_wrapped_for_v1() {
        check(b"hello", r#"{"type":"data","data":7}"#);
        check(br#" {"type":"x","a":1}"#, r#" {"type":"x","a":1}"#);
        check(br#"{"type":1}"#, r#"{"type":"data","data":7}"#);
        check(b"{\"type\":\"x\",\"a\":\"\xff\"}", r#"{"type":"data","data":7}"#);
        check(b"{broken", r#"{"type":"data","data":7}"#);
        check(b"\xff", r#"{"type":"data","data":7}"#);
        check(br#"{"type":"x","type":"y"}"#, r#"{"type":"data","data":7}"#);
        assert_eq!(&raw(Bytes::from_static(b"\x81\x02hi")).unwrap().plain.unwrap().bytes[..], b"\x81\x02hi");
        assert!(raw(Bytes::new()).is_none());
    }
}
