//! Why a connection's bytes cannot be decoded any further.

/// The connection cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The key comes first.
    Unauthorized,
    PacketTooLong,
    /// Too many large packets are arriving at once.
    LargePacketBudget,
}
