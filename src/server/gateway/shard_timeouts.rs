//! The timeouts of a shard's connections: pings, unanswered pings, slow readers, closing deadlines.

use super::Frame;
use super::connection::Connection;
use super::shard::Shard;
use super::stream::Stream;
use super::timer_wheel::Advance;
use crate::domain::push::CloseCode;
use std::time::{Duration, Instant};

impl<S: Stream> Shard<S> {
    /// Time since the connection was opened, in whole ticks.
    pub(super) fn age(&self, connection: &Connection<S>, now: Instant) -> Duration {
        self.wheel.duration(self.wheel.at(now).saturating_sub(connection.opened))
    }

    /// Time after which [`Shard::tick`] must be called even if nothing else happens. `None`: the shard has no connections.
    pub(super) fn next_tick(&self, now: Instant) -> Option<Duration> {
        (self.registry.len() > 0 || !self.watched.is_empty()).then(|| self.wheel.until_next(now))
    }

    /// Queues pings; closes connections that did not answer one, slow ones, and those past their closing deadline.
    pub(super) fn tick(&mut self, now: Instant) {
        // After a stall, `ticks` covers one turn of the wheel at most, and peers are judged by the current `tick`. Input
        // that arrived meanwhile was read before this call.
        let Some(Advance { now: tick, ticks }) = self.wheel.advance(now) else { return };
        let (young, pong_timeout, now_ms) = (self.wheel.young(), self.wheel.pong_timeout(), self.wheel.ms(now));
        for due in ticks {
            for slot in self.wheel.slots(due, self.connections.len()) {
                if self.connection(slot).is_some_and(|connection| connection.ping_due(tick, young, now_ms)) {
                    self.send_unbounded(slot, &Frame::ping());
                }
            }
            for slot in self.wheel.slots(due.wrapping_sub(pong_timeout), self.connections.len()) {
                if self.connection(slot).is_some_and(|connection| connection.is_silent(tick, pong_timeout)) {
                    self.close(slot, CloseCode::PING_TIMEOUT, CloseCode::PING_TIMEOUT.reason(), now);
                }
            }
        }
        self.check_watched(now);
    }

    fn check_watched(&mut self, now: Instant) {
        let slow_after = Duration::from_millis(self.settings.slow_after_ms);
        let (mut queue_bytes, mut backlogged) = (0, 0);
        for slot in self.watched.iter().copied().collect::<Vec<_>>() {
            if let Some(connection) = self.get(slot)
                && let Some(last_progress) = connection.send_queue.last_progress()
            {
                queue_bytes += connection.send_queue.unsent_bytes() as u64;
                backlogged += 1;
                if !connection.is_closing() && now.saturating_duration_since(last_progress) >= slow_after {
                    self.close(slot, CloseCode::SLOW, CloseCode::SLOW.reason(), now);
                }
            }
            self.reap(slot, now);
        }
        self.metrics.record_backlog(queue_bytes, backlogged);
    }
}
