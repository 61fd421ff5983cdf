//! Which rooms are counted now: each at once after a quiet second, and then once per second. Pure, with the time handed in.

use super::COUNT_EVERY;
use crate::domain::id::RoomId;
use std::collections::{HashMap, HashSet};
use tokio::time::Instant;

/// The rooms whose people may have changed.
#[derive(Default)]
pub(super) struct Due {
    /// Changed on this node: its members are looked at again.
    recount: HashSet<RoomId>,
    /// Changed on another node.
    remerge: HashSet<RoomId>,
    /// Rooms of the last second.
    counted: HashMap<RoomId, Instant>,
}

impl Due {
    /// Adds rooms that changed on this node.
    pub(super) fn changed_here(&mut self, rooms: impl IntoIterator<Item = RoomId>) {
        self.recount.extend(rooms);
    }

    /// Adds rooms that changed on another node.
    pub(super) fn changed_elsewhere(&mut self, rooms: impl IntoIterator<Item = RoomId>) {
        self.remerge.extend(rooms);
    }

    /// Takes the rooms that were not counted within the last second: those to count, and those to merge again.
    pub(super) fn take(&mut self, now: Instant) -> (Vec<RoomId>, Vec<RoomId>) {
        let Self { recount, remerge, counted } = self;
        counted.retain(|_, at| now.duration_since(*at) < COUNT_EVERY);
        let recount: Vec<_> = recount.extract_if(|room| !counted.contains_key(room)).collect();
        counted.extend(recount.iter().map(|room| (room.clone(), now)));
        remerge.retain(|room| counted.get(room) != Some(&now));
        let remerge: Vec<_> = remerge.extract_if(|room| !counted.contains_key(room)).collect();
        counted.extend(remerge.iter().map(|room| (room.clone(), now)));
        (recount, remerge)
    }

    /// When a room that waits may be counted. `None`: none waits.
    pub(super) fn next(&self) -> Option<Instant> {
        let is_waiting = !(self.recount.is_empty() && self.remerge.is_empty());
        self.counted.values().map(|at| *at + COUNT_EVERY).min().filter(|_| is_waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_room_is_counted_at_once_and_then_once_per_second() {
        let (mut due, start) = (Due::default(), Instant::now());
        let room: RoomId = "1".parse().unwrap();
        let after = |ms| start + Duration::from_millis(ms);
        due.changed_here([room.clone()]);
        due.changed_elsewhere([room.clone()]);
        assert_eq!(due.take(after(0)), (vec![room.clone()], vec![]));
        assert_eq!(due.next(), None);
        due.changed_elsewhere([room.clone()]);
        assert_eq!(due.take(after(900)), (vec![], vec![]));
        assert_eq!(due.next(), Some(after(1000)));
        assert_eq!(due.take(after(1000)), (vec![], vec![room.clone()]));
        due.changed_here([room.clone()]);
        assert_eq!(due.take(after(1500)), (vec![], vec![]));
        assert_eq!(due.take(after(2000)), (vec![room], vec![]));
    }
}
