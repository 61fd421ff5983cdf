//! An encoded WebSocket frame (RFC 6455, 5.2): made once a publish, shared by every connection that writes it.

use super::Group;
use crate::domain::{id::Seq, push::CloseCode};
use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Bytes of a close frame's reason (RFC 6455, 5.5: 125, less the code).
const MAX_REASON: usize = 123;

/// Where a frame stands in its group, so that skipping it can be told without reading it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    pub group: Group,
    pub seq: Seq,
}

#[derive(Clone, Debug)]
pub struct Frame {
    /// Header and payload, as they stand on the wire.
    pub bytes: Bytes,
    pub position: Option<Position>,
}

impl Frame {
    pub fn text(payload: &[u8]) -> Self {
        Self::encode(OpCode::Data(Data::Text), payload)
    }

    pub fn binary(payload: &[u8]) -> Self {
        Self::encode(OpCode::Data(Data::Binary), payload)
    }

    /// Bytes that go to the socket as they are: whoever sends them has made whole frames.
    pub fn raw(bytes: Bytes) -> Self {
        Self { bytes, position: None }
    }

    pub fn at(mut self, group: Group, seq: Seq) -> Self {
        self.position = Some(Position { group, seq });
        self
    }

    pub(super) fn ping() -> Self {
        Self::encode(OpCode::Control(Control::Ping), b"")
    }

    pub fn pong(payload: &[u8]) -> Self {
        Self::encode(OpCode::Control(Control::Pong), payload)
    }

    /// A control frame is short: of a longer reason the beginning is said.
    pub fn close(code: CloseCode, reason: &str) -> Self {
        let mut payload = code.0.to_be_bytes().to_vec();
        payload.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(MAX_REASON)]);
        Self::encode(OpCode::Control(Control::Close), &payload)
    }

    /// The answer to a close frame that gave no code.
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

/// One publish in the forms its receivers understand.
#[derive(Clone, Debug)]
pub struct Publication {
    pub plain: Option<Frame>,
    pub v1: Option<Frame>,
}

impl Publication {
    /// The same bytes for both dialects.
    pub fn both(frame: Frame) -> Self {
        Self { plain: Some(frame.clone()), v1: Some(frame) }
    }

    pub fn v1(frame: Frame) -> Self {
        Self { plain: None, v1: Some(frame) }
    }

    /// Bytes it holds until every shard has written it.
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
