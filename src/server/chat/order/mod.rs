//! The order of the rooms on this node, where there are other nodes: every member sees a room's messages by seq and its changes by rev,
//! each once, or is told of a gap. Inputs are own commits, pushes of other nodes and answers of the store; outputs are the pushes to
//! the members. A push between nodes may be lost, doubled, late or of another order: then the store is asked.
//!
//! [`sequencer`] decides and is pure; [`task`] runs it; [`lane`] passes own commits on; [`wire`] is the form of pushes between nodes.

mod epochs;
mod item;
mod lane;
mod line;
mod reads;
mod room;
mod sequencer;
mod task;
mod wire;

pub(super) use item::{Item, Kind, Skipped};
pub(super) use lane::LanePushes;

use super::pushes::Pusher;
use super::tails::Tails;
use crate::domain::id::RoomId;
use crate::server::cluster::{Cluster, Handler};
use crate::server::storage::moderation::RoomNow;
use bytes::Bytes;
use epochs::Epochs;
use futures_util::FutureExt;
use item::Head;
use std::sync::Arc;
use task::Task;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// Batches of all lanes, and requests, that may be queued; then the sender waits.
const MAX_QUEUED: usize = 64;
const MAX_COMMANDS: usize = 1024;

/// The order of this node's rooms. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(super) struct Order {
    commands: mpsc::Sender<Command>,
    epochs: Epochs,
}

/// A request to the task.
enum Command {
    /// A reader has joined a room and read its window, which ends with these numbers. Answers whether the window is whole.
    Begin { room: RoomId, head: Head, answer: oneshot::Sender<bool> },
    /// The room is deleted.
    Forget(RoomId),
    /// All rooms begin a new epoch.
    ForgetAll,
    /// Another process of this node goes on: the task pushes nothing more, and answers the last numbers that it pushed.
    HandOver(oneshot::Sender<Passed>),
    /// This process goes on after these numbers.
    GoOn(Passed),
}

/// The last numbers that were pushed in rooms.
type Passed = Vec<(RoomId, Head)>;

impl Order {
    /// Starts the task, which ends when every clone of the returned lane has ended. `None`: there are no other nodes.
    pub(super) fn start(tasks: &TaskTracker, cluster: &Cluster, pusher: &Pusher, tails: &Tails) -> Option<(Self, LanePushes)> {
        let (bus, incarnation) = (cluster.bus()?.clone(), cluster.incarnation()?);
        pusher.gateway.track_groups();
        let (commands, requested) = mpsc::channel(MAX_COMMANDS);
        let (own, committed) = mpsc::channel(MAX_QUEUED);
        let (epochs, pusher) = (Epochs::default(), pusher.clone());
        let task = Task::new(bus.clone(), pusher.clone(), tails.clone(), epochs.clone());
        tasks.spawn(task.run(committed, requested));
        let lane = LanePushes { bus, incarnation, epochs: epochs.clone(), own, pusher };
        let order = Self { commands, epochs };
        cluster.on_hand_over(order.hand_over());
        Some((order, lane))
    }

    /// Ends the pushes of this process, and returns the state from which the next process of this node goes on.
    fn hand_over(&self) -> Handler {
        let commands = self.commands.clone();
        Arc::new(move |_| {
            let commands = commands.clone();
            async move {
                let (answer, answered) = oneshot::channel();
                let _ = commands.send(Command::HandOver(answer)).await;
                Bytes::from(serde_json::to_vec(&answered.await.unwrap_or_default()).unwrap_or_default())
            }
            .boxed()
        })
    }

    /// Goes on where the process before this one ended: its sockets miss nothing, and get nothing twice.
    pub(super) async fn go_on(&self, state: &[u8]) {
        // Without it they miss the pushes of a moment.
        let passed = serde_json::from_slice(state).unwrap_or_default();
        let _ = self.commands.send(Command::GoOn(passed)).await;
    }

    /// Takes the end of a reader's window, which was read after the reader had joined: from here on the reader gets every push. Returns
    /// false if pushes before that are not in the window: it must be read again.
    pub(super) async fn begin(&self, now: &RoomNow) -> bool {
        let record = &now.record;
        let head = Head { epoch: record.epoch.clone(), seq: record.newest, rev: record.rev };
        let (answer, answered) = oneshot::channel();
        let begin = Command::Begin { room: record.room.clone(), head, answer };
        // A closing chat pushes nothing more.
        self.commands.send(begin).await.is_err() || answered.await.unwrap_or(true)
    }

    /// Drops the state of a deleted room.
    pub(super) async fn forget(&self, room: &RoomId) {
        self.epochs.forget(room);
        let _ = self.commands.send(Command::Forget(room.clone())).await;
    }

    /// Drops the state of all rooms: they begin a new epoch.
    pub(super) async fn forget_all(&self) {
        self.epochs.forget_all();
        let _ = self.commands.send(Command::ForgetAll).await;
    }
}
