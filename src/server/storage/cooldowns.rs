//! The cooldown: the time of each person's last message per room. It is used twice: by a store, to judge the messages of a
//! batch, and by the chat, to refuse a flood before it reaches the store. Each has one owner, so it needs no lock. The caller
//! says how long the cooldown is, since a room may have a slow mode.

use crate::domain::{
    draft::cooldown_wait_ms,
    id::{RoomId, Uid},
    room::MAX_SLOW_MS,
};
use std::collections::HashMap;

/// Number of entries at which expired ones are removed. After a sweep it is twice the number that remained, and never less
/// than this.
const SWEEP_AT: usize = 10_000;

type Speaker = (RoomId, Uid);

/// Last message per room and person.
pub struct Cooldowns {
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
pub struct Reservation {
    speaker: Speaker,
    before: Option<LastMessage>,
}

impl Default for Cooldowns {
    fn default() -> Self {
        Self { last: HashMap::new(), sweep_at: SWEEP_AT }
    }
}

impl Cooldowns {
    /// Starts a cooldown of `cooldown_ms` at `now` (unix ms). Fails with the milliseconds that are left while that time has not
    /// passed since the person's last message in the room.
    pub fn try_acquire(&mut self, room: &RoomId, uid: &Uid, cooldown_ms: u64, now: u64) -> Result<Reservation, u64> {
        let speaker = (room.clone(), uid.clone());
        let before = self.last.get(&speaker).copied();
        match cooldown_wait_ms(cooldown_ms, before.map(|last| last.at), now) {
            0 => {
                self.last.insert(speaker.clone(), LastMessage { at: now, cooldown_ms });
                Ok(Reservation { speaker, before })
            }
            wait_ms => Err(wait_ms),
        }
    }

    /// Restores the state before [`Cooldowns::try_acquire`].
    pub fn rollback(&mut self, reservation: Reservation) {
        match reservation.before {
            Some(before) => self.last.insert(reservation.speaker, before),
            None => self.last.remove(&reservation.speaker),
        };
    }

    /// Adds a message of a person without a known one: a stored message that was accepted at `at` (unix ms).
    pub fn restore(&mut self, room: RoomId, uid: Uid, at: u64) {
        self.last.entry((room, uid)).or_insert(LastMessage { at, cooldown_ms: MAX_SLOW_MS });
    }

    /// Takes the cooldown back in favour of an earlier one: a store said that `wait_ms` of `cooldown_ms` are left of it at `now`
    /// (unix ms).
    pub fn learn(&mut self, reservation: Reservation, cooldown_ms: u64, wait_ms: u64, now: u64) {
        let at = now.saturating_sub(cooldown_ms.saturating_sub(wait_ms));
        self.last.insert(reservation.speaker, LastMessage { at, cooldown_ms });
    }

    /// Forgets the messages whose cooldown is over at `now` (unix ms), if there are many. The caller does so before messages are judged.
    /// Returns whether some may be forgotten: a slow mode that begins later would not know them.
    pub fn sweep(&mut self, now: u64) -> bool {
        if self.last.len() < self.sweep_at {
            return false;
        }
        self.last.retain(|_, last| cooldown_wait_ms(last.cooldown_ms, Some(last.at), now) > 0);
        self.sweep_at = SWEEP_AT.max(self.last.len() * 2);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_per_cooldown_person_and_room_and_a_reservation_rolls_back() {
        let mut cooldowns = Cooldowns::default();
        let (room, other_room, uid) = ("1".parse().unwrap(), "2".parse().unwrap(), "u".parse().unwrap());
        cooldowns.restore("2".parse().unwrap(), "u".parse().unwrap(), 900);
        cooldowns.restore("2".parse().unwrap(), "u".parse().unwrap(), 100);
        let reservation = cooldowns.try_acquire(&room, &uid, 3000, 1000).ok().unwrap();
        assert!(cooldowns.try_acquire(&room, &uid, 3000, 3999).is_err());
        assert!(cooldowns.try_acquire(&other_room, &uid, 3000, 3899).is_err(), "the known message stays");
        assert!(cooldowns.try_acquire(&other_room, &uid, 3000, 3900).is_ok());
        assert!(cooldowns.try_acquire(&room, &"v".parse().unwrap(), 3000, 1000).is_ok());
        cooldowns.rollback(reservation);
        assert!(cooldowns.try_acquire(&room, &uid, 3000, 1001).is_ok());
    }

    #[test]
    fn f1_a_longer_cooldown_concerns_messages_sent_before_it() {
        let mut cooldowns = Cooldowns::default();
        let (room, uid, restored) = ("1".parse().unwrap(), "u".parse().unwrap(), "restored".parse().unwrap());
        cooldowns.restore("1".parse().unwrap(), "restored".parse().unwrap(), 1000);
        assert!(cooldowns.try_acquire(&room, &uid, 3000, 1000).is_ok());
        for uid in [&uid, &restored] {
            assert!(cooldowns.try_acquire(&room, uid, 60_000, 60_999).is_err());
            assert!(cooldowns.try_acquire(&room, uid, 3000, 60_999).is_ok(), "and a shorter one likewise");
        }
    }

    #[test]
    fn what_the_store_said_is_left_holds() {
        let mut cooldowns = Cooldowns::default();
        let (room, uid) = ("1".parse().unwrap(), "u".parse().unwrap());
        let reservation = cooldowns.try_acquire(&room, &uid, 3000, 5000).ok().unwrap();
        cooldowns.learn(reservation, 3000, 700, 5000);
        assert_eq!(cooldowns.try_acquire(&room, &uid, 3000, 5000).err(), Some(700));
        assert!(cooldowns.try_acquire(&room, &uid, 3000, 5700).is_ok());
    }

    #[test]
    fn old_speakers_are_forgotten() {
        let mut cooldowns = Cooldowns::default();
        let room = "1".parse().unwrap();
        for n in 0..30_000u64 {
            cooldowns.sweep(n * 10);
            cooldowns.try_acquire(&room, &n.to_string().parse().unwrap(), 3000, n * 10).ok().unwrap();
        }
        assert!(cooldowns.last.len() <= SWEEP_AT, "{}", cooldowns.last.len());
    }
}
