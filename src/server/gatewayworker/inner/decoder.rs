//! What arrives on a connection, cut into packets. What may not arrive is refused by its head, before it is kept.

use crate::server::gatewayworker::protocol::opcode::{GATEWAY_CLIENT_CONNECT, WORKER_CONNECT};
use crate::server::gatewayworker::protocol::packet::{self, MAX_PACKET, Next, Packet};
use crate::server::gatewayworker::protocol::reject::NotLetIn;
use bytes::BytesMut;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes read at once; an idle connection holds as many.
const READ_BYTES: usize = 8 * 1024;
/// Until the key was shown, nothing longer is read.
const STRANGER_PACKET_BYTES: usize = 4096;
/// A packet over this takes its share of what all connections may hold together.
const LARGE_PACKET_BYTES: usize = 64 * 1024;
/// Bytes that one of a packet's holds in the end: the packet itself, and the frames that are made of it.
const HELD_A_BYTE: usize = 4;

pub struct Arriving {
    bytes: BytesMut,
    /// For large packets, in KiB.
    large: Arc<Semaphore>,
    /// The share of the packet that is arriving.
    share: Option<Share>,
    /// Where the next packet begins is not known any more.
    is_lost: bool,
}

/// Of what all connections may hold together; given back when it is dropped.
pub type Share = OwnedSemaphorePermit;

pub enum Arrived {
    Packet(Packet, Option<Share>),
    /// Passed over, and why.
    Odd(&'static str),
}

impl Arriving {
    pub fn new(large: Arc<Semaphore>) -> Self {
        Self { bytes: BytesMut::new(), large, share: None, is_lost: false }
    }

    /// What is read goes here.
    pub fn buffer(&mut self) -> &mut BytesMut {
        // There is room for all of a large one since its head was read.
        if self.share.is_none() || self.bytes.len() == self.bytes.capacity() {
            self.bytes.reserve(READ_BYTES);
        }
        &mut self.bytes
    }

    /// The last read took all there was room for: there may be more.
    pub fn is_full(&self) -> bool {
        self.bytes.len() == self.bytes.capacity()
    }

    /// Bytes that were read and not taken yet.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A large packet is arriving.
    pub fn is_large(&self) -> bool {
        self.share.is_some()
    }

    /// What follows is not looked at.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// `None`: its rest is to come. Until a key was shown, only one that shows it is let in.
    pub fn next(&mut self, is_known: bool) -> Result<Option<Arrived>, NotLetIn> {
        if self.is_lost {
            self.clear();
        }
        if let Some((length, command)) = packet::head(&self.bytes) {
            self.admit(length, command, is_known)?;
        }
        Ok(Some(match Next::take(&mut self.bytes) {
            Next::More => return Ok(None),
            Next::TooLong => return Err(NotLetIn::TooLong),
            Next::Nonsense => Arrived::Odd("a packet shorter than its header"),
            Next::Never => {
                // What follows has no end and no meaning: it is not kept.
                self.is_lost = true;
                self.clear();
                Arrived::Odd("a packet that says it is empty")
            }
            Next::Packet(packet) => {
                let share = self.share.take();
                if share.is_some() && self.bytes.is_empty() {
                    // Its rest would hold the whole.
                    self.bytes = BytesMut::new();
                }
                Arrived::Packet(packet, share)
            }
        }))
    }

    /// May a packet that begins like this arrive at all?
    fn admit(&mut self, length: usize, command: u8, is_known: bool) -> Result<(), NotLetIn> {
        if !is_known && (!matches!(command, WORKER_CONNECT | GATEWAY_CLIENT_CONNECT) || length > STRANGER_PACKET_BYTES) {
            return Err(NotLetIn::Unknown);
        }
        if (LARGE_PACKET_BYTES + 1..=MAX_PACKET).contains(&length) && self.share.is_none() {
            let kibibytes = (HELD_A_BYTE * length).div_ceil(1024) as u32;
            self.share = Some(self.large.clone().try_acquire_many_owned(kibibytes).map_err(|_| NotLetIn::NoRoom)?);
            self.bytes.reserve(length.saturating_sub(self.bytes.len()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::gatewayworker::protocol::opcode::{IS_ONLINE, SEND_TO_ALL};

    fn arriving(mib: usize) -> Arriving {
        Arriving::new(Arc::new(Semaphore::new(mib * 1024)))
    }

    /// A packet's first bytes, and how long it says it is.
    fn head(command: u8, length: usize) -> Vec<u8> {
        let mut head = (length as u32).to_be_bytes().to_vec();
        head.push(command);
        head.resize(28, 0);
        head
    }

    fn next(arriving: &mut Arriving, bytes: &[u8], is_known: bool) -> Result<&'static str, NotLetIn> {
        arriving.buffer().extend_from_slice(bytes);
        Ok(match arriving.next(is_known)? {
            None => "more",
            Some(Arrived::Odd(_)) => "odd",
            Some(Arrived::Packet(_, None)) => "a packet",
            Some(Arrived::Packet(_, Some(_))) => "a large packet",
        })
    }

    #[test]
    fn strangers_may_only_show_the_key_and_briefly() {
        assert_eq!(next(&mut arriving(1), &head(IS_ONLINE, 28), false), Err(NotLetIn::Unknown));
        assert_eq!(next(&mut arriving(1), &head(GATEWAY_CLIENT_CONNECT, 28), false), Ok("a packet"));
        assert_eq!(
            next(&mut arriving(1), &head(GATEWAY_CLIENT_CONNECT, STRANGER_PACKET_BYTES + 1), false),
            Err(NotLetIn::Unknown)
        );
        assert_eq!(next(&mut arriving(1), &head(IS_ONLINE, 28), true), Ok("a packet"));
        assert_eq!(next(&mut arriving(1), &head(IS_ONLINE, MAX_PACKET + 1), true), Err(NotLetIn::TooLong));
    }

    #[test]
    fn large_packets_take_their_share_and_give_it_back() {
        let (mut one, length) = (arriving(1), 200 * 1024);
        let mut two = Arriving::new(one.large.clone());
        assert_eq!(next(&mut one, &head(SEND_TO_ALL, length), true), Ok("more"));
        assert_eq!(next(&mut two, &head(SEND_TO_ALL, length), true), Err(NotLetIn::NoRoom));
        // Who needs none is not concerned.
        two.clear();
        assert_eq!(next(&mut two, &head(SEND_TO_ALL, 28), true), Ok("a packet"));
        assert_eq!(next(&mut one, &vec![0; length - 28], true), Ok("a large packet"));
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
