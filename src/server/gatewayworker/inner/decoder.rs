//! Cuts the input of a connection into packets. Packets that are too long, and packets of unauthenticated peers, are rejected
//! from the header, before their body is buffered.

use crate::server::gatewayworker::protocol::opcode::{GATEWAY_CLIENT_CONNECT, WORKER_CONNECT};
use crate::server::gatewayworker::protocol::packet::{self, DecodedPacket, MAX_PACKET_BYTES, Packet};
use crate::server::gatewayworker::protocol::reject::DecodeError;
use bytes::BytesMut;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes read at once; an idle connection holds a buffer of this size.
const READ_BYTES: usize = 8 * 1024;
/// The longest packet that is accepted from an unauthenticated peer.
const UNAUTHENTICATED_PACKET_BYTES: usize = 4096;
/// A packet over this needs a [`MemoryPermit`].
const LARGE_PACKET_BYTES: usize = 64 * 1024;
/// Memory held per byte of a packet: the packet and the frames built from it.
const MEMORY_PER_PACKET_BYTE: usize = 4;

/// The buffer of a connection's input.
pub(super) struct PacketDecoder {
    bytes: BytesMut,
    /// Shared by all connections, in KiB.
    large_packet_budget: Arc<Semaphore>,
    /// The permit of the large packet that is incomplete.
    permit: Option<MemoryPermit>,
    /// The start of the next packet is unknown: all further input is dropped.
    out_of_sync: bool,
}

/// A large packet's part of the memory of all connections; released when it is dropped.
pub(super) type MemoryPermit = OwnedSemaphorePermit;

/// The next packet of a connection.
pub(super) enum Received {
    /// A packet, and the memory permit of a large one.
    Packet(Packet, Option<MemoryPermit>),
    /// The packet is ignored; the text says why.
    Malformed(&'static str),
}

impl PacketDecoder {
    /// A decoder with an empty buffer.
    pub(super) fn new(large_packet_budget: Arc<Semaphore>) -> Self {
        Self { bytes: BytesMut::new(), large_packet_budget, permit: None, out_of_sync: false }
    }

    /// Returns the buffer to read into.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        // A large packet has reserved its whole length already.
        if self.permit.is_none() || self.bytes.len() == self.bytes.capacity() {
            self.bytes.reserve(READ_BYTES);
        }
        &mut self.bytes
    }

    /// Returns true if the last read filled the buffer, so that more input may be available.
    pub(super) fn filled_buffer(&self) -> bool {
        self.bytes.len() == self.bytes.capacity()
    }

    /// Bytes that are read and not decoded yet.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns true while a large packet is incomplete.
    pub(super) fn has_large_packet(&self) -> bool {
        self.permit.is_some()
    }

    /// Drops the bytes that are not decoded yet.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Takes the next packet out of the buffer; `None` if it is incomplete. From an unauthenticated peer only a packet that
    /// presents the key is accepted.
    pub(super) fn decode(&mut self, is_authenticated: bool) -> Result<Option<Received>, DecodeError> {
        if self.out_of_sync {
            self.clear();
        }
        if let Some((length, command)) = packet::peek_header(&self.bytes) {
            self.check_header(length, command, is_authenticated)?;
        }
        Ok(Some(match DecodedPacket::take(&mut self.bytes) {
            DecodedPacket::Incomplete => return Ok(None),
            DecodedPacket::TooLong => return Err(DecodeError::PacketTooLong),
            DecodedPacket::TooShort => Received::Malformed("the packet is shorter than its header"),
            DecodedPacket::ZeroLength => {
                // The packet has no end, so nothing behind it has a meaning.
                self.out_of_sync = true;
                self.clear();
                Received::Malformed("the packet has a length of 0")
            }
            DecodedPacket::Packet(packet) => {
                let permit = self.permit.take();
                if permit.is_some() && self.bytes.is_empty() {
                    // The empty remainder would keep the large packet's memory allocated.
                    self.bytes = BytesMut::new();
                }
                Received::Packet(packet, permit)
            }
        }))
    }

