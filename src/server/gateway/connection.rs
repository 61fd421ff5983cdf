//! One connection as its shard holds it: the stream, what it has not been sent, what it says, and whether it still lives.

use super::events::Handshake;
use super::frame_decoder::{Bounds, Event, Incoming};
use super::limits::ConnectionPermit;
use super::send_queue::{Outbox, Queued};
use super::stream::Stream;
use super::write_batch::Round;
use super::{Dialect, Frame};
use crate::domain::push::CloseCode;
use bytes::Bytes;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::Instant;

/// Bytes read at once from a peer that was told to go.
const MAX_IGNORED: usize = 64 * 1024;

/// A connection whose handshake is done.
pub struct NewConnection {
    pub dialect: Dialect,
    pub permit: ConnectionPermit,
    /// What the client sent right behind its handshake.
    pub early: Bytes,
    /// The peer's.
    pub port: u16,
    /// For whoever listens, if anybody does ([`super::Gateway::has_subscriber`]).
    pub handshake: Option<Box<Handshake>>,
}

pub struct Connection<S> {
    pub stream: S,
    pub dialect: Dialect,
    /// The peer's.
    pub port: u16,
    pub outbox: Outbox,
    /// Only while something comes up, which a one-way socket rarely sees.
    incoming: Option<Box<Incoming>>,
    /// Gives the place up when the connection is dropped.
    pub permit: ConnectionPermit,
    pub sent_bytes: u64,
    /// Steps of the shard's wheel: when it was opened, last heard, and pinged without an answer yet (0: it was not).
    pub opened: u32,
    heard: u32,
    pinged: u32,
    leaving: Option<Box<Leaving>>,
}

/// The close frame is queued: nothing else follows it.
struct Leaving {
    /// The connection is cut at this time.
    deadline: Instant,
    /// The peer closed first, so there is nothing to wait for once it was answered.
    theirs: bool,
    /// Everything was written and the stream half closed: what is awaited is the peer's end.
    shut: bool,
}

/// What came up, beside what is only counted.
pub struct Heard {
    pub bounds: Bounds,
    pub pongs: Vec<Frame>,
    /// `None`: nobody hears what is said, and it is dropped.
    pub messages: Option<Vec<Vec<u8>>>,
}

/// What reading came to.
pub enum Read {
    /// All there was for now.
    Dry,
    Gone,
    /// The peer closes, with the code it gave if any.
    Theirs(Option<CloseCode>),
    /// What it sent must not be.
    Ours(CloseCode),
}

impl<S: Stream> Connection<S> {
    pub fn new(stream: S, dialect: Dialect, permit: ConnectionPermit, port: u16, step: u32) -> Self {
        Self {
            stream,
            dialect,
            port,
            outbox: Outbox::default(),
            incoming: None,
            permit,
            sent_bytes: 0,
            opened: step,
            heard: step,
            pinged: 0,
            leaving: None,
        }
    }

    pub fn push(&mut self, round: &mut Round, frame: &Frame, held: Range<u32>, limit_bytes: usize) -> Queued {
        if self.is_leaving() {
            return Queued::Leaving;
        }
        self.outbox.push(round, frame, held, limit_bytes, self.dialect)
    }

    pub fn write(&mut self, round: &Round, now: Instant) -> io::Result<usize> {
        let written = self.outbox.write(round, &mut self.stream, now)?;
        self.sent_bytes += written as u64;
        Ok(written)
    }

    /// Nothing is left to send.
    pub fn is_written(&self) -> bool {
        !self.outbox.is_due() && self.outbox.behind_since().is_none()
    }

    /// Reads until the stream is dry. `now_ms` is any steady clock.
    pub fn read(&mut self, scratch: &mut [u8], now_ms: u64, step: u32, heard: &mut Heard) -> Read {
        let mut ignored = 0;
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => return Read::Gone,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Read::Dry,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Read::Gone,
            };
            self.heard = step;
            // After the close frame nothing that comes is looked at: its end is awaited, but not by who goes on talking.
            if self.is_leaving() {
                ignored += count;
                if ignored > MAX_IGNORED {
                    return Read::Gone;
                }
                continue;
            }
            match self.feed(&scratch[..count], now_ms, heard) {
                Read::Dry => {}
                ended => return ended,
            }
        }
    }

    pub fn feed(&mut self, bytes: &[u8], now_ms: u64, heard: &mut Heard) -> Read {
        let mut incoming = self.incoming.take().unwrap_or_else(|| Box::new(Incoming::within(heard.bounds)));
        let (mut closed, mut pinged, mut answered) = (None, false, false);
        let fed = incoming.feed(bytes, now_ms, |event| match event {
            Event::Message { payload, .. } => {
                if let Some(messages) = &mut heard.messages {
                    messages.push(payload);
                }
            }
            Event::Ping(payload) => {
                pinged = true;
                heard.pongs.push(Frame::pong(&payload));
            }
            Event::Pong => answered = true,
            Event::Closed(code) => closed = Some(code),
        });
        let frames = std::mem::take(&mut incoming.data_frames);
        // The one pong a ping asks for leaves nothing behind; whoever says more is counted.
        let quiet = answered && std::mem::take(&mut self.pinged) > 0 && frames == 0 && !pinged && incoming.is_idle();
        if !quiet {
            self.incoming = Some(incoming);
        }
        if frames > 0 && heard.messages.is_none() {
            metrics::counter!("roomcast_client_frames_dropped_total").increment(frames);
        }
        match (closed, fed) {
            (Some(code), _) => Read::Theirs(code),
            (None, Err(code)) => Read::Ours(code),
            (None, Ok(())) => Read::Dry,
        }
    }

    /// Is it time for a ping? Notes that it is sent. One who is behind shows life by taking what waits; and who came less than
    /// `young` ticks ago has shown it.
    pub fn ping_due(&mut self, step: u32, young: u32) -> bool {
        if step.saturating_sub(self.opened) < young
            || self.is_leaving()
            || self.outbox.behind_since().is_some()
            || self.pinged > 0
        {
            return false;
        }
        self.pinged = step;
        // What was read long ago is not needed to count what comes now.
        if self.incoming.as_ref().is_some_and(|incoming| incoming.is_idle()) {
            self.incoming = None;
        }
        true
    }

    /// Was it pinged `within` ticks ago or more, and not heard since? Whatever was heard answers the ping.
    pub fn is_silent(&mut self, step: u32, within: u32) -> bool {
        if self.pinged == 0 || self.is_leaving() || self.outbox.behind_since().is_some() {
            return false;
        }
        if self.heard >= self.pinged {
            self.pinged = 0;
            return false;
        }
        step.saturating_sub(self.pinged) >= within
    }

    /// The close frame is queued, or further.
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    pub fn leave(&mut self, deadline: Instant, theirs: bool) {
        self.leaving.get_or_insert_with(|| Box::new(Leaving { deadline, theirs, shut: false }));
    }

    /// May it be dropped? Half closes the stream once the close frame is out: closing it whole at once would let unread
    /// bytes reset the connection, and the close frame with it.
    pub fn is_done(&mut self, now: Instant) -> bool {
        let is_written = self.is_written();
        let Some(leaving) = &mut self.leaving else { return false };
        if now >= leaving.deadline {
            return true;
        }
        if !is_written {
            return false;
        }
        if leaving.theirs {
            return true;
        }
        !std::mem::replace(&mut leaving.shut, true) && self.stream.shut().is_err()
    }
}
