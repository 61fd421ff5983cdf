//! The inner protocol's frames: a header of 28 bytes, `ext_data`, and a body (protocol.md, 3).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::net::SocketAddrV4;

pub const MAX_PACKET_BYTES: usize = 10_485_760;
const HEADER_BYTES: usize = 28;

/// The body is bytes; without this bit it is PHP's `serialize`.
pub const PLAIN: u8 = 0x01;
/// The body goes to the client as it is.
pub const RAW: u8 = 0x02;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    pub command: u8,
    /// 0 where the command is about no connection.
    pub connection: u32,
    pub flag: u8,
    pub ext: Bytes,
    pub body: Bytes,
}

/// What a stream's next bytes are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decoded {
    Packet(Packet),
    /// Shorter than a header: passed over, and most likely what follows is out of step.
    TooShort,
    /// The rest of it is to come.
    Incomplete,
    /// It says it is empty, so it never ends: PHP waits for ever, too.
    ZeroLength,
    TooLong,
}

impl Decoded {
    /// Takes a packet out of what has arrived.
    pub fn take(buffer: &mut BytesMut) -> Self {
        let Some(length) = peek_length(buffer) else { return Self::Incomplete };
        match length {
            0 => return Self::ZeroLength,
            length if length > MAX_PACKET_BYTES => return Self::TooLong,
            _ if buffer.len() < length => return Self::Incomplete,
            _ => {}
        }
        let mut packet = buffer.split_to(length).freeze();
        if length < HEADER_BYTES {
            return Self::TooShort;
        }
        packet.advance(4);
        let command = packet.get_u8();
        // Addresses and ports, which mean something only on the way to a worker.
        packet.advance(12);
        let (connection, flag) = (packet.get_u32(), packet.get_u8());
        packet.advance(2);
        let ext = (packet.get_u32() as usize).min(packet.len());
        let ext = packet.split_to(ext);
        Self::Packet(Packet { command, connection, flag, ext, body: packet })
    }
}

/// The length and command of the packet that begins here, once its header has arrived.
pub fn peek_header(buffer: &[u8]) -> Option<(usize, u8)> {
    Some((peek_length(buffer)?, buffer[4]))
}

fn peek_length(buffer: &[u8]) -> Option<usize> {
    let header = buffer.first_chunk::<HEADER_BYTES>()?;
    let [a, b, c, d, ..] = *header;
    Some(u32::from_be_bytes([a, b, c, d]) as usize)
}

/// To a worker: something about a client (protocol.md, 7).
pub struct WorkerPacket<'a> {
    pub command: u8,
    pub local: SocketAddrV4,
    /// 0.0.0.0 for a client without IPv4.
    pub client: SocketAddrV4,
    pub connection: u32,
    pub flag: u8,
    pub gateway_port: u16,
    pub ext: &'a [u8],
    pub body: &'a [u8],
}

impl WorkerPacket<'_> {
    pub fn write(&self, out: &mut BytesMut) {
        let length = HEADER_BYTES + self.ext.len() + self.body.len();
        out.reserve(length);
        out.put_u32(length as u32);
        out.put_u8(self.command);
        for address in [self.local, self.client] {
            out.put_slice(&address.ip().octets());
            out.put_u16(address.port());
        }
        out.put_u32(self.connection);
        out.put_u8(self.flag);
        out.put_u16(self.gateway_port);
        out.put_u32(self.ext.len() as u32);
        out.put_slice(self.ext);
        out.put_slice(self.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(command: u8, connection: u32, flag: u8, ext: &[u8], body: &[u8]) -> Vec<u8> {
        let nowhere = SocketAddrV4::new([0; 4].into(), 0);
        let event = WorkerPacket { command, local: nowhere, client: nowhere, connection, flag, gateway_port: 0, ext, body };
        let mut out = BytesMut::new();
        event.write(&mut out);
        out.to_vec()
    }

    fn next(bytes: &[u8]) -> Decoded {
        Decoded::take(&mut BytesMut::from(bytes))
    }

    #[test]
    fn odd_lengths_have_their_fates() {
        let mut ping = packet(11, 1, 1, b"", b"");
        assert_eq!(next(&ping[..27]), Decoded::Incomplete);
        ping[3] = 27;
        assert_eq!(next(&ping), Decoded::TooShort);
        ping[3] = 0;
        assert_eq!(next(&ping), Decoded::ZeroLength);
        ping[..4].copy_from_slice(&(MAX_PACKET_BYTES as u32).to_be_bytes());
        assert_eq!(next(&ping), Decoded::Incomplete);
        ping[..4].copy_from_slice(&(MAX_PACKET_BYTES as u32 + 1).to_be_bytes());
        assert_eq!(next(&ping), Decoded::TooLong);
        // ext_len beyond the packet: what is there.
        let mut long = packet(24, 0, 1, b"ab", b"");
        long[27] = 200;
        let Decoded::Packet(packet) = next(&long) else { panic!() };
        assert_eq!((&packet.ext[..], &packet.body[..]), (&b"ab"[..], &b""[..]));
    }

    proptest! {
        #[test]
        fn packets_are_the_same_in_any_pieces(
            packets in prop::collection::vec((any::<u8>(), any::<u32>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..40),
                prop::collection::vec(any::<u8>(), 0..40)), 1..6),
            cuts in prop::collection::vec(1..50usize, 0..40),
        ) {
            let stream: Vec<u8> = packets.iter().flat_map(|(c, id, f, ext, body)| packet(*c, *id, *f, ext, body)).collect();
            let (mut buffer, mut rest, mut found) = (BytesMut::new(), &stream[..], Vec::new());
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                buffer.extend_from_slice(piece);
                rest = after;
                while let Decoded::Packet(packet) = Decoded::take(&mut buffer) {
                    found.push(packet);
                }
            }
            let sent: Vec<_> = packets.into_iter().map(|(command, connection, flag, ext, body)| {
                Packet { command, connection, flag, ext: ext.into(), body: body.into() }
            }).collect();
            prop_assert_eq!(found, sent);
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while matches!(Decoded::take(&mut buffer), Decoded::Packet(_) | Decoded::TooShort) {}
        }
    }
}
