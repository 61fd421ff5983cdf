//! The data of the staff's pages and of the staff's requests: the page of a message, the person's card, the room's moderation page,
//! the audit log. Only staff receives it; it never holds an address.

use crate::domain::{
    change::{Restraint, RestraintKind},
    id::{RoomId, Seq, Uid},
    message::Message,
    rank::Rank,
    room::Snapshot,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The words of a report's reason, in the order in which pages offer them.
pub const REPORT_REASONS: [&str; 5] = ["spam", "abuse", "sexual", "illegal", "other"];

/// A message as the staff sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StaffMessage {
    /// The message; a tombstone if it is removed.
    pub message: Message,
    /// Nickname and text of a removed message while they are kept.
    pub removed: Option<(String, String)>,
}

/// The page of one message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessagePage {
    /// The room; its `messages` are the message and at most three on each side of it. Viewers see tombstones.
    pub snapshot: Snapshot,
    /// The message.
    pub seq: Seq,
    /// The author's card and the message's text, for staff only.
    pub staff: Option<StaffPart>,
    /// The message is the person's own.
    pub is_own: bool,
}

/// A message's part for the staff alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StaffPart {
    /// The messages of the page, with removed texts.
    pub messages: Vec<StaffMessage>,
    /// The author's card; `None` if the author is unknown or was erased.
    pub card: Option<PersonCard>,
    /// The act that removed the message, if it can be undone.
    pub undo: Option<Uuid>,
}

/// The card of a person in a room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PersonCard {
    /// The person.
    pub uid: Uid,
    /// The current nickname.
    pub nickname: String,
    /// Whether the person has an account. Its name, with which one signs in, is nobody's business.
    pub account: bool,
    /// The rank in the room.
    pub rank: Rank,
    /// When the account was made, or since when the guest is one.
    pub since: u64,
    /// First and last message in the room.
    pub seen: Option<(u64, u64)>,
    /// Messages in the room, removed ones included; 10,000 for more.
    pub messages: u64,
    /// Removed messages.
    pub removed: u64,
    /// Restraints so far.
    pub restraints: u64,
    /// Restraints in force.
    pub in_force: Vec<Restraint>,
    /// Nicknames of the last 30 days, newest first.
    pub nicknames: Vec<String>,
    /// The last messages, newest first, at most 50.
    pub last: Vec<StaffMessage>,
    /// Notes of the staff, newest first.
    pub notes: Vec<Note>,
    /// The person sent from the network of a restrained guest.
    pub shares_network: bool,
    /// Whether the reader may act on the person.
    pub may_act: bool,
}

/// A note of the staff.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Note {
    /// Its id.
    pub id: Uuid,
    /// The actor that wrote it.
    pub by: String,
    /// When.
    pub at: u64,
    /// The text.
    pub text: String,
}

/// The moderation page of a room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ModerationPage {
    /// The room, with its newest 20 messages.
    pub snapshot: Snapshot,
    /// Open reports, oldest first.
    pub reports: Vec<Reported>,
    /// Restraints in force, newest first.
    pub restraints: Vec<Restrained>,
    /// Moderators and guests of honour.
    pub staff: Vec<Member>,
    /// The newest rows of the log.
    pub log: LogReply,
}

/// A reported message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reported {
    /// The message.
    pub message: StaffMessage,
    /// The words of the reasons.
    pub reasons: Vec<String>,
    /// The number of persons that reported it.
    pub count: u64,
    /// The first report.
    pub at: u64,
}

/// A restraint with its person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Restrained {
    /// The person.
    pub user: Uid,
    /// The current nickname.
    pub nickname: String,
    /// Its kind.
    pub kind: RestraintKind,
    /// When it began.
    pub since: u64,
    /// When it ends.
    pub until: Option<u64>,
    /// The reason.
    pub reason: String,
    /// The actor.
    pub by: String,
    /// The case.
    pub case: Uuid,
}

/// A person with a role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The person.
    pub user: Uid,
    /// The current nickname.
    pub nickname: String,
    /// The word of the role.
    pub role: String,
}

/// Rows for the staff.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rows<T> {
    /// Always true.
    pub status: bool,
    /// At most 100 rows.
    pub rows: Vec<T>,
    /// Where the next page begins; always null in this version.
    pub next: Option<u64>,
}

impl<T> Rows<T> {
    /// The most rows of an answer.
    pub const MOST: usize = 100;

    /// Returns the first rows.
    pub fn first(mut rows: Vec<T>) -> Self {
        rows.truncate(Self::MOST);
        Self { status: true, rows, next: None }
    }
}

/// The card of a person, as an answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CardReply {
    /// Always true.
    pub status: bool,
    /// The card.
    pub card: PersonCard,
}

/// A page of the audit log, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LogReply {
    /// Always true.
    pub status: bool,
    /// At most 100 rows.
    pub rows: Vec<LogRow>,
    /// The `before` of the next page; `None` on the last one.
    pub next: Option<u64>,
    /// On the first page of a room: the back ends that pushed to its pages lately, beside the messages and the rows.
    #[serde(default)]
    pub pushed: Vec<PushedBy>,
}

/// The pushes of a back end to the pages of a room, since its node was started.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PushedBy {
    /// `bot:<name of the key>`, or `php`.
    pub by: String,
    /// Their number.
    pub count: u64,
    /// When the first one was.
    pub since: u64,
    /// When the last one was.
    pub at: u64,
}

/// A row of the audit log, as the staff reads it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogRow {
    /// Its number in the room's chain.
    pub n: u64,
    /// The act.
    pub action: Uuid,
    /// When.
    pub at: u64,
    /// The actor: a uid, `bot:<name>`, or `cli`.
    pub actor: String,
    /// The actor's nickname, if it is a person that is known.
    pub actor_nickname: Option<String>,
    /// The verb.
    pub verb: String,
    /// The room; `None` for the site.
    pub room: Option<RoomId>,
    /// The person acted on.
    pub target: Option<String>,
    /// That person's nickname.
    pub target_nickname: Option<String>,
    /// Messages that the act concerns, at most 100.
    pub seqs: Vec<Seq>,
    /// The end of a restraint.
    pub until: Option<u64>,
    /// The case of a restraint.
    pub case: Option<Uuid>,
    /// The reason, while it is kept.
    pub reason: Option<String>,
    /// The act that this one takes back.
    pub undoes: Option<Uuid>,
    /// The value that was set: the word of a role (`none`: revoked), the changed modes (`slow_ms=3000 closed=true`), the title, or for an
    /// undo the number of the act's row.
    #[serde(default)]
    pub detail: Option<String>,
    /// Whether it can be taken back now.
    pub can_undo: bool,
}
