//! The people of other nodes, as those nodes told of them. Pure, with the time handed in. A lost message is made up for by the next
//! turn, and the people of a node go with it.

use super::crowd::Crowd;
use crate::domain::id::RoomId;
use crate::server::cluster::{Incarnation, NodeName};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// Time after which a node that said nothing is gone, if it is not known to live.
const SILENT: Duration = Duration::from_millis(3_500);
/// Time after which a crowd is out of date: its node tells each of its rooms every 10 s.
const OUT_OF_DATE: Duration = Duration::from_secs(25);
/// Memory of all crowds, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// One run of a node.
pub(super) type Run = (NodeName, Incarnation);

/// The crowds of the other nodes.
#[derive(Default)]
pub(super) struct Heard {
    by_room: HashMap<RoomId, Vec<Told>>,
    /// The process that each run is, and when it spoke last: every second.
    nodes: HashMap<Run, (u32, Instant)>,
    bytes: usize,
}

struct Told {
    by: Run,
    at: Instant,
    crowd: Crowd,
}

/// A new room does not fit into the memory for crowds.
#[derive(Debug, PartialEq)]
pub(super) struct Full;

impl Heard {
    /// Notes that a node spoke. Returns whether its run was not known, or is another process after a reload: it knows no people of
    /// this node then.
    pub(super) fn meet(&mut self, by: Run, process: u32, now: Instant) -> bool {
        self.nodes.insert(by, (process, now)).is_none_or(|(before, _)| before != process)
    }

    /// Takes a crowd of a node that was met, in place of an earlier one. Returns whether it differs from that.
    pub(super) fn hear(&mut self, by: Run, room: &RoomId, crowd: Crowd, now: Instant) -> Result<bool, Full> {
        let before = self.take(by.0, room);
        let differs = before.as_ref().map_or(!crowd.is_empty(), |before| *before != crowd);
        if crowd.is_empty() {
            return Ok(differs);
        }
        let bytes = crowd.size();
        if self.bytes + bytes > MAX_BYTES {
            return Err(Full);
        }
        self.bytes += bytes;
        self.by_room.entry(room.clone()).or_default().push(Told { by, at: now, crowd });
        Ok(differs)
    }

    /// The crowds of a room.
    pub(super) fn crowds(&self, room: &RoomId) -> impl Iterator<Item = &Crowd> {
        self.by_room.get(room).into_iter().flatten().map(|told| &told.crowd)
    }

    /// Forgets the people of nodes that are gone, and crowds that are out of date. `live` are the nodes that live. Returns the rooms
    /// that lost some.
    pub(super) fn forget_gone(&mut self, live: &[Run], now: Instant) -> HashSet<RoomId> {
        self.nodes.retain(|(name, run), (_, at)| {
            let lives = live.iter().find(|(live, _)| live == name).map(|(_, live)| live == run);
            lives.unwrap_or(now.duration_since(*at) < SILENT)
        });
        let (nodes, mut bytes, mut changed) = (&self.nodes, 0, HashSet::new());
        self.by_room.retain(|room, told| {
            let before = told.len();
            told.retain(|told| nodes.contains_key(&told.by) && now.duration_since(told.at) < OUT_OF_DATE);
            if told.len() < before {
                changed.insert(room.clone());
            }
            bytes += told.iter().map(|told| told.crowd.size()).sum::<usize>();
            !told.is_empty()
        });
        self.bytes = bytes;
        changed
    }

    fn take(&mut self, node: NodeName, room: &RoomId) -> Option<Crowd> {
        let told = self.by_room.get_mut(room)?;
        let crowd = told.swap_remove(told.iter().position(|told| told.by.0 == node)?).crowd;
        if told.is_empty() {
            self.by_room.remove(room);
        }
        self.bytes = self.bytes.saturating_sub(crowd.size());
        Some(crowd)
    }
}

#[cfg(test)]
mod tests {
    use super::super::crowd::union;
    use super::*;
    use crate::server::gateway::People;

    fn run(port: u16, incarnation: u64) -> Run {
        (NodeName::from(std::net::SocketAddrV4::new([10, 0, 0, 1].into(), port)), Incarnation(incarnation))
    }

    fn room(id: &str) -> RoomId {
        id.parse().unwrap()
    }

