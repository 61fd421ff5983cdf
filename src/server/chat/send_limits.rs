//! The limits on sends of a room: of all its people together, of those behind one address, and of new guests behind one
//! address. Owned by the commit task, which asks them after the cooldown: a send that the cooldown refuses takes no token,
//! so a flood of refused sends does not fill a room's limit.

use super::token_bucket::TokenBuckets;
use crate::domain::{
    id::{RoomId, Uid},
    refusal::Refusal,
    room::Person,
};
use crate::server::config::{LimitsSettings, Switch};
use crate::server::gateway::{NETWORK_FACTOR, network_prefix, rate_limit_prefix};
use std::net::IpAddr;
use uuid::Uuid;

/// A guest is new for this long: 10 minutes.
const NEW_GUEST_MS: u64 = 10 * 60 * 1000;

/// The properties of a send's author that the limits depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender {
    /// Client address of the request. `None`: limits per address do not concern the send.
    pub(super) address: Option<IpAddr>,
    /// When the guest was created, unix milliseconds; `None` for an account.
    pub(super) guest_since: Option<u64>,
    /// The room's slow mode does not concern the person.
    pub(super) is_exempt: bool,
}

impl Sender {
    /// A guest's age is in its uid, a UUID v7 that this server made. Another uid is of no guest of ours.
    pub(super) fn new(person: &Person, address: Option<IpAddr>) -> Self {
        let guest_since = person.account.is_none().then(|| created_ms(&person.uid)).flatten();
        Self { address, guest_since, is_exempt: false }
    }

    /// Milliseconds since the guest was created. `None` for an account, and for a time in the future: if the clock was set
    /// back, a guest must not be new for hours.
    fn guest_age_ms(self, now: u64) -> Option<u64> {
        self.guest_since.and_then(|since| now.checked_sub(since))
    }
}

/// Unix milliseconds of a UUID v7.
fn created_ms(uid: &Uid) -> Option<u64> {
    let uuid = Uuid::parse_str(uid.as_str()).ok().filter(|uuid| uuid.get_version_num() == 7)?;
    let (seconds, nanoseconds) = uuid.get_timestamp()?.to_unix();
    Some(seconds * 1000 + u64::from(nanoseconds) / 1_000_000)
}

/// The limits of all rooms.
pub(super) struct SendLimits {
    by_room: TokenBuckets<RoomId>,
    by_address: ByAddress,
    new_guests: ByAddress,
    first_message_ms: u64,
}

/// Tokens that a send took. [`SendLimits::give_back`] returns them when the message was not stored.
pub(super) struct TakenTokens {
    room: RoomId,
    address: Option<IpAddr>,
    /// False for a host whose room had no token left.
    from_room: bool,
    from_new_guests: bool,
}

impl SendLimits {
    /// Returns the limits of the settings, or `None` if `limits.per_ip` is off.
    pub(super) fn new(settings: &LimitsSettings, first_message_ms: u64) -> Option<Self> {
        (settings.per_ip == Switch::On).then(|| Self {
            by_room: TokenBuckets::new(settings.room_burst, settings.room_a_minute),
            by_address: ByAddress::new(settings.room_address_burst, settings.room_address_a_minute),
            new_guests: ByAddress::new(settings.new_guest_burst, settings.new_guest_a_minute),
            first_message_ms,
        })
    }

    /// Takes the tokens of a send to `room` at `now` (unix ms), from all limits or from none. Fails with
    /// [`Refusal::TooFast`] and the longest wait. A host is not refused for the room's limit, so that a crowd cannot silence
    /// the host.
    pub(super) fn try_take(&mut self, room: &RoomId, sender: Sender, is_host: bool, now: u64) -> Result<TakenTokens, Refusal> {
        let age = sender.guest_age_ms(now);
        let from_new_guests = age.is_some_and(|age| age < NEW_GUEST_MS);
        let address = sender.address;
        let of_address = |buckets: &ByAddress| address.map_or(0, |address| buckets.wait_ms(room, address, now));
        let waits = [
            ("first_message", age.map_or(0, |age| self.first_message_wait_ms(room, age, now))),
            ("new_guests", if from_new_guests { of_address(&self.new_guests) } else { 0 }),
            ("room_address", of_address(&self.by_address)),
            ("room", if is_host { 0 } else { self.by_room.wait_ms(room, now) }),
        ];
        let longest = waits.into_iter().max_by_key(|(_, wait)| *wait);
        if let Some((limit, retry_after_ms)) = longest.filter(|(_, wait)| *wait > 0) {
            metrics::counter!("roomcast_sends_refused_total", "limit" => limit).increment(1);
            return Err(Refusal::TooFast { retry_after_ms });
        }
        let from_room = self.by_room.wait_ms(room, now) == 0;
        if from_room {
            self.by_room.take(room.clone(), now);
        }
        if let Some(address) = address {
            self.by_address.take(room, address, now);
            if from_new_guests {
                self.new_guests.take(room, address, now);
            }
        }
        Ok(TakenTokens { room: room.clone(), address, from_room, from_new_guests })
    }

