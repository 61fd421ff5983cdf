//! Floor 1: the connections of this node and the frames pushed to them. It knows no chat, no axum, no SQL and no other node,
//! and never parses a payload. The verbs are GatewayWorker's.
//!
//! A [`shard`] is a thread that owns its connections outright; other threads post commands to its [`mailbox`]. A publish is
//! encoded once and posted once to each shard ([`publish`]), and the shard writes it to its readers ([`write_batch`]). A slow
//! reader has a bounded queue of its own ([`send_queue`]) and delays nobody.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use roomcast::server::config::GatewaySettings;
//! use roomcast::server::gateway::{Except, Frame, Gateway, Group, Publication};
//!
//! let gateway = Gateway::start(GatewaySettings::default())?;
//! let hello = Publication::both(Frame::text(b"hello"));
//! let sent = gateway.send_to_group(vec![Group::new("news")], Except::default(), hello).await;
//! println!("{} connections", sent.delivered().await.to);
//! # Ok(())
//! # }
//! ```

mod client_ids;
mod connection;
mod drain;
mod events;
mod frame;
mod frame_decoder;
mod handle;
mod idle;
mod limits;
mod live_groups;
mod mailbox;
mod metrics;
mod outcome;
mod ownership;
mod people;
mod publish;
mod queries;
mod registry;
mod relay;
mod send_queue;
mod senders;
mod session;
mod shard;
mod shard_calls;
mod shard_close;
mod shard_events;
#[cfg(test)]
mod shard_tests;
mod shard_thread;
mod shard_timeouts;
mod staff;
mod stream;
mod sync;
mod timer_wheel;
mod write_batch;
mod write_queue;

pub use connection::NewConnection;
pub use events::{ConnectionEvent, EventKind, EventReceiver, Handshake, Subscription};
pub use frame::{Frame, Number, Position, Publication};
pub use frame_decoder::{Decoded, FrameDecoder, InboundLimits};
pub use handle::Gateway;
pub use limits::{ConnectionPermit, LimitReached, NETWORK_FACTOR, network_prefix, rate_limit_prefix};
pub use metrics::ShardStats;
pub use outcome::{BindOutcome, GroupChange, Kick, Sent};
pub use ownership::{Credentials, MAX_READER_GROUPS, SocketOwner, Visitor};
pub use people::{People, PeopleKey};
pub use publish::{Delivered, Except, MAX_REPEATS, Target, is_repetitive};
pub use queries::{ConnectionStatus, Selection, ShardStatus};
pub use registry::ConnectionView;
pub use relay::Relayed;
pub use senders::GroupSender;
pub use session::{ClientSession, MAX_SESSION_BYTES, SessionError};
pub use stream::RawStream;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A name in the gateway's tables: any bytes, shared by its holders.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(Arc<[u8]>);

        impl $name {
            /// Copies the bytes of a name.
            pub fn new(name: impl AsRef<[u8]>) -> Self {
                Self(name.as_ref().into())
            }

            /// Returns the name as it was given; it need not be UTF-8.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }

            /// The name as text; invalid UTF-8 is replaced.
            pub fn as_text(&self) -> Cow<'_, str> {
                String::from_utf8_lossy(&self.0)
            }

            /// Copies the name into this thread's allocator arena, so that a long-lived name does not pin pages of short-lived
            /// data.
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
    /// A group of connections. The chat uses one group per chat room, named by the room's id.
    Group
);

name!(
    /// A person as the application names it. One uid may have many connections.
    Uid
);

impl From<&crate::domain::id::Uid> for Uid {
    fn from(uid: &crate::domain::id::Uid) -> Self {
        Self::new(uid.as_str())
    }
}

/// A logical time: the order in which connections opened, bound and joined on this node. Listings are sorted by it, as PHP's
/// arrays are by insertion. The handle draws it, so that the shards share no counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogicalTime(u32);

impl LogicalTime {
    /// Number of logical times drawn since this one. Correct across a wrap-around of the counter, for ages up to two
    /// billion; a time later than `now` has age 0.
    fn age(self, now: Self) -> u32 {
        (now.0.wrapping_sub(self.0) as i32).max(0) as u32
    }
}

/// The form of a connection's pushes (docs/protocol-pages.md).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// No subprotocol: messages, and API payloads verbatim.
    Plain,
    /// `roomcast.v1`: every push is an object with a `type`.
    V1,
}