    fn crowd(people: impl IntoIterator<Item = u64>) -> Crowd {
        People { uids: people.into_iter().collect(), ..People::default() }.into()
    }

    fn told(heard: &mut Heard, by: Run, id: &str, people: impl IntoIterator<Item = u64>, now: Instant) -> Result<bool, Full> {
        heard.meet(by, 1, now);
        heard.hear(by, &room(id), crowd(people), now)
    }

    fn count(heard: &Heard, id: &str) -> u32 {
        union(heard.crowds(&room(id)))
    }

    #[test]
    fn a_crowd_takes_the_place_of_the_nodes_earlier_one() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        assert_eq!(told(&mut heard, run(1, 1), "a", 0..3, now), Ok(true));
        assert_eq!(told(&mut heard, run(1, 1), "a", 0..3, now), Ok(false));
        assert_eq!(told(&mut heard, run(2, 1), "a", 2..5, now), Ok(true));
        assert_eq!(count(&heard, "a"), 5);
        assert_eq!(told(&mut heard, run(1, 1), "a", [], now), Ok(true));
        assert_eq!(count(&heard, "a"), 3);
        assert_eq!(told(&mut heard, run(2, 1), "a", [], now), Ok(true));
        assert!(heard.by_room.is_empty());
        assert_eq!(heard.bytes, 0);
    }

    #[test]
    fn the_people_of_a_silent_node_go_after_three_and_a_half_seconds() {
        let (mut heard, start) = (Heard::default(), Instant::now());
        told(&mut heard, run(1, 1), "a", 0..3, start).unwrap();
        assert!(heard.forget_gone(&[], start + Duration::from_millis(3_400)).is_empty());
        // A node that lives may be silent: nothing changed there.
        assert!(heard.forget_gone(&[run(1, 1)], start + Duration::from_secs(9)).is_empty());
        assert_eq!(heard.forget_gone(&[], start + Duration::from_secs(9)), HashSet::from([room("a")]));
        assert_eq!(count(&heard, "a"), 0);
    }

    #[test]
    fn a_crowd_that_is_not_told_again_is_out_of_date() {
        let (mut heard, start) = (Heard::default(), Instant::now());
        told(&mut heard, run(1, 1), "a", 0..3, start).unwrap();
        told(&mut heard, run(1, 1), "b", 0..3, start + Duration::from_secs(20)).unwrap();
        assert_eq!(heard.forget_gone(&[run(1, 1)], start + Duration::from_secs(26)), HashSet::from([room("a")]));
        assert_eq!(count(&heard, "b"), 3);
    }

    #[test]
    fn another_run_of_a_node_ends_the_people_of_the_first() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        told(&mut heard, run(1, 1), "a", 0..3, now).unwrap();
        told(&mut heard, run(1, 1), "b", 0..3, now).unwrap();
        told(&mut heard, run(1, 2), "a", 0..2, now).unwrap();
        assert_eq!(count(&heard, "a"), 2);
        assert_eq!(heard.forget_gone(&[run(1, 2)], now), HashSet::from([room("b")]));
        assert_eq!(count(&heard, "a"), 2);
    }

    #[test]
    fn a_run_is_met_once_and_again_after_it_was_gone() {
        let (mut heard, start) = (Heard::default(), Instant::now());
        assert!(heard.meet(run(1, 1), 1, start));
        assert!(!heard.meet(run(1, 1), 1, start + Duration::from_secs(1)));
        assert!(heard.meet(run(1, 2), 2, start + Duration::from_secs(1)));
        assert!(heard.meet(run(1, 2), 3, start + Duration::from_secs(1)), "after a reload");
        heard.forget_gone(&[], start + Duration::from_secs(5));
        assert!(heard.meet(run(1, 2), 3, start + Duration::from_secs(5)));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        let large = crowd(0..1024);
        let fitting = MAX_BYTES / large.size();
        for n in 0..fitting {
            heard.hear(run(1, 1), &room(&n.to_string()), large.clone(), now).unwrap();
        }
        assert_eq!(heard.hear(run(1, 1), &room("more"), large, now), Err(Full));
        assert_eq!(told(&mut heard, run(1, 1), "0", 0..9, now), Ok(true));
    }
}
