//! The cooldown: the time of each person's last message per room. Owned by the commit task, so it needs no lock.

use crate::domain::{
    draft::Rules,
    id::{RoomId, Uid},
    refusal::Refusal,
};
use std::collections::HashMap;

/// Number of entries at which expired ones are removed. After a sweep it is twice the number that remained, and never less
/// than this.
const SWEEP_AT: usize = 10_000;

type Speaker = (RoomId, Uid);

/// Last message time, unix ms, per room and person.
pub(super) struct Cooldowns {
    rules: Rules,
    last: HashMap<Speaker, u64>,
    sweep_at: usize,
}

/// A started cooldown. [`Cooldowns::rollback`] undoes it when the message was not stored.
pub(super) struct Reservation {
    speaker: Speaker,
    before: Option<u64>,
}

impl Cooldowns {
    /// `recent` holds room, sender and time (unix ms) of recently stored messages.
    pub(super) fn new(rules: Rules, recent: Vec<(RoomId, Uid, u64)>) -> Self {
        let mut last = HashMap::new();
        for (room, uid, at) in recent {
            let known: &mut u64 = last.entry((room, uid)).or_default();
            *known = at.max(*known);
        }
        Self { rules, last, sweep_at: SWEEP_AT }
    }

    /// Starts a cooldown at `now` (unix ms). Fails with [`Refusal::TooFast`] while the last one runs.
    pub(super) fn try_acquire(&mut self, room: &RoomId, uid: &Uid, now: u64) -> Result<Reservation, Refusal> {
        if self.last.len() >= self.sweep_at {
            let rules = self.rules;
            self.last.retain(|_, last| rules.check_cooldown(Some(*last), now).is_err());
            self.sweep_at = SWEEP_AT.max(self.last.len() * 2);
        }
        let speaker = (room.clone(), uid.clone());
        let before = self.last.get(&speaker).copied();
        self.rules.check_cooldown(before, now)?;
        self.last.insert(speaker.clone(), now);
        Ok(Reservation { speaker, before })
    }

    /// Restores the state before [`Cooldowns::try_acquire`].
    pub(super) fn rollback(&mut self, reservation: Reservation) {
        match reservation.before {
            Some(before) => self.last.insert(reservation.speaker, before),
            None => self.last.remove(&reservation.speaker),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_per_cooldown_person_and_room_and_a_reservation_rolls_back() {
        let mut cooldowns = Cooldowns::new(Rules::default(), vec![("2".parse().unwrap(), "u".parse().unwrap(), 900)]);
        let (room, other_room, uid) = ("1".parse().unwrap(), "2".parse().unwrap(), "u".parse().unwrap());
        let reservation = cooldowns.try_acquire(&room, &uid, 1000).ok().unwrap();
        assert!(cooldowns.try_acquire(&room, &uid, 3999).is_err());
        assert!(
            cooldowns.try_acquire(&other_room, &uid, 3899).is_err() && cooldowns.try_acquire(&other_room, &uid, 3900).is_ok()
        );
        assert!(cooldowns.try_acquire(&room, &"v".parse().unwrap(), 1000).is_ok());
        cooldowns.rollback(reservation);
        assert!(cooldowns.try_acquire(&room, &uid, 1001).is_ok());
    }

    #[test]
    fn old_speakers_are_forgotten() {
        let mut cooldowns = Cooldowns::new(Rules::default(), vec![]);
        let room = "1".parse().unwrap();
        for n in 0..30_000u64 {
            cooldowns.try_acquire(&room, &n.to_string().parse().unwrap(), n * 10).ok().unwrap();
        }
        assert!(cooldowns.last.len() <= SWEEP_AT, "{}", cooldowns.last.len());
    }
}
