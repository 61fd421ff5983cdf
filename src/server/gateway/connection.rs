//! One connection of a shard: its stream, send queue and frame decoder, whether it is alive, and how it closes.

use super::events::Handshake;
use super::frame_decoder::{Decoded, FrameDecoder, InboundLimits};
use super::limits::ConnectionPermit;
use super::send_queue::{Enqueue, SendQueue};
use super::shard_events::SessionWatch;
use super::stream::Stream;
use super::write_batch::WriteBatch;
use super::{Dialect, Frame};
use crate::domain::push::CloseCode;
use bytes::Bytes;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::Instant;

/// Bytes read and discarded per wake-up after a close frame was sent; a peer that sends more is disconnected.
const MAX_IGNORED: usize = 64 * 1024;

/// A connection after its handshake, on its way to a shard.
pub struct NewConnection {
    /// The dialect negotiated by the subprotocol.
    pub dialect: Dialect,
    /// Counts it against the connection limits.
    pub permit: ConnectionPermit,
    /// Bytes that the client sent right after its handshake request.
    pub early: Bytes,
    /// The peer's port.
    pub port: u16,
    /// The handshake request, for the event subscriber; `None` if there is none ([`super::Gateway::has_subscriber`]), and the
    /// connection is then not announced.
    pub handshake: Option<Box<Handshake>>,
}

/// A connection that its shard serves.
pub(super) struct Connection<S> {
    pub stream: S,
    pub dialect: Dialect,
    /// The peer's port.
    pub port: u16,
    pub send_queue: SendQueue,
    /// Allocated while the peer sends: most peers of a one-way socket never do.
    decoder: Option<Box<FrameDecoder>>,
    /// Releases the connection's share of the limits when it is dropped.
    pub permit: ConnectionPermit,
    pub sent_bytes: u64,
    /// Whether a push was ever addressed to it.
    pub was_addressed: bool,
    /// Ticks of the shard's timer wheel: when the connection was opened, when the peer last sent bytes, and when the
    /// unanswered ping was sent (0: none).
    pub opened: u32,
    last_input: u32,
    pinged: u32,
    /// Whether the event subscriber receives this connection's events; inside, whether a worker may overwrite its session.
    pub announced: Option<SessionWatch>,
    closing: Option<Box<Closing>>,
}

/// State after the close frame was queued; no frame follows it.
struct Closing {
    /// When the connection is dropped at the latest.
    deadline: Instant,
    /// The peer sent its close frame first: once ours is written, the handshake is complete.
    peer_closed_first: bool,
    /// Everything is written and the write half is shut down; the peer's EOF is awaited.
    half_closed: bool,
}

/// Limits of one read, and the frames that it produced.
pub(super) struct Inbound {
    pub limits: InboundLimits,
    /// Answers to the peer's pings.
    pub pongs: Vec<Frame>,
    /// Messages for the event subscriber. `None`: there is none, or `gateway.workers` is off; messages are counted and dropped.
    pub messages: Option<Vec<Vec<u8>>>,
}

/// Result of reading from a connection.
pub(super) enum ReadOutcome {
    /// The stream has no more bytes for now.
    WouldBlock,
    /// End of the stream, a failed read, or too many bytes after the close frame.
    Eof,
    /// The peer sent a close frame, with or without a code.
    PeerClose(Option<CloseCode>),
    /// The peer violated RFC 6455 or a limit: close with this code.
    Violation(CloseCode),
}

impl<S: Stream> Connection<S> {
    pub(super) fn new(stream: S, dialect: Dialect, permit: ConnectionPermit, port: u16, tick: u32) -> Self {
        Self {
            stream,
            dialect,
            port,
            send_queue: SendQueue::default(),
            decoder: None,
            permit,
            sent_bytes: 0,
            was_addressed: false,
            opened: tick,
            last_input: tick,
            pinged: 0,
            announced: None,
            closing: None,
        }
    }

    pub(super) fn push(&mut self, batch: &mut WriteBatch, frame: &Frame, span: Range<u32>, limit_bytes: usize) -> Enqueue {
        if self.is_closing() {
            return Enqueue::Closing;
        }
        self.was_addressed = true;
        self.send_queue.push(batch, frame, span, limit_bytes, self.dialect)
    }

    pub(super) fn write(&mut self, batch: &mut WriteBatch, now: Instant) -> io::Result<usize> {
        let written = self.send_queue.write(batch, &mut self.stream, now)?;
        self.sent_bytes += written as u64;
        Ok(written)
    }

    /// Whether every queued byte is written.
    pub(super) fn is_written(&self) -> bool {
        !self.send_queue.has_batched() && !self.send_queue.has_backlog()
    }

