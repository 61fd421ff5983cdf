//! Turns of log-ins from unknown devices: at most 60 and then one every 5 s per account name, which bounds the
//! guesses of a day to about 17,340 however many addresses guess.
//!
//! Without a free turn a log-in waits; it is not refused, so that strangers who guess cannot lock the owner out. The turn goes
//! to the network with the fewest log-ins to this account in the last day: an owner on a fresh network is next,
//! before any number of addresses that guess all the time. A waiting log-in holds no hashing thread.

use super::log_in_lane::{Joined, Lane, Poll, TURN_MS};
use crate::domain::{id::Uid, refusal::Refusal};
use governor::clock::{Clock as _, DefaultClock, QuantaInstant};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest wait for a turn, in milliseconds; then the log-in is refused.
const MAX_WAIT_MS: u64 = 15_000;
/// A waiting log-in sees within this time, in milliseconds, that the server shuts down.
const LONGEST_SLEEP_MS: u64 = 250;
/// Networks whose log-ins of the last day are counted, at most.
const MAX_NETWORKS: u64 = 200_000;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Log-ins to an account from one source (a network, or a device that signed in before): burst, and per minute. A further one
/// is refused.
const PER_SOURCE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// The same for all devices and sessions of an account together, each of which could be used in turn.
const PER_ACCOUNT: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);

/// SHA-256 of an account name in its compared form: names of any length take the same memory.
type NameHash = [u8; 32];

/// The origin of a log-in, for the limit of each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Source {
    /// The network of an unknown device.
    Network(IpAddr),
    /// A device that signed in before, or a session: the hash of its token.
    Device([u8; 32]),
}

/// The turns of all accounts. A clone shares them.
#[derive(Clone)]
pub(super) struct LogInTurns(Arc<Shared>);

struct Shared {
    lanes: Mutex<HashMap<NameHash, Lane>>,
    attempts: Cache<(NameHash, IpAddr), u32>,
    sources: DefaultKeyedRateLimiter<(NameHash, Source)>,
    accounts: DefaultKeyedRateLimiter<NameHash>,
    started: Instant,
}

impl Default for LogInTurns {
    fn default() -> Self {
        let attempts = Cache::builder().max_capacity(MAX_NETWORKS).time_to_live(DAY).build();
        let sources = RateLimiter::keyed(Quota::per_minute(PER_SOURCE));
        let accounts = RateLimiter::keyed(Quota::per_minute(PER_ACCOUNT));
        Self(Arc::new(Shared { lanes: Mutex::default(), attempts, sources, accounts, started: Instant::now() }))
    }
}

impl LogInTurns {
    /// Counts a log-in to `account` against the limit of its source, and one of a device or session also against the limit of
    /// all devices and sessions of the account.
    ///
    /// # Errors
    /// [`Refusal::TooFast`]: more than 10 log-ins, and 10 per minute; 20 of all devices and sessions.
    pub(super) fn check_source(&self, account: &str, source: Source) -> Result<(), Refusal> {
        let name: NameHash = Sha256::digest(account).into();
        self.0.sources.check_key(&(name, source)).map_err(|denied| too_fast(&denied))?;
        match source {
            Source::Device(_) => self.0.accounts.check_key(&name).map_err(|denied| too_fast(&denied)),
            Source::Network(_) => Ok(()),
        }
    }

    /// Returns when the log-in to `account` may be checked, at once or after a wait of up to 15 s. `uid` is that of the account,
    /// for the log: a name without an account may be a password.
    ///
    /// # Errors
    /// [`Refusal::TooFast`]: too many log-ins wait whose networks have tried less often, or no turn came in time;
    /// [`Refusal::Busy`]: `may_wait` returned false, which is asked four times per second.
    pub(super) async fn take(
        &self,
        account: &str,
        uid: Option<&Uid>,
        network: IpAddr,
        may_wait: impl Fn() -> bool,
    ) -> Result<(), Refusal> {
        let name: NameHash = Sha256::digest(account).into();
        let rank = self.0.count_attempt(name, network);
        let since = self.0.now_ms();
        let number = match self.0.join(name, rank, since) {
            Joined::Turn => return Ok(()),
            Joined::Refused => return Err(refused()),
            Joined::Waiting { number, warn } => {
                if warn {
                    tracing::warn!(uid = uid.map(Uid::as_str), "log-ins wait for their turn: many wrong passwords, or a flood");
                }
                number
            }
        };
        // Leaves the lane also when the client hangs up, which drops this future.
        let _waiting = Waiting { shared: &self.0, name, number };
        metrics::counter!("roomcast_log_ins_delayed_total").increment(1);
        loop {
            let now = self.0.now_ms();
            let poll = self.0.lanes().get_mut(&name).map_or(Poll::Evicted, |lane| lane.poll(number, now));
            match poll {
                Poll::Turn => return Ok(()),
                Poll::Wait { .. } if !may_wait() => return Err(Refusal::Busy),
                Poll::Wait { ms } if now - since < MAX_WAIT_MS => {
                    tokio::time::sleep(Duration::from_millis(ms.min(LONGEST_SLEEP_MS))).await;
                }
                Poll::Wait { .. } | Poll::Evicted => return Err(refused()),
            }
        }
    }

