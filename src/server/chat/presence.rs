//! How many are in a room: told to it at most once a second, and only when it changed.

use crate::domain::{id::RoomId, push::Push};
use crate::server::gateway::{Except, Frame, Gateway, Publication};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(1);

/// What was told last. Counting people means asking every shard, so a page is shown this.
#[derive(Clone, Default)]
pub struct Online(Arc<Mutex<HashMap<RoomId, u32>>>);

impl Online {
    pub fn count(&self, room: &RoomId) -> u32 {
        self.told().get(room).copied().unwrap_or(0)
    }

    /// Whether it is another count than before.
    fn note(&self, room: &RoomId, count: u32) -> bool {
        let mut told = self.told();
        let before = if count == 0 { told.remove(room) } else { told.insert(room.clone(), count) };
        before != Some(count)
    }

    pub async fn announce(self, gateway: Gateway, closing: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = closing.cancelled() => return,
            }
            for (group, count) in gateway.take_changed_groups().await {
                // A group that a foreign back end made under another name is no room of ours.
                let Ok(room) = group.as_text().parse() else { continue };
                if self.note(&room, count) {
                    let online = Frame::text(Push::Online { room, count }.to_json().as_bytes());
                    drop(gateway.send_to_group(vec![group], Except::default(), Publication::v1(online)).await);
                }
            }
        }
    }

    fn told(&self) -> MutexGuard<'_, HashMap<RoomId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
