//! What a back end pushes, in the two forms its receivers understand (README, “push gateway”). The gateway never looks into a
//! payload; the doors do, once a publish.

use crate::server::gateway::{Frame, Publication};
use bytes::Bytes;
use serde::Deserialize;

/// An object with a `type` is a push as it is.
#[derive(Deserialize)]
struct HasType {
    #[expect(dead_code, reason = "that it is there is what counts")]
    r#type: String,
}

/// Old pages get `payload` as it is. `roomcast.v1` wants an object with a `type`: what is none is wrapped as `data`, which
/// `json` writes.
pub fn publication(payload: &[u8], json: impl FnOnce() -> String) -> Publication {
    let plain = Frame::text(payload);
    // What is passed over in JSON is not looked at, and a text frame that is no UTF-8 ends a page's connection.
    let is_push = |text: &str| text.trim_ascii_start().starts_with('{') && serde_json::from_str::<HasType>(text).is_ok();
    if std::str::from_utf8(payload).is_ok_and(is_push) {
        return Publication::both(plain);
    }
    let wrapped = format!(r#"{{"type":"data","data":{}}}"#, json());
    Publication { plain: Some(plain), v1: Some(Frame::text(wrapped.as_bytes())) }
}

/// Whole frames of the caller's own making; what they are is between it and its pages. `None`: nothing is no frame.
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
    fn the_two_forms_of_a_payload() {
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
