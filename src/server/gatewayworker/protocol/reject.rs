//! Why a connection's input is rejected.

/// An error after which the connection closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DecodeError {
    /// The first packet does not present the key.
    Unauthorized,
    /// A packet is longer than [`MAX_PACKET_BYTES`](super::packet::MAX_PACKET_BYTES).
    PacketTooLong,
    /// The memory for large packets is used up.
    LargePacketBudget,
}
