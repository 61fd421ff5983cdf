//! The last count of each room, and the rooms with most people.

use crate::domain::id::RoomId;
use std::collections::HashMap;

/// Groups that may be rooms in the list of the busiest: more than the lobby shows, since a back end's group may have the name
/// of a room and be none.
const BUSIEST: usize = 1000;

/// Counts by room.
#[derive(Default)]
pub(super) struct Ranking {
    by_room: HashMap<RoomId, u32>,
    /// The 1,000 with most people, most first; renewed at most once per second.
    busiest: Vec<RoomId>,
}

impl Ranking {
    /// Returns the last count; 0 for a room without people.
    pub(super) fn count(&self, room: &RoomId) -> u32 {
        self.by_room.get(room).copied().unwrap_or(0)
    }

    /// Returns the rooms with most people, most first, as they were ranked last.
    pub(super) fn busiest(&self) -> &[RoomId] {
        &self.busiest
    }

    /// Stores the count and returns whether it differs from the last one.
    pub(super) fn update(&mut self, room: &RoomId, count: u32) -> bool {
        let by_room = &mut self.by_room;
        let before = if count == 0 { by_room.remove(room) } else { by_room.insert(room.clone(), count) };
        before != Some(count)
    }

    /// Renews the list of the busiest rooms.
    pub(super) fn rank(&mut self) {
        let Self { by_room, busiest } = self;
        let mut ranked: Vec<_> = by_room.iter().map(|(room, count)| (*count, room)).collect();
        let order = |a: &(u32, &RoomId), b: &(u32, &RoomId)| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1));
        if ranked.len() > BUSIEST {
            ranked.select_nth_unstable_by(BUSIEST, order);
            ranked.truncate(BUSIEST);
        }
        ranked.sort_unstable_by(order);
        *busiest = ranked.into_iter().map(|(_, room)| room.clone()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f10_rooms_with_most_people_come_first() {
        let mut ranking = Ranking::default();
        for n in 1..=3000u32 {
            ranking.update(&n.to_string().parse().unwrap(), n);
        }
        ranking.update(&"2999".parse().unwrap(), 0);
        ranking.rank();
        let busiest = ranking.busiest();
        assert_eq!(busiest.len(), BUSIEST);
        assert_eq!(busiest[..3].iter().map(RoomId::as_str).collect::<Vec<_>>(), ["3000", "2998", "2997"]);
    }
}