    /// Checks the header of a packet, and reserves the memory of a large one.
    fn check_header(&mut self, length: usize, command: u8, is_authenticated: bool) -> Result<(), DecodeError> {
        let presents_key = matches!(command, WORKER_CONNECT | GATEWAY_CLIENT_CONNECT) && length <= UNAUTHENTICATED_PACKET_BYTES;
        if !is_authenticated && !presents_key {
            return Err(DecodeError::Unauthorized);
        }
        if (LARGE_PACKET_BYTES + 1..=MAX_PACKET_BYTES).contains(&length) && self.permit.is_none() {
            let kibibytes = (MEMORY_PER_PACKET_BYTE * length).div_ceil(1024) as u32;
            let permit = self.large_packet_budget.clone().try_acquire_many_owned(kibibytes);
            self.permit = Some(permit.map_err(|_| DecodeError::LargePacketBudget)?);
            self.bytes.reserve(length.saturating_sub(self.bytes.len()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::gatewayworker::protocol::opcode::{IS_ONLINE, SEND_TO_ALL};

    fn decoder(mib: usize) -> PacketDecoder {
        PacketDecoder::new(Arc::new(Semaphore::new(mib * 1024)))
    }

    /// The header of a packet with this length.
    fn head(command: u8, length: usize) -> Vec<u8> {
        let mut head = (length as u32).to_be_bytes().to_vec();
        head.push(command);
        head.resize(28, 0);
        head
    }

    fn next(decoder: &mut PacketDecoder, bytes: &[u8], is_authenticated: bool) -> Result<&'static str, DecodeError> {
        decoder.buffer().extend_from_slice(bytes);
        Ok(match decoder.decode(is_authenticated)? {
            None => "incomplete",
            Some(Received::Malformed(_)) => "malformed",
            Some(Received::Packet(_, None)) => "a packet",
            Some(Received::Packet(_, Some(_))) => "a large packet",
        })
    }

    #[test]
    fn unauthenticated_peers_may_only_send_a_short_packet_with_the_key() {
        assert_eq!(next(&mut decoder(1), &head(IS_ONLINE, 28), false), Err(DecodeError::Unauthorized));
        assert_eq!(next(&mut decoder(1), &head(GATEWAY_CLIENT_CONNECT, 28), false), Ok("a packet"));
        assert_eq!(
            next(&mut decoder(1), &head(GATEWAY_CLIENT_CONNECT, UNAUTHENTICATED_PACKET_BYTES + 1), false),
            Err(DecodeError::Unauthorized)
        );
        assert_eq!(next(&mut decoder(1), &head(IS_ONLINE, 28), true), Ok("a packet"));
        assert_eq!(next(&mut decoder(1), &head(IS_ONLINE, MAX_PACKET_BYTES + 1), true), Err(DecodeError::PacketTooLong));
    }

    #[test]
    fn large_packets_reserve_memory_and_release_it() {
        let (mut one, length) = (decoder(1), 200 * 1024);
        let mut two = PacketDecoder::new(one.large_packet_budget.clone());
        assert_eq!(next(&mut one, &head(SEND_TO_ALL, length), true), Ok("incomplete"));
        assert_eq!(next(&mut two, &head(SEND_TO_ALL, length), true), Err(DecodeError::LargePacketBudget));
        // A small packet needs no permit.
        two.clear();
        assert_eq!(next(&mut two, &head(SEND_TO_ALL, 28), true), Ok("a packet"));
        assert_eq!(next(&mut one, &vec![0; length - 28], true), Ok("a large packet"));
        assert_eq!(next(&mut two, &head(SEND_TO_ALL, length), true), Ok("incomplete"));
        // A connection that closes before the packet is complete releases it, too.
        drop(two);
        assert_eq!(next(&mut one, &head(SEND_TO_ALL, length), true), Ok("incomplete"));
    }

    #[test]
    fn input_behind_a_packet_of_length_0_is_dropped() {
        let mut decoder = decoder(1);
        assert_eq!(next(&mut decoder, &head(SEND_TO_ALL, 0), true), Ok("malformed"));
        assert_eq!(next(&mut decoder, &head(SEND_TO_ALL, 28), true), Ok("incomplete"));
        assert_eq!(decoder.len(), 0);
        assert_eq!(next(&mut super::tests::decoder(1), &head(SEND_TO_ALL, 27), true), Ok("malformed"));
    }
}
