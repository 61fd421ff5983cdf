//! Decides whether a send reaches the store: first the cooldown, then the limits of the room. A refused send starts no cooldown
//! and takes no token. The store judges the cooldown again, in the transaction that numbers the message.

use super::send_limits::{SendLimits, Sender, TakenTokens};
use crate::domain::{id::Uid, refusal::Refusal};
use crate::server::storage::{Cooldowns, NewMessage, Reservation, RoomSettings};

/// The cooldowns and limits of a lane's rooms. Owned by its commit task.
pub(super) struct Admission {
    cooldown_ms: u64,
    cooldowns: Cooldowns,
    /// `None`: `limits.per_ip` is off.
    limits: Option<SendLimits>,
}

/// A send's started cooldown and its tokens. [`Admission::rollback`] returns them when the message was not stored.
pub(super) struct Reserved {
    cooldown: Reservation,
    tokens: Option<TakenTokens>,
    /// Milliseconds of the cooldown.
    pub(super) cooldown_ms: u64,
}

impl Admission {
    /// `cooldown_ms` is that of every room; a room's slow mode may be longer.
    pub(super) fn new(cooldown_ms: u64, limits: Option<SendLimits>) -> Self {
        Self { cooldown_ms, cooldowns: Cooldowns::default(), limits }
    }

    /// Starts the message's cooldown at its time. `settings` are those of its room. Fails with [`Refusal::NoSuchRoom`] without
    /// settings, and with [`Refusal::TooFast`] for the cooldown or a limit.
    pub(super) fn admit(
        &mut self,
        message: &NewMessage,
        sender: Sender,
        settings: Option<&RoomSettings>,
    ) -> Result<Reserved, Refusal> {
        let settings = settings.ok_or(Refusal::NoSuchRoom)?;
        let (is_host, now) = (settings.is_host(&message.user), message.at);
        let cooldown_ms = self.cooldown_ms(settings, &message.user, sender);
        self.cooldowns.sweep(now);
        let cooldown = self.cooldowns.try_acquire(&message.room, &message.user, cooldown_ms, now);
        let cooldown = cooldown.map_err(|retry_after_ms| Refusal::TooFast { retry_after_ms })?;
        let tokens = self.limits.as_mut().map(|limits| limits.try_take(&message.room, sender, is_host, now)).transpose();
        match tokens {
            Ok(tokens) => Ok(Reserved { cooldown, tokens, cooldown_ms }),
            Err(refusal) => {
                self.cooldowns.rollback(cooldown);
                Err(refusal)
            }
        }
    }

    /// Undoes [`Admission::admit`]. `wait_ms`: what the store said is left of the person's cooldown at `now` (unix ms); the next
    /// send before that does not reach it.
    pub(super) fn rollback(&mut self, reserved: Reserved, wait_ms: Option<u64>, now: u64) {
        let cooldown_ms = reserved.cooldown_ms;
        match wait_ms {
            Some(wait_ms) => self.cooldowns.learn(reserved.cooldown, cooldown_ms, wait_ms, now),
            None => self.cooldowns.rollback(reserved.cooldown),
        }
        if let (Some(limits), Some(tokens)) = (&mut self.limits, reserved.tokens) {
            limits.give_back(&tokens);
        }
    }

    /// Returns the milliseconds between two messages of a person in a room.
    pub(super) fn cooldown_ms(&self, settings: &RoomSettings, user: &Uid, sender: Sender) -> u64 {
        if sender.is_exempt { self.cooldown_ms } else { settings.cooldown_ms(self.cooldown_ms, user) }
    }

