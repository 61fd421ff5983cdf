//! The writing half of an inner connection: its send buffer.

use crate::server::gatewayworker::protocol::packet::WorkerPacket;
use bytes::{BufMut, BytesMut};
use socket2::SockRef;
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;
use tokio::sync::OwnedSemaphorePermit;

/// A worker's next event is taken from its queue while fewer bytes than these are in the send buffer.
pub(super) const MAX_UNWRITTEN_EVENT_BYTES: usize = 64 * 1024;
/// Bytes of replies that the peer has not read, beyond which its commands are no longer dispatched.
const MAX_UNREAD_REPLY_BYTES: usize = 64 * 1024;
/// A connection is closed if sent bytes are not acknowledged within this.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Buffers and sends replies, and a worker's events.
pub(super) struct Writer<'a> {
    stream: WriteHalf<'a>,
    send_buf: BytesMut,
    /// Bytes that were sent since the connection began.
    sent: u64,
    /// The peer reads no more: everything further is dropped.
    is_closed: bool,
    /// A reply is missing: the peer would take the next one for it, so no further reply is sent.
    replies_aborted: bool,
    options_set: bool,
    /// The shares of the buffered long replies in the memory for replies.
    reply_memory: Vec<OwnedSemaphorePermit>,
}

impl<'a> Writer<'a> {
    /// A writer with an empty buffer.
    pub(super) fn new(stream: WriteHalf<'a>) -> Self {
        Self {
            stream,
            send_buf: BytesMut::new(),
            sent: 0,
            is_closed: false,
            replies_aborted: false,
            options_set: false,
            reply_memory: Vec::new(),
        }
    }

    /// Bytes that are not sent yet.
    pub(super) fn len(&self) -> usize {
        self.send_buf.len()
    }

    /// Bytes that were sent since the connection began.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns true if everything is sent.
    pub(super) fn is_empty(&self) -> bool {
        self.send_buf.is_empty()
    }

    /// Returns true if the peer reads its replies fast enough for further commands. `event_bytes` of the buffer are not replies.
    pub(super) fn accepts_replies(&self, event_bytes: usize) -> bool {
        self.send_buf.len() < MAX_UNREAD_REPLY_BYTES + event_bytes
    }

    /// Appends bytes; dropped after [`Self::close`].
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.is_closed {
            self.send_buf.put_slice(bytes);
        }
    }

    /// Appends a reply with its length, and holds its share of the memory for replies until it is sent; dropped after
    /// [`Self::abort_replies`].
    pub(super) fn push_reply(&mut self, reply: &[u8], memory: Option<OwnedSemaphorePermit>) {
        if self.replies_aborted || self.is_closed {
            return;
        }
        // A reply is bounded far below 4 GiB.
        self.push(&(reply.len() as u32).to_be_bytes());
        self.push(reply);
        self.reply_memory.extend(memory);
    }

    /// Appends a packet if nothing else is being sent.
    pub(super) fn push_if_idle(&mut self, packet: &WorkerPacket<'_>) {
        if self.send_buf.is_empty() && !self.is_closed {
            packet.write(&mut self.send_buf);
        }
    }

    /// Sends a part of the buffer. No byte is lost when the future is dropped.
    pub(super) async fn write(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.options_set, true) {
            set_options(self.stream.as_ref());
        }
        self.sent += self.stream.write_buf(&mut self.send_buf).await? as u64;
        if self.send_buf.is_empty() {
            self.reply_memory.clear();
            if self.send_buf.capacity() > MAX_UNWRITTEN_EVENT_BYTES {
                self.send_buf = BytesMut::new();
            }
        }
        Ok(())
    }

    /// Drops all further replies; those before are still sent.
    pub(super) fn abort_replies(&mut self) {
        self.replies_aborted = true;
    }

    /// Drops the buffer and everything further.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.send_buf = BytesMut::new();
        self.reply_memory.clear();
    }
}

/// Called before the first bytes are sent: most connections carry one command without a reply, and need no options.
fn set_options(stream: &TcpStream) {
    // A reply is small, and the peer waits for it.
    let set = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_user_timeout(Some(TCP_USER_TIMEOUT)));
    if let Err(error) = set {
        tracing::debug!(%error, "could not set the options of an inner connection");
    }
}
