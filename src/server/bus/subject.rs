//! The subjects of a cluster: words with dots. The bus puts `rc.<cluster>.` in front of each.

use crate::domain::id::RoomId;
use std::fmt;
use std::sync::Arc;

/// Buckets of rooms, fixed for ever: nodes of all versions agree on them.
const BUCKETS: u32 = 64;

/// A subject without the prefix of the cluster.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The frames of a room: `m.<bucket>.<room>`. A room's id is a word of a subject as it is.
    pub fn messages(room: &RoomId) -> Self {
        Self(format!("m.{}.{room}", bucket(room)).into())
    }

    /// The frames of all rooms.
    pub fn all_messages() -> Self {
        Self("m.*.*".into())
    }

    /// The subject of these words. A word is 1-64 letters, digits, `_`, `-`, or `*`.
    pub fn of(words: &[&str]) -> Self {
        Self(words.join(".").into())
    }

    /// Returns the subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last word: of a room's frames, the room.
    pub fn last_word(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or_default()
    }
}

impl From<&str> for Subject {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the bucket of a room: CRC-32 modulo 64.
pub fn bucket(room: &RoomId) -> u32 {
    crc32(room.as_str().as_bytes()) % BUCKETS
}

/// CRC-32 as of IEEE 802.3, bit by bit: ids are short.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0xedb8_8320 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
