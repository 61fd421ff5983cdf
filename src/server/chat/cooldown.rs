//! The cooldown: the time of each person's last message per room. Owned by the commit task, so it needs no lock. The caller
//! says how long the cooldown is, since a room may have a slow mode.

use crate::domain::{
    draft::check_cooldown,
    id::{RoomId, Uid},
    refusal::Refusal,
    room::MAX_SLOW_MS,
};
use std::collections::HashMap;

/// Number of entries at which expired ones are removed. After a sweep it is twice the number that remained, and never less
/// than this.
const SWEEP_AT: usize = 10_000;

type Speaker = (RoomId, Uid);

/// Last message per room and person.
pub(super) struct Cooldowns {
    last: HashMap<Speaker, LastMessage>,
    sweep_at: usize,
}

/// A person's last message in a room.
#[derive(Clone, Copy)]
struct LastMessage {
    /// When it was accepted, unix ms.
    at: u64,
    /// The cooldown that it started. The entry is kept for this long; after a sweep a slow mode that begins later does not
    /// concern the message.
    cooldown_ms: u64,
}

/// A started cooldown. [`Cooldowns::rollback`] undoes it when the message was not stored.
pub(super) struct Reservation {
    speaker: Speaker,
    before: Option<LastMessage>,
}

impl Cooldowns {
    /// `recent` holds room, sender and time (unix ms) of recently stored messages.
    pub(super) fn new(recent: Vec<(RoomId, Uid, u64)>) -> Self {
        let mut last = HashMap::new();
        for (room, uid, at) in recent {
            let known = last.entry((room, uid)).or_insert(LastMessage { at, cooldown_ms: MAX_SLOW_MS });
            known.at = at.max(known.at);
        }
        Self { last, sweep_at: SWEEP_AT }
    }

    /// Starts a cooldown of `cooldown_ms` at `now` (unix ms). Fails with [`Refusal::TooFast`] while that time has not passed
    /// since the person's last message in the room.
    pub(super) fn try_acquire(&mut self, room: &RoomId, uid: &Uid, cooldown_ms: u64, now: u64) -> Result<Reservation, Refusal> {
        if self.last.len() >= self.sweep_at {
            self.last.retain(|_, last| check_cooldown(last.cooldown_ms, Some(last.at), now).is_err());
            self.sweep_at = SWEEP_AT.max(self.last.len() * 2);
        }
        let speaker = (room.clone(), uid.clone());
        let before = self.last.get(&speaker).copied();
        check_cooldown(cooldown_ms, before.map(|last| last.at), now)?;
        self.last.insert(speaker.clone(), LastMessage { at: now, cooldown_ms });
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
        let mut cooldowns = Cooldowns::new(vec![("2".parse().unwrap(), "u".parse().unwrap(), 900)]);
        let (room, other_room, uid) = ("1".parse().unwrap(), "2".parse().unwrap(), "u".parse().unwrap());
        let reservation = cooldowns.try_acquire(&room, &uid, 3000, 1000).ok().unwrap();
        assert!(cooldowns.try_acquire(&room, &uid, 3000, 3999).is_err());
        assert!(cooldowns.try_acquire(&other_room, &uid, 3000, 3899).is_err());
        assert!(cooldowns.try_acquire(&other_room, &uid, 3000, 3900).is_ok());
        assert!(cooldowns.try_acquire(&room, &"v".parse().unwrap(), 3000, 1000).is_ok());
        cooldowns.rollback(reservation);
        assert!(cooldowns.try_acquire(&room, &uid, 3000, 1001).is_ok());
    }

    #[test]
    fn f1_a_longer_cooldown_concerns_messages_sent_before_it() {
        let mut cooldowns = Cooldowns::new(vec![("1".parse().unwrap(), "restored".parse().unwrap(), 1000)]);
        let (room, uid, restored) = ("1".parse().unwrap(), "u".parse().unwrap(), "restored".parse().unwrap());
        assert!(cooldowns.try_acquire(&room, &uid, 3000, 1000).is_ok());
        for uid in [&uid, &restored] {
            assert!(cooldowns.try_acquire(&room, uid, 60_000, 60_999).is_err());
            assert!(cooldowns.try_acquire(&room, uid, 3000, 60_999).is_ok(), "and a shorter one likewise");
        }
    }

    #[test]
    fn old_speakers_are_forgotten() {
        let mut cooldowns = Cooldowns::new(vec![]);
        let room = "1".parse().unwrap();
        for n in 0..30_000u64 {
            cooldowns.try_acquire(&room, &n.to_string().parse().unwrap(), 3000, n * 10).ok().unwrap();
        }
        assert!(cooldowns.last.len() <= SWEEP_AT, "{}", cooldowns.last.len());
    }
}