    /// Undoes [`SendLimits::try_take`].
    pub(super) fn give_back(&mut self, taken: &TakenTokens) {
        let TakenTokens { room, address, from_room, from_new_guests } = taken;
        if *from_room {
            self.by_room.give_back(room);
        }
        if let Some(address) = address {
            self.by_address.give_back(room, *address);
            if *from_new_guests {
                self.new_guests.give_back(room, *address);
            }
        }
    }

    /// A guest waits for its first message only while the room's bucket is less than half full: a person that joins a calm
    /// room and types is not refused.
    fn first_message_wait_ms(&self, room: &RoomId, age: u64, now: u64) -> u64 {
        self.first_message_ms.saturating_sub(age).min(self.by_room.wait_until_half_full_ms(room, now))
    }
}

/// Buckets per room and address (an IPv4 address or a /64 of IPv6), and [`NETWORK_FACTOR`] times as large per room and /48.
struct ByAddress {
    by_address: TokenBuckets<(RoomId, IpAddr)>,
    by_network: TokenBuckets<(RoomId, IpAddr)>,
}

impl ByAddress {
    fn new(burst: u32, per_minute: u32) -> Self {
        let of_network = |limit: u32| limit.max(1).saturating_mul(NETWORK_FACTOR);
        Self {
            by_address: TokenBuckets::new(burst, per_minute),
            by_network: TokenBuckets::new(of_network(burst), of_network(per_minute)),
        }
    }

    fn wait_ms(&self, room: &RoomId, address: IpAddr, now: u64) -> u64 {
        let of_network = network_prefix(address).map_or(0, |network| self.by_network.wait_ms(&(room.clone(), network), now));
        self.by_address.wait_ms(&(room.clone(), rate_limit_prefix(address)), now).max(of_network)
    }

    fn take(&mut self, room: &RoomId, address: IpAddr, now: u64) {
        self.by_address.take((room.clone(), rate_limit_prefix(address)), now);
        if let Some(network) = network_prefix(address) {
            self.by_network.take((room.clone(), network), now);
        }
    }

