//! What arrives on a connection, cut into packets. What may not arrive is refused by its head, before it is kept.

use crate::server::gatewayworker::protocol::opcode::{GATEWAY_CLIENT_CONNECT, WORKER_CONNECT};
use crate::server::gatewayworker::protocol::packet::{self, Decoded, MAX_PACKET_BYTES, Packet};
use crate::server::gatewayworker::protocol::reject::DecodeError;
use bytes::BytesMut;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes read at once; an idle connection holds as many.
const READ_BYTES: usize = 8 * 1024;
/// Until the key was shown, nothing longer is read.
const UNAUTHENTICATED_PACKET_BYTES: usize = 4096;
/// A packet over this takes its share of what all connections may hold together.
const LARGE_PACKET_BYTES: usize = 64 * 1024;
/// Bytes that one of a packet's holds in the end: the packet itself, and the frames that are made of it.
const MEMORY_PER_PACKET_BYTE: usize = 4;

pub struct PacketDecoder {
    bytes: BytesMut,
    /// For large packets, in KiB.
    large_packet_budget: Arc<Semaphore>,
    /// The share of the packet that is arriving.
    permit: Option<MemoryPermit>,
    /// Where the next packet begins is not known any more.
    out_of_sync: bool,
}

/// Of what all connections may hold together; given back when it is dropped.
pub type MemoryPermit = OwnedSemaphorePermit;

pub enum Received {
    Packet(Packet, Option<MemoryPermit>),
    /// Passed over, and why.
    Malformed(&'static str),
}

impl PacketDecoder {
    pub fn new(large_packet_budget: Arc<Semaphore>) -> Self {
        Self { bytes: BytesMut::new(), large_packet_budget, permit: None, out_of_sync: false }
    }

    /// What is read goes here.
    pub fn buffer(&mut self) -> &mut BytesMut {
        // There is room for all of a large one since its head was read.
        if self.permit.is_none() || self.bytes.len() == self.bytes.capacity() {
            self.bytes.reserve(READ_BYTES);
        }
        &mut self.bytes
    }

    /// The last read took all there was room for: there may be more.
    pub fn filled_buffer(&self) -> bool {
        self.bytes.len() == self.bytes.capacity()
    }

    /// Bytes that were read and not taken yet.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A large packet is arriving.
    pub fn has_large_packet(&self) -> bool {
        self.permit.is_some()
    }

    /// What follows is not looked at.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// `None`: its rest is to come. Until a key was shown, only one that shows it is let in.
    pub fn decode(&mut self, is_authenticated: bool) -> Result<Option<Received>, DecodeError> {
        if self.out_of_sync {
            self.clear();
        }
        if let Some((length, command)) = packet::peek_header(&self.bytes) {
            self.check_header(length, command, is_authenticated)?;
        }
        Ok(Some(match Decoded::take(&mut self.bytes) {
            Decoded::Incomplete => return Ok(None),
            Decoded::TooLong => return Err(DecodeError::PacketTooLong),
            Decoded::TooShort => Received::Malformed("a packet shorter than its header"),
            Decoded::ZeroLength => {
                // What follows has no end and no meaning: it is not kept.
                self.out_of_sync = true;
                self.clear();
                Received::Malformed("a packet that says it is empty")
            }
            Decoded::Packet(packet) => {
                let permit = self.permit.take();
                if permit.is_some() && self.bytes.is_empty() {
                    // Its rest would hold the whole.
                    self.bytes = BytesMut::new();
                }
                Received::Packet(packet, permit)
            }
        }))
    }

