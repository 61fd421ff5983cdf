//! The packets of the inner protocol: any bytes decode to the same packets, however the stream is cut.

#[expect(dead_code, reason = "only its reading is fuzzed")]
#[path = "../../src/server/gatewayworker/protocol/packet.rs"]
mod packet;

use bytes::BytesMut;
use packet::DecodedPacket;

fn packets(pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> Vec<DecodedPacket> {
    let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece.as_ref());
        loop {
            match DecodedPacket::take(&mut buffer) {
                DecodedPacket::Incomplete => break,
                ended @ (DecodedPacket::ZeroLength | DecodedPacket::TooLong) => {
                    found.push(ended);
                    return found;
                }
                next => found.push(next),
            }
        }
    }
    found
}

/// Decodes the bytes whole and in pieces, and compares the results.
pub fn check(bytes: &[u8]) {
    let whole = packets([bytes].into_iter());
    assert_eq!(packets(bytes.chunks(7)), whole);
    assert_eq!(packets(bytes.chunks(1)), whole);
}