    fn give_back(&mut self, room: &RoomId, address: IpAddr) {
        self.by_address.give_back(&(room.clone(), rate_limit_prefix(address)));
        if let Some(network) = network_prefix(address) {
            self.by_network.give_back(&(room.clone(), network));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000_000;

    fn limits() -> SendLimits {
        SendLimits::new(&LimitsSettings::default(), 3000).unwrap()
    }

    fn room(id: &str) -> RoomId {
        id.parse().unwrap()
    }

    /// A sender at `10.0.0.n`; `age` in milliseconds for a guest, `None` for an account.
    fn sender(n: u8, age: Option<u64>) -> Sender {
        Sender { address: Some([10, 0, 0, n].into()), guest_since: age.map(|age| NOW - age), is_exempt: false }
    }

    fn accepted(limits: &mut SendLimits, sends: usize, sender: Sender, now: u64) -> usize {
        (0..sends).filter(|_| limits.try_take(&room("1"), sender, false, now).is_ok()).count()
    }

    #[test]
    fn f1_a_room_accepts_its_burst_however_many_addresses_send() {
        let mut limits = limits();
        let total: usize = (1..=100).map(|n| accepted(&mut limits, 10, sender(n, None), NOW)).sum();
        assert_eq!(total, 200);
        let a_second_later: usize = (101..=200).map(|n| accepted(&mut limits, 10, sender(n, None), NOW + 1000)).sum();
        assert_eq!(a_second_later, 50, "3,000 a minute");
        assert!(limits.try_take(&room("2"), sender(1, None), false, NOW).is_ok(), "another room is not concerned");
    }

    #[test]
    fn f1_an_address_gets_60_at_once_and_its_new_guests_10() {
        assert_eq!(accepted(&mut limits(), 500, sender(1, None), NOW), 60);
        assert_eq!(accepted(&mut limits(), 500, sender(1, Some(NEW_GUEST_MS)), NOW), 60, "a guest that is no longer new");
        let mut limits = limits();
        assert_eq!(accepted(&mut limits, 500, sender(1, Some(5000)), NOW), 10);
        assert_eq!(accepted(&mut limits, 500, sender(1, Some(5000)), NOW + 2000), 2, "60 a minute");
        assert_eq!(accepted(&mut limits, 500, sender(1, None), NOW + 2000), 58, "998 refused sends of new guests took no token");
    }

    #[test]
    fn f1_a_new_guest_is_delayed_only_where_the_room_is_crowded() {
        let mut limits = limits();
        let mut first = |used: usize, age| {
            (1..=used).for_each(|n| assert!(limits.try_take(&room("1"), sender(n as u8, None), false, NOW).is_ok()));
            limits.try_take(&room("1"), sender(200, Some(age)), false, NOW).err()
        };
        assert_eq!(first(0, 0), None);
        assert_eq!(first(99, 0), None, "half full");
        assert_eq!(first(150 - 101, 2500), Some(Refusal::TooFast { retry_after_ms: 500 }), "until it is 3 s old");
        assert_eq!(first(0, 3000), None);
        assert_eq!(first(0, 0), Some(Refusal::TooFast { retry_after_ms: 1020 }), "or until the room is half full again");
    }

    #[test]
    fn f1_a_host_is_heard_in_a_flood() {
        let mut limits = limits();
        (1..=250).for_each(|n| _ = limits.try_take(&room("1"), sender(n, None), false, NOW));
        assert!(limits.try_take(&room("1"), sender(251, None), false, NOW).is_err());
        assert!(limits.try_take(&room("1"), sender(251, None), true, NOW).is_ok());
    }

    #[test]
    fn f1_a_48_of_ipv6_has_eight_times_the_sends_of_an_address() {
        let mut limits = limits();
        let of_64 = |n: u16| Sender {
            address: Some(IpAddr::from([0x2001, 0xdb8, 1, n, 0, 0, 0, 1])),
            guest_since: Some(NOW - 60_000),
            is_exempt: false,
        };
        assert_eq!((0..500).filter(|n| limits.try_take(&room("1"), of_64(*n), false, NOW).is_ok()).count(), 80);
    }

    #[test]
    fn f1_limits_can_be_lifted_for_load_tests() {
        assert!(SendLimits::new(&LimitsSettings { per_ip: Switch::Off, ..LimitsSettings::default() }, 3000).is_none());
    }

    #[test]
    fn f1_a_guests_age_is_in_its_uid() {
        let uid = |uuid: Uuid| Person { uid: uuid.to_string().parse().unwrap(), nickname: "a".into(), account: None };
        let made = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, NOW / 1000, 123_000_000));
        assert_eq!(Sender::new(&uid(made), None).guest_since, Some(NOW + 123));
        assert_eq!(Sender::new(&Person { account: Some("ming".into()), ..uid(made) }, None).guest_since, None);
        assert_eq!(Sender::new(&Person { uid: "42".parse().unwrap(), ..uid(made) }, None).guest_since, None);
        let from_the_future = Sender { address: None, guest_since: Some(NOW + 1), is_exempt: false };
        assert_eq!(from_the_future.guest_age_ms(NOW), None, "the clock was set back");
    }

    proptest! {
        /// Refused sends and sends whose tokens came back change nothing: the accepted ones are the same without them.
        #[test]
        fn f1_tokens_are_taken_from_all_limits_or_from_none(sends in prop::collection::vec((0u8..4, any::<bool>(), any::<bool>(), 0u64..300), 1..300)) {
            let (mut limits, mut other) = (limits(), super::tests::limits());
            let mut now = NOW;
            for (n, is_new, is_undone, step) in sends {
                now += step;
                let sender = sender(n, is_new.then_some(60_000));
                let taken = limits.try_take(&room("1"), sender, false, now);
                let expected = if is_undone { None } else { Some(other.try_take(&room("1"), sender, false, now).is_ok()) };
                prop_assert!(expected.is_none_or(|expected| expected == taken.is_ok()));
                if let (Ok(taken), true) = (taken, is_undone) {
                    limits.give_back(&taken);
                }
            }
        }
    }
}