    /// May a packet that begins like this arrive at all?
    fn check_header(&mut self, length: usize, command: u8, is_authenticated: bool) -> Result<(), DecodeError> {
        if !is_authenticated
            && (!matches!(command, WORKER_CONNECT | GATEWAY_CLIENT_CONNECT) || length > UNAUTHENTICATED_PACKET_BYTES)
        {
            return Err(DecodeError::Unauthorized);
        }
        if (LARGE_PACKET_BYTES + 1..=MAX_PACKET_BYTES).contains(&length) && self.permit.is_none() {
            let kibibytes = (MEMORY_PER_PACKET_BYTE * length).div_ceil(1024) as u32;
            self.permit = Some(
                self.large_packet_budget.clone().try_acquire_many_owned(kibibytes).map_err(|_| DecodeError::LargePacketBudget)?,
            );
            self.bytes.reserve(length.saturating_sub(self.bytes.len()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::gatewayworker::protocol::opcode::{IS_ONLINE, SEND_TO_ALL};

    fn arriving(mib: usize) -> PacketDecoder {
        PacketDecoder::new(Arc::new(Semaphore::new(mib * 1024)))
    }

    /// A packet's first bytes, and how long it says it is.
    fn head(command: u8, length: usize) -> Vec<u8> {
        let mut head = (length as u32).to_be_bytes().to_vec();
        head.push(command);
        head.resize(28, 0);
        head
    }

    fn next(arriving: &mut PacketDecoder, bytes: &[u8], is_authenticated: bool) -> Result<&'static str, DecodeError> {
        arriving.buffer().extend_from_slice(bytes);
        Ok(match arriving.decode(is_authenticated)? {
            None => "more",
            Some(Received::Malformed(_)) => "odd",
            Some(Received::Packet(_, None)) => "a packet",
            Some(Received::Packet(_, Some(_))) => "a large_packet_budget packet",
        })
    }

    #[test]
    fn strangers_may_only_show_the_key_and_briefly() {
        assert_eq!(next(&mut arriving(1), &head(IS_ONLINE, 28), false), Err(DecodeError::Unauthorized));
        assert_eq!(next(&mut arriving(1), &head(GATEWAY_CLIENT_CONNECT, 28), false), Ok("a packet"));
        assert_eq!(
            next(&mut arriving(1), &head(GATEWAY_CLIENT_CONNECT, UNAUTHENTICATED_PACKET_BYTES + 1), false),
            Err(DecodeError::Unauthorized)
        );
        assert_eq!(next(&mut arriving(1), &head(IS_ONLINE, 28), true), Ok("a packet"));
        assert_eq!(next(&mut arriving(1), &head(IS_ONLINE, MAX_PACKET_BYTES + 1), true), Err(DecodeError::PacketTooLong));
    }

    #[test]
    fn large_packets_take_their_share_and_give_it_back() {
        let (mut one, length) = (arriving(1), 200 * 1024);
        let mut two = PacketDecoder::new(one.large_packet_budget.clone());
        assert_eq!(next(&mut one, &head(SEND_TO_ALL, length), true), Ok("more"));
        assert_eq!(next(&mut two, &head(SEND_TO_ALL, length), true), Err(DecodeError::LargePacketBudget));
        // Who needs none is not concerned.
        two.clear();
        assert_eq!(next(&mut two, &head(SEND_TO_ALL, 28), true), Ok("a packet"));
        assert_eq!(next(&mut one, &vec![0; length - 28], true), Ok("a large_packet_budget packet"));
        assert_eq!(next(&mut two, &head(SEND_TO_ALL, length), true), Ok("more"));
        // Whoever goes halfway gives it back, too.
        drop(two);
        assert_eq!(next(&mut one, &head(SEND_TO_ALL, length), true), Ok("more"));
    }

    #[test]
    fn after_a_packet_that_never_ends_nothing_is_kept() {
        let mut arriving = arriving(1);
        assert_eq!(next(&mut arriving, &head(SEND_TO_ALL, 0), true), Ok("odd"));
        assert_eq!(next(&mut arriving, &head(SEND_TO_ALL, 28), true), Ok("more"));
        assert_eq!(arriving.len(), 0);
        assert_eq!(next(&mut super::tests::arriving(1), &head(SEND_TO_ALL, 27), true), Ok("odd"));
    }
}
