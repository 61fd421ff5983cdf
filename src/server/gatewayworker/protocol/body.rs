//! The body of a command, converted to the message that sockets receive (protocol.md, 3.2 and 8.1).

use super::packet::{MAX_PACKET_BYTES, PLAIN, RAW};
use crate::server::gateway::Publication;
use crate::server::payload;
use crate::server::php::{Document, Node, ToJsonError, UnserializeError};
use bytes::Bytes;

/// Why a body cannot be sent. A GatewayWorker process ends at each of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The body is not a serialized value.
    #[error(transparent)]
    Unserialize(#[from] UnserializeError),
    /// The value is a boolean, a number or a reference.
    #[error("a serialized number or boolean is not a message")]
    Scalar,
    /// The value is no text, and the body is to be frames. GatewayWorker writes its JSON, which is no frame, to the socket.
    #[error("raw frames are given as text")]
    RawNotText,
    /// The value has no JSON.
    #[error("no JSON: {0}")]
    ToJson(#[from] ToJsonError),
}

/// A decoded body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Body {
    /// Bytes, or a serialized string.
    Text(Bytes),
    /// The JSON of an array or an object.
    Json(String),
    /// A serialized null.
    Null,
}

impl Body {
    /// Decodes a body, serialized or not, as the flag says.
    pub(crate) fn decode(flag: u8, body: &Bytes) -> Result<Self, BodyError> {
        if flag & PLAIN != 0 {
            return Ok(Self::Text(body.clone()));
        }
        let document = Document::read(body)?;
        match document.root() {
            Node::Null | Node::Array(_) | Node::Object { .. } | Node::Opaque(_) if flag & RAW != 0 => Err(BodyError::RawNotText),
            Node::Text(text) => Ok(Self::Text(body.slice_ref(text))),
            Node::Null => Ok(Self::Null),
            Node::Array(_) | Node::Object { .. } | Node::Opaque(_) => Ok(Self::Json(document.to_json(MAX_PACKET_BYTES)?)),
            Node::Bool(_) | Node::Int(_) | Node::Float(_) | Node::Reference(_) | Node::SameObject(_) => Err(BodyError::Scalar),
        }
    }

    /// Converts the body to both dialects. Returns `None` if there is nothing to send.
    pub(crate) fn into_publication(self, flag: u8) -> Option<Publication> {
        let is_text = matches!(self, Self::Text(_));
        let bytes = match self {
            Self::Text(text) => text,
            Self::Json(json) => json.into(),
            Self::Null => Bytes::from_static(b"null"),
        };
        if flag & RAW != 0 {
            // A copy, so that a slow reader's queue does not hold the whole packet.
            return payload::raw(Bytes::copy_from_slice(&bytes));
        }
        // Dialect v1 carries JSON: bytes that are not UTF-8 are replaced.
        let json = || match String::from_utf8_lossy(&bytes) {
            text if is_text => serde_json::to_string(&text).unwrap_or_default(),
            json => json.into_owned(),
        };
        Some(payload::publication(&bytes, json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flag: u8, body: &'static [u8], plain: &[u8], v1: &[u8]) {
        let publication = Body::decode(flag, &Bytes::from_static(body)).unwrap().into_publication(flag).unwrap();
        assert_eq!(&publication.plain.unwrap().bytes[2..], plain);
        assert_eq!(&publication.v1.unwrap().bytes[2..], v1);
    }

    #[test]
    fn bodies_become_frames_in_both_dialects() {
        check(PLAIN, b"hi", b"hi", br#"{"type":"data","data":"hi"}"#);
        check(PLAIN, b"", b"", br#"{"type":"data","data":""}"#);
        check(PLAIN, b"\xff", b"\xff", "{\"type\":\"data\",\"data\":\"\u{fffd}\"}".as_bytes());
        check(PLAIN, br#"{"type":"x"}"#, br#"{"type":"x"}"#, br#"{"type":"x"}"#);
        check(0, b"s:2:\"hi\";", b"hi", br#"{"type":"data","data":"hi"}"#);
        check(0, b"N;", b"null", br#"{"type":"data","data":null}"#);
        check(
            0,
            b"a:1:{s:1:\"k\";s:5:\"a/\xe5\xbc\xa0\";}",
            "{\"k\":\"a\\/张\"}".as_bytes(),
            "{\"type\":\"data\",\"data\":{\"k\":\"a\\/张\"}}".as_bytes(),
        );
        check(0, b"a:1:{s:4:\"type\";s:1:\"x\";}", br#"{"type":"x"}"#, br#"{"type":"x"}"#);
        let raw = Body::decode(PLAIN | RAW, &Bytes::from_static(b"\x82\x01x")).unwrap().into_publication(PLAIN | RAW).unwrap();
        assert_eq!(&raw.v1.unwrap().bytes[..], b"\x82\x01x");
        assert!(Body::Text(Bytes::new()).into_publication(RAW).is_none());
    }

    #[test]
    fn l1_raw_frames_that_are_an_array_or_null_are_rejected() {
        for body in [&b"a:1:{s:1:\"k\";i:1;}"[..], b"a:0:{}", b"N;", b"O:8:\"stdClass\":0:{}"] {
            assert_eq!(Body::decode(RAW, &Bytes::copy_from_slice(body)), Err(BodyError::RawNotText), "{body:?}");
            assert!(Body::decode(0, &Bytes::copy_from_slice(body)).is_ok(), "{body:?}");
        }
        assert!(Body::decode(RAW, &Bytes::from_static(b"s:3:\"\x81\x01x\";")).is_ok());
    }

    #[test]
    fn bodies_that_end_a_gatewayworker_process_are_rejected() {
        for body in [&b"i:5;"[..], b"b:0;", b"d:1.5;", b"garbage", b"", b"s:1:\"\xff", b"a:1:{i:0;s:1:\"\xff\";}"] {
            assert!(Body::decode(0, &Bytes::copy_from_slice(body)).is_err(), "{body:?}");
        }
    }
}
