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

    /// Time until [`Shard::tick`] must be called without other activity. `None`: the shard has no connections.
    pub(super) fn next_tick(&self, now: Instant) -> Option<Duration> {
        (self.registry.len() > 0 || !self.watched.is_empty()).then(|| self.wheel.until_next(now))
    }

    /// Sends pings; closes connections that did not answer one, slow ones, and those past their closing deadline.
    pub(super) fn tick(&mut self, now: Instant) {
        // After a stall, one turn at most, judged by the current time: pending input was read first.
        let Some(Advance { now: tick, ticks }) = self.wheel.advance(now) else { return };
        let (young, within) = (self.wheel.young(), self.wheel.pong_within());
        for turn in ticks {
            for slot in self.wheel.slots(turn, self.connections.len()) {
                if self.connection(slot).is_some_and(|connection| connection.ping_due(tick, young)) {
                    self.send_control(slot, &Frame::ping());
                }
            }
            for slot in self.wheel.slots(turn.wrapping_sub(within), self.connections.len()) {
                if self.connection(slot).is_some_and(|connection| connection.is_silent(tick, within)) {
                    self.close(slot, CloseCode::PING_TIMEOUT, CloseCode::PING_TIMEOUT.reason(), now);
                }
            }
        }
        self.check_watched(now);
        self.flush(now);
    }

    fn check_watched(&mut self, now: Instant) {
        let slow_after = Duration::from_millis(self.settings.slow_after_ms);
        let (mut queue_bytes, mut backlogged) = (0, 0);
        for slot in self.watched.iter().copied().collect::<Vec<_>>() {
            if let Some(connection) = self.get(slot)
                && let Some(since) = connection.send_queue.stalled_since()
            {
                queue_bytes += connection.send_queue.unsent_bytes() as u64;
                backlogged += 1;
                if !connection.is_closing() && now.saturating_duration_since(since) >= slow_after {
                    self.close(slot, CloseCode::SLOW, CloseCode::SLOW.reason(), now);
                }
            }
            self.reap(slot, now);
        }
        self.metrics.record_backlog(queue_bytes, backlogged);
    }
}
