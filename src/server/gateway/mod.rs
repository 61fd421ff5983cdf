//! Floor 1: who is connected to this node, and what is pushed to them. Moves encoded frames; knows no chat, no axum, no
//! SQL, and never parses a payload. The verbs are GatewayWorker's.
//!
//! A [`shard`] owns its connections outright: the node's threads reach it through its [`mailbox`]. What else they share with
//! it stands in ARCHITECTURE.md. A publish is encoded once and posted once to each shard ([`publish`]), which writes it to its
//! readers itself ([`write_batch`]).

mod client_ids;
mod connection;
mod events;
mod frame;
mod frame_decoder;
mod handle;
mod limits;
mod mailbox;
mod metrics;
mod publish;
mod queries;
mod registry;
mod relay;
mod send_queue;
mod session;
mod shard;
#[cfg(test)]
mod shard_tests;
mod shard_thread;
mod stream;
mod sync;
mod write_batch;

pub use connection::NewConnection;
pub use events::{ConnectionEvent, EventKind, EventReceiver, Handshake, Subscription};
pub use frame::{Frame, Position, Publication};
pub use frame_decoder::{Bounds, Event, Incoming};
pub use handle::{BindOutcome, Gateway, GroupChange, Kick};
pub use limits::{ConnectionPermit, LimitReached, rate_limit_prefix};
pub use metrics::ShardStats;
pub use publish::{Delivered, Except, MAX_REPEATS, Target, is_repetitive};
pub use queries::{ConnectionLine, Selection, ShardLine};
pub use registry::Member;
pub use relay::Relayed;
pub use session::{ClientSession, MAX_SESSION_BYTES, SessionError};
pub use stream::RawStream;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A name in the gateway's tables: whatever bytes its caller gives, shared by whoever keeps it.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(Arc<[u8]>);

        impl $name {
            pub fn new(name: impl AsRef<[u8]>) -> Self {
                Self(name.as_ref().into())
            }

            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }

            /// As a reader sees it: what is no UTF-8 is replaced.
            pub fn as_text(&self) -> Cow<'_, str> {
                String::from_utf8_lossy(&self.0)
            }

            /// The same name in memory of the thread that asks: what is kept for long beside what is not would hold whole
            /// pages of it.
            fn to_owned_copy(&self) -> Self {
                Self::new(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.as_text())
            }
        }
    };
}

name!(
    /// A room's audience.
    Group
);

name!(
    /// One person, who may hold many connections.
    Uid
);

impl From<&crate::domain::id::Uid> for Uid {
    fn from(uid: &crate::domain::id::Uid) -> Self {
        Self::new(uid.as_str())
    }
}

/// When something began, in the order things happened on this node; listings follow it, as PHP's arrays do. Drawn by the
/// facade, so that no shard shares a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogicalTime(u32);

impl LogicalTime {
    /// How many things happened since: the larger, the earlier it began. It stays right when the numbers begin anew, for
    /// whatever is not two billion things old; what began after `now` was drawn is the newest.
    fn age(self, now: Self) -> u32 {
        (now.0.wrapping_sub(self.0) as i32).max(0) as u32
    }
}

/// Whoever opened a socket, as the door knows them; compared, never read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SocketOwner(pub [u8; 32]);

/// Which pushes a connection understands (README, “The socket”).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// No subprotocol: messages, and what the API pushes, verbatim.
    Plain,
    /// `roomcast.v1`: every push is an object with a `type`.
    V1,
}
