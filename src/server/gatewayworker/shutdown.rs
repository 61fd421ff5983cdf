//! Why a connection closes, and how long its last replies may take.

use super::protocol::reject::DecodeError;
use std::io;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Grace period at shutdown for a connection that has not sent anything yet.
const FIRST_PACKET_GRACE: Duration = Duration::from_millis(500);
/// Time in which a closing connection must complete its commands and send their replies.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a connection to the inner port closes.
pub(crate) enum CloseReason {
    /// The peer has sent everything.
    PeerClosed,
    /// The key was wrong, or was not presented in time.
    Unauthorized,
    /// The peer had presented no key when another one needed its place.
    Displaced,
    /// A packet is longer than [`MAX_PACKET_BYTES`](super::protocol::packet::MAX_PACKET_BYTES).
    PacketTooLong,
    /// The memory for large packets is used up.
    LargePacketBudget,
    /// The rest of a large packet did not arrive in time.
    IncompletePacket,
    /// A query cannot be answered, and its caller would wait forever.
    UnanswerableQuery,
    /// The reply of a query exceeds its bound.
    ReplyTooLong,
    /// The memory for long replies is used up by connections that do not read theirs.
    ReplyBudget,
    /// Another worker of the same name connected.
    Replaced,
    /// The node shuts down, or hands over to another process.
    Shutdown,
    /// Reading or writing failed.
    Io(io::Error),
}

impl CloseReason {
    /// Returns the label of the metric and the text of the log, if the node closes the connection because of a limit or an
    /// error of the peer. `None` for the other reasons.
    pub(super) fn rejection(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Unauthorized => Some(("unauthorized", "the key is wrong or missing; it is gateway.secret_key")),
            Self::Displaced => Some(("without_key", "too many connections without the key")),
            Self::PacketTooLong => Some(("packet_too_long", "a packet exceeds 10 MiB")),
            Self::LargePacketBudget => Some(("large_packet_budget", "too many packets over 64 KiB at once")),
            Self::IncompletePacket => Some(("incomplete_packet", "timeout for the rest of a packet over 64 KiB")),
            Self::UnanswerableQuery => Some(("unanswerable_query", "a query cannot be answered")),
            Self::ReplyTooLong => Some(("reply_too_long", "a reply exceeds 64 MiB")),
            Self::ReplyBudget => Some(("reply_budget", "too many replies over 64 KiB are not read")),
            Self::PeerClosed | Self::Replaced | Self::Shutdown | Self::Io(_) => None,
        }
    }
}

impl From<DecodeError> for CloseReason {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Unauthorized => Self::Unauthorized,
            DecodeError::PacketTooLong => Self::PacketTooLong,
            DecodeError::LargePacketBudget => Self::LargePacketBudget,
        }
    }
}

/// The reason why a connection is closing, and the deadline until which it may send its last replies.
pub(super) struct PendingClose {
    /// The first reason; later ones are ignored.
    pub reason: CloseReason,
    /// `None`: the peer has sent everything, and may take its time to read while the node is serving.
    deadline: Option<Instant>,
}

impl PendingClose {
    /// Starts closing now.
    pub(super) fn new(reason: CloseReason) -> Self {
        let deadline = (!matches!(reason, CloseReason::PeerClosed)).then(|| Instant::now() + DRAIN_TIMEOUT);
        Self { reason, deadline }
    }

    /// Waits until the connection must close. After [`CloseReason::PeerClosed`] the timeout starts when `stop` is cancelled.
    pub(super) async fn drain_timeout(&mut self, stop: &CancellationToken) {
        if self.deadline.is_none() {
            stop.cancelled().await;
        }
        tokio::time::sleep_until(*self.deadline.get_or_insert_with(|| Instant::now() + DRAIN_TIMEOUT)).await;
    }
}

/// The grace period at shutdown of a connection that has not sent anything. It starts once, when `stop` is cancelled.
#[derive(Default)]
pub(super) struct ShutdownGrace {
    deadline: Option<Instant>,
}

impl ShutdownGrace {
    /// Waits until `stop` is cancelled and, unless the peer `has_sent` something, until the grace period is over.
    pub(super) async fn over(&mut self, stop: &CancellationToken, has_sent: bool) {
        stop.cancelled().await;
        if !has_sent {
            tokio::time::sleep_until(*self.deadline.get_or_insert_with(|| Instant::now() + FIRST_PACKET_GRACE)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_sent_everything_may_read_until_shutdown_and_the_drain_timeout() {
        let (stop, mut closing) = (CancellationToken::new(), PendingClose::new(CloseReason::PeerClosed));
        let is_due =
            async |closing: &mut PendingClose, after| tokio::time::timeout(after, closing.drain_timeout(&stop)).await.is_ok();
        assert!(!is_due(&mut closing, Duration::from_secs(3600)).await);
        stop.cancel();
        assert!(!is_due(&mut closing, DRAIN_TIMEOUT / 2).await);
        assert!(is_due(&mut closing, DRAIN_TIMEOUT).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_period_of_a_silent_peer_starts_once() {
        let (stop, mut grace) = (CancellationToken::new(), ShutdownGrace::default());
        let is_over =
            async |grace: &mut ShutdownGrace, after| tokio::time::timeout(after, grace.over(&stop, false)).await.is_ok();
        assert!(!is_over(&mut grace, Duration::from_secs(3600)).await);
        stop.cancel();
        assert!(!is_over(&mut grace, FIRST_PACKET_GRACE * 3 / 4).await);
        assert!(is_over(&mut grace, FIRST_PACKET_GRACE / 2).await, "a second wait continues the first one");
    }
}
