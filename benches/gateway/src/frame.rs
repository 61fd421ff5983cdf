//! WebSocket frames (RFC 6455, 5.2): decodes frames of a server, encodes frames of both sides.

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// Sec-WebSocket-Key of every handshake: the RFC's example, whose Sec-WebSocket-Accept is known.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub struct Frame<'a> {
    pub opcode: u8,
    pub payload: &'a [u8],
    /// Bytes of the whole frame, header included.
    pub length: usize,
}

/// Returns the first frame, or `None` if it is incomplete. Server frames are unmasked, and none of these servers fragments.
pub fn read(bytes: &[u8]) -> Option<Frame<'_>> {
    let [first, second, rest @ ..] = bytes else { return None };
    let (header, length) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*rest.first_chunk()?) as usize),
        short => (2, usize::from(short)),
    };
    let payload = bytes.get(header..header + length)?;
    Some(Frame { opcode: first & 0x0f, payload, length: header + length })
}

/// Returns an unmasked frame.
pub fn from_server(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ ..126 => frame.push(short as u8),
        middle @ ..0x1_0000 => {
            frame.push(126);
            frame.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// Returns a client's frame; the payload has less than 126 bytes. The masking key is zero, so the payload stays as it is.
pub fn from_client(opcode: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126, "payload under 126 bytes");
    let mut frame = vec![0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_frames_are_read_back() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let bytes = from_server(TEXT, &payload);
            let frame = read(&bytes).unwrap();
            assert_eq!((frame.opcode, frame.payload, frame.length), (TEXT, &payload[..], bytes.len()));
            assert!(read(&bytes[..bytes.len() - 1]).is_none() || length == 0);
        }
        assert_eq!(from_client(CLOSE, b"\x03\xe8"), [0x88, 0x82, 0, 0, 0, 0, 3, 0xe8]);
    }
}
