//! Ranks in a room, and the table of what each rank may do. Pure: the caller reads the ranks in the transaction of the act.
//!
//! ```
//! use roomcast::domain::rank::{Rank, Verb, may};
//!
//! assert!(may(Rank::Moderator, Verb::Timeout, Some(Rank::Viewer)));
//! assert!(!may(Rank::Moderator, Verb::Timeout, Some(Rank::Host)));
//! ```

use crate::domain::message::Role;
use serde::{Deserialize, Serialize};

/// The rank of a person in a room, from the lowest to the highest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// A person without an account.
    Guest,
    /// An account without a role.
    Viewer,
    /// A guest of honour: exempt from slow mode and from the mode for accounts.
    Vip,
    /// Keeps order in the room.
    Moderator,
    /// The room's host.
    Host,
    /// The owner of the installation, in every room.
    Owner,
}

impl Rank {
    /// Every rank, lowest first.
    pub const ALL: [Self; 6] = [Self::Guest, Self::Viewer, Self::Vip, Self::Moderator, Self::Host, Self::Owner];

    /// Returns the rank of its word on the wire.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "guest" => Self::Guest,
            "viewer" => Self::Viewer,
            "vip" => Self::Vip,
            "moderator" => Self::Moderator,
            "host" => Self::Host,
            "owner" => Self::Owner,
            _ => return None,
        })
    }

    /// Whether the rank has the tools of the staff.
    pub fn is_staff(self) -> bool {
        self >= Self::Moderator
    }

    /// Whether modes that slow viewers down or keep guests out do not concern the rank.
    pub fn is_exempt(self) -> bool {
        self >= Self::Vip
    }

    /// The role of the rank's messages. The owner is a moderator in a room of another host.
    pub fn role(self) -> Role {
        match self {
            Self::Guest | Self::Viewer => Role::Viewer,
            Self::Vip => Role::Vip,
            Self::Moderator | Self::Owner => Role::Moderator,
            Self::Host => Role::Host,
        }
    }
}

/// An act of moderation. The word is that of the request, of the API's method `mod.<word>`, and of the audit log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Remove a message of another person.
    Remove,
    /// Remove a person's messages.
    Purge,
    /// Remove a message of one's own.
    Retract,
    /// Take an act back.
    Undo,
    /// Warn a person, who cannot send until the warning is acknowledged.
    Warn,
    /// Take a person the right to send for a time.
    Timeout,
    /// Take a person the right to send in a room for good.
    Ban,
    /// Take a person the right to send in every room for good.
    BanSite,
    /// End a timeout, a ban or a warning.
    Lift,
    /// Add a note about a person that the staff reads.
    Note,
    /// Pin a message.
    Pin,
    /// Remove the pin.
    Unpin,
    /// Set modes of the room.
    Mode,
    /// Set the room's title.
    Title,
    /// Grant or revoke a role.
    Role,
    /// Read or export the audit log.
    Log,
    /// Destroy a removed text before its end.
    Erase,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 17] = [
        Self::Remove,
        Self::Purge,
        Self::Retract,
        Self::Undo,
        Self::Warn,
        Self::Timeout,
        Self::Ban,
        Self::BanSite,
        Self::Lift,
        Self::Note,
        Self::Pin,
        Self::Unpin,
        Self::Mode,
        Self::Title,
        Self::Role,
        Self::Log,
        Self::Erase,
    ];

    /// The lowest rank that may do this.
    pub fn least_rank(self) -> Rank {
        match self {
            Self::Retract => Rank::Guest,
            Self::Role | Self::Title => Rank::Host,
            Self::BanSite | Self::Erase => Rank::Owner,
            _ => Rank::Moderator,
        }
    }

    /// The verb's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::Purge => "purge",
            Self::Retract => "retract",
            Self::Undo => "undo",
            Self::Warn => "warn",
            Self::Timeout => "timeout",
            Self::Ban => "ban",
            Self::BanSite => "ban_site",
            Self::Lift => "lift",
            Self::Note => "note",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Mode => "mode",
            Self::Title => "title",
            Self::Role => "role",
            Self::Log => "log",
            Self::Erase => "erase",
        }
    }

    /// Returns the verb of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == word)
    }
}

/// Returns whether `actor` may do `verb` to a person of the rank `target`; `None` if the act concerns no other person. Nobody acts
/// on an equal or a higher rank.
pub fn may(actor: Rank, verb: Verb, target: Option<Rank>) -> bool {
    actor >= verb.least_rank() && target.is_none_or(|target| target < actor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_acts_on_an_equal_or_a_higher_rank() {
        for actor in Rank::ALL {
            for target in Rank::ALL {
                for verb in Verb::ALL {
                    let expected = target < actor && actor >= verb.least_rank();
                    assert_eq!(may(actor, verb, Some(target)), expected, "{actor:?} {verb:?} {target:?}");
                }
            }
        }
    }

    #[test]
    fn each_verb_has_its_least_rank() {
        for (verb, least) in [
            (Verb::Retract, Rank::Guest),
            (Verb::Remove, Rank::Moderator),
            (Verb::Purge, Rank::Moderator),
            (Verb::Timeout, Rank::Moderator),
            (Verb::Ban, Rank::Moderator),
            (Verb::Mode, Rank::Moderator),
            (Verb::Title, Rank::Host),
            (Verb::Role, Rank::Host),
            (Verb::BanSite, Rank::Owner),
            (Verb::Erase, Rank::Owner),
        ] {
            assert!(may(least, verb, None), "{verb:?}");
            assert!(Rank::ALL.into_iter().filter(|rank| *rank < least).all(|rank| !may(rank, verb, None)), "{verb:?}");
        }
    }

    #[test]
    fn verbs_have_words() {
        for verb in Verb::ALL {
            assert_eq!(Verb::from_word(verb.as_str()), Some(verb));
        }
    }
}
