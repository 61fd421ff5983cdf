//! The group commit. A lane takes its queued sends, admits those that the room's rules permit, stores them in one transaction,
//! answers the senders, and passes the messages on to be pushed in the order of their seqs. Sends that arrive during a commit form
//! the next batch, so there is no timer and a lone message is committed at once.
//!
//! The store says how many lanes there are. All sends of a room are in one of them, so that its pushes keep their order and its
//! limits have one owner.

use super::admission::{Admission, Reserved};
use super::send_limits::Sender;
use super::tails::Tails;
use super::unsettled::Unsettled;
use crate::domain::{
    id::{RoomId, Seq},
    message::Message,
    push::Push,
    refusal::Refusal,
    reply::SendReply,
};
use crate::server::{
    clock::Clock,
    gateway::{Except, Frame, Gateway, Group, Publication},
    incident::refusal_of,
    storage::{Appended, NewMessage, StorageError, Store},
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Sends that may be queued, in all lanes; further ones are refused with `busy`.
const MAX_QUEUED_SENDS: usize = 4096;
/// Messages per transaction.
const MAX_BATCH: usize = 512;
/// Time that a send may be queued; then it is refused with `busy`. Pages wait 10 s for an answer.
const MAX_QUEUED_FOR: Duration = Duration::from_secs(5);
/// Committed batches of a lane that may be queued for pushing; then the lane waits.
const MAX_QUEUED_PUSHES: usize = 64;

type Answer = oneshot::Sender<Result<SendReply, Rejected>>;

/// A send that was not stored.
struct Rejected {
    refusal: Refusal,
    /// The room's cooldown for this person; 0 if it was not found.
    cooldown_ms: u64,
}

struct QueuedSend {
    message: NewMessage,
    sender: Sender,
    answer: Answer,
    since: Instant,
}

/// A push to a room's group. If a slow connection skips the frame, `group` and `seq` are reported in its `gap`.
struct RoomPush {
    group: Group,
    seq: Seq,
    push: Push,
}

impl From<Message> for RoomPush {
    fn from(message: Message) -> Self {
        Self { group: Group::new(message.room.as_str()), seq: message.seq, push: Push::Message(message) }
    }
}

/// The queues of the lanes. Cheap to clone; all clones are the same queues.
#[derive(Clone)]
pub(super) struct Commits {
    lanes: Arc<[mpsc::Sender<QueuedSend>]>,
    store: Store,
}

impl Commits {
    /// Starts the commit task and the push task of each lane. They end when `closing` is cancelled and the queued sends are
    /// committed and pushed. `admission` makes the admission of a lane.
    pub(super) fn start(
        tasks: &TaskTracker,
        closing: CancellationToken,
        store: Store,
        gateway: Gateway,
        clock: Clock,
        admission: impl Fn() -> Admission,
        tails: Tails,
    ) -> Self {
        let count = store.lanes();
        let lane = |_| {
            let (queue, queued_sends) = mpsc::channel(MAX_QUEUED_SENDS / count);
            let (pushes, queued_pushes) = mpsc::channel(MAX_QUEUED_PUSHES);
            let (store, clock, tails) = (store.clone(), clock.clone(), tails.clone());
            let committer = Committer { store, clock, admission: admission(), pushes, tails, unsettled: Unsettled::default() };
            tasks.spawn(committer.run(queued_sends, closing.clone()));
            tasks.spawn(push(queued_pushes, gateway.clone()));
            queue
        };
        Self { lanes: (0..count).map(lane).collect(), store }
    }

    /// Returns id and seq once the message is durable; for a repeated nonce, those of the first message. The message gets its
    /// time here. Fails with [`Refusal::Busy`] when the queue is full or closed, and with the refusal of [`Admission`] or of
    /// the store.
    pub(super) async fn commit(&self, message: NewMessage, sender: Sender) -> Result<SendReply, Refusal> {
        let (answer, answered) = oneshot::channel();
        let (user, nonce, room) = (message.user.clone(), message.nonce.clone(), message.room.clone());
        let queue = &self.lanes[lane_of(&room, self.lanes.len())];
        let queued = QueuedSend { message, sender, answer, since: Instant::now() };
        queue.try_send(queued).map_err(|_| Refusal::Busy)?;
        let Rejected { refusal, cooldown_ms } = match answered.await.map_err(|_| Refusal::Uncertain)? {
            Ok(reply) => return Ok(reply),
            Err(rejected) => rejected,
        };
        // A send that came too early may repeat the nonce of a message that is stored. The look-up is made here, since the
        // commit task must not wait for a flood of refused sends.
        let (Some(nonce), Refusal::TooFast { .. }) = (nonce, &refusal) else { return Err(refusal) };
        let before = self.store.sent_before(&user, &nonce, &room).await.map_err(|error| refusal_of(&error, "send"))?;
        before.map(|(id, seq)| SendReply { status: true, id, seq, cooldown_ms: Some(cooldown_ms) }).ok_or(refusal)
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

struct Committer {
    store: Store,
    clock: Clock,
    admission: Admission,
    pushes: mpsc::Sender<Vec<RoomPush>>,
    tails: Tails,
    unsettled: Unsettled,
}

impl Committer {
    async fn run(mut self, mut queue: mpsc::Receiver<QueuedSend>, closing: CancellationToken) {
        let mut sends = Vec::new();
        loop {
            let look_at = self.unsettled.look_at();
            let count = tokio::select! {
                biased;
                () = closing.cancelled(), if !queue.is_closed() => { queue.close(); continue }
                count = queue.recv_many(&mut sends, MAX_BATCH) => count,
                () = sleep_until(look_at.unwrap_or_else(tokio::time::Instant::now)), if look_at.is_some() => {
                    self.look().await;
                    continue;
                }
            };
            if count == 0 {
                return;
            }
            self.commit(std::mem::take(&mut sends)).await;
        }
    }

    async fn commit(&mut self, mut sends: Vec<QueuedSend>) {
        for late in sends.extract_if(.., |send| send.since.elapsed() > MAX_QUEUED_FOR) {
            let _ = late.answer.send(Err(Rejected { refusal: Refusal::Busy, cooldown_ms: 0 }));
        }
        if sends.is_empty() {
            return;
        }
        let rooms = sends.iter().map(|send| send.message.room.clone()).collect();
        // SQLite reads them now; PostgreSQL may keep those of a room without a slow mode for a moment. `append` decides.
        let settings = match self.store.room_settings(rooms).await {
            Ok(settings) => settings,
            Err(error) => {
                let refusal = refusal_of(&error, "send");
                let rejected = || Rejected { refusal: refusal.clone(), cooldown_ms: 0 };
                sends.into_iter().for_each(|send| _ = send.answer.send(Err(rejected())));
                return;
            }
        };
        let (mut batch, mut reserved, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
        // One time for the batch, so that times rise with the seqs.
        let now = self.clock.now_ms();
        for QueuedSend { mut message, sender, answer, .. } in sends {
            let settings = settings.get(&message.room);
            message.at = now;
            match self.admission.admit(&message, sender, settings) {
                Ok(admitted) => {
                    batch.push(message);
                    reserved.push((admitted, answer));
                }
                Err(refusal) => {
                    let cooldown_ms = settings.map_or(0, |room| self.admission.cooldown_ms(room, &message.user));
                    rejected.push((answer, Rejected { refusal, cooldown_ms }));
                }
            }
        }
        if !batch.is_empty() {
            self.append(batch, reserved).await;
        }
        // After the append: a refused send may repeat the nonce of a message just stored.
        for (answer, rejected) in rejected {
            let _ = answer.send(Err(rejected));
        }
    }

    async fn append(&mut self, batch: Vec<NewMessage>, reserved: Vec<(Reserved, Answer)>) {
        metrics::histogram!("roomcast_commit_messages").record(batch.len() as f64);
        let sent: Vec<_> = batch.iter().map(|new| (new.room.clone(), new.id)).collect();
        let started = Instant::now();
        let appended = self.store.append(batch, self.admission.site_cooldown_ms()).await;
        metrics::histogram!("roomcast_commit_seconds").record(started.elapsed().as_secs_f64());
        match appended {
            Ok(appended) => {
                let pushes = self.answer_all(appended, reserved, &sent);
                self.publish(pushes).await;
                self.look().await;
            }
            Err(error) => {
                if matches!(error, StorageError::Uncertain(_)) {
                    self.unsettled.add(sent);
                }
                let refusal = refusal_of(&error, "send");
                for (reserved, answer) in reserved {
                    let cooldown_ms = reserved.cooldown_ms;
                    self.admission.rollback(reserved, None, self.clock.now_ms());
                    let _ = answer.send(Err(Rejected { refusal: refusal.clone(), cooldown_ms }));
                }
            }
        }
    }

    async fn publish(&self, pushes: Vec<RoomPush>) {
        if self.pushes.send(pushes).await.is_err() {
            tracing::error!("the push task has ended: pages receive stored messages only when they bind again");
        }
    }

    /// Looks for the unsettled messages of the rooms that are due, and pushes those that are stored, with the ones that waited for
    /// them.
    async fn look(&mut self) {
        for (room, limit) in self.unsettled.due() {
            let Ok(newest) = self.store.messages_between(&room, Seq::default(), None, limit).await else {
                return self.unsettled.failed();
            };
            let found = self.unsettled.found(&room, newest);
            found.iter().for_each(|message| self.tails.push(message));
            if !found.is_empty() {
                self.publish(found.into_iter().map(RoomPush::from).collect()).await;
            }
        }
    }

    /// Answers each sender and returns the pushes of the stored messages, in the order of their seqs, without those that wait for an
    /// unsettled message. `sent`: room and id of each message.
    fn answer_all(
        &mut self,
        appended: Vec<Appended>,
        reserved: Vec<(Reserved, Answer)>,
        sent: &[(RoomId, Uuid)],
    ) -> Vec<RoomPush> {
        let mut pushes = Vec::with_capacity(appended.len());
        for ((appended, (reserved, answer)), (room, _)) in appended.into_iter().zip(reserved).zip(sent) {
            let cooldown_ms = reserved.cooldown_ms;
            let result = match appended {
                Appended::Stored(message) => {
                    let accepted = (message.id, message.seq);
                    if !self.unsettled.hold(room, message.id) {
                        self.tails.push(&message);
                        pushes.push(message.into());
                    }
                    Ok(accepted)
                }
                Appended::TooFast { retry_after_ms } => {
                    self.admission.rollback(reserved, Some(retry_after_ms), self.clock.now_ms());
                    Err(Refusal::TooFast { retry_after_ms })
                }
                not_stored => {
                    self.admission.rollback(reserved, None, self.clock.now_ms());
                    match not_stored {
                        Appended::Repeated { id, seq } => {
                            self.unsettled.look_soon(room);
                            Ok((id, seq))
                        }
                        Appended::RoomClosed => Err(Refusal::room_closed()),
                        Appended::Restrained => Err(Refusal::NotAllowed),
                        _ => Err(Refusal::NoSuchRoom),
                    }
                }
            };
            let reply = result.map(|(id, seq)| SendReply { status: true, id, seq, cooldown_ms: Some(cooldown_ms) });
            // The sender may have disconnected: the message is stored all the same.
            let _ = answer.send(reply.map_err(|refusal| Rejected { refusal, cooldown_ms }));
        }
        pushes
    }
}

/// Publishes committed batches. Each push is encoded once, for any number of receivers.
async fn push(mut batches: mpsc::Receiver<Vec<RoomPush>>, gateway: Gateway) {
    while let Some(batch) = batches.recv().await {
        for RoomPush { group, seq, push } in batch {
            let frame = Frame::text(push.to_json().as_bytes()).at(group.clone(), seq);
            // The delivery report is dropped: the next push is posted while the shards write this one.
            drop(gateway.send_to_group(vec![group], Except::default(), Publication::both(frame)).await);
        }
    }
}
