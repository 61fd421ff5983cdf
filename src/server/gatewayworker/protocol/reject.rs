//! Why a connection's bytes cannot be decoded any further.

/// The connection cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotLetIn {
    /// The key comes first.
    Unknown,
    TooLong,
    /// Too many large packets are arriving at once.
    NoRoom,
}
