//! Rate limits per address and per session (governor's GCRA): requests per minute, with a burst. A request over the limit is
//! refused as `too_fast`, with the time to wait. Limits of sends per room are the chat's.

use super::request_context::RequestContext;
use crate::domain::refusal::Refusal;
use crate::server::config::{LimitsSettings, Switch};
use crate::server::gateway::{NETWORK_FACTOR, network_prefix, rate_limit_prefix};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

/// Binds of an address that were refused with 403 or 404, at once and per minute; beyond it they say `too_fast` instead, so that
/// nobody learns which sockets there are.
const REFUSED_BINDS: u32 = 20;
/// Acts of moderation of a session, at once and per minute. A purge is one act, whatever it removes.
const ACTS: u32 = 120;

/// Selects the limit that a request counts against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestKind {
    /// Sign-in to an account, registration, an unknown API key.
    SignIn,
    /// Sign-in of a guest.
    Guest,
    /// A WebSocket handshake.
    Socket,
    /// Everything else.
    Request,
    /// An act of moderation. It counts as a [`Request`](Self::Request), and against the session's limit of acts.
    Act,
    /// A chat message. It counts as a [`Request`](Self::Request), without a limit per session where the chat's cooldown is off.
    Send,
}

/// A limit of requests without a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Exhausted {
    /// Of an address (IPv6: a /64).
    Address(IpAddr),
    /// Of a /48 of IPv6.
    Network(IpAddr),
    /// Of the requests of an address that have no visitor cookie.
    WithoutCookie(IpAddr),
    /// Of a visitor cookie.
    Visitor([u8; 32]),
}

impl Exhausted {
    /// The limits of a request without a session.
    pub(crate) fn of(context: &RequestContext) -> [Option<Self>; 3] {
        let prefix = rate_limit_prefix(context.client_addr);
        let own = context.visitor.map_or(Self::WithoutCookie(prefix), Self::Visitor);
        [Some(Self::Address(prefix)), network_prefix(context.client_addr).map(Self::Network), Some(own)]
    }
}

/// All rate limits of a node. They are kept in memory.
pub struct RateLimits {
    /// `None`: `limits.per_ip` is off, and so is the limit per session.
    by_address: Option<ByAddress>,
    by_session: KeyedLimiter<[u8; 32]>,
    acts_by_session: KeyedLimiter<[u8; 32]>,
    /// Requests without a session, by visitor cookie.
    by_visitor: KeyedLimiter<[u8; 32]>,
    sends_unlimited: bool,
}

struct ByAddress {
    sign_in: AddressLimiter,
    guest: AddressLimiter,
    socket: AddressLimiter,
    request: AddressLimiter,
    /// Requests without any of our cookies, as of a program, and a browser's first page.
    without_cookie: AddressLimiter,
    refused_bind: AddressLimiter,
}

impl RateLimits {
    /// Creates the limits of the settings. `sends_unlimited`: the chat has no cooldown, so sends have no limit per session.
    pub fn new(settings: &LimitsSettings, sends_unlimited: bool) -> Self {
        let by_address = || ByAddress {
            sign_in: AddressLimiter::new(settings.sign_in_burst, settings.sign_in_a_minute),
            guest: AddressLimiter::new(settings.guest_burst, settings.guest_a_minute),
            socket: AddressLimiter::new(settings.socket_burst, settings.socket_a_minute),
            request: AddressLimiter::new(settings.request_burst, settings.request_a_minute),
            without_cookie: AddressLimiter::new(settings.visitor_burst, settings.visitor_a_minute),
            refused_bind: AddressLimiter::new(REFUSED_BINDS, REFUSED_BINDS),
        };
        Self {
            by_address: (settings.per_ip == Switch::On).then(by_address),
            by_session: KeyedLimiter::new(settings.session_burst, settings.session_a_minute),
            acts_by_session: KeyedLimiter::new(ACTS, ACTS),
            by_visitor: KeyedLimiter::new(settings.visitor_burst, settings.visitor_a_minute),
            sends_unlimited,
        }
    }

    /// Counts the request against its address, and against its session. Without a session it counts against its visitor
    /// cookie; without that, too, once more against the address, since a client that has neither is counted by nothing else.
    /// Returns [`Refusal::TooFast`] over any of these limits, and the refusal of the session's look-up if there was one.
    pub fn check(&self, kind: RequestKind, context: &RequestContext) -> Result<(), Refusal> {
        if let Some(refusal) = &context.refusal {
            return Err(refusal.clone());
        }
        let Some(by_address) = &self.by_address else { return Ok(()) };
        let limiter = match kind {
            RequestKind::SignIn => &by_address.sign_in,
            RequestKind::Guest => &by_address.guest,
            RequestKind::Socket => &by_address.socket,
            RequestKind::Request | RequestKind::Act | RequestKind::Send => &by_address.request,
        };
        limiter.check(context.client_addr)?;
        match (&context.session, context.visitor) {
            (Some(_), _) if kind == RequestKind::Send && self.sends_unlimited => Ok(()),
            (Some(session), _) => {
                self.by_session.check(&session.token_hash)?;
                if kind == RequestKind::Act { self.acts_by_session.check(&session.token_hash) } else { Ok(()) }
            }
            (None, _) if !matches!(kind, RequestKind::Request | RequestKind::Act) => Ok(()),
            (None, Some(visitor)) => self.by_visitor.check(&visitor),
            (None, None) => by_address.without_cookie.check(context.client_addr),
        }
    }

