//! Encoded WebSocket frames (RFC 6455, 5.2). A frame is encoded once per publish and shared by all its receivers.

use super::Group;
use crate::domain::{change::Rev, id::Seq, push::CloseCode};
use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Bytes of a close frame's reason: 125 for a control frame's payload (RFC 6455, 5.5), less two for the code.
const MAX_REASON: usize = 123;

/// A frame's position in its group, so that a skipped frame is reported without parsing it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// The group whose name a `gap` reports as the room.
    pub group: Group,
    /// Its number there.
    pub number: Number,
}

/// The two numberings of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Number {
    /// Of a message.
    Seq(Seq),
    /// Of a frame that stands for several messages: the first and the last.
    Seqs(Seq, Seq),
    /// Of a change.
    Rev(Rev),
}

/// An encoded frame. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Header and payload as on the wire.
    pub bytes: Bytes,
    /// Set for numbered messages and changes; frames without a position are dropped without a gap.
    pub position: Option<Position>,
}

impl Frame {
    /// A text frame. The payload must be UTF-8.
    pub fn text(payload: &[u8]) -> Self {
        Self::encode(OpCode::Data(Data::Text), payload)
    }

    /// A binary frame.
    pub fn binary(payload: &[u8]) -> Self {
        Self::encode(OpCode::Data(Data::Binary), payload)
    }

    /// Bytes that are written verbatim: the caller has encoded whole frames.
    pub fn raw(bytes: Bytes) -> Self {
        Self { bytes, position: None }
    }

    /// Sets the frame's position among the messages of a group.
    pub fn at(self, group: Group, seq: Seq) -> Self {
        self.at_number(group, Number::Seq(seq))
    }

    /// Sets the frame's position in place of the messages of a group from `from` to `to`.
    pub fn over(self, group: Group, from: Seq, to: Seq) -> Self {
        self.at_number(group, Number::Seqs(from, to))
    }

    /// Sets the frame's position among the changes of a group.
    pub fn at_rev(self, group: Group, rev: Rev) -> Self {
        self.at_number(group, Number::Rev(rev))
    }

    fn at_number(self, group: Group, number: Number) -> Self {
        Self { position: Some(Position { group, number }), ..self }
    }

    pub(super) fn ping() -> Self {
        Self::encode(OpCode::Control(Control::Ping), b"")
    }

    /// A pong frame; `payload` is the ping's.
    pub fn pong(payload: &[u8]) -> Self {
        Self::encode(OpCode::Control(Control::Pong), payload)
    }

    /// A close frame. A reason over 123 bytes is truncated at a character boundary.
    pub fn close(code: CloseCode, reason: &str) -> Self {
        let mut payload = code.0.to_be_bytes().to_vec();
        payload.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(MAX_REASON)]);
        Self::encode(OpCode::Control(Control::Close), &payload)
    }

    /// A close frame without a code: the answer to one without a code.
    pub fn close_without_code() -> Self {
        Self::encode(OpCode::Control(Control::Close), b"")
    }

    fn encode(opcode: OpCode, payload: &[u8]) -> Self {
        let header = FrameHeader { is_final: true, opcode, ..FrameHeader::default() };
        let length = payload.len() as u64;
        let mut bytes = Vec::with_capacity(header.len(length) + payload.len());
        let written = header.format(length, &mut bytes);
        debug_assert!(written.is_ok(), "writing into a Vec does not fail");
        bytes.extend_from_slice(payload);
        Self { bytes: bytes.into(), position: None }
    }
}

/// The content of a publish, encoded for each dialect.
#[derive(Clone, Debug)]
pub struct Publication {
    /// For connections without subprotocol; `None`: not sent to them.
    pub plain: Option<Frame>,
    /// For connections on `roomcast.v1`; `None`: not sent to them.
    pub v1: Option<Frame>,
}

impl Publication {
    /// The same frame for both dialects.
    pub fn both(frame: Frame) -> Self {
        Self { plain: Some(frame.clone()), v1: Some(frame) }
    }

    /// A frame for `roomcast.v1` only.
    pub fn v1(frame: Frame) -> Self {
        Self { plain: None, v1: Some(frame) }
    }

    /// Bytes it occupies until every shard has written it.
    pub(super) fn weight(&self) -> usize {
        let weight = |frame: &Option<Frame>| frame.as_ref().map_or(0, |frame| frame.bytes.len());
        weight(&self.plain) + weight(&self.v1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_final_and_unmasked_with_the_shortest_length() {
        assert_eq!(&Frame::text(b"hi").bytes[..], b"\x81\x02hi");
        assert_eq!(&Frame::text(&[b'x'; 126]).bytes[..4], b"\x81\x7e\x00\x7e");
        assert_eq!(&Frame::text(&[b'x'; 65536]).bytes[..10], b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00");
        assert_eq!(&Frame::ping().bytes[..], b"\x89\x00");
        assert_eq!(&Frame::close(CloseCode::SLOW, "slow").bytes[..], b"\x88\x06\x11\x39slow");
    }
}
