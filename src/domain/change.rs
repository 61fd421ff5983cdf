//! Changes of a room after the fact: removals, their undoing, and the room's state. They are counted by the room's `rev`, and
//! pushed as `changed` and `room` (docs/protocol-pages.md). A change never contains a removed text or the name of a moderator.

use crate::domain::{
    id::{RoomId, Seq, Uid},
    message::Message,
    push::as_pushes,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Number of a change in its room. A room's changes are numbered 1, 2, 3 … without holes; 0 is before the first.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rev(pub u64);

impl Rev {
    /// Returns the rev after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Why messages were removed or restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The author did it.
    Author,
    /// A rule of the room did it.
    Rule,
    /// The operator did it, or the author was erased.
    Site,
    /// An act was taken back.
    Undo,
    /// A moderator did it. A page reads a reason of a later version as this one.
    #[serde(other)]
    Moderator,
}

impl Why {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Moderator => "moderator",
            Self::Author => "author",
            Self::Rule => "rule",
            Self::Site => "site",
            Self::Undo => "undo",
        }
    }

    /// Returns the reason of a word.
    pub fn from_word(word: &str) -> Self {
        match word {
            "author" => Self::Author,
            "rule" => Self::Rule,
            "site" => Self::Site,
            "undo" => Self::Undo,
            _ => Self::Moderator,
        }
    }
}

/// The mark of a removed message, in place of its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Removed {
    /// Why it was removed.
    pub why: Why,
    /// The change that removed it.
    pub rev: Rev,
}

/// Seqs of removed messages, both ends included. On the wire a number, or `[from,to]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seqs {
    /// The first.
    pub from: Seq,
    /// The last.
    pub to: Seq,
}

impl Seqs {
    /// Returns the ranges of ascending seqs.
    pub fn of(seqs: impl IntoIterator<Item = Seq>) -> Vec<Self> {
        let mut ranges: Vec<Self> = Vec::new();
        for seq in seqs {
            match ranges.last_mut() {
                Some(last) if last.to.next() == seq => last.to = seq,
                _ => ranges.push(Self { from: seq, to: seq }),
            }
        }
        ranges
    }
}

impl Serialize for Seqs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.from == self.to { self.from.serialize(serializer) } else { (self.from, self.to).serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Seqs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            One(Seq),
            Range(Seq, Seq),
        }
        let (from, to) = match Wire::deserialize(deserializer)? {
            Wire::One(seq) => (seq, seq),
            Wire::Range(from, to) => (from, to),
        };
        Ok(Self { from, to })
    }
}

/// Messages of one person, from seq to seq.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Purged {
    /// The person.
    pub user: Uid,
    /// The first seq.
    pub from: Seq,
    /// The last seq.
    pub upto: Seq,
}

/// The push `changed`. Exactly one of `removed`, `purged`, `restored` and `reread` is present.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Changed {
    /// The room.
    pub room: RoomId,
    /// The number of the change.
    pub rev: Rev,
    /// When, unix milliseconds.
    pub at: u64,
    /// Why.
    pub why: Why,
    /// Removed messages; at most 512 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Seqs>,
    /// Every message of a person in a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purged: Option<Purged>,
    /// Restored messages; at most 32, and 16 KiB.
    #[serde(default, skip_serializing_if = "Vec::is_empty", serialize_with = "as_pushes")]
    pub restored: Vec<Message>,
    /// More messages were restored than fit: the page reads its window again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reread: bool,
}

/// The state of a room: everything that refuses a message before it is typed, and the pin. On the wire it is always whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoomState {
    /// The modes.
    pub modes: RoomModes,
    /// The level of the raid breaker; always null in this version.
    #[serde(default)]
    pub raid: Option<()>,
    /// The pinned message.
    pub pinned: Option<Pinned>,
    /// The poll; always null in this version.
    #[serde(default)]
    pub poll: Option<()>,
    /// The room's title.
    pub title: String,
}

/// The modes of a room. All keys are always present.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RoomModes {
    /// Slow mode: milliseconds between two messages of one person; 0 is off.
    pub slow_ms: u64,
    /// Only accounts send.
    pub accounts: bool,
    /// The room takes no messages.
    pub closed: bool,
    /// The modes of a later version, all off.
    #[serde(flatten)]
    pub later: LaterModes,
}

/// Modes that this version always has off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct LaterModes {
    /// Only emoji.
    pub emoji: bool,
    /// Milliseconds of the moderation delay.
    pub delay_ms: u64,
    /// Seconds within which a person cannot repeat a text.
    pub unique_s: u64,
    /// Whose links are links.
    pub links: Links,
    /// Only people who spoke here before.
    pub regulars: bool,
}

impl Default for LaterModes {
    fn default() -> Self {
        Self { emoji: false, delay_ms: 0, unique_s: 0, links: Links::Off, regulars: false }
    }
}

/// Whose links are shown as links.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Links {
    /// All links are text.
    #[serde(other)]
    Off,
}

/// A pinned message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pinned {
    /// The message.
    pub seq: Seq,
    /// When the pin ends, unix milliseconds; null without an end.
    pub until: Option<u64>,
}

/// The kind of a restraint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestraintKind {
    /// For good, until it is lifted.
    Ban,
    /// Until a time.
    Timeout,
    /// Until the person has acknowledged it.
    Warning,
}

impl RestraintKind {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Timeout => "timeout",
            Self::Warning => "warning",
        }
    }
}

/// Returns the id of a restraint from its text. The parser of the crate would take 2 kB of the page.
pub fn case_of(text: &str) -> Option<Uuid> {
    let mut digits = text.chars().filter(|digit| *digit != '-');
    let case = digits.try_fold(0u128, |id, digit| Some(id << 4 | u128::from(digit.to_digit(16)?)));
    case.filter(|_| text.len() == 36).map(Uuid::from_u128)
}

/// A restraint as its person sees it. A ban is told before a timeout, and a timeout before a warning.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Restraint {
    /// Its kind.
    pub kind: RestraintKind,
    /// When it ends, unix milliseconds; null without an end.
    pub until: Option<u64>,
    /// The reason for the person; empty without one.
    pub reason: String,
    /// Its id, which `lift` takes.
    pub case: Uuid,
}
