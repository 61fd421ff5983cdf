//! Decodes the frames that a client sends (RFC 6455), within limits.
//!
//! With `gateway.workers = "off"` the connection drops the decoded messages: the socket is one way. With `"on"` they become
//! [`EventKind::Message`](super::EventKind), which wait while no worker is connected. Messages are reassembled and
//! checked in either case, so that the decoder can be tested against the Autobahn cases (tests/echo).

use crate::domain::push::CloseCode;
use std::collections::VecDeque;
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Payload bytes of a control frame (RFC 6455, 5.5).
const MAX_CONTROL: u64 = 125;
/// RFC 6455, 5.2: the highest bit of a length is 0.
const MAX_FRAME: u64 = u64::MAX >> 1;
/// The period of [`InboundLimits::frames_per_second`].
const RATE_PERIOD_MS: u64 = 1000;
/// Bytes of a frame header with the longest length and a mask.
const MAX_HEADER: usize = 14;

/// Limits of a client's input; beyond them the connection is closed with 4408.
#[derive(Clone, Copy, Debug)]
pub struct InboundLimits {
    /// Bytes per message.
    pub message_bytes: u64,
    /// Frames of any kind in any period of one second.
    pub frames_per_second: usize,
}

impl Default for InboundLimits {
    /// The limits of a one-way socket.
    fn default() -> Self {
        Self { message_bytes: 1024, frames_per_second: 10 }
    }
}

/// A decoded message or control frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// A whole message.
    Message {
        /// Text, checked to be UTF-8, or binary.
        text: bool,
        /// The reassembled payload.
        payload: Vec<u8>,
    },
    /// A ping with its payload.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// A close frame with its code, if it has one. Nothing is decoded after it.
    Close(Option<CloseCode>),
}

/// A decoder that accepts its input in pieces of any size.
#[derive(Default)]
pub struct FrameDecoder {
    limits: InboundLimits,
    header: Vec<u8>,
    frame: Option<OpenFrame>,
    /// `control`: payload so far of a control frame. `message`: payload so far of the current message. Separate, because a
    /// control frame may come between two fragments.
    control: Vec<u8>,
    message: Vec<u8>,
    /// Length of the prefix of a text message that is checked to be valid UTF-8.
    checked_utf8: usize,
    /// Text or binary, while a fragmented message is incomplete.
    fragmented: Option<Data>,
    /// Arrival times, in ms, of the frames within the last second.
    frame_times: VecDeque<u64>,
    /// Data frames since the caller last reset this to 0.
    pub data_frames: u64,
}

struct OpenFrame {
    header: FrameHeader,
    remaining: u64,
    mask_at: usize,
}

