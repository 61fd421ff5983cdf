//! The reading half of an inner connection: its place in the read queue, its buffer, and the timeouts of its input.

use super::decoder::{PacketDecoder, Received};
use super::pipeline;
use super::read_scheduler::ReadTicket;
use crate::server::gatewayworker::protocol::reject::DecodeError;
use crate::server::gatewayworker::shutdown::CloseReason;
use futures_util::FutureExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::ReadHalf;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// A peer that has not authenticated within this is disconnected. PHP sends the key with its first bytes.
const AUTH_TIMEOUT: Duration = Duration::from_secs(3);
/// The rest of a large packet must arrive within this: other connections may be waiting for its memory.
const LARGE_PACKET_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes read from one connection before the connections behind it in the queue are read.
const READ_SHARE_BYTES: usize = 256 * 1024;

/// Reads and decodes packets.
pub(super) struct Reader<'a> {
    stream: ReadHalf<'a>,
    ticket: ReadTicket,
    decoder: PacketDecoder,
    /// `None` once the peer is authenticated.
    auth_deadline: Option<Instant>,
    /// Set while a large packet is incomplete.
    large_packet_deadline: Option<Instant>,
    /// Whether the peer has sent anything, for the grace period at shutdown. Readiness does not tell: a new socket can be
    /// readable.
    peer_has_sent: bool,
    may_read: bool,
    /// Bytes read since the connection came to the front of the queue.
    share_bytes: usize,
    /// Whether the connection has had its share, or the stream is empty.
    share_is_over: bool,
}

impl<'a> Reader<'a> {
    /// A reader that must authenticate within the timeout, unless `is_authenticated`.
    pub(super) fn new(
        stream: ReadHalf<'a>,
        ticket: ReadTicket,
        large_packet_budget: Arc<Semaphore>,
        is_authenticated: bool,
    ) -> Self {
        Self {
            stream,
            ticket,
            decoder: PacketDecoder::new(large_packet_budget),
            auth_deadline: (!is_authenticated).then(|| Instant::now() + AUTH_TIMEOUT),
            large_packet_deadline: None,
            peer_has_sent: false,
            may_read: false,
            share_bytes: 0,
            share_is_over: false,
        }
    }

    /// Joins, keeps or leaves the read queue. Without `may_read` the connection accepts no input now. With `is_behind` it keeps
    /// its place although it does not read, because it still has buffered commands to dispatch.
    pub(super) fn schedule(&mut self, may_read: bool, is_behind: bool) {
        if !is_behind && (self.share_is_over || !may_read) {
            (self.share_bytes, self.share_is_over) = (0, false);
            self.ticket.leave();
        }
        if may_read {
            self.ticket.watch(self.stream.as_ref());
        }
        self.may_read = may_read;
        let deadline = self.large_packet_deadline;
        self.large_packet_deadline =
            self.decoder.has_large_packet().then(|| deadline.unwrap_or_else(|| Instant::now() + LARGE_PACKET_TIMEOUT));
    }

    /// Returns true if the connection accepts input now.
    pub(super) fn may_read(&self) -> bool {
        self.may_read && !self.share_is_over
    }

    /// Waits until the connection is at the front of the read queue.
    pub(super) async fn readable(&self) {
        self.ticket.at_front().await;
    }

    /// Reads once, without waiting. Returns [`CloseReason::PeerClosed`] at the end of the stream.
    pub(super) fn read(&mut self) -> Result<(), CloseReason> {
        let read = self.stream.read_buf(self.decoder.buffer()).now_or_never().transpose();
        if let Ok(Some(bytes)) = read {
            self.share_bytes += bytes;
            self.peer_has_sent |= bytes > 0;
        }
        let is_empty = matches!(read, Ok(None));
        self.share_is_over = is_empty || !self.decoder.filled_buffer() || self.share_bytes >= READ_SHARE_BYTES;
        match read {
            Ok(Some(0)) => Err(CloseReason::PeerClosed),
            Ok(_) => Ok(()),
            Err(error) => Err(CloseReason::Io(error)),
        }
    }

    /// Reads what has arrived, at most as many bytes as a pipeline accepts. Errors and the end of the stream are ignored.
    pub(super) fn read_available(&mut self) {
        while self.decoder.len() < pipeline::MAX_BYTES && matches!(self.stream.try_read_buf(self.decoder.buffer()), Ok(1..)) {}
    }

    /// Takes the next packet out of the buffer; `None` if it is incomplete.
    pub(super) fn next_packet(&mut self) -> Result<Option<Received>, DecodeError> {
        self.decoder.decode(self.auth_deadline.is_none())
    }

    /// Waits for a timeout of the input, and returns the reason to close. Waits forever if none is running.
    pub(super) async fn timeout(&self) -> CloseReason {
        tokio::select! {
            () = deadline(self.auth_deadline) => CloseReason::Unauthorized,
            () = deadline(self.large_packet_deadline) => CloseReason::IncompletePacket,
        }
    }

    /// Records that the peer has presented the key.
    pub(super) fn authenticated(&mut self) {
        self.auth_deadline = None;
    }

    /// Drops the buffered bytes.
    pub(super) fn discard(&mut self) {
        self.decoder.clear();
    }

    /// Returns true if bytes are buffered that are not decoded yet.
    pub(super) fn has_buffered(&self) -> bool {
        self.decoder.len() > 0
    }

    /// Returns true if the peer has sent anything.
    pub(super) fn peer_has_sent(&self) -> bool {
        self.peer_has_sent
    }
}

async fn deadline(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
