//! An act and its outcome.

use crate::domain::{
    change::{Changed, Restraint, Rev, RoomState, Seqs},
    id::{Nonce, RoomId, Seq, Uid},
    rank::Rank,
    reply::ActReply,
};
use crate::server::storage::SetModes;
use crate::server::storage::moderation::GrantedRole;
use uuid::Uuid;

/// On whose behalf an act is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A person with a session. The rank is read in the act's transaction.
    Person(Uid),
    /// A key of the API, with its rank in its rooms: that of a moderator, or of a host with the scope `mod.rules`.
    Key(String, Rank),
    /// The command line, which is above every rank.
    Cli,
}

/// An act to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Act {
    /// On whose behalf.
    pub actor: Actor,
    /// The room; `None` for the whole site. An act on a case or on an earlier act may leave it out, too.
    pub room: Option<RoomId>,
    /// The caller's key of the attempt: an act with the nonce of an earlier one of the same actor is answered as that one.
    pub nonce: Option<Nonce>,
    /// The reason; for the person acted on and for the staff. At most 500 characters.
    pub reason: String,
    /// The kind of the act, with its fields.
    pub kind: ActKind,
}

/// The kinds of acts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ActKind {
    /// Removes messages of other persons, at most 100.
    Remove(Vec<Seq>),
    /// Removes the messages of a person of the last `seconds`; 0: all.
    Purge {
        /// The person.
        user: Uid,
        /// How far back.
        seconds: u64,
    },
    /// Removes a message of one's own.
    Retract(Seq),
    /// Takes an act back.
    Undo(Uuid),
    /// Warns a person.
    Warn(Uid),
    /// Takes a person the right to send, for 1 to 1,209,600 seconds. It replaces an earlier timeout.
    Timeout {
        /// The person.
        user: Uid,
        /// For how long.
        seconds: u64,
    },
    /// Bans a person: in the room, or on the whole site if the act has no room.
    Ban(Uid),
    /// Ends a restraint by its case.
    Lift(Uuid),
    /// Acknowledges a warning of one's own.
    Acknowledge(Uuid),
    /// Adds a note about a person. The text is the act's reason.
    Note(Uid),
    /// Removes a note.
    RemoveNote(Uuid),
    /// Pins a message, for a time or without an end.
    Pin {
        /// The message.
        seq: Seq,
        /// For how long: 30 to 86,400.
        seconds: Option<u64>,
    },
    /// Removes the pin.
    Unpin,
    /// Sets modes.
    Mode(SetModes),
    /// Sets the title, which is cleaned already.
    Title(String),
    /// Grants or revokes a role.
    Role {
        /// The person, who has an account.
        user: Uid,
        /// The role; `None` revokes.
        role: Option<GrantedRole>,
    },
    /// Makes an account the room's host. Only the command line does.
    Host(Uid),
    /// Reports a message to the staff. The reason is one of five words.
    Report(Seq),
    /// Settles the reports of a message without a removal.
    SettleReports(Seq),
    /// Destroys the kept text of a removed message.
    EraseText(Seq),
    /// Erases the next messages of a person in the room for good, at most 500. The answer has a rev if there were any.
    ErasePerson(Uid),
    /// Notes an export of the log: of the room's chain, or of all if the act has no room.
    ExportLog,
}

impl ActKind {
    /// The act's word in logs and metrics. That of the audit log is the same, except for acts that have no verb there.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Remove(_) => "remove",
            Self::Purge { .. } => "purge",
            Self::Retract(_) => "retract",
            Self::Undo(_) => "undo",
            Self::Warn(_) => "warn",
            Self::Timeout { .. } => "timeout",
            Self::Ban(_) => "ban",
            Self::Lift(_) => "lift",
            Self::Acknowledge(_) => "acknowledge",
            Self::Note(_) => "note",
            Self::RemoveNote(_) => "remove_note",
            Self::Pin { .. } => "pin",
            Self::Unpin => "unpin",
            Self::Mode(_) => "mode",
            Self::Title(_) => "title",
            Self::Role { .. } => "role",
            Self::Host(_) => "host",
            Self::Report(_) => "report",
            Self::SettleReports(_) => "settle",
            Self::EraseText(_) => "erase",
            Self::ErasePerson(_) => "erase_person",
            Self::ExportLog => "log",
        }
    }
}

impl Act {
    /// The verb of the act's row in the audit log.
    pub(super) fn logged_verb(&self) -> &'static str {
        match (&self.kind, &self.room) {
            (ActKind::Ban(_), None) => "ban_site",
            (ActKind::ErasePerson(_), _) => "erase",
            (kind, _) => kind.word(),
        }
    }
}

/// The changes of an act, for its answer and for the pushes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// The answer.
    pub reply: ActReply,
    /// The room's newest message at the act; 0 for an act on the whole site.
    pub head: Seq,
    /// A push `changed` to the room.
    pub changed: Option<Changed>,
    /// A push `room` to the room.
    pub state: Option<(Rev, RoomState)>,
    /// A push `you` to a person: restraint and warning in force from now on.
    pub you: Option<(Uid, Option<Restraint>, Option<Restraint>)>,
    /// A person is of the staff no more: the person's connections leave the staff's group.
    pub revoked: Option<Uid>,
    /// A person is of the staff now: the person's connections in the room join the staff's group.
    pub granted: Option<Uid>,
    /// A push to the staff; a repeated act has none.
    pub told: Option<Told>,
    /// Messages of a purge are still to be blanked or restored, in batches.
    pub has_batches: bool,
}

/// An act as the staff is told of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// A row of the audit log.
    Action {
        /// When.
        at: u64,
        /// The actor, as in the log.
        actor: String,
        /// The verb's word.
        verb: &'static str,
        /// The person acted on.
        target: Option<String>,
        /// Messages that the act concerns.
        seqs: Vec<Seqs>,
    },
    /// A viewer reported a message.
    Report {
        /// The message.
        seq: Seq,
        /// The word of the reason.
        reason: String,
    },
}

impl Actor {
    /// The actor in the audit log: a uid, `bot:<name of the key>`, or `cli`.
    pub fn word(&self) -> String {
        match self {
            Self::Person(uid) => uid.as_str().to_owned(),
            Self::Key(name, _) => format!("{KEY}{name}"),
            Self::Cli => CLI.to_owned(),
        }
    }
}

/// The command line in the audit log.
pub(super) const CLI: &str = "cli";
/// Begins the name of a key in the audit log.
pub(super) const KEY: &str = "bot:";
