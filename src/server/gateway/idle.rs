//! While a node is nearly full, closes the connections that nobody uses, so that visitors are not refused because of sockets
//! that somebody opened and left. Otherwise such a connection stays open: pages of back ends need neither uid nor group.

use super::handle::Gateway;
use super::registry::Slot;
use super::shard::Shard;
use super::shard_thread::ShardCommand;
use super::stream::{Socket, Stream};
use crate::domain::push::CloseCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Share of `gateway.max_connections` above which idle connections are closed, in percent.
const NEARLY_FULL_PERCENT: usize = 90;
/// Time in which a new connection is not idle yet: its page has received `init` and binds it.
const GRACE: Duration = Duration::from_secs(3);
/// Shortest time between two passes over the connections.
const PASS_INTERVAL: Duration = Duration::from_millis(250);

/// When the last pass began.
#[derive(Default)]
pub(super) struct IdlePasses(Mutex<Option<Instant>>);

impl IdlePasses {
    fn is_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= PASS_INTERVAL);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

/// Connections above 90 % of `max_connections`.
fn excess(connections: usize, max_connections: usize) -> usize {
    connections.saturating_sub(max_connections / 100 * NEARLY_FULL_PERCENT + max_connections % 100 * NEARLY_FULL_PERCENT / 100)
}

impl Gateway {
    /// Called for each new connection: if the node is nearly full, tells the shards to close idle connections, without waiting.
    pub(super) fn close_idle_if_nearly_full(&self) {
        let excess = excess(self.connection_count(), self.0.settings.max_connections);
        if excess == 0 || !self.0.idle_passes.is_due(Instant::now()) {
            return;
        }
        let per_shard = excess.div_ceil(self.0.shards.len());
        for shard in &self.0.shards {
            let close = move |shard: &mut Shard<Socket>, now: Instant| shard.close_idle(per_shard, now);
            shard.post(ShardCommand::Run(Box::new(close), None));
        }
    }
}

impl<S: Stream> Shard<S> {
    /// Closes up to `count` idle connections with 4407, oldest first. Those that close already count, since the node still holds
    /// them.
    pub(super) fn close_idle(&mut self, count: usize, now: Instant) {
        let closing = self.connections.iter().flatten().filter(|connection| connection.is_closing()).count();
        let count = count.saturating_sub(closing);
        let mut idle: Vec<_> = self.registry.all().filter_map(|slot| Some((self.idle_since(slot, now)?, slot))).collect();
        idle.sort_unstable();
        for (_, slot) in idle.into_iter().take(count) {
            self.close(slot, CloseCode::IDLE, CloseCode::IDLE.reason(), now);
        }
    }

    /// Returns the tick at which the connection was opened, if it is idle: without uid, group and kept session, never the receiver
    /// of a push, and older than the grace period.
    fn idle_since(&self, slot: Slot, now: Instant) -> Option<u32> {
        let (connection, member) = (self.get(slot)?, self.registry.get(slot)?);
        let is_used = connection.was_addressed || member.uid().is_some() || member.session().is_some();
        let is_idle = !is_used && !connection.is_closing() && member.groups().next().is_none();
        (is_idle && self.age(connection, now) >= GRACE).then_some(connection.opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f28_a_node_is_nearly_full_above_nine_tenths() {
        let cases =
            [(0, 50_000), (45_000, 50_000), (45_001, 50_000), (50_000, 50_000), (18, 20), (19, 20), (usize::MAX, usize::MAX)];
        let expected = [0, 0, 1, 5_000, 0, 1];
        assert_eq!(cases.map(|(count, max)| excess(count, max))[..6], expected);
        assert!(excess(usize::MAX, usize::MAX) > 0, "no overflow");
    }

    #[test]
    fn f28_passes_are_a_quarter_of_a_second_apart() {
        let (passes, now) = (IdlePasses::default(), Instant::now());
        let is_due = |ms| passes.is_due(now + Duration::from_millis(ms));
        assert_eq!([is_due(0), is_due(100), is_due(249), is_due(250), is_due(260)], [true, false, false, true, false]);
    }
}