impl FrameDecoder {
    /// Returns a decoder with these limits.
    pub fn new(limits: InboundLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Whether no frame or message is incomplete. An idle decoder holds only its rate counters.
    pub fn is_idle(&self) -> bool {
        self.frame.is_none() && self.header.is_empty() && self.fragmented.is_none()
    }

    /// Frames that count against the limit of the last second.
    pub fn recent_frames(&self, now_ms: u64) -> usize {
        self.frame_times.iter().filter(|at| now_ms.saturating_sub(**at) < RATE_PERIOD_MS).count()
    }

    /// Decodes `bytes` and calls `emit` for each message and control frame. `now_ms` is a monotonic clock. Fails with the code
    /// to close with; nothing may be fed after an error or after [`Decoded::Close`].
    pub fn feed(&mut self, mut bytes: &[u8], now_ms: u64, mut emit: impl FnMut(Decoded)) -> Result<(), CloseCode> {
        loop {
            let Some(open) = &mut self.frame else {
                if bytes.is_empty() {
                    return Ok(());
                }
                bytes = self.read_header(bytes, now_ms)?;
                continue;
            };
            let count = open.remaining.min(bytes.len() as u64) as usize;
            let (payload, rest) = bytes.split_at(count);
            let mask = open.header.mask.unwrap_or_default();
            let at = open.mask_at;
            let unmasked = payload.iter().enumerate().map(|(i, byte)| byte ^ mask[(at + i) % 4]);
            match open.header.opcode {
                OpCode::Control(_) => self.control.extend(unmasked),
                OpCode::Data(data) => {
                    self.message.extend(unmasked);
                    if self.fragmented.unwrap_or(data) == Data::Text {
                        self.checked_utf8 += valid_utf8_prefix(&self.message[self.checked_utf8..])?;
                    }
                }
            }
            open.mask_at += count;
            open.remaining -= count as u64;
            bytes = rest;
            if open.remaining > 0 {
                return Ok(());
            }
            if let Some(open) = self.frame.take()
                && let Some(ended) = self.finish_frame(open.header)?
            {
                // RFC 6455, 5.5.1: data after a close frame is ignored.
                let is_last = matches!(ended, Decoded::Close(_));
                emit(ended);
                if is_last {
                    return Ok(());
                }
            }
        }
    }

    /// Consumes bytes until a header is complete, and starts its frame if the header is valid.
    fn read_header<'a>(&mut self, bytes: &'a [u8], now_ms: u64) -> Result<&'a [u8], CloseCode> {
        let before = self.header.len();
        self.header.extend(bytes.iter().take(MAX_HEADER - before));
        let mut cursor = Cursor::new(&self.header);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| CloseCode::PROTOCOL_ERROR)?;
        let Some((header, length)) = parsed else { return Ok(&bytes[self.header.len() - before..]) };
        let used = cursor.position() as usize - before;
        self.header = Vec::new();
        self.check_header(&header, length, now_ms)?;
        self.frame = Some(OpenFrame { header, remaining: length, mask_at: 0 });
        Ok(&bytes[used..])
    }

    fn check_header(&mut self, header: &FrameHeader, length: u64, now_ms: u64) -> Result<(), CloseCode> {
        let reserved = header.rsv1 || header.rsv2 || header.rsv3;
        let is_expected = match header.opcode {
            OpCode::Data(Data::Continue) => self.fragmented.is_some(),
            OpCode::Data(Data::Text | Data::Binary) => self.fragmented.is_none(),
            OpCode::Control(Control::Close | Control::Ping | Control::Pong) => header.is_final && length <= MAX_CONTROL,
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => false,
        };
        if header.mask.is_none() || reserved || !is_expected || length > MAX_FRAME {
            return Err(CloseCode::PROTOCOL_ERROR);
        }
        while self.frame_times.front().is_some_and(|at| now_ms.saturating_sub(*at) >= RATE_PERIOD_MS) {
            self.frame_times.pop_front();
        }
        self.frame_times.push_back(now_ms);
        // `message` holds complete frames here: the payload of this one has not started.
        let message_bytes = match header.opcode {
            OpCode::Control(_) => 0,
            OpCode::Data(_) => self.message.len() as u64 + length,
        };
        if self.frame_times.len() > self.limits.frames_per_second || message_bytes > self.limits.message_bytes {
            return Err(CloseCode::INBOUND_LIMIT);
        }
        Ok(())
    }

    /// Handles a complete frame.
    fn finish_frame(&mut self, header: FrameHeader) -> Result<Option<Decoded>, CloseCode> {
        match header.opcode {
            OpCode::Control(control) => {
                let payload = std::mem::take(&mut self.control);
                match control {
                    Control::Ping => Ok(Some(Decoded::Ping(payload))),
                    Control::Close => parse_close(&payload).map(Decoded::Close).map(Some),
                    _ => Ok(Some(Decoded::Pong)),
                }
            }
            OpCode::Data(data) => {
                self.data_frames += 1;
                let kind = self.fragmented.take().unwrap_or(data);
                if !header.is_final {
                    self.fragmented = Some(kind);
                    return Ok(None);
                }
                let text = kind == Data::Text;
                let payload = std::mem::take(&mut self.message);
                if text && std::mem::take(&mut self.checked_utf8) < payload.len() {
                    return Err(CloseCode::NOT_UTF8);
                }
                Ok(Some(Decoded::Message { text, payload }))
            }
        }
    }
}