    /// Counts a refusal of `bind` against its address, if it is 403 or 404, and returns it; [`Refusal::TooFast`] beyond
    /// [`REFUSED_BINDS`]. A bind that succeeds is not concerned.
    pub(crate) fn refused_bind(&self, context: &RequestContext, refusal: Refusal) -> Refusal {
        match &self.by_address {
            Some(by_address) if matches!(refusal.status(), 403 | 404) => {
                by_address.refused_bind.check(context.client_addr).err().unwrap_or(refusal)
            }
            _ => refusal,
        }
    }

    /// The widest limit that refuses a request without a session, after [`check`](Self::check) refused one.
    pub(crate) fn exhausted(&self, context: &RequestContext) -> Exhausted {
        let [_, network, own] = Exhausted::of(context);
        let request = self.by_address.as_ref().map(|by_address| &by_address.request);
        let prefix = rate_limit_prefix(context.client_addr);
        match (request, network, own) {
            (Some(request), _, _) if request.by_address.check(&prefix).is_err() => Exhausted::Address(prefix),
            (Some(request), Some(Exhausted::Network(network)), _) if request.by_network.check(&network).is_err() => {
                Exhausted::Network(network)
            }
            (_, _, own) => own.unwrap_or(Exhausted::Address(prefix)),
        }
    }

    /// Frees the memory of addresses and sessions whose full burst is available again.
    pub fn remove_idle(&self) {
        if let Some(by_address) = &self.by_address {
            let ByAddress { sign_in, guest, socket, request, without_cookie, refused_bind } = by_address;
            let all = [sign_in, guest, socket, request, without_cookie, refused_bind];
            all.into_iter().for_each(AddressLimiter::remove_idle);
        }
        self.by_session.remove_idle();
        self.acts_by_session.remove_idle();
        self.by_visitor.remove_idle();
    }
}

/// A limiter per address (an IPv4 address or a /64 of IPv6), and [`NETWORK_FACTOR`] times its limit per /48 of IPv6.
struct AddressLimiter {
    by_address: KeyedLimiter<IpAddr>,
    by_network: KeyedLimiter<IpAddr>,
}

impl AddressLimiter {
    fn new(burst: u32, per_minute: u32) -> Self {
        let of_network = |limit: u32| limit.saturating_mul(NETWORK_FACTOR);
        Self {
            by_address: KeyedLimiter::new(burst, per_minute),
            by_network: KeyedLimiter::new(of_network(burst), of_network(per_minute)),
        }
    }

    /// The address comes first: requests that its own limit refuses take nothing from the other addresses of the network.
    fn check(&self, address: IpAddr) -> Result<(), Refusal> {
        self.by_address.check(&rate_limit_prefix(address))?;
        network_prefix(address).map_or(Ok(()), |network| self.by_network.check(&network))
    }

    fn remove_idle(&self) {
        self.by_address.remove_idle();
        self.by_network.remove_idle();
    }
}

/// One limiter per key: address or session.
struct KeyedLimiter<K: Hash + Eq + Clone>(DefaultKeyedRateLimiter<K>);

impl<K: Hash + Eq + Clone> KeyedLimiter<K> {
    /// A setting of 0 counts as 1, since a limit of 0 would refuse everything.
    fn new(burst: u32, per_minute: u32) -> Self {
        let at_least_one = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        Self(RateLimiter::keyed(Quota::per_minute(at_least_one(per_minute)).allow_burst(at_least_one(burst))))
    }

    fn check(&self, key: &K) -> Result<(), Refusal> {
        self.0.check_key(key).map_err(|denied| {
            let wait: Duration = denied.wait_time_from(DefaultClock::default().now());
            Refusal::TooFast { retry_after_ms: wait.as_millis().max(1) as u64 }
        })
    }

    fn remove_idle(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        /// A customer with a whole /48 gets eight times the burst of an address, and takes nothing from another /48.
        #[test]
        fn f28_a_48_of_ipv6_gets_eight_times_the_requests_of_an_address(networks in prop::collection::vec(0u16..500, 200..400)) {
            let limiter = AddressLimiter::new(3, 1);
            let of_64 = |n: u16| IpAddr::from([0x2001, 0xdb8, 1, n, 0, 0, 0, n]);
            let accepted = networks.iter().filter(|n| limiter.check(of_64(**n)).is_ok()).count();
            prop_assert!(accepted <= 24, "{}", accepted);
            let many = (1000..1100).map(of_64).chain([IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, 1])]);
            let results: Vec<_> = many.map(|address| limiter.check(address).is_ok()).collect();
            prop_assert_eq!((results[99], results[100]), (false, true));
        }
    }

    #[test]
    fn f28_a_refused_address_takes_nothing_from_its_network() {
        let limiter = AddressLimiter::new(3, 1);
        let of_64 = |n: u16| IpAddr::from([0x2001, 0xdb8, 1, n, 0, 0, 0, 1]);
        assert_eq!((0..1000).filter(|_| limiter.check(of_64(1)).is_ok()).count(), 3);
        assert_eq!((0..21).filter(|n| limiter.check(of_64(2 + n % 7)).is_ok()).count(), 21, "the rest of the network's burst");
    }
}
