//! Histories of a cluster: the sends of clients, their answers, the pushes that readers saw, and the rows of the store in the end. The
//! checks in `check.rs` say which promise a history breaks. `mutations.rs` breaks each of them once.

mod check;
mod clients;
mod mutations;
mod schedule;

use std::collections::BTreeMap;

/// Everything that the clients of a run noted, each in the order of its own clock, with times in milliseconds since the start.
#[derive(Clone, Default, Debug)]
pub struct History {
    /// Sends with their answers.
    pub sends: Vec<Send>,
    /// The pushes of each socket, in its order.
    pub sockets: Vec<Socket>,
    /// The bans that were answered.
    pub bans: Vec<Ban>,
    /// Sessions that ended.
    pub ended: Vec<Ended>,
    /// The store after the run.
    pub store: BTreeMap<String, Room>,
    /// The end of each fault, and the time 3 s later.
    pub healed: Vec<(u64, u64)>,
    /// Spans of time in which each node went on and reached the store.
    pub served: Vec<(u64, u64)>,
    /// When the last fault was over for three seconds: a reader that was bound before must have everything.
    pub healed_at: u64,
    /// The cooldown.
    pub cooldown_ms: u64,
}

/// A send, repeated until it had an answer or its client gave up.
#[derive(Clone, Debug)]
pub struct Send {
    /// The room.
    pub room: String,
    /// The sender.
    pub user: String,
    /// The nonce of all its attempts.
    pub nonce: String,
    /// When the first attempt began.
    pub begun: u64,
    /// When the last answer came.
    pub answered: u64,
    /// The last answer.
    pub outcome: Outcome,
}

/// The answer of a send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Accepted under this number and id.
    Stored { seq: u64, id: String },
    /// Refused for good, with its code: it is not stored.
    Refused(String),
    /// No answer, or `uncertain`: it may be stored.
    Unknown,
}

/// A socket of a reader in one room. A reader that comes back opens another.
#[derive(Clone, Debug)]
pub struct Socket {
    /// The reader.
    pub reader: usize,
    /// The room.
    pub room: String,
    /// Its node.
    pub node: String,
    /// The person whose session it has.
    pub user: Option<String>,
    /// The pushes, in order.
    pub seen: Vec<Seen>,
    /// When it closed; `None`: open at the end.
    pub closed_at: Option<u64>,
}

/// A push, as it came to a socket.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The answer of a `bind`, and when the request began.
    Bound { begun: u64, at: u64, epoch: String, seq: u64, gap: bool, rev: u64, lines: Vec<Line>, changes: Vec<Change> },
    /// A message.
    Message { at: u64, line: Line },
    /// A change, or the room's state under its rev.
    Change { at: u64, change: Change },
    /// A told gap, of messages, of changes or of both.
    Gap { at: u64, range: Option<(u64, u64)>, rev: Option<u64> },
}

/// A message as a page gets it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The number.
    pub seq: u64,
    /// The id.
    pub id: String,
    /// The text; empty for a tombstone.
    pub text: String,
    /// Whether it is a tombstone.
    pub is_removed: bool,
}

/// A change as a page gets it.
#[derive(Clone, Default, Debug)]
pub struct Change {
    /// The number.
    pub rev: u64,
    /// The removed messages, from and to.
    pub removed: Vec<(u64, u64)>,
    /// The messages that are shown again.
    pub restored: Vec<Line>,
}

/// A ban that was answered.
#[derive(Clone, Debug)]
pub struct Ban {
    /// The room.
    pub room: String,
    /// The person.
    pub user: String,
    /// When it was answered.
    pub answered_at: u64,
}

/// A session that was ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The person.
    pub user: String,
    /// When the sign-out was answered.
    pub answered_at: u64,
}

/// A room in the store.
#[derive(Clone, Default, Debug)]
pub struct Room {
    /// Its messages, by seq.
    pub rows: Vec<Row>,
    /// The newest change.
    pub rev: u64,
}

/// A stored message.
#[derive(Clone, Debug)]
pub struct Row {
    /// The number.
    pub seq: u64,
    /// The id.
    pub id: String,
    /// The sender.
    pub user: String,
    /// The nonce.
    pub nonce: String,
    /// The text that its sender gave, also of a removed one.
    pub text: String,
    /// The store's time.
    pub at: u64,
}
