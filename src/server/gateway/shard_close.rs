//! How a shard closes its connections: with a close frame, without one, at once, or as part of a drain.

use super::connection::Connection;
use super::registry::Slot;
use super::shard::Shard;
use super::stream::Stream;
use super::{Dialect, Frame, Kick, Publication};
use crate::domain::push::{CloseCode, Push};
use std::time::{Duration, Instant};

/// Time for a closing connection to read its queue and answer the close frame; then it is dropped.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections that share one copy of a farewell in the write batch.
const FAREWELLS_PER_BATCH: usize = 4096;

impl<S: Stream> Shard<S> {
    /// Sends a close frame after the queued frames, then closes. A connection that is closing keeps its first reason.
    pub(super) fn close(&mut self, slot: Slot, code: CloseCode, reason: &str, now: Instant) {
        if self.begin_close(slot, code, now) {
            self.send_unbounded(slot, &Frame::close(code, reason));
        }
    }

    /// Sends the farewell to each connection and closes it. The batch holds the farewell once per dialect for
    /// [`FAREWELLS_PER_BATCH`] connections, and is written when it is full.
    pub(super) fn close_with_farewell(&mut self, slots: &[Slot], farewell: Option<&Publication>, kick: &Kick, now: Instant) {
        let close_frame = Frame::close(kick.code, &kick.reason);
        let (plain, v1) = farewell.map_or((None, None), |farewell| (farewell.plain.as_ref(), farewell.v1.as_ref()));
        for slots in slots.chunks(FAREWELLS_PER_BATCH) {
            if !self.batch.fits(farewell.map_or(0, Publication::weight) + close_frame.bytes.len()) {
                self.flush(now);
            }
            let mut span = |frame: Option<&Frame>| frame.map_or(0..0, |frame| self.batch.append_frame(frame));
            let plain_span = span(plain);
            let is_same = plain.zip(v1).is_some_and(|(plain, v1)| plain.bytes.as_ptr() == v1.bytes.as_ptr());
            let v1_span = if is_same { plain_span.clone() } else { span(v1) };
            let close_span = span(Some(&close_frame));
            for slot in slots {
                let Some(connection) = self.get(*slot).filter(|connection| !connection.is_closing()) else { continue };
                let is_plain = connection.dialect == Dialect::Plain;
                let (frame, span) = if is_plain { (plain, &plain_span) } else { (v1, &v1_span) };
                if let Some(frame) = frame {
                    self.send_span(*slot, frame, span.clone());
                }
                self.begin_close(*slot, kick.code, now);
                if kick.silent_on_plain && is_plain {
                    self.reap(*slot, now);
                } else {
                    self.send_span(*slot, &close_frame, close_span.clone());
                }
            }
            if self.batch.is_full() {
                self.flush(now);
            }
        }
    }

    /// Marks an open connection as closing and counts it. Returns false if it is closing already, or gone.
    fn begin_close(&mut self, slot: Slot, code: CloseCode, now: Instant) -> bool {
        let Some(connection) = self.connection(slot).filter(|connection| !connection.is_closing()) else { return false };
        connection.start_close(now + CLOSE_TIMEOUT, false);
        metrics::counter!("roomcast_sockets_closed_by_us_total", "code" => code.0.to_string()).increment(1);
        self.watched.insert(slot);
        self.unlink(slot);
        true
    }

    /// Closes at once without a close frame. Queued frames that the socket does not accept at once are lost.
    pub(super) fn destroy(&mut self, slot: Slot, now: Instant) {
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else { return };
        if connection.send_queue.has_batched()
            && let Ok(bytes) = connection.write(&mut self.batch, now)
        {
            self.metrics.record_write(bytes as u64);
        }
        self.remove(slot);
    }

    /// Closes connections and returns their number.
    pub(super) fn close_all(&mut self, slots: Vec<Slot>, code: CloseCode, reason: &str, now: Instant) -> usize {
        for slot in &slots {
            self.close(*slot, code, reason, now);
        }
        slots.len()
    }

    /// Closes up to `count` open connections with `bye`, each with a reconnect time of its own, and a close frame.
    pub(super) fn drain_batch(&mut self, count: usize, mut reconnect_after_ms: impl FnMut() -> u64, now: Instant) {
        let is_open = |connection: &Connection<S>| !connection.is_closing();
        let slots = (0..self.connections.len()).filter(|slot| self.get(*slot).is_some_and(is_open)).take(count);
        for slot in slots.collect::<Vec<_>>() {
            if self.get(slot).is_some_and(|connection| connection.dialect == Dialect::V1) {
                let bye = Push::Bye { reconnect_after_ms: reconnect_after_ms() };
                self.send_unbounded(slot, &Frame::text(bye.to_json().as_bytes()));
            }
            self.close(slot, CloseCode::GOING_AWAY, CloseCode::GOING_AWAY.reason(), now);
        }
    }

    /// Removes the connection from the registry when its close begins; its stream may still have frames to write.
    pub(super) fn unlink(&mut self, slot: Slot) {
        self.end_events(slot);
        self.registry.unlink(slot);
    }

    /// Drops a connection that is done, and stops watching one that needs no watching.
    pub(super) fn reap(&mut self, slot: Slot, now: Instant) {
        let Some(connection) = self.connection(slot) else {
            self.watched.swap_remove(&slot);
            return;
        };
        if connection.is_done(now) {
            self.remove(slot);
        } else if !connection.is_closing() && !connection.send_queue.has_backlog() {
            self.watched.swap_remove(&slot);
        }
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        self.watched.swap_remove(&slot);
        self.unlink(slot);
        if self.connections.get_mut(slot).and_then(Option::take).is_some() {
            self.registry.remove(slot);
            metrics::counter!("roomcast_sockets_closed_total").increment(1);
        }
    }
}
