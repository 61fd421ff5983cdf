//! Places in the limits of HTTP connections, which are freed when they are dropped.

use super::{HttpLimits, Phase, WRITING_GRACE};
use crate::server::web::listener::network::Network;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

/// A connection's place; dropping it frees the place.
pub(in super::super) struct HttpPermit {
    pub(super) limits: Arc<HttpLimits>,
    pub(super) slot: usize,
    pub(super) end: Arc<Notify>,
}

impl HttpPermit {
    /// Returns when another connection takes this one's place: true if it has a grace period for the rest of a response.
    pub(in super::super) async fn ended(&self) -> bool {
        self.end.notified().await;
        let phase = self.limits.table().connections.get(self.slot).map(|connection| connection.phase);
        phase.is_some_and(|phase| !matches!(phase, Phase::New | Phase::Writing))
    }

    /// Marks a request as in progress until the result is dropped.
    pub(in super::super) fn request(self: &Arc<Self>) -> InProgress {
        self.limits.table().set_phase(self.slot, Phase::Request, None);
        InProgress(self.clone())
    }
}

impl Drop for HttpPermit {
    fn drop(&mut self) {
        self.limits.table().remove(self.slot);
    }
}

/// A request in progress on a connection, until its response is written or the connection has failed.
pub(in super::super) struct InProgress(Arc<HttpPermit>);

impl InProgress {
    /// Marks the response as being written from `now` on.
    pub(in super::super) fn writes(&self, now: Instant) {
        self.0.limits.table().set_phase(self.0.slot, Phase::Writing, Some(now + WRITING_GRACE));
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.limits.table().set_phase(self.0.slot, Phase::Kept, Some(Instant::now()));
    }
}

/// A request in progress of a client behind a trusted proxy.
pub(in super::super) struct RequestPermit {
    pub(super) limits: Arc<HttpLimits>,
    pub(super) networks: [Option<Network>; 2],
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        let mut table = self.limits.table();
        table.forwarded_total -= 1;
        for network in self.networks.into_iter().flatten() {
            if let Entry::Occupied(mut entry) = table.forwarded.entry(network) {
                *entry.get_mut() -= 1;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
    }
}
