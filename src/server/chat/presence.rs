//! Presence: the number of people in a room, pushed to its pages at most once per second and only when it changed. The first
//! change after a quiet second is pushed at once, so that the page that just opened is counted before its reader looks.

use crate::domain::{id::RoomId, push::Push};
use crate::server::gateway::{Except, Frame, Gateway, Group, Publication};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Shortest time between two counts of a room, and the longest between a change and its count.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Shortest time between two passes over the changed rooms, however many sockets are bound.
const PASS_EVERY: Duration = Duration::from_millis(100);
/// Groups that may be rooms in the list of the busiest: more than the lobby shows, since a back end's group may have the name
/// of a room and be none.
const BUSIEST: usize = 1000;

/// The last count of each room. Counting asks every shard, so pages and the lobby read this copy.
#[derive(Clone, Default)]
pub(super) struct Presence(Arc<Shared>);

#[derive(Default)]
struct Shared {
    counts: Mutex<Counts>,
    /// Notified when a socket was bound.
    bound: Notify,
}

#[derive(Default)]
struct Counts {
    by_room: HashMap<RoomId, u32>,
    /// The 1,000 with most people, most first; renewed at most once per second.
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
        let Counts { by_room, busiest } = &mut *counts;
        let mut ranked: Vec<_> = by_room.iter().map(|(room, count)| (*count, room)).collect();
        let order = |a: &(u32, &RoomId), b: &(u32, &RoomId)| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1));
        if ranked.len() > BUSIEST {
            ranked.select_nth_unstable_by(BUSIEST, order);
            ranked.truncate(BUSIEST);
        }
        ranked.sort_unstable_by(order);
        *busiest = ranked.into_iter().map(|(_, room)| room.clone()).collect();
    }

    /// Asks for a count of the rooms that changed, in [`PASS_EVERY`] at the latest. Does not wait.
    pub(super) fn count_soon(&self) {
        self.0.bound.notify_one();
    }

    /// Counts, ranks and pushes until `closing` is cancelled.
    pub(super) async fn run(self, gateway: Gateway, closing: CancellationToken) {
        let (mut waiting, mut counted) = (HashSet::new(), HashMap::new());
        let (mut is_ranked, mut ranked_at) = (true, None::<Instant>);
        loop {
            if !is_ranked && ranked_at.is_none_or(|at| at.elapsed() >= COUNT_EVERY) {
                self.rank();
                (is_ranked, ranked_at) = (true, Some(Instant::now()));
            }
            let passed = Instant::now();
            let next = counted.values().map(|at| *at + COUNT_EVERY).min().filter(|_| !waiting.is_empty());
            let next = next.unwrap_or(passed + COUNT_EVERY).max(passed + PASS_EVERY);
            let wake = async {
                tokio::select! {
                    () = sleep_until(next) => {}
                    () = self.0.bound.notified() => sleep_until(passed + PASS_EVERY).await,
                }
            };
            tokio::select! {
                () = wake => is_ranked &= !self.pass(&gateway, &mut waiting, &mut counted).await,
                () = closing.cancelled() => return,
            }
        }
    }

    /// Counts the changed rooms that were not counted within the last second, and pushes the counts that differ. The others wait.
    /// Returns whether any differs.
    async fn pass(&self, gateway: &Gateway, waiting: &mut HashSet<Group>, counted: &mut HashMap<Group, Instant>) -> bool {
        // A group whose name is no room id belongs to a back end.
        let is_room = |group: &Group| group.as_text().parse::<RoomId>().is_ok();
        waiting.extend(gateway.take_changed_groups().await.into_iter().filter(is_room));
        let now = Instant::now();
        counted.retain(|_, at| now.duration_since(*at) < COUNT_EVERY);
        let due: Vec<Group> = waiting.extract_if(|group| !counted.contains_key(group)).collect();
        let mut changed = false;
        let counts = gateway.people(due.clone()).await;
        for (group, count) in due.into_iter().zip(counts) {
            let Ok(room) = group.as_text().parse() else { continue };
            counted.insert(group.clone(), now);
            if self.update(&room, count) {
                changed = true;
                let online = Frame::text(Push::Online { room, count }.to_json().as_bytes());
                drop(gateway.send_to_group(vec![group], Except::default(), Publication::v1(online)).await);
            }
        }
        changed
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
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
