//! Networks of guests, as keyed hashes: HMAC-SHA256 of the room and the /24 of IPv4 or the /56 of IPv6, under a key of the week. Two
//! keys are kept; with an older key its hashes become noise. No address is stored.

use crate::domain::id::RoomId;
use crate::server::storage::moderation::NetworkHash;
use crate::server::storage::{Result, Store};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// Longest time for which guests of a network share a restraint: 7 days.
pub(super) const SHARED_FOR_MS: u64 = WEEK_MS;
/// The time of a key, in milliseconds.
const WEEK_MS: u64 = 7 * 24 * 3600 * 1000;
/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;
/// Older weeks whose keys a sweep destroys.
const DESTROYED_WEEKS: u64 = 8;

/// The keys of this week and of the last one.
#[derive(Clone)]
pub struct NetworkKeys {
    week: u64,
    keys: Vec<[u8; 32]>,
}

/// Returns the number of the week of a time (unix ms).
fn week_of(now: u64) -> u64 {
    now / WEEK_MS
}

fn fact(week: u64) -> String {
    format!("network_key.{week}")
}

impl NetworkKeys {
    /// Reads the keys, and draws the one of this week if there is none.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn load(store: &Store, now: u64) -> Result<Self> {
        let (week, mut keys) = (week_of(now), Vec::new());
        store.fact_or_set(&fact(week), &rand::random::<[u8; 32]>()).await?;
        for week in [week, week.saturating_sub(1)] {
            keys.extend(store.fact(&fact(week)).await?.and_then(|key| <[u8; 32]>::try_from(key).ok()));
        }
        Ok(Self { week, keys })
    }

    /// Whether the keys are those of the week of `now`.
    pub fn are_of(&self, now: u64) -> bool {
        self.week == week_of(now)
    }

    /// Overwrites the keys of weeks before the last one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn destroy_old(store: &Store, now: u64) -> Result<()> {
        let week = week_of(now);
        for old in (2..2 + DESTROYED_WEEKS).filter_map(|back| week.checked_sub(back)) {
            if store.fact(&fact(old)).await?.is_some_and(|key| !key.is_empty()) {
                store.set_fact(&fact(old), b"").await?;
            }
        }
        Ok(())
    }

    /// Returns the hashes of an address's network in a room, this week's first.
    pub fn hashes(&self, room: &RoomId, address: IpAddr) -> Vec<NetworkHash> {
        let text = [room.as_str().as_bytes(), &[0], &prefix(address)].concat();
        self.keys.iter().map(|key| hash(key, &text)).collect()
    }
}

/// The /24 of IPv4, the /56 of IPv6; an IPv4 address inside of IPv6 is IPv4.
fn prefix(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets()[..3].to_vec(),
        IpAddr::V6(address) => address.octets()[..7].to_vec(),
    }
}

/// The first 12 bytes of HMAC-SHA256 (RFC 2104).
fn hash(key: &[u8; 32], text: &[u8]) -> NetworkHash {
    let hmac = hmac_sha256(key, text);
    std::array::from_fn(|at| hmac[at])
}

fn hmac_sha256(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    let pad = |byte: u8| -> [u8; BLOCK] { std::array::from_fn(|at| key.get(at).copied().unwrap_or_default() ^ byte) };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_hmac_sha256() {
        // RFC 4231, test case 2 has a key of 4 bytes; zeros to the block's end are the same key.
        let key: [u8; 32] = std::array::from_fn(|at| *b"Jefe".get(at).unwrap_or(&0));
        let hex: String = hmac_sha256(&key, b"what do ya want for nothing?").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn addresses_of_one_network_have_one_hash_in_a_room() {
        let keys = NetworkKeys { week: 0, keys: vec![[1; 32], [2; 32]] };
        let (one, other): (RoomId, RoomId) = ("1".parse().unwrap(), "2".parse().unwrap());
        let of = |room: &RoomId, address: &str| keys.hashes(room, address.parse().unwrap());
        assert_eq!(of(&one, "192.0.2.1"), of(&one, "192.0.2.254"));
        assert_eq!(of(&one, "192.0.2.1"), of(&one, "::ffff:192.0.2.9"));
        assert_eq!(of(&one, "2001:db8:0:1ff::1"), of(&one, "2001:db8:0:100::2"));
        assert_ne!(of(&one, "192.0.2.1"), of(&one, "192.0.3.1"));
        assert_ne!(of(&one, "2001:db8:0:100::1"), of(&one, "2001:db8:0:200::1"));
        assert_ne!(of(&one, "192.0.2.1"), of(&other, "192.0.2.1"));
        assert_eq!(of(&one, "192.0.2.1").len(), 2);
    }
}
