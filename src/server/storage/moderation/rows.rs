//! The records of moderation, the same for every store. Times are unix milliseconds.

use crate::domain::{
    change::{Pinned, RestraintKind, Rev, Why},
    id::{Epoch, RoomId, Seq, Uid},
    message::Message,
    rank::Rank,
};
use uuid::Uuid;

/// 12 bytes of a keyed hash of a room and a network.
pub type NetworkHash = [u8; 12];

/// A room, as it is inside of the transaction of an act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomRecord {
    /// The room's id.
    pub room: RoomId,
    /// Its title.
    pub title: String,
    /// The host's uid, if the room has a host.
    pub host: Option<Uid>,
    /// The history that its seqs and revs belong to.
    pub epoch: Epoch,
    /// Seq of its newest message.
    pub newest: Seq,
    /// The number of its newest change.
    pub rev: Rev,
    /// Slow mode in milliseconds; 0 is off.
    pub slow_ms: u64,
    /// Whether only accounts send.
    pub accounts: bool,
    /// Whether it takes no messages.
    pub is_closed: bool,
    /// Whether the operator closed it: its host does not open it then.
    pub closed_by_operator: bool,
    /// The pinned message.
    pub pinned: Option<Pinned>,
}

/// A room at one moment, for `bind`, `history` and pages. The fields are of one snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomNow {
    /// As in [`RoomRecord`].
    pub record: RoomRecord,
    /// The lowest seq that is kept; one above the newest if none is kept.
    pub oldest: Seq,
    /// The changes after the wanted rev, oldest first; empty if none was wanted.
    pub changes: Vec<StoredChange>,
    /// Whether `changes` are all changes after the wanted rev: the oldest ones may have been swept, or there are too many.
    pub has_all_changes: bool,
}

/// A change of a room, as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredChange {
    /// Its number.
    pub rev: Rev,
    /// The room's newest message at the change.
    pub seq: Seq,
    /// When.
    pub at: u64,
    /// JSON of the moderation floor.
    pub body: String,
}

/// A role that a host grants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantedRole {
    /// Keeps order.
    Moderator,
    /// A guest of honour.
    Vip,
}

impl GrantedRole {
    /// The word in requests and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Moderator => "moderator",
            Self::Vip => "vip",
        }
    }
}

/// A person with a role in a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    /// The person.
    pub uid: Uid,
    /// The current nickname.
    pub nickname: String,
    /// The role.
    pub role: GrantedRole,
}

/// A person in a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The current nickname.
    pub nickname: String,
    /// The account's name; `None` for a guest.
    pub account: Option<String>,
    /// Whether the person owns the installation.
    pub is_owner: bool,
    /// Whether the person is the room's host.
    pub is_host: bool,
    /// The role in the room.
    pub role: Option<GrantedRole>,
    /// When the person was first seen.
    pub created_at: u64,
}

impl Standing {
    /// The rank: the highest that one of its parts gives. Only an account has a rank above that of a viewer.
    pub fn rank(&self) -> Rank {
        match self {
            Self { account: None, is_owner: false, is_host: false, .. } => Rank::Guest,
            Self { is_owner: true, .. } => Rank::Owner,
            Self { is_host: true, .. } => Rank::Host,
            Self { role: Some(GrantedRole::Moderator), .. } => Rank::Moderator,
            Self { role: Some(GrantedRole::Vip), .. } => Rank::Vip,
            _ => Rank::Viewer,
        }
    }
}

/// A message with the act that removed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredMessage {
    /// The message; a tombstone if it is removed, also by the mark of a purge.
    pub message: Message,
    /// The act that removed it. `None`: it is not removed, or its text has ended.
    pub action: Option<Uuid>,
}

/// A removed message with nickname and text, for the staff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WithText {
    /// The tombstone.
    pub message: Message,
    /// Nickname and text; `None` after their end.
    pub removed: Option<(String, String)>,
}

/// The removal of messages by one act.
#[derive(Clone, Copy, Debug)]
pub struct NewRemoval {
    /// The act.
    pub action: Uuid,
    /// Why.
    pub why: Why,
    /// The change that tells it.
    pub rev: Rev,
    /// Until when nickname and text are kept.
    pub until: u64,
}

