//! Pushes to the staff of a room, on all nodes. They have no number and arrive at most once: what a moderator missed stands in the
//! room's queue and log.

use crate::domain::id::RoomId;
use crate::server::bus::Subject;
use crate::server::cluster::Cluster;
use crate::server::gateway::{Frame, Gateway, Group};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

/// The first word of their subjects; the second one is the room.
const WORD: &str = "staff";

/// Sends pushes to the staff of this node and of the others. Cheap to clone.
#[derive(Clone)]
pub(super) struct StaffPushes {
    gateway: Gateway,
    cluster: Cluster,
}

impl StaffPushes {
    pub(super) fn new(gateway: Gateway, cluster: Cluster) -> Self {
        Self { gateway, cluster }
    }

    /// Sends a push, a JSON object, to the staff of a room.
    pub(super) async fn send(&self, room: &RoomId, json: Bytes) {
        if let Some(bus) = self.cluster.bus() {
            bus.publish(&Subject::of(&[WORD, room.as_str()]), json.clone());
        }
        self.send_here(room, &json).await;
    }

    /// Passes the pushes of other nodes on, until `closing` is cancelled.
    pub(super) async fn receive(self, closing: CancellationToken) {
        let Some(bus) = self.cluster.bus() else { return };
        let mut pushes = bus.subscribe(Subject::of(&[WORD, "*"])).await;
        loop {
            let received = tokio::select! {
                received = pushes.next() => received,
                () = closing.cancelled() => return,
            };
            let Some(received) = received else { return };
            if let Ok(room) = received.subject.last_word().parse() {
                self.send_here(&room, &received.payload).await;
            }
        }
    }

    /// The delivery report is dropped.
    async fn send_here(&self, room: &RoomId, json: &[u8]) {
        drop(self.gateway.send_to_staff(Group::new(room.as_str()), Frame::text(json)).await);
    }
}
