//! The ranks of the actor and of the person acted on, read in the act's transaction, and the decision that follows from them.

use super::act::{Actor, CLI, KEY};
use super::carry_out::{Doing, Failure, Rules};
use crate::domain::{
    id::Uid,
    rank::{Rank, Verb, may},
    refusal::Refusal,
};
use crate::server::storage::moderation::{ActQueries, Standing};

/// The power of an actor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Power {
    /// That of a rank in the room.
    Of(Rank),
    /// The command line: above every rank.
    Cli,
}

impl Power {
    /// Reads the power of an actor. A person that the store does not know has none.
    pub(super) async fn read<T: ActQueries>(tx: &mut T, actor: &Actor) -> Result<Self, Failure> {
        Ok(match actor {
            Actor::Cli => Self::Cli,
            Actor::Key(_, rank) => Self::Of(*rank),
            Actor::Person(uid) => Self::Of(tx.standing(uid).await?.ok_or(Refusal::NotAllowed)?.rank()),
        })
    }

    /// Reads the power that the actor of an earlier act has now. The command line counts as the owner, who may undo its acts.
    pub(super) async fn of_word<T: ActQueries>(tx: &mut T, word: &str) -> Result<Self, Failure> {
        if word == CLI {
            return Ok(Self::Of(Rank::Owner));
        }
        if word.starts_with(KEY) {
            return Ok(Self::Of(Rank::Moderator));
        }
        let standing = match word.parse::<Uid>() {
            Ok(uid) => tx.standing(&uid).await?,
            Err(_) => None,
        };
        Ok(Self::Of(standing.map_or(Rank::Guest, |standing| standing.rank())))
    }

    /// Whether the actor may do `verb` to a person of the rank `target`; `None` if the act concerns nobody.
    pub(super) fn may(self, verb: Verb, target: Option<Rank>, rules: &Rules) -> bool {
        let least = if verb == Verb::Ban && !rules.moderators_ban { Rank::Host } else { verb.least_rank() };
        match self {
            Self::Cli => true,
            Self::Of(rank) => rank >= least && may(rank, verb, target),
        }
    }
}

impl<T: ActQueries> Doing<'_, T> {
    /// Fails with `not_allowed` unless the actor may do `verb`.
    pub(super) fn check(&self, verb: Verb, target: Option<Rank>) -> Result<(), Refusal> {
        if self.power.may(verb, target, self.rules) { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Returns the standing of a person whom the actor may act on. Fails with `malformed` for an unknown uid, after the check of the
    /// actor's own rank.
    pub(super) async fn subject(&mut self, verb: Verb, uid: &Uid) -> Result<Standing, Failure> {
        self.check(verb, None)?;
        let standing = self.tx.standing(uid).await?.ok_or(Refusal::malformed("user"))?;
        self.check(verb, Some(standing.rank()))?;
        Ok(standing)
    }

    /// The uid of an actor who is a person.
    pub(super) fn person(&self) -> Result<&Uid, Refusal> {
        match &self.act.actor {
            Actor::Person(uid) => Ok(uid),
            Actor::Key(..) | Actor::Cli => Err(Refusal::NotAllowed),
        }
    }
}
