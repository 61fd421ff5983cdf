//! How a connection of PHP's ends: why, and how long what is left to do may take.

use super::protocol::reject::DecodeError;
use std::io;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Who connected and has said nothing when the door closes has this long.
const FIRST_PACKET_GRACE: Duration = Duration::from_millis(500);
/// What was begun when a connection is ended has this long.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The connection is over.
pub enum CloseReason {
    PeerClosed,
    /// The key was wrong, or not shown.
    Unauthorized,
    PacketTooLong,
    /// Too many large packets are arriving at once.
    LargePacketBudget,
    /// The rest of a large packet did not come.
    IncompletePacket,
    /// A query that cannot be answered.
    UnanswerableQuery,
    /// Another worker of its name came.
    Replaced,
    /// The door closes.
    Shutdown,
    Io(io::Error),
}

impl From<DecodeError> for CloseReason {
    fn from(why: DecodeError) -> Self {
        match why {
            DecodeError::Unauthorized => Self::Unauthorized,
            DecodeError::PacketTooLong => Self::PacketTooLong,
            DecodeError::LargePacketBudget => Self::LargePacketBudget,
        }
    }
}

/// An end, and what has to be done before it.
pub struct Closing {
    pub reason: CloseReason,
    since: Instant,
}

impl Closing {
    pub fn new(reason: CloseReason) -> Self {
        Self { reason, since: Instant::now() }
    }

    /// What is left to do has had its time. A peer that has said all it wanted may read as long as it likes, while the door is
    /// open.
    pub async fn drain_timeout(&self, stop: &CancellationToken) {
        let mut since = self.since;
        if matches!(self.reason, CloseReason::PeerClosed) && !stop.is_cancelled() {
            stop.cancelled().await;
            since = Instant::now();
        }
        tokio::time::sleep_until(since + DRAIN_TIMEOUT).await;
    }
}

/// The door closes; who has only just connected may say what it came for.
pub async fn shutdown_deadline(stop: &CancellationToken, has_sent: bool) {
    stop.cancelled().await;
    if !has_sent {
        tokio::time::sleep(FIRST_PACKET_GRACE).await;
    }
}