/// Returns the length of the valid prefix; a last character may be incomplete. Fails if the text is not UTF-8.
fn valid_utf8_prefix(text: &[u8]) -> Result<usize, CloseCode> {
    match std::str::from_utf8(text) {
        Ok(_) => Ok(text.len()),
        Err(cut) if cut.error_len().is_none() => Ok(cut.valid_up_to()),
        Err(_) => Err(CloseCode::NOT_UTF8),
    }
}

/// Parses a close frame's payload (RFC 6455, 5.5.1 and 7.4): empty, or a code that is valid on the wire and a UTF-8 reason.
fn parse_close(payload: &[u8]) -> Result<Option<CloseCode>, CloseCode> {
    match payload {
        [] => Ok(None),
        [_] => Err(CloseCode::PROTOCOL_ERROR),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(CloseCode::PROTOCOL_ERROR);
            }
            std::str::from_utf8(reason).map_err(|_| CloseCode::NOT_UTF8)?;
            Ok(Some(CloseCode(code)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A masked client frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..126 => bytes.push(0x80 | length as u8),
            length => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        bytes.extend(mask);
        bytes.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]));
        bytes
    }

    fn feed(bytes: &[u8]) -> Result<Vec<Decoded>, CloseCode> {
        let mut events = Vec::new();
        FrameDecoder::default().feed(bytes, 0, |decoded| events.push(decoded))?;
        Ok(events)
    }

    fn text(text: &str) -> Decoded {
        Decoded::Message { text: true, payload: text.into() }
    }

    #[test]
    fn each_violation_has_its_close_code() {
        let cat = |frames: &[Vec<u8>]| frames.concat();
        assert_eq!(feed(&frame(0x81, b"hello")), Ok(vec![text("hello")]));
        assert_eq!(
            feed(&cat(&[frame(0x01, b"n\xc3"), frame(0x89, b"p"), frame(0x00, b""), frame(0x80, b"\xa9e")])),
            Ok(vec![Decoded::Ping(b"p".into()), text("née")])
        );
        assert_eq!(feed(b"\x81\x02hi"), Err(CloseCode::PROTOCOL_ERROR), "unmasked");
        assert_eq!(feed(&frame(0xc1, b"x")), Err(CloseCode::PROTOCOL_ERROR), "reserved bit");
        assert_eq!(feed(&frame(0x83, b"x")), Err(CloseCode::PROTOCOL_ERROR), "reserved opcode");
        assert_eq!(feed(&frame(0x80, b"x")), Err(CloseCode::PROTOCOL_ERROR), "continuation of nothing");
        assert_eq!(feed(&cat(&[frame(0x01, b"a"), frame(0x81, b"b")])), Err(CloseCode::PROTOCOL_ERROR), "message in a message");
        assert_eq!(feed(&frame(0x09, b"")), Err(CloseCode::PROTOCOL_ERROR), "fragmented ping");
        assert_eq!(feed(&frame(0x89, &[0; 126])), Err(CloseCode::PROTOCOL_ERROR), "long ping");
        assert_eq!(feed(&frame(0x81, b"\xff")), Err(CloseCode::NOT_UTF8));
        assert_eq!(feed(&frame(0x01, b"\xff")[..7]), Err(CloseCode::NOT_UTF8), "before its message is whole");
        assert_eq!(feed(&frame(0x81, b"\xf4\x90\x80\x80")[..8]), Err(CloseCode::NOT_UTF8), "before its frame is whole");
        assert_eq!(feed(&frame(0x81, b"\xc3")), Err(CloseCode::NOT_UTF8), "a cut character");
        let binary = Decoded::Message { text: false, payload: b"\xff".into() };
        assert_eq!(feed(&frame(0x82, b"\xff")), Ok(vec![binary]), "binary need not be UTF-8");
        assert_eq!(feed(&frame(0x81, &[b'x'; 1024])), Ok(vec![text(&"x".repeat(1024))]));
        assert_eq!(feed(&frame(0x81, &[b'x'; 1025])), Err(CloseCode::INBOUND_LIMIT));
        assert_eq!(
            feed(&cat(&[frame(0x01, &[b'x'; 1000]), frame(0x80, &[b'x'; 25])])),
            Err(CloseCode::INBOUND_LIMIT),
            "long in parts"
        );
        let endless = [&frame(0x01, b"x")[..], b"\x80\xff", &[0xff; 8], &[0; 4]].concat();
        assert_eq!(feed(&endless), Err(CloseCode::PROTOCOL_ERROR), "a length over 2^63");
        let within = [frame(0x01, &[b'x'; 1000]), frame(0x89, &[b'p'; 125]), frame(0x80, &[b'x'; 24])];
        assert!(feed(&cat(&within)).is_ok(), "a ping does not count towards the message");
        assert_eq!(feed(&cat(&vec![frame(0x81, b"x"); 10])), Ok(vec![text("x"); 10]));
        assert_eq!(feed(&cat(&vec![frame(0x81, b"x"); 11])), Err(CloseCode::INBOUND_LIMIT));
        assert_eq!(feed(&frame(0x88, b"\x03\xe8bye")), Ok(vec![Decoded::Close(Some(CloseCode(1000)))]));
        assert_eq!(feed(&frame(0x88, b"")), Ok(vec![Decoded::Close(None)]));
        assert_eq!(
            feed(&cat(&[frame(0x88, b""), frame(0x89, b""), frame(0x83, b"")])),
            Ok(vec![Decoded::Close(None)]),
            "nothing is decoded after a close frame"
        );
        for bad in [&b"\x03"[..], b"\x03\xed", b"\x00\x00"] {
            assert_eq!(feed(&frame(0x88, bad)), Err(CloseCode::PROTOCOL_ERROR), "{bad:?}");
        }
        assert_eq!(feed(&frame(0x88, b"\x03\xe8\xff")), Err(CloseCode::NOT_UTF8));
    }

    #[test]
    fn the_rate_limit_is_per_second() {
        let mut incoming = FrameDecoder::default();
        for second in 0..5 {
            assert_eq!(incoming.feed(&frame(0x81, b"x").repeat(10), second * 1000, |_| ()), Ok(()));
        }
        assert_eq!(incoming.data_frames, 50);
        assert_eq!(incoming.feed(&frame(0x81, b"x"), 4999, |_| ()), Err(CloseCode::INBOUND_LIMIT), "any second, not the clock's");
    }

    proptest! {
        #[test]
        fn input_cut_anywhere_decodes_the_same(frames in prop::collection::vec((0..6usize, prop::collection::vec(any::<u8>(), 0..200)), 0..8), cuts in prop::collection::vec(1..40usize, 0..40)) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, payload)| frame([0x81, 0x82, 0x89, 0x8a, 0x88, 0x01][*kind], payload)).collect();
            let mut events = Vec::new();
            let mut incoming = FrameDecoder::default();
            let mut result = Ok(());
            let (mut rest, mut cuts) = (&bytes[..], cuts.into_iter());
            while !rest.is_empty() && result.is_ok() && !matches!(events.last(), Some(Decoded::Close(_))) {
                let (piece, after) = rest.split_at(cuts.next().unwrap_or(usize::MAX).min(rest.len()));
                result = incoming.feed(piece, 0, |decoded| events.push(decoded));
                rest = after;
            }
            let whole = feed(&bytes);
            prop_assert_eq!(result.map(|()| events), whole);
        }

        #[test]
        fn arbitrary_bytes_neither_panic_nor_exceed_the_limits(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            let mut incoming = FrameDecoder::default();
            let _ = incoming.feed(&bytes, 0, |_| ());
            prop_assert!(incoming.message.len() + incoming.control.len() <= 1024 + 125);
        }
    }
}
