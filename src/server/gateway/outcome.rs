//! Results of the gateway's methods, and how a connection is closed.

use super::publish::Delivered;
use crate::domain::push::CloseCode;
use tokio::sync::oneshot;

/// The close code and reason that a client is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kick {
    /// The close code.
    pub code: CloseCode,
    /// The reason, truncated to 123 bytes.
    pub reason: String,
    /// Sends no close frame to connections without subprotocol. Set by GatewayWorker's kick, which sends none.
    pub silent_on_plain: bool,
}

impl From<CloseCode> for Kick {
    fn from(code: CloseCode) -> Self {
        Self { code, reason: code.reason().into(), silent_on_plain: false }
    }
}

/// Result of [`Gateway::bind`](super::Gateway::bind).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindOutcome {
    /// The connection is bound and in the group.
    Bound,
    /// The connection belongs to another session or visitor, or to nobody and a back end uses it.
    NotOwner,
    /// The connection reads [`MAX_READER_GROUPS`](super::MAX_READER_GROUPS) other groups.
    TooManyGroups,
    /// The session holds `gateway.max_per_session` connections already.
    SessionLimit,
    /// No such connection on this node.
    NotFound,
}

/// Result of [`Gateway::join_group`](super::Gateway::join_group) and [`Gateway::leave_group`](super::Gateway::leave_group).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupChange {
    /// The group has one member more, or one less.
    Changed,
    /// The connection was already in the group, or was not in it.
    Unchanged,
    /// No such connection on this node.
    NotFound,
}

impl GroupChange {
    /// Whether the connection exists on this node.
    pub fn is_found(self) -> bool {
        self != Self::NotFound
    }
}

impl From<Option<bool>> for GroupChange {
    fn from(changed: Option<bool>) -> Self {
        match changed {
            Some(true) => Self::Changed,
            Some(false) => Self::Unchanged,
            None => Self::NotFound,
        }
    }
}

/// A publish that is posted to the shards. Drop it, or wait for its delivery report.
#[must_use = "await `delivered`, or drop it"]
pub struct Sent(pub(super) oneshot::Receiver<Delivered>);

impl Sent {
    /// Returns the report once every shard has queued the publish; the shards write it next.
    pub async fn delivered(self) -> Delivered {
        self.0.await.unwrap_or_default()
    }
}
