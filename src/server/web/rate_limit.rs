//! How often one address and one session may ask (governor's GCRA). What is over the limit is refused with the time to wait.

use super::request_context::Asked;
use crate::domain::{name::account_key, refusal::Refusal};
use crate::server::config::{LimitsSettings as Settings, Switch};
use crate::server::gateway::rate_limit_prefix;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

/// Guesses at one account's password: from one address, and from all together. The second is far higher, or anyone could
/// keep an owner out by guessing.
const GUESSES: (u32, u32) = (10, 10);
const GUESSES_OF_ALL: (u32, u32) = (300, 60);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    SignIn,
    Guest,
    Socket,
    Request,
    /// As a request, but where the chat's own cooldown is off, a session may send without end.
    Send,
}

pub struct Limits {
    by_address: Option<ByAddress>,
    by_session: Bucket<[u8; 32]>,
    by_account: Bucket<String>,
    by_account_and_address: Bucket<(String, IpAddr)>,
    sends_unlimited: bool,
}

struct ByAddress {
    sign_in: Bucket<IpAddr>,
    guest: Bucket<IpAddr>,
    socket: Bucket<IpAddr>,
    request: Bucket<IpAddr>,
}

impl Limits {
    pub fn new(settings: &Settings, sends_unlimited: bool) -> Self {
        let by_address = || ByAddress {
            sign_in: Bucket::new(settings.sign_in_burst, settings.sign_in_a_minute),
            guest: Bucket::new(settings.guest_burst, settings.guest_a_minute),
            socket: Bucket::new(settings.socket_burst, settings.socket_a_minute),
            request: Bucket::new(settings.request_burst, settings.request_a_minute),
        };
        Self {
            by_address: (settings.per_ip == Switch::On).then(by_address),
            by_session: Bucket::new(settings.session_burst, settings.session_a_minute),
            by_account: Bucket::new(GUESSES_OF_ALL.0, GUESSES_OF_ALL.1),
            by_account_and_address: Bucket::new(GUESSES.0, GUESSES.1),
            sends_unlimited,
        }
    }

    pub fn check(&self, kind: Kind, asked: &Asked) -> Result<(), Refusal> {
        if let Some(by_address) = &self.by_address {
            let bucket = match kind {
                Kind::SignIn => &by_address.sign_in,
                Kind::Guest => &by_address.guest,
                Kind::Socket => &by_address.socket,
                Kind::Request | Kind::Send => &by_address.request,
            };
            bucket.take(&rate_limit_prefix(asked.address))?;
        }
        match &asked.session {
            Some(session) if self.by_address.is_some() && !(kind == Kind::Send && self.sends_unlimited) => {
                self.by_session.take(&session.token_hash)
            }
            _ => Ok(()),
        }
    }

    pub fn check_guess(&self, account: &str, asked: &Asked) -> Result<(), Refusal> {
        let account = account_key(account);
        self.by_account_and_address.take(&(account.clone(), rate_limit_prefix(asked.address)))?;
        self.by_account.take(&account)
    }

    pub fn sweep(&self) {
        if let Some(by_address) = &self.by_address {
            let ByAddress { sign_in, guest, socket, request } = by_address;
            [sign_in, guest, socket, request].into_iter().for_each(Bucket::sweep);
        }
        self.by_session.sweep();
        self.by_account.sweep();
        self.by_account_and_address.sweep();
    }
}

struct Bucket<K: Hash + Eq + Clone>(DefaultKeyedRateLimiter<K>);

impl<K: Hash + Eq + Clone> Bucket<K> {
    /// Zero would be a limit nobody passes; the least is one.
    fn new(burst: u32, a_minute: u32) -> Self {
        let at_least_one = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        Self(RateLimiter::keyed(Quota::per_minute(at_least_one(a_minute)).allow_burst(at_least_one(burst))))
    }

    fn take(&self, key: &K) -> Result<(), Refusal> {
        self.0.check_key(key).map_err(|not_yet| {
            let wait: Duration = not_yet.wait_time_from(DefaultClock::default().now());
            Refusal::TooFast { retry_after_ms: wait.as_millis().max(1) as u64 }
        })
    }

    fn sweep(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}