    /// Reads until the stream would block. `now_ms` is a monotonic clock in milliseconds, `tick` the timer wheel's current tick.
    pub(super) fn read(&mut self, scratch: &mut [u8], now_ms: u64, tick: u32, inbound: &mut Inbound) -> ReadOutcome {
        let mut ignored = 0;
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => return ReadOutcome::Eof,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return ReadOutcome::WouldBlock,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return ReadOutcome::Eof,
            };
            self.last_input = tick;
            // After a close frame, discard input until EOF, MAX_IGNORED bytes at most.
            if self.is_closing() {
                ignored += count;
                if ignored > MAX_IGNORED {
                    return ReadOutcome::Eof;
                }
                continue;
            }
            match self.feed(&scratch[..count], now_ms, inbound) {
                ReadOutcome::WouldBlock => {}
                ended => return ended,
            }
        }
    }

    /// Decodes bytes that were read. [`ReadOutcome::WouldBlock`] means that all of them were decoded.
    pub(super) fn feed(&mut self, bytes: &[u8], now_ms: u64, inbound: &mut Inbound) -> ReadOutcome {
        let mut decoder = self.decoder.take().unwrap_or_else(|| Box::new(FrameDecoder::new(inbound.limits)));
        let (mut closed, mut pinged, mut answered) = (None, false, false);
        let fed = decoder.feed(bytes, now_ms, |event| match event {
            Decoded::Message { payload, .. } => {
                if let Some(messages) = &mut inbound.messages {
                    messages.push(payload);
                }
            }
            Decoded::Ping(payload) => {
                pinged = true;
                inbound.pongs.push(Frame::pong(&payload));
            }
            Decoded::Pong => answered = true,
            Decoded::Close(code) => closed = Some(code),
        });
        let frames = std::mem::take(&mut decoder.data_frames);
        // The pong that answers our ping frees the decoder; any other input keeps it, with its rate counters, for a second.
        let is_answer = answered && std::mem::take(&mut self.pinged) > 0;
        let quiet = is_answer && frames == 0 && !pinged && decoder.is_idle() && decoder.recent_frames(now_ms) <= 1;
        if !quiet {
            self.decoder = Some(decoder);
        }
        if frames > 0 && inbound.messages.is_none() {
            metrics::counter!("roomcast_client_frames_dropped_total").increment(frames);
        }
        match (closed, fed) {
            (Some(code), _) => ReadOutcome::PeerClose(code),
            (None, Err(code)) => ReadOutcome::Violation(code),
            (None, Ok(())) => ReadOutcome::WouldBlock,
        }
    }

    /// Whether a ping is due at this tick; records it as sent. No ping for connections with a backlog (write progress proves
    /// liveness) or younger than `young` ticks. `now_ms` is a monotonic clock in milliseconds.
    pub(super) fn ping_due(&mut self, tick: u32, young: u32, now_ms: u64) -> bool {
        if tick.saturating_sub(self.opened) < young || self.is_closing() || self.send_queue.has_backlog() || self.pinged > 0 {
            return false;
        }
        self.pinged = tick;
        // An idle decoder holds only its rate counters, which matter for a second.
        if self.decoder.as_ref().is_some_and(|decoder| decoder.is_idle() && decoder.recent_frames(now_ms) == 0) {
            self.decoder = None;
        }
        true
    }

    /// Whether a ping was sent at least `timeout` ticks ago and no byte has arrived since. Any input answers a ping.
    pub(super) fn is_silent(&mut self, tick: u32, timeout: u32) -> bool {
        if self.pinged == 0 || self.is_closing() || self.send_queue.has_backlog() {
            return false;
        }
        if self.last_input >= self.pinged {
            self.pinged = 0;
            return false;
        }
        tick.saturating_sub(self.pinged) >= timeout
    }

    /// Whether a close frame was queued.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Marks the connection as closing; the first deadline stays.
    pub(super) fn start_close(&mut self, deadline: Instant, peer_closed_first: bool) {
        self.closing.get_or_insert_with(|| Box::new(Closing { deadline, peer_closed_first, half_closed: false }));
    }

    /// Whether the connection may be dropped. Shuts down the write half once the close frame is written: closing the socket
    /// with unread input would send a reset, and the peer could lose the close frame.
    pub(super) fn is_done(&mut self, now: Instant) -> bool {
        let is_written = self.is_written();
        let Some(closing) = &mut self.closing else { return false };
        if now >= closing.deadline {
            return true;
        }
        if !is_written {
            return false;
        }
        if closing.peer_closed_first {
            return true;
        }
        !std::mem::replace(&mut closing.half_closed, true) && self.stream.shut().is_err()
    }
}
