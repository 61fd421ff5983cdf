//! Acts of moderation in requests of the control socket. Their words are a contract, as those of [`protocol`](super::protocol).

use crate::domain::{
    id::{Seq, Uid},
    rank::Rank,
};
use crate::server::moderation::ActKind;
use crate::server::storage::{SetModes, moderation::GrantedRole};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An act of the command line: `{"verb":"remove","seqs":[41]}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum CommandAct {
    /// Removes messages.
    Remove {
        /// The messages.
        seqs: Vec<Seq>,
    },
    /// Removes the messages of a person.
    Purge {
        /// The person.
        user: Uid,
        /// How far back; 0: all.
        seconds: u64,
    },
    /// Warns a person.
    Warn {
        /// The person.
        user: Uid,
    },
    /// Takes a person the right to send for a time.
    Timeout {
        /// The person.
        user: Uid,
        /// For how long.
        seconds: u64,
    },
    /// Bans a person, in the room or on the whole site.
    Ban {
        /// The person.
        user: Uid,
    },
    /// Ends a restraint.
    Lift {
        /// Its case.
        case: Uuid,
    },
    /// Takes an act back.
    Undo {
        /// The act.
        action: Uuid,
    },
    /// Destroys the kept text of a removed message.
    Erase {
        /// The message.
        seq: Seq,
    },
    /// Grants or revokes a role.
    Role {
        /// The person.
        user: Uid,
        /// `moderator` or `vip`; without one the role is revoked.
        role: Option<Rank>,
    },
    /// Sets modes; those that are left out stay.
    Mode {
        /// Slow mode in milliseconds.
        slow_ms: Option<u64>,
        /// Whether the room takes no messages.
        closed: Option<bool>,
        /// Whether only accounts send.
        accounts: Option<bool>,
    },
    /// Sets the title.
    Title {
        /// The title, cleaned.
        title: String,
    },
    /// Makes an account the room's host.
    Host {
        /// The account's person.
        user: Uid,
    },
    /// Erases the next messages of a person.
    ErasePerson {
        /// The person.
        user: Uid,
    },
    /// Notes an export of the log.
    ExportLog,
}

impl From<CommandAct> for ActKind {
    fn from(act: CommandAct) -> Self {
        match act {
            CommandAct::Remove { seqs } => Self::Remove(seqs),
            CommandAct::Purge { user, seconds } => Self::Purge { user, seconds },
            CommandAct::Warn { user } => Self::Warn(user),
            CommandAct::Timeout { user, seconds } => Self::Timeout { user, seconds },
            CommandAct::Ban { user } => Self::Ban(user),
            CommandAct::Lift { case } => Self::Lift(case),
            CommandAct::Undo { action } => Self::Undo(action),
            CommandAct::Erase { seq } => Self::EraseText(seq),
            CommandAct::Role { user, role } => Self::Role { user, role: role.and_then(granted) },
            CommandAct::Mode { slow_ms, closed, accounts } => Self::Mode(SetModes { slow_ms, closed, accounts }),
            CommandAct::Title { title } => Self::Title(title),
            CommandAct::Host { user } => Self::Host(user),
            CommandAct::ErasePerson { user } => Self::ErasePerson(user),
            CommandAct::ExportLog => Self::ExportLog,
        }
    }
}

fn granted(rank: Rank) -> Option<GrantedRole> {
    match rank {
        Rank::Moderator => Some(GrantedRole::Moderator),
        Rank::Vip => Some(GrantedRole::Vip),
        _ => None,
    }
}
