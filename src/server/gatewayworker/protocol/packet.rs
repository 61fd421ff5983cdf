//! The packets of the inner protocol: a header of 28 bytes, `ext_data`, and a body (protocol.md, 3).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::net::SocketAddrV4;

/// The longest packet, with its header, in bytes.
pub(crate) const MAX_PACKET_BYTES: usize = 10_485_760;
const HEADER_BYTES: usize = 28;

/// Flag: the body is bytes. Without this bit it is the text of PHP's `serialize`.
pub(crate) const PLAIN: u8 = 0x01;
/// Flag: the body is a WebSocket frame already, and is sent unchanged.
pub(crate) const RAW: u8 = 0x02;

/// A packet from GatewayClient or a BusinessWorker. The addresses in its header are ignored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Packet {
    /// The number of the command, see [`opcode`](super::opcode).
    pub command: u8,
    /// The connection number of a client; 0 if the command has none.
    pub connection: u32,
    /// [`PLAIN`] and [`RAW`].
    pub flag: u8,
    /// The arguments.
    pub ext: Bytes,
    /// The message.
    pub body: Bytes,
}

/// The next packet of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum DecodedPacket {
    /// A whole packet.
    Packet(Packet),
    /// The packet is shorter than a header. It is skipped; most likely the bytes behind it are out of step.
    TooShort,
    /// More bytes are needed.
    Incomplete,
    /// The length is 0, so the packet has no end. GatewayWorker waits forever, too.
    ZeroLength,
    /// The packet is longer than [`MAX_PACKET_BYTES`].
    TooLong,
}

impl DecodedPacket {
    /// Removes the next packet from the buffer.
    pub(crate) fn take(buffer: &mut BytesMut) -> Self {
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
        // Addresses and ports, which are used only in packets to a worker.
        packet.advance(12);
        let (connection, flag) = (packet.get_u32(), packet.get_u8());
        packet.advance(2);
        let ext = (packet.get_u32() as usize).min(packet.len());
        let ext = packet.split_to(ext);
        Self::Packet(Packet { command, connection, flag, ext, body: packet })
    }
}

/// Returns the length and the command of the packet at the start of the buffer, if its header is complete.
pub(crate) fn peek_header(buffer: &[u8]) -> Option<(usize, u8)> {
    Some((peek_length(buffer)?, buffer[4]))
}

fn peek_length(buffer: &[u8]) -> Option<usize> {
    let header = buffer.first_chunk::<HEADER_BYTES>()?;
    let [a, b, c, d, ..] = *header;
    Some(u32::from_be_bytes([a, b, c, d]) as usize)
}

/// A packet to a BusinessWorker: an event of a client (protocol.md, 7), or a ping.
pub(crate) struct WorkerPacket<'a> {
    /// The number of the event.
    pub command: u8,
    /// The node's address in client ids.
    pub local: SocketAddrV4,
    /// The client's address; 0.0.0.0 for a client without IPv4.
    pub client: SocketAddrV4,
    /// The client's connection number.
    pub connection: u32,
    /// [`PLAIN`], or 0 for a serialized body.
    pub flag: u8,
    /// The port that browsers connect to.
    pub gateway_port: u16,
    /// The client's session.
    pub ext: &'a [u8],
    /// The message, or the handshake.
    pub body: &'a [u8],
}

impl WorkerPacket<'_> {
    /// Appends the packet to a buffer.
    pub(crate) fn write(&self, out: &mut BytesMut) {
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

    fn next(bytes: &[u8]) -> DecodedPacket {
        DecodedPacket::take(&mut BytesMut::from(bytes))
    }

    #[test]
    fn each_odd_length_is_recognized() {
        let mut ping = packet(11, 1, 1, b"", b"");
        assert_eq!(next(&ping[..27]), DecodedPacket::Incomplete);
        ping[3] = 27;
        assert_eq!(next(&ping), DecodedPacket::TooShort);
        ping[3] = 0;
        assert_eq!(next(&ping), DecodedPacket::ZeroLength);
        ping[..4].copy_from_slice(&(MAX_PACKET_BYTES as u32).to_be_bytes());
        assert_eq!(next(&ping), DecodedPacket::Incomplete);
        ping[..4].copy_from_slice(&(MAX_PACKET_BYTES as u32 + 1).to_be_bytes());
        assert_eq!(next(&ping), DecodedPacket::TooLong);
        // An ext_len beyond the packet is cut.
        let mut long = packet(24, 0, 1, b"ab", b"");
        long[27] = 200;
        let DecodedPacket::Packet(packet) = next(&long) else { panic!() };
        assert_eq!((&packet.ext[..], &packet.body[..]), (&b"ab"[..], &b""[..]));
    }

    proptest! {
        #[test]
        fn packets_are_the_same_however_the_stream_is_cut(
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
                while let DecodedPacket::Packet(packet) = DecodedPacket::take(&mut buffer) {
                    found.push(packet);
                }
            }
            let sent: Vec<_> = packets.into_iter().map(|(command, connection, flag, ext, body)| {
                Packet { command, connection, flag, ext: ext.into(), body: body.into() }
            }).collect();
            prop_assert_eq!(found, sent);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while matches!(DecodedPacket::take(&mut buffer), DecodedPacket::Packet(_) | DecodedPacket::TooShort) {}
        }
    }
}
