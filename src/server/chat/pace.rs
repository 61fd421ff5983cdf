//! When each person last spoke in each room: the cooldown's memory. Owned by the commit task alone.

use crate::domain::{
    draft::Rules,
    id::{RoomId, Uid},
    refusal::Refusal,
};
use std::collections::HashMap;

/// Forget what no cooldown needs when there is this much of it.
const SWEEP_AT: usize = 10_000;

type Speaker = (RoomId, Uid);

pub struct Pace {
    rules: Rules,
    last: HashMap<Speaker, u64>,
    sweep_at: usize,
}

/// A place that was taken and may be given back: nothing was said after all.
pub struct Turn {
    speaker: Speaker,
    before: Option<u64>,
}

impl Pace {
    pub fn new(rules: Rules, recent: Vec<(RoomId, Uid, u64)>) -> Self {
        let mut last = HashMap::new();
        for (room, uid, at) in recent {
            let known: &mut u64 = last.entry((room, uid)).or_default();
            *known = at.max(*known);
        }
        Self { rules, last, sweep_at: SWEEP_AT }
    }

    pub fn take_turn(&mut self, room: &RoomId, uid: &Uid, now: u64) -> Result<Turn, Refusal> {
        if self.last.len() >= self.sweep_at {
            let rules = self.rules;
            self.last.retain(|_, last| rules.check_pace(Some(*last), now).is_err());
            self.sweep_at = SWEEP_AT.max(self.last.len() * 2);
        }
        let speaker = (room.clone(), uid.clone());
        let before = self.last.get(&speaker).copied();
        self.rules.check_pace(before, now)?;
        self.last.insert(speaker.clone(), now);
        Ok(Turn { speaker, before })
    }

    pub fn give_back(&mut self, turn: Turn) {
        match turn.before {
            Some(before) => self.last.insert(turn.speaker, before),
            None => self.last.remove(&turn.speaker),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_one_a_cooldown_a_person_a_room_and_can_be_given_back() {
        let mut pace = Pace::new(Rules::default(), vec![("2".parse().unwrap(), "u".parse().unwrap(), 900)]);
        let (room, other_room, uid) = ("1".parse().unwrap(), "2".parse().unwrap(), "u".parse().unwrap());
        let turn = pace.take_turn(&room, &uid, 1000).ok().unwrap();
        assert!(pace.take_turn(&room, &uid, 3999).is_err());
        assert!(pace.take_turn(&other_room, &uid, 3899).is_err() && pace.take_turn(&other_room, &uid, 3900).is_ok());
        assert!(pace.take_turn(&room, &"v".parse().unwrap(), 1000).is_ok());
        pace.give_back(turn);
        assert!(pace.take_turn(&room, &uid, 1001).is_ok());
    }

    #[test]
    fn old_speakers_are_forgotten() {
        let mut pace = Pace::new(Rules::default(), vec![]);
        let room = "1".parse().unwrap();
        for n in 0..30_000u64 {
            pace.take_turn(&room, &n.to_string().parse().unwrap(), n * 10).ok().unwrap();
        }
        assert!(pace.last.len() <= SWEEP_AT, "{}", pace.last.len());
    }
}
