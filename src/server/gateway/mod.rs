//! Floor 1: who is connected to this node, and what is pushed to them. Moves encoded frames; knows no chat, no axum, no
//! SQL, and never parses a payload. The verbs are GatewayWorker's.
//!
//! The node's threads share a [`mailbox`] with each [`shard`], and nothing else: a shard owns its connections outright. A
//! publish is encoded once and posted once to each shard ([`publish`]), which writes it to its readers itself ([`round`]).

mod connection;
mod facade;
mod figures;
mod frame;
mod incoming;
mod mailbox;
mod names;
mod outbox;
mod publish;
mod queries;
mod reactor;
mod registry;
mod relay;
mod round;
mod seats;
mod session;
mod shard;
#[cfg(test)]
mod shard_tests;
mod stream;
mod sync;

pub use facade::{Gateway, Kick};
pub use figures::Counted;
pub use frame::{Frame, Position, Publication};
pub use incoming::{Bounds, Event, Incoming};
pub use publish::{Delivered, Except, Target};
pub use queries::{ConnectionLine, Selection, ShardLine};
pub use registry::Member;
pub use relay::Relayed;
pub use seats::{Full, Seat};
pub use session::{MAX_SESSION_BYTES, NotASession, Session};
pub use stream::Raw;

use std::sync::Arc;

/// A room's audience, by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Group(Arc<str>);

impl Group {
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same name in memory of the thread that asks (see [`crate::domain::id::Uid::apart`]).
    fn apart(&self) -> Self {
        Self::new(&self.0)
    }
}

/// Whoever opened a socket, as the door knows them; compared, never read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Owner(pub [u8; 32]);

/// Which pushes a connection understands (DESIGN.md 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// No subprotocol: messages, and what the API pushes, verbatim.
    Plain,
    /// `roomcast.v1`: every push is an object with a `type`.
    V1,
}
