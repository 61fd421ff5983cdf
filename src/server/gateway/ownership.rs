//! Whose socket it is: the session that opened it, else the visitor cookie, else nobody. `bind` takes a socket of its own owner,
//! and joins a request without a session as a reader.

use super::registry::Slot;
use super::shard::Shard;
use super::stream::Stream;
use super::{BindOutcome, Gateway, Group, LogicalTime, Uid};
use crate::domain::id::ClientId;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Groups that a reader's socket is in, at most.
pub const MAX_READER_GROUPS: usize = 4;

/// A session as the owner of sockets: a hash of its token. Only compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SocketOwner(pub [u8; 32]);

/// A browser: a hash of its visitor cookie. Only compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Visitor(pub [u8; 32]);

impl Visitor {
    /// A short form for counts, never zero.
    pub(super) fn number(self) -> u64 {
        self.0.first_chunk().map_or(1, |bytes| u64::from_le_bytes(*bytes).max(1))
    }
}

/// The credentials that a handshake or a request came with.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Credentials {
    /// The session.
    pub session: Option<SocketOwner>,
    /// The visitor cookie, with or without a session.
    pub visitor: Option<Visitor>,
    /// Whether it has a bearer token, of whatever kind.
    pub has_bearer: bool,
}

impl Credentials {
    /// Whether there is nothing by which a socket could be recognised.
    pub fn is_nobody(&self) -> bool {
        self.session.is_none() && self.visitor.is_none() && !self.has_bearer
    }

    /// Decides whether a request with these credentials may bind a socket that was opened with `opened`. `is_given`: a back end
    /// gave the socket a uid, a group or a session.
    fn claim(&self, opened: &Self, is_given: bool) -> Claim {
        let is_permitted = match (opened.session, opened.visitor) {
            (Some(owner), _) => self.session == Some(owner),
            (None, Some(owner)) => self.visitor == Some(owner),
            (None, None) => self.is_nobody() && !opened.has_bearer && !is_given,
        };
        match self.session {
            _ if !is_permitted => Claim::Refused,
            Some(session) if opened.session.is_none() => Claim::TakeOver(session),
            _ => Claim::Own,
        }
    }
}

/// Result of [`Credentials::claim`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Claim {
    /// The socket is the request's own.
    Own,
    /// The socket is the request's visitor cookie's, and the session becomes its owner.
    TakeOver(SocketOwner),
    /// The socket is another's.
    Refused,
}

impl Gateway {
    /// Adds the connection to `group` and binds it to `uid` in one step, if its owner asks. Without a uid it joins as a reader,
    /// [`MAX_READER_GROUPS`] groups at most, and a uid that it has stays. `uid` is the person of the session in `by`.
    pub async fn bind(&self, client: ClientId, by: Credentials, uid: Option<Uid>, group: Group) -> BindOutcome {
        let now = self.logical_now();
        let bound = self.on_client(client, move |shard, slot, _| shard.bind(slot, &by, uid.as_ref(), &group, now));
        bound.await.unwrap_or(BindOutcome::NotFound)
    }

    /// Returns the sessions that own sockets, each once.
    pub async fn owners(&self) -> HashSet<SocketOwner> {
        let owners = self.on_all_shards(|shard, _| {
            let owner = |slot| shard.get(slot).and_then(|connection| connection.permit.credentials().session);
            shard.registry.all().filter_map(owner).collect::<HashSet<_>>()
        });
        owners.await.into_iter().flatten().collect()
    }

    /// Returns the connections of a uid that a session owns, each with its session.
    pub async fn owned_by_sessions(&self, uid: Uid) -> Vec<(ClientId, SocketOwner)> {
        let owned = self.on_all_shards(move |shard, _| {
            let owned = |slot| {
                Some((shard.client_id(slot)?, shard.get(slot).and_then(|connection| connection.permit.credentials().session)?))
            };
            shard.of_uid(&uid).into_iter().filter_map(owned).collect::<Vec<_>>()
        });
        owned.await.into_iter().flatten().collect()
    }
}

impl<S: Stream> Shard<S> {
    fn bind(&mut self, slot: Slot, by: &Credentials, uid: Option<&Uid>, group: &Group, now: LogicalTime) -> BindOutcome {
        let is_given = self.registry.get(slot).is_some_and(|member| member.is_given());
        let Some(connection) = self.connection(slot) else { return BindOutcome::NotFound };
        match by.claim(&connection.permit.credentials(), is_given) {
            Claim::Refused => return BindOutcome::NotOwner,
            Claim::TakeOver(session) if connection.permit.take_over(session).is_err() => return BindOutcome::SessionLimit,
            Claim::TakeOver(_) | Claim::Own => {}
        }
        // The caller joins the staff again, if the rank is still that of a moderator.
        self.registry.staff.leave(slot, group);
        match uid {
            Some(uid) => {
                self.registry.bind_uid(slot, uid, now);
                self.registry.join_group(slot, group, now);
                BindOutcome::Bound
            }
            None if self.registry.join_as_reader(slot, group, MAX_READER_GROUPS, now) => BindOutcome::Bound,
            None => BindOutcome::TooManyGroups,
        }
    }
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;
