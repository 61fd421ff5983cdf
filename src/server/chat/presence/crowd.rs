//! The people of a room on one node, in the form in which nodes tell them to each other, and their union over the nodes. Pure.

use crate::server::gateway::People;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use datasketches::hll::{HllSketch, HllType, HllUnion};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::HashSet;

/// People up to whom their hashes are told one by one; beyond it a sketch of them is.
const LISTED: usize = 1024;
/// Visitors with a uid of a room whose people are listed, at most: a person may have several browsers.
const LISTED_VISITORS: usize = 2048;
/// Staff that is named beside a sketch, at most.
const STAFF: usize = 256;
/// Registers of a sketch, as a power of two: 4,096 of 6 bits, with a standard error of 1.6 %.
const PRECISION: u8 = 12;

/// The people of a room on one node.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Crowd {
    /// Their exact number on this node.
    pub(super) count: u32,
    /// Of them, connections with neither uid nor visitor.
    nobody: u32,
    /// Hashes of uids; with a sketch, those of the staff alone.
    #[serde(skip_serializing_if = "Hashes::is_empty")]
    uids: Hashes,
    /// Visitors with a connection that has a uid.
    #[serde(skip_serializing_if = "Hashes::is_empty")]
    with_uid: Hashes,
    /// Visitors with a connection that has none.
    #[serde(skip_serializing_if = "Hashes::is_empty")]
    without_uid: Hashes,
    /// The people of a large room. A person counts by the uid, a visitor without one by the visitor.
    #[serde(skip_serializing_if = "Option::is_none")]
    sketch: Option<Sketch>,
}

/// Hashes of 64 bits, rising. As text: base64 of their bytes, least byte first.
#[derive(Clone, PartialEq, Default, Debug)]
struct Hashes(Vec<u64>);

/// HyperLogLog in the format of Apache DataSketches, which is the same for all versions. As text: base64.
#[derive(Clone, PartialEq)]
struct Sketch(Box<HllSketch>);

impl From<People> for Crowd {
    fn from(people: People) -> Self {
        let (count, nobody) = (people.count(), people.nobody);
        let listed = people.uids.len() + people.without_uid.len();
        if listed <= LISTED && people.with_uid.len() <= LISTED_VISITORS {
            let (uids, with_uid, without_uid) = (people.uids.into(), people.with_uid.into(), people.without_uid.into());
            return Self { count, nobody, uids, with_uid, without_uid, sketch: None };
        }
        let mut staff = Hashes::from(people.staff.iter().copied().collect::<HashSet<_>>());
        staff.0.truncate(STAFF);
        let without = people.without_uid.difference(&people.with_uid).copied();
        let everybody: HashSet<u64> = people.uids.iter().copied().chain(without).collect();
        Self { count, nobody, uids: staff, sketch: Sketch::of(&Hashes::from(everybody)), ..Self::default() }
    }
}

impl Crowd {
    /// Whether nobody is there.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether this uid is there. Beside a sketch the staff alone is known.
    pub(super) fn has(&self, uid: u64) -> bool {
        self.uids.0.contains(&uid)
    }

    /// Memory that it holds, in bytes, at most.
    pub(super) fn size(&self) -> usize {
        let hashes = self.uids.0.len() + self.with_uid.0.len() + self.without_uid.0.len();
        size_of::<Self>() + hashes * size_of::<u64>() + self.sketch.as_ref().map_or(0, |sketch| sketch.0.estimated_size())
    }

    /// People but for those that nobody can recognise on another node.
    fn recognisable(&self) -> u32 {
        self.count.saturating_sub(self.nobody)
    }
}

/// Returns the number of people of a room over several nodes: exact where all of them list theirs, or where one node has them all.
pub(super) fn union<'a>(crowds: impl Iterator<Item = &'a Crowd>) -> u32 {
    let crowds: Vec<_> = crowds.filter(|crowd| !crowd.is_empty()).collect();
    if let [one] = crowds[..] {
        return one.count;
    }
    let nobody = crowds.iter().fold(0u32, |sum, crowd| sum.saturating_add(crowd.nobody));
    let with_uid = all(&crowds, |crowd| &crowd.with_uid);
    let is_reader = |visitor: &u64| with_uid.binary_search(visitor).is_err();
    if crowds.iter().all(|crowd| crowd.sketch.is_none()) {
        let (uids, without_uid) = (all(&crowds, |crowd| &crowd.uids), all(&crowds, |crowd| &crowd.without_uid));
        return (uids.len() + without_uid.into_iter().filter(is_reader).count()) as u32 + nobody;
    }
    estimate(&crowds, is_reader).saturating_add(nobody)
}

/// Estimates the number of people whom nodes can recognise, where a node tells a sketch. It is the same on all nodes.
fn estimate(crowds: &[&Crowd], is_reader: impl Fn(&u64) -> bool) -> u32 {
    let most = crowds.iter().fold(0u32, |sum, crowd| sum.saturating_add(crowd.recognisable()));
    let Ok(mut union) = HllUnion::new(PRECISION) else { return most };
    for crowd in crowds {
        match &crowd.sketch {
            Some(sketch) => union.update(&sketch.0),
            None => {
                let readers = crowd.without_uid.0.iter().filter(|visitor| is_reader(visitor));
                crowd.uids.0.iter().chain(readers).for_each(|hash| union.update_value(hash));
            }
        }
    }
    let least = crowds.iter().map(|crowd| crowd.recognisable()).max().unwrap_or_default();
    (union.composite_estimate().round() as u32).clamp(least, most)
}

/// The distinct hashes of all crowds, rising.
fn all(crowds: &[&Crowd], which: impl Fn(&Crowd) -> &Hashes) -> Vec<u64> {
    let mut all: Vec<u64> = crowds.iter().flat_map(|crowd| &which(crowd).0).copied().collect();
    // Stable: it merges lists that are sorted already.
    all.sort();
    all.dedup();
    all
}

impl Hashes {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<HashSet<u64>> for Hashes {
    fn from(hashes: HashSet<u64>) -> Self {
        let mut hashes: Vec<_> = hashes.into_iter().collect();
        hashes.sort_unstable();
        Self(hashes)
    }
}

impl Serialize for Hashes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        serializer.serialize_str(&BASE64.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Hashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = bytes(deserializer)?;
        let (hashes, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(de::Error::custom("a hash has 8 bytes"));
        }
        Ok(Self(hashes.iter().map(|hash| u64::from_le_bytes(*hash)).collect()))
    }
}

impl Sketch {
    /// Makes a sketch. The hashes rise, so that the same people have the same sketch.
    fn of(hashes: &Hashes) -> Option<Self> {
        let mut sketch = HllSketch::new(PRECISION, HllType::Hll6).ok()?;
        hashes.0.iter().for_each(|hash| sketch.update(hash));
        Some(Self(Box::new(sketch)))
    }
}

impl std::fmt::Debug for Sketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "about {:.0}", self.0.composite_estimate())
    }
}

impl Serialize for Sketch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(self.0.serialize()))
    }
}

impl<'de> Deserialize<'de> for Sketch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sketch = HllSketch::deserialize(&bytes(deserializer)?).map_err(de::Error::custom)?;
        if sketch.lg_config_k() != PRECISION {
            return Err(de::Error::custom("a sketch of another precision"));
        }
        Ok(Self(Box::new(sketch)))
    }
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    BASE64.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
}

#[cfg(test)]
#[path = "crowd_tests.rs"]
mod tests;
