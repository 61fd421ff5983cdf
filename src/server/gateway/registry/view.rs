//! A connection as the tables of its shard have it.

use super::{ConnectionEntry, Registry};
use crate::server::gateway::{ClientSession, Group, Uid};
use std::num::NonZeroU64;

/// A read-only view of one connection.
#[derive(Clone, Copy)]
pub struct ConnectionView<'a> {
    pub(super) registry: &'a Registry,
    pub(super) entry: &'a ConnectionEntry,
}

impl<'a> ConnectionView<'a> {
    /// The connection id in its client id.
    pub fn connection_id(self) -> u32 {
        self.entry.id
    }

    /// The uid, if it is bound.
    pub fn uid(self) -> Option<&'a Uid> {
        self.entry.uid.as_ref()
    }

    /// The number of the visitor that opened it, if it sent a visitor cookie.
    pub(in crate::server::gateway) fn visitor(self) -> Option<u64> {
        self.entry.visitor.map(NonZeroU64::get)
    }

    /// Whether it has a uid, a session, or a group that it did not join as a reader.
    pub(in crate::server::gateway) fn is_given(self) -> bool {
        let ConnectionEntry { uid, session, joined, .. } = self.entry;
        uid.is_some() || session.is_some() || joined.iter().any(|joined| !joined.as_reader)
    }

    /// The session that a back end stored.
    pub fn session(self) -> Option<&'a ClientSession> {
        self.entry.session.as_ref()
    }

    /// Its groups, in joining order.
    pub fn groups(self) -> impl Iterator<Item = &'a Group> {
        self.registry.names(self.entry)
    }

    /// Whether it has ever joined a group.
    pub fn has_joined(self) -> bool {
        self.entry.has_joined
    }
}