    /// Frees the memory of accounts and sources whose full burst is available again.
    pub(super) fn remove_idle(&self) {
        let now = self.0.now_ms();
        let mut lanes = self.0.lanes();
        lanes.retain(|_, lane| !lane.is_idle(now));
        lanes.shrink_to_fit();
        drop(lanes);
        self.0.sources.retain_recent();
        self.0.sources.shrink_to_fit();
        self.0.accounts.retain_recent();
        self.0.accounts.shrink_to_fit();
    }
}

fn too_fast(denied: &NotUntil<QuantaInstant>) -> Refusal {
    let wait = denied.wait_time_from(DefaultClock::default().now());
    Refusal::TooFast { retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1) }
}

fn refused() -> Refusal {
    metrics::counter!("roomcast_log_ins_refused_total").increment(1);
    Refusal::TooFast { retry_after_ms: TURN_MS }
}

/// A log-in in its lane; dropping it leaves the lane.
struct Waiting<'a> {
    shared: &'a Shared,
    name: NameHash,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(lane) = self.shared.lanes().get_mut(&self.name) {
            lane.leave(self.number);
        }
    }
}

impl Shared {
    /// Counts the log-in and returns the rank of its network, 0 for a fresh one. The wider network counts an eighth: its
    /// owner may have thousands of addresses.
    fn count_attempt(&self, name: NameHash, network: IpAddr) -> u32 {
        let count = |network| {
            let entry = self.attempts.entry((name, network));
            entry.and_upsert_with(|before| before.map_or(1, |before| before.into_value().saturating_add(1))).into_value() - 1
        };
        let (exact, wide) = (count(network), count(wide_network(network)));
        if wide_network(network) == network { exact } else { exact.saturating_add(wide / 8) }
    }

    fn join(&self, name: NameHash, rank: u32, now: u64) -> Joined {
        self.lanes().entry(name).or_insert_with(|| Lane::new(now)).join(rank, now)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<NameHash, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The /24 of an IPv4 address, the /48 of an IPv6 address.
fn wide_network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::from((u32::from(v4) & 0xffff_ff00).to_be_bytes()),
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            IpAddr::from([a, b, c, 0, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f7_addresses_of_one_wide_network_stop_being_fresh() {
        let turns = LogInTurns::default();
        let rank = |address: &str| turns.0.count_attempt([1; 32], address.parse().unwrap());
        assert_eq!(rank("2001:db8:1:1::"), 0);
        for host in 2..20 {
            rank(&format!("2001:db8:1:{host:x}::"));
        }
        assert!(rank("2001:db8:1:ff::") >= 2);
        assert_eq!(rank("2001:db8:2:1::"), 0);
        assert_eq!(turns.0.count_attempt([2; 32], "2001:db8:1:1::".parse().unwrap()), 0, "another account");
    }

    #[test]
    fn f8_the_devices_and_sessions_of_an_account_share_a_limit() {
        let turns = LogInTurns::default();
        let log_ins =
            |account: &str| (0..100_u8).filter(|n| turns.check_source(account, Source::Device([*n; 32])).is_ok()).count();
        assert!((20..=25).contains(&log_ins("ming")), "as much as one minute allows, and a slow machine");
        assert!(turns.check_source("ming", Source::Network(IpAddr::from([10, 0, 0, 1]))).is_ok(), "unknown devices have turns");
        assert!(log_ins("lena") >= 20, "another account");
    }

    #[tokio::test(start_paused = true)]
    async fn f7_a_waiting_log_in_leaves_its_lane_when_its_client_hangs_up() {
        let turns = LogInTurns::default();
        let network = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..60 {
            turns.take("ming", None, network, || true).await.unwrap();
        }
        let waits = tokio::time::timeout(Duration::from_millis(10), turns.take("ming", None, network, || true)).await;
        assert!(waits.is_err());
        assert_eq!(turns.take("ming", None, network, || false).await, Err(Refusal::Busy), "a shutdown waits for no turn");
        assert!(turns.0.lanes().values().all(Lane::is_empty));
    }
}
