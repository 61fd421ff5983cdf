//! Presence: the number of people in a room, pushed to its pages at most once per second and only when it changed.

use crate::domain::{id::RoomId, push::Push};
use crate::server::gateway::{Except, Frame, Gateway, Publication};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Time between two counts.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// The last count of each room. Counting asks every shard, so pages and the lobby read this copy.
#[derive(Clone, Default)]
pub(super) struct Presence(Arc<Mutex<HashMap<RoomId, u32>>>);

impl Presence {
    /// Returns the last count; 0 for a room without people.
    pub(super) fn count(&self, room: &RoomId) -> u32 {
        self.counts().get(room).copied().unwrap_or(0)
    }

    /// Stores the count and returns whether it differs from the last one.
    fn update(&self, room: &RoomId, count: u32) -> bool {
        let mut counts = self.counts();
        let before = if count == 0 { counts.remove(room) } else { counts.insert(room.clone(), count) };
        before != Some(count)
    }

    /// Counts and pushes until `closing` is cancelled.
    pub(super) async fn run(self, gateway: Gateway, closing: CancellationToken) {
        let mut tick = tokio::time::interval(COUNT_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = closing.cancelled() => return,
            }
            for (group, count) in gateway.take_changed_groups().await {
                // A group whose name is no room id belongs to a back end.
                let Ok(room) = group.as_text().parse() else { continue };
                if self.update(&room, count) {
                    let online = Frame::text(Push::Online { room, count }.to_json().as_bytes());
                    drop(gateway.send_to_group(vec![group], Except::default(), Publication::v1(online)).await);
                }
            }
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<RoomId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
