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
/// Groups that may be rooms in the list of the busiest: more than the lobby shows, since a back end's group may have the name
/// of a room and be none.
const BUSIEST: usize = 1000;

/// The last count of each room. Counting asks every shard, so pages and the lobby read this copy.
#[derive(Clone, Default)]
pub(super) struct Presence(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    by_room: HashMap<RoomId, u32>,
    /// The 1,000 with most people, most first; renewed after the counts of one second.
    busiest: Vec<RoomId>,
}

impl Presence {
    /// Returns the last count; 0 for a room without people.
    pub(super) fn count(&self, room: &RoomId) -> u32 {
        self.counts().by_room.get(room).copied().unwrap_or(0)
    }

    /// Returns up to 1,000 rooms with people, most people first. Some may be groups of a back end that only look like rooms.
    pub(super) fn busiest(&self) -> Vec<RoomId> {
        self.counts().busiest.clone()
    }

    /// Stores the count and returns whether it differs from the last one.
    fn update(&self, room: &RoomId, count: u32) -> bool {
        let mut counts = self.counts();
        let by_room = &mut counts.by_room;
        let before = if count == 0 { by_room.remove(room) } else { by_room.insert(room.clone(), count) };
        before != Some(count)
    }

    /// Renews the list of the busiest rooms.
    fn rank(&self) {
        let mut counts = self.counts();
        let mut ranked: Vec<_> = counts.by_room.iter().map(|(room, count)| (*count, room.clone())).collect();
        let order = |a: &(u32, RoomId), b: &(u32, RoomId)| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1));
        if ranked.len() > BUSIEST {
            ranked.select_nth_unstable_by(BUSIEST, order);
            ranked.truncate(BUSIEST);
        }
        ranked.sort_unstable_by(order);
        counts.busiest = ranked.into_iter().map(|(_, room)| room).collect();
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
            let mut changed = false;
            for (group, count) in gateway.take_changed_groups().await {
                // A group whose name is no room id belongs to a back end.
                let Ok(room) = group.as_text().parse() else { continue };
                if self.update(&room, count) {
                    changed = true;
                    let online = Frame::text(Push::Online { room, count }.to_json().as_bytes());
                    drop(gateway.send_to_group(vec![group], Except::default(), Publication::v1(online)).await);
                }
            }
            if changed {
                self.rank();
            }
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f10_rooms_with_most_people_come_first() {
        let presence = Presence::default();
        for n in 1..=3000u32 {
            presence.update(&n.to_string().parse().unwrap(), n);
        }
        presence.update(&"2999".parse().unwrap(), 0);
        presence.rank();
        let busiest = presence.busiest();
        assert_eq!(busiest.len(), BUSIEST);
        assert_eq!(busiest[..3].iter().map(RoomId::as_str).collect::<Vec<_>>(), ["3000", "2998", "2997"]);
    }
}