    /// The cooldown of every room.
    pub(super) fn site_cooldown_ms(&self) -> u64 {
        self.cooldown_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::LimitsSettings;
    use uuid::Uuid;

    const NOW: u64 = 1_800_000_000_000;

    struct Room {
        admission: Admission,
        settings: RoomSettings,
    }

    impl Room {
        fn new(cooldown_ms: u64, slow_ms: u64) -> Self {
            let limits = SendLimits::new(&LimitsSettings { room_burst: 3, room_a_minute: 1, ..LimitsSettings::default() }, 0);
            let settings = RoomSettings { host: Some("host".parse().unwrap()), slow_ms };
            Self { admission: Admission::new(cooldown_ms, limits), settings }
        }

        fn send(&mut self, user: &str, now: u64) -> Result<Reserved, Refusal> {
            let message = NewMessage {
                room: "1".parse().unwrap(),
                id: Uuid::now_v7(),
                user: user.parse().unwrap(),
                nickname: user.into(),
                text: "x".into(),
                at: now,
                nonce: None,
                has_account: false,
                re: None,
                mentions: vec![],
                networks: vec![],
                is_bot: false,
            };
            let sender = Sender { address: Some([10, 0, 0, 1].into()), guest_since: None, is_exempt: false };
            self.admission.admit(&message, sender, Some(&self.settings))
        }
    }

    #[test]
    fn f1_sends_that_the_cooldown_refuses_do_not_use_up_the_room() {
        let mut room = Room::new(3000, 0);
        assert!(room.send("flooder", NOW).is_ok());
        for _ in 0..1000 {
            assert!(room.send("flooder", NOW + 1).is_err());
        }
        assert!(room.send("second", NOW + 1).is_ok() && room.send("third", NOW + 1).is_ok());
        let Err(Refusal::TooFast { retry_after_ms }) = room.send("fourth", NOW + 1) else { panic!("the room's burst is 3") };
        assert!(retry_after_ms > 50_000, "the wait is the room's: {retry_after_ms}");
    }

    #[test]
    fn f1_a_send_that_the_room_refuses_starts_no_cooldown() {
        let mut room = Room::new(600_000, 0);
        for user in ["a", "b", "c"] {
            assert!(room.send(user, NOW).is_ok());
        }
        assert!(room.send("late", NOW).is_err());
        assert!(room.send("late", NOW + 60_000).is_ok(), "at the next token, not ten minutes after the refusal");
    }

    #[test]
    fn f1_a_message_that_was_not_stored_gives_everything_back() {
        let mut room = Room::new(3000, 0);
        for _ in 0..100 {
            let reserved = room.send("a", NOW).ok().unwrap();
            room.admission.rollback(reserved, None, NOW);
        }
        assert!(["a", "b", "c"].into_iter().all(|user| room.send(user, NOW).is_ok()));
    }

    #[test]
    fn a_send_that_the_store_found_too_fast_gives_its_tokens_back_and_is_not_asked_again() {
        let mut room = Room::new(3000, 0);
        for n in 0..100 {
            // The message that the store knows is of another node, or of before a restart.
            let user = format!("user-{n}");
            let reserved = room.send(&user, NOW).ok().unwrap();
            room.admission.rollback(reserved, Some(1200), NOW);
            assert_eq!(room.send(&user, NOW).err(), Some(Refusal::TooFast { retry_after_ms: 1200 }));
        }
        assert!(["a", "b", "c"].into_iter().all(|user| room.send(user, NOW).is_ok()));
    }

    #[test]
    fn f1_the_slow_mode_concerns_everyone_but_the_host() {
        let mut room = Room::new(3000, 60_000);
        assert_eq!(room.send("viewer", NOW).ok().unwrap().cooldown_ms, 60_000);
        assert_eq!(room.send("viewer", NOW + 3000).err(), Some(Refusal::TooFast { retry_after_ms: 57_000 }));
        assert_eq!(room.send("host", NOW).ok().unwrap().cooldown_ms, 3000);
        assert_eq!(room.send("host", NOW + 2999).err(), Some(Refusal::TooFast { retry_after_ms: 1 }), "the cooldown stays");
        assert!(room.send("host", NOW + 3000).is_ok());
        room.settings.slow_ms = 1;
        let viewer = Sender { address: None, guest_since: None, is_exempt: false };
        let cooldown_ms = room.admission.cooldown_ms(&room.settings, &"viewer".parse().unwrap(), viewer);
        assert_eq!(cooldown_ms, 3000, "the larger of the two");
        room.settings.slow_ms = 60_000;
        let vip = Sender { is_exempt: true, ..viewer };
        assert_eq!(room.admission.cooldown_ms(&room.settings, &"vip".parse().unwrap(), vip), 3000);
    }
}
