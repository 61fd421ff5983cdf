//! The queues of the lanes of the group commit: a send or an act of moderation waits in the lane of its room until the lane's
//! commit task takes it, and its caller waits for the answer.
//!
//! The store says how many lanes there are. All sends of a room are in one of them, so that its pushes keep their order and its
//! limits have one owner.

use super::admission::Admission;
use super::commit::Committer;
use super::lost_acts::LostActs;
use super::order::LanePushes;
use super::pushes::Pusher;
use super::send_limits::Sender;
use super::tails::Tails;
use super::unsettled::Unsettled;
use crate::domain::{id::RoomId, refusal::Refusal, reply::SendReply};
use crate::server::{
    clock::Clock,
    incident::refusal_of,
    moderation::{Act, Outcome, Rules, told_restraints},
    storage::{NewMessage, Result as StorageResult, Store},
};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Sends that may be queued, in all lanes; further ones are refused with `busy`.
const MAX_QUEUED_SENDS: usize = 4096;
/// Acts that may be queued in a lane; further ones are refused with `busy`. They do not wait behind a flood of sends.
const MAX_QUEUED_ACTS: usize = 256;
/// Committed batches of a lane that may be queued for pushing; then the lane waits.
const MAX_QUEUED_PUSHES: usize = 64;

/// The way back to the sender of a queued send.
pub(super) type Answer = oneshot::Sender<Result<SendReply, Rejected>>;

/// A send that was not stored.
pub(super) struct Rejected {
    pub(super) refusal: Refusal,
    /// The room's cooldown for this person; 0 if it was not found.
    pub(super) cooldown_ms: u64,
}

/// A send that waits for its batch.
pub(super) struct QueuedSend {
    pub(super) message: NewMessage,
    pub(super) sender: Sender,
    pub(super) answer: Answer,
    pub(super) since: Instant,
}

/// Work between two batches of sends.
pub(super) enum Work {
    /// An act in a room.
    Act { act: Act, room: RoomId, since: Instant, answer: oneshot::Sender<Result<Outcome, Refusal>> },
    /// The next batch of a purge.
    Batch { room: RoomId, action: Uuid, answer: oneshot::Sender<StorageResult<bool>> },
}

/// The queues of a lane.
struct Lane {
    sends: mpsc::Sender<QueuedSend>,
    works: mpsc::Sender<Work>,
}

/// The way of the pushes of a lane.
#[derive(Clone)]
pub(super) enum Pushing {
    /// The only node pushes them as they come.
    Alone(Pusher),
    /// They go to the other nodes, and through the order of the rooms.
    InOrder(LanePushes),
}

/// The queues of the lanes. Cheap to clone; all clones are the same queues.
#[derive(Clone)]
pub(super) struct Commits {
    lanes: Arc<[Lane]>,
    store: Store,
    clock: Clock,
}

impl Commits {
    /// Starts the commit task and the push task of each lane. They end when `closing` is cancelled and the queued sends and acts are
    /// committed and pushed. `admission` makes the admission of a lane.
    pub(super) fn start(
        (tasks, closing): (&TaskTracker, CancellationToken),
        pushing: Pushing,
        store: &Store,
        clock: &Clock,
        rules: Rules,
        admission: impl Fn() -> Admission,
        tails: &Tails,
    ) -> Self {
        let count = store.lanes();
        let lane = |_| {
            let (sends, queued_sends) = mpsc::channel(MAX_QUEUED_SENDS / count);
            let (works, queued_works) = mpsc::channel(MAX_QUEUED_ACTS);
            let (pushes, queued_pushes) = mpsc::channel(MAX_QUEUED_PUSHES);
            let (store, clock) = (store.clone(), clock.clone());
            let tails = matches!(pushing, Pushing::Alone(_)).then(|| tails.clone());
            let (admission, unsettled, lost_acts) = (admission(), Unsettled::default(), LostActs::default());
            let committer = Committer { store, clock, rules, admission, pushes, tails, unsettled, lost_acts };
            tasks.spawn(committer.run(queued_sends, queued_works, closing.clone()));
            match pushing.clone() {
                Pushing::Alone(pusher) => tasks.spawn(pusher.run(queued_pushes)),
                Pushing::InOrder(lane) => tasks.spawn(lane.run(queued_pushes)),
            };
            Lane { sends, works }
        };
        Self { lanes: (0..count).map(lane).collect(), store: store.clone(), clock: clock.clone() }
    }

    /// Carries an act out in its room, between two batches of sends; its pushes are queued when this returns. Fails with
    /// [`Refusal::Busy`] when the queue is full or closed, and with the refusal of the act.
    pub(super) async fn act(&self, room: &RoomId, act: Act) -> Result<Outcome, Refusal> {
        let (answer, answered) = oneshot::channel();
        let work = Work::Act { act, room: room.clone(), since: Instant::now(), answer };
        self.lane(room).works.try_send(work).map_err(|_| Refusal::Busy)?;
        answered.await.map_err(|_| Refusal::Uncertain)?
    }

    /// Does the next batch of a purge, and returns whether there is a further one. `None`: the chat is closing.
    pub(super) async fn next_batch(&self, room: &RoomId, action: Uuid) -> Option<StorageResult<bool>> {
        let (answer, answered) = oneshot::channel();
        self.lane(room).works.send(Work::Batch { room: room.clone(), action, answer }).await.ok()?;
        answered.await.ok()
    }

    fn lane(&self, room: &RoomId) -> &Lane {
        &self.lanes[lane_of(room, self.lanes.len())]
    }

    /// Returns id and seq once the message is durable; for a repeated nonce, those of the first message. The message gets its
    /// time here. Fails with [`Refusal::Busy`] when the queue is full or closed, and with the refusal of [`Admission`] or of
    /// the store.
    pub(super) async fn commit(&self, message: NewMessage, sender: Sender) -> Result<SendReply, Refusal> {
        let (answer, answered) = oneshot::channel();
        let (user, nonce, room) = (message.user.clone(), message.nonce.clone(), message.room.clone());
        let queued = QueuedSend { message, sender, answer, since: Instant::now() };
        self.lane(&room).sends.try_send(queued).map_err(|_| Refusal::Busy)?;
        let Rejected { refusal, cooldown_ms } = match answered.await.map_err(|_| Refusal::Uncertain)? {
            Ok(reply) => return Ok(reply),
            Err(rejected) => rejected,
        };
        if !matches!(refusal, Refusal::TooFast { .. }) {
            return Err(refusal);
        }
        // A send that came too early may repeat the nonce of a message that is stored, and a restraint is told before the cooldown.
        // The look-ups are made here, since the commit task must not wait for a flood of refused sends.
        let failed = |error| refusal_of(&error, "send");
        if let Some(nonce) = nonce
            && let Some((id, seq)) = self.store.sent_before(&user, &nonce, &room).await.map_err(failed)?
        {
            return Ok(SendReply { status: true, id, seq, cooldown_ms: Some(cooldown_ms) });
        }
        let restraints = self.store.restraints_of(&room, &user, self.clock.now_ms()).await.map_err(failed)?;
        let (restraint, warning) = told_restraints(&restraints);
        Err(restraint.or(warning).map_or(refusal, Refusal::from))
    }
}

/// Returns the lane of a room. Every node has the same one, so that two nodes' batches of one lane meet at few rooms: FNV-1a.
fn lane_of(room: &RoomId, lanes: usize) -> usize {
    let hash = room
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    usize::try_from(hash % lanes as u64).unwrap_or_default()
}
