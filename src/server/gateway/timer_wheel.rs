//! Time in ticks. Each connection is pinged at the tick that its slot falls on, so no connection needs a timer of its own.

use super::registry::Slot;
use crate::server::config::GatewaySettings as Settings;
use std::time::{Duration, Instant};

/// Longest tick: pings, deadlines and slow readers are checked once per tick.
const MAX_TICK: Duration = Duration::from_secs(1);

/// A shard's timer wheel. Its circumference is `ping_every` ticks.
pub(super) struct TimerWheel {
    start: Instant,
    tick: Duration,
    /// The last tick whose slots were visited.
    visited: u32,
    /// Ticks between two pings of a connection.
    ping_every: u32,
    /// Ticks that a peer has to answer a ping.
    pong_within: u32,
}

/// The ticks that passed since the wheel was last advanced.
pub(super) struct Advance {
    /// The current tick.
    pub now: u32,
    /// The ticks to visit: at most one turn of the wheel, however long the shard was stalled.
    pub ticks: std::ops::RangeInclusive<u32>,
}

impl TimerWheel {
    /// A tick is half of the shorter ping time, one second at most.
    pub(super) fn new(settings: &Settings, now: Instant) -> Self {
        let [ping_every, pong_within] = [settings.ping_every_ms, settings.pong_within_ms].map(Duration::from_millis);
        let tick = MAX_TICK.min(ping_every / 2).min(pong_within / 2).max(Duration::from_millis(1));
        let ticks = |time: Duration| (time.as_millis() / tick.as_millis().max(1)).max(1) as u32;
        Self { start: now, tick, visited: 0, ping_every: ticks(ping_every), pong_within: ticks(pong_within) }
    }

    /// Milliseconds since the wheel started.
    pub(super) fn ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }

    /// The tick at a time.
    pub(super) fn at(&self, now: Instant) -> u32 {
        (now.saturating_duration_since(self.start).as_millis() / self.tick.as_millis().max(1)) as u32
    }

    /// Time until the next tick.
    pub(super) fn until_next(&self, now: Instant) -> Duration {
        (self.start + self.tick * (self.visited + 1)).saturating_duration_since(now)
    }

    /// Duration of a number of ticks.
    pub(super) fn duration(&self, ticks: u32) -> Duration {
        self.tick * ticks
    }

    /// Advances to `now`. `None`: the tick is the same as before.
    pub(super) fn advance(&mut self, now: Instant) -> Option<Advance> {
        let now = self.at(now);
        if now == self.visited {
            return None;
        }
        let first = (self.visited + 1).max(now.saturating_sub(self.ping_every - 1));
        self.visited = now;
        Some(Advance { now, ticks: first..=now })
    }

    /// Ticks that a peer has to answer a ping.
    pub(super) fn pong_timeout(&self) -> u32 {
        self.pong_within
    }

    /// Ticks after which a new connection is pinged for the first time: a quarter of the ping interval.
    pub(super) fn young(&self) -> u32 {
        self.ping_every / 4
    }

    /// The slots below `len` that a tick visits.
    pub(super) fn slots(&self, tick: u32, len: usize) -> impl Iterator<Item = Slot> + use<> {
        ((tick % self.ping_every) as Slot..len).step_by(self.ping_every as usize)
    }
}
