//! How a shard closes its connections: with a close frame, without one, at once, or as part of a drain.

use super::connection::Connection;
use super::registry::Slot;
use super::shard::Shard;
use super::stream::Stream;
use super::{Dialect, Frame};
use crate::domain::push::{CloseCode, Push};
use std::time::{Duration, Instant};

/// Time for a closing connection to read its queue and answer the close frame; then it is dropped.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

impl<S: Stream> Shard<S> {
    /// Sends a close frame after the queued frames, then closes. A connection that is closing keeps its first reason.
    pub(super) fn close(&mut self, slot: Slot, code: CloseCode, reason: &str, now: Instant) {
        let Some(connection) = self.connection(slot).filter(|connection| !connection.is_closing()) else { return };
        connection.start_close(now + CLOSE_TIMEOUT, false);
        metrics::counter!("roomcast_sockets_closed_by_us_total", "code" => code.0.to_string()).increment(1);
        self.send_unbounded(slot, &Frame::close(code, reason));
        self.watched.insert(slot);
        self.unlink(slot);
    }

    /// Closes after the queued frames, without a close frame.
    pub(super) fn close_after_flush(&mut self, slot: Slot, code: CloseCode, now: Instant) {
        let Some(connection) = self.connection(slot).filter(|connection| !connection.is_closing()) else { return };
        connection.start_close(now + CLOSE_TIMEOUT, false);
        metrics::counter!("roomcast_sockets_closed_by_us_total", "code" => code.0.to_string()).increment(1);
        self.watched.insert(slot);
        self.unlink(slot);
        self.reap(slot, now);
    }

    /// Queues a last frame for a connection that is about to be closed, without regard to the limit.
    pub(super) fn send_farewell(&mut self, slot: Slot, farewell: &Frame) {
        if self.get(slot).is_some_and(|connection| !connection.is_closing()) {
            self.send_unbounded(slot, farewell);
        }
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