/// The state of a purge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PurgeState {
    /// Its rows are being blanked; its mark removes them for every reader.
    Blanking,
    /// All its rows are blanked.
    Done,
    /// Its rows are being restored.
    Restoring,
}

/// A removal of a person's messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PurgeRow {
    /// The act.
    pub action: Uuid,
    /// The room.
    pub room: RoomId,
    /// The author.
    pub uid: Uid,
    /// The first seq.
    pub from: Seq,
    /// The last seq.
    pub upto: Seq,
    /// The change that told it.
    pub rev: Rev,
    /// Why.
    pub why: Why,
    /// Its state.
    pub state: PurgeState,
    /// The seq at which the next batch begins.
    pub next: Seq,
    /// Until when nicknames and texts are kept.
    pub until: u64,
}

/// A restraint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RestraintRow {
    /// Its case.
    pub id: Uuid,
    /// The room; `None` for the whole site.
    pub room: Option<RoomId>,
    /// The person.
    pub uid: Uid,
    /// Its kind.
    pub kind: RestraintKind,
    /// When it began.
    pub since: u64,
    /// When it ends; `None` without an end.
    pub until: Option<u64>,
    /// The reason for the person.
    pub reason: String,
    /// The actor.
    pub by: String,
    /// When it was lifted or acknowledged.
    pub lifted_at: Option<u64>,
}

impl RestraintRow {
    /// Returns whether it is in force.
    pub fn is_in_force(&self, now: u64) -> bool {
        self.lifted_at.is_none() && self.until.is_none_or(|until| until > now)
    }
}

/// The pin of a room to be set; `None` unpins.
pub type SetPin = Option<Pinned>;

/// A row of the audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActionRow {
    /// The room's id, or `*`.
    pub chain: String,
    /// Its number in the chain, from 1.
    pub n: u64,
    /// The act's id, a uuid v7.
    pub id: Uuid,
    /// When.
    pub at: u64,
    /// A uid, `bot:<name of the key>`, or `cli`.
    pub actor: String,
    /// The verb's word.
    pub verb: String,
    /// The person acted on.
    pub target: Option<String>,
    /// The caller's key of the attempt.
    pub nonce: Option<String>,
    /// Canonical JSON.
    pub body: String,
    /// SHA-256 of the previous row's hash and `body`.
    pub hash: [u8; 32],
}

/// The newest row of a chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainHead {
    /// The chain.
    pub chain: String,
    /// Its number; 0 before the first.
    pub n: u64,
    /// Its hash; zeros before the first.
    pub hash: [u8; 32],
}

/// A note of the staff about a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteRow {
    /// The note's id.
    pub id: Uuid,
    /// The room.
    pub room: RoomId,
    /// The person.
    pub uid: Uid,
    /// The actor that wrote it.
    pub by: String,
    /// When.
    pub at: u64,
    /// The text.
    pub text: String,
    /// Until when it is kept.
    pub until: u64,
}

/// A report of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportRow {
    /// The room.
    pub room: RoomId,
    /// The message.
    pub seq: Seq,
    /// The viewer that reports it.
    pub by: Uid,
    /// The author.
    pub uid: Uid,
    /// The word of the reason.
    pub reason: String,
    /// When.
    pub at: u64,
}

/// Numbers of a person in a room, for the staff's card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonHistory {
    /// Nickname, account, rank.
    pub standing: Standing,
    /// Stored messages in the room, removed ones included; counted up to 10,000.
    pub messages: u64,
    /// Those of them that are removed.
    pub removed: u64,
    /// Timeouts and bans in the room so far.
    pub restraints: u64,
    /// First and last message in the room: their times.
    pub seen: Option<(u64, u64)>,
    /// Nicknames of the messages of the last 30 days, newest first, at most 10.
    pub nicknames: Vec<String>,
    /// Whether the person sent from the network of a restrained guest.
    pub shares_network: bool,
}
