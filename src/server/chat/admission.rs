//! Decides whether a send is stored: first the cooldown, then the limits of the room. A refused send starts no cooldown and
//! takes no token.

use super::cooldown::{Cooldowns, Reservation};
use super::send_limits::{SendLimits, Sender, TakenTokens};
use crate::domain::{id::Uid, message::Role, refusal::Refusal};
use crate::server::storage::{NewMessage, RoomSettings};

/// The cooldowns and limits of all rooms. Owned by the commit task.
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
    pub(super) fn new(cooldown_ms: u64, cooldowns: Cooldowns, limits: Option<SendLimits>) -> Self {
        Self { cooldown_ms, cooldowns, limits }
    }

    /// Gives the message its role and starts its cooldown at `now` (unix ms). `settings` are those of its room. Fails with
    /// [`Refusal::NoSuchRoom`] without settings, and with [`Refusal::TooFast`] for the cooldown or a limit.
    pub(super) fn admit(
        &mut self,
        message: &mut NewMessage,
        sender: Sender,
        settings: Option<&RoomSettings>,
        now: u64,
    ) -> Result<Reserved, Refusal> {
        let settings = settings.ok_or(Refusal::NoSuchRoom)?;
        let is_host = settings.is_host(&message.user);
        message.role = if is_host { Role::Host } else { Role::Viewer };
        let cooldown_ms = self.cooldown_ms(settings, &message.user);
        let cooldown = self.cooldowns.try_acquire(&message.room, &message.user, cooldown_ms, now)?;
        let tokens = self.limits.as_mut().map(|limits| limits.try_take(&message.room, sender, is_host, now)).transpose();
        match tokens {
            Ok(tokens) => Ok(Reserved { cooldown, tokens, cooldown_ms }),
            Err(refusal) => {
                self.cooldowns.rollback(cooldown);
                Err(refusal)
            }
        }
    }

    /// Undoes [`Admission::admit`].
    pub(super) fn rollback(&mut self, reserved: Reserved) {
        self.cooldowns.rollback(reserved.cooldown);
        if let (Some(limits), Some(tokens)) = (&mut self.limits, reserved.tokens) {
            limits.give_back(&tokens);
        }
    }

    /// Returns the milliseconds between two messages of a person in a room. The slow mode does not concern the room's host.
    pub(super) fn cooldown_ms(&self, settings: &RoomSettings, user: &Uid) -> u64 {
        if settings.is_host(user) { self.cooldown_ms } else { self.cooldown_ms.max(settings.slow_ms) }
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
            Self { admission: Admission::new(cooldown_ms, Cooldowns::new(vec![]), limits), settings }
        }

        fn send(&mut self, user: &str, now: u64) -> Result<(Reserved, Role), Refusal> {
            let mut message = NewMessage {
                room: "1".parse().unwrap(),
                id: Uuid::now_v7(),
                user: user.parse().unwrap(),
                nickname: user.into(),
                role: Role::Viewer,
                text: "x".into(),
                at: now,
                nonce: None,
            };
            let sender = Sender { address: Some([10, 0, 0, 1].into()), guest_since: None };
            let admitted = self.admission.admit(&mut message, sender, Some(&self.settings), now)?;
            Ok((admitted, message.role))
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
            let (reserved, _) = room.send("a", NOW).unwrap();
            room.admission.rollback(reserved);
        }
        assert!(["a", "b", "c"].into_iter().all(|user| room.send(user, NOW).is_ok()));
    }

    #[test]
    fn f1_the_slow_mode_concerns_everyone_but_the_host() {
        let mut room = Room::new(3000, 60_000);
        let (reserved, role) = room.send("viewer", NOW).unwrap();
        assert_eq!((reserved.cooldown_ms, role), (60_000, Role::Viewer));
        assert_eq!(room.send("viewer", NOW + 3000).err(), Some(Refusal::TooFast { retry_after_ms: 57_000 }));
        let (reserved, role) = room.send("host", NOW).unwrap();
        assert_eq!((reserved.cooldown_ms, role), (3000, Role::Host));
        assert_eq!(room.send("host", NOW + 2999).err(), Some(Refusal::TooFast { retry_after_ms: 1 }), "the cooldown stays");
        assert!(room.send("host", NOW + 3000).is_ok());
        room.settings.slow_ms = 1;
        assert_eq!(room.admission.cooldown_ms(&room.settings, &"viewer".parse().unwrap()), 3000, "the larger of the two");
    }
}
