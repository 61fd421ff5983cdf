//! Turns of log-ins from unknown devices: at most 60 and then one every 5 s per account name, which bounds the
//! guesses of a day to about 17,340 however many addresses guess.
//!
//! Without a free turn a log-in waits; it is not refused, so that strangers who guess cannot lock the owner out. The turn goes
//! to the network with the fewest log-ins to this account in the last day: an owner on a fresh network is next,
//! before any number of addresses that guess all the time. A waiting log-in holds no hashing thread.
//!
//! Turns and limits hold across nodes: this node's memory decides who is next, and then the store gives the turn.

use super::log_in_lane::{BURST, Joined, Lane, Poll, TURN_MS};
use crate::domain::{id::Uid, refusal::Refusal};
use crate::server::incident::refusal_of;
use crate::server::storage::{Store, Turns};
use governor::clock::{Clock as _, DefaultClock, QuantaInstant};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

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

/// Key in the table `facts` of the secret of the hashes that the store counts by: 32 random bytes.
const TURNS_KEY: &str = "turns_key";

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

impl Source {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Network(IpAddr::V4(address)) => address.octets().to_vec(),
            Self::Network(IpAddr::V6(address)) => address.octets().to_vec(),
            Self::Device(hash) => hash.to_vec(),
        }
    }
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
    /// `None`: this node alone counts.
    store: Option<Store>,
    /// The secret of the hashes that the store counts by.
    secret: OnceCell<Vec<u8>>,
}

impl LogInTurns {
    /// The turns of a node. The store counts for all nodes, if there may be several.
    pub(super) fn new(store: Store) -> Self {
        Self::with(store.counts_turns().then_some(store))
    }

    fn with(store: Option<Store>) -> Self {
        let attempts = Cache::builder().max_capacity(MAX_NETWORKS).time_to_live(DAY).build();
        let sources = RateLimiter::keyed(Quota::per_minute(PER_SOURCE));
        let accounts = RateLimiter::keyed(Quota::per_minute(PER_ACCOUNT));
        let (lanes, secret, started) = (Mutex::default(), OnceCell::new(), Instant::now());
        Self(Arc::new(Shared { lanes, attempts, sources, accounts, started, store, secret }))
    }

    /// Counts a log-in to `account` against the limit of its source, and one of a device or session also against the limit of
    /// all devices and sessions of the account.
    ///
    /// # Errors
    /// [`Refusal::TooFast`]: more than 10 log-ins, and 10 per minute; 20 of all devices and sessions.
    pub(super) async fn check_source(&self, account: &str, source: Source) -> Result<(), Refusal> {
        let name: NameHash = Sha256::digest(account).into();
        // This node's memory first: a flood that it refuses does not reach the store.
        self.0.sources.check_key(&(name, source)).map_err(|denied| too_fast(&denied))?;
        let is_device = matches!(source, Source::Device(_));
        if is_device {
            self.0.accounts.check_key(&name).map_err(|denied| too_fast(&denied))?;
        }
        free(self.shared(b"source", &name, &source.bytes(), a_minute(PER_SOURCE)).await?)?;
        if is_device {
            free(self.shared(b"account", &name, &[], a_minute(PER_ACCOUNT)).await?)?;
        }
        Ok(())
    }

    /// Returns when the log-in to `account` may be checked, at once or after a wait of up to 15 s. `uid` is that of the account,
    /// for the log: a name without an account may be a password. The store has the last word: a turn that another node took is waited
    /// for again.
    ///
    /// # Errors
    /// [`Refusal::TooFast`]: too many log-ins wait whose networks have tried less often, or no turn came in time;
    /// [`Refusal::Busy`]: `may_wait` returned false, which is asked four times per second, or the store does not answer.
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
        let turns = Turns { burst: BURST, every_ms: TURN_MS };
        loop {
            self.wait(name, (rank, since), uid, &may_wait).await?;
            match self.shared(b"lane", &name, &[], turns).await? {
                0 => return Ok(()),
                wait_ms => self.0.postpone(name, wait_ms),
            }
        }
    }

    /// Waits for a turn on this node, until 15 s after `since`.
    async fn wait(
        &self,
        name: NameHash,
        (rank, since): (u32, u64),
        uid: Option<&Uid>,
        may_wait: impl Fn() -> bool,
    ) -> Result<(), Refusal> {
        let number = match self.0.join(name, rank, self.0.now_ms()) {
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

    /// Takes a turn of all nodes. Returns 0, or the milliseconds until there is one. The store gets a keyed hash: it learns neither
    /// names nor addresses.
    async fn shared(&self, kind: &[u8], name: &NameHash, source: &[u8], turns: Turns) -> Result<u64, Refusal> {
        let Some(store) = &self.0.store else { return Ok(0) };
        let failed = |error| refusal_of(&error, "log-in");
        let draw = || async { store.fact_or_set(TURNS_KEY, &rand::random::<[u8; 32]>()).await };
        let secret = self.0.secret.get_or_try_init(draw).await.map_err(failed)?;
        let key = Sha256::new().chain_update(secret).chain_update(kind).chain_update(name).chain_update(source).finalize();
        store.take_turn(&key.into(), turns).await.map_err(failed)
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

/// The refusal of a turn that the store did not give.
fn free(wait_ms: u64) -> Result<(), Refusal> {
    if wait_ms == 0 { Ok(()) } else { Err(Refusal::TooFast { retry_after_ms: wait_ms }) }
}

/// The pace of a limit per minute, as the limiters of this node have it.
fn a_minute(limit: NonZeroU32) -> Turns {
    Turns { burst: limit.get(), every_ms: u64::from(60_000 / limit.get()) }
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

    /// Another node took the turn: the next one of this node is after `wait_ms`.
    fn postpone(&self, name: NameHash, wait_ms: u64) {
        let now = self.now_ms();
        self.lanes().entry(name).or_insert_with(|| Lane::new(now)).postpone(now + wait_ms);
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
        let turns = LogInTurns::with(None);
        let rank = |address: &str| turns.0.count_attempt([1; 32], address.parse().unwrap());
        assert_eq!(rank("2001:db8:1:1::"), 0);
        for host in 2..20 {
            rank(&format!("2001:db8:1:{host:x}::"));
        }
        assert!(rank("2001:db8:1:ff::") >= 2);
        assert_eq!(rank("2001:db8:2:1::"), 0);
        assert_eq!(turns.0.count_attempt([2; 32], "2001:db8:1:1::".parse().unwrap()), 0, "another account");
    }

    #[tokio::test]
    async fn f8_the_devices_and_sessions_of_an_account_share_a_limit() {
        let turns = LogInTurns::with(None);
        let log_ins = async |account: &str| {
            let mut passed = 0;
            for n in 0..100_u8 {
                passed += usize::from(turns.check_source(account, Source::Device([n; 32])).await.is_ok());
            }
            passed
        };
        assert!((20..=25).contains(&log_ins("ming").await), "as much as one minute allows, and a slow machine");
        let network = Source::Network(IpAddr::from([10, 0, 0, 1]));
        assert!(turns.check_source("ming", network).await.is_ok(), "unknown devices have turns");
        assert!(log_ins("lena").await >= 20, "another account");
    }

    #[tokio::test(start_paused = true)]
    async fn f7_a_waiting_log_in_leaves_its_lane_when_its_client_hangs_up() {
        let turns = LogInTurns::with(None);
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
