//! The group commit. One task takes the queued sends, stores them in one transaction, answers the senders, and passes the
//! messages on to be pushed in the order of their seqs. Sends that arrive during a commit form the next batch, so there is
//! no timer and a lone message is committed at once.

use super::cooldown::{Cooldowns, Reservation};
use crate::domain::{draft::Rules, id::Seq, push::Push, refusal::Refusal};
use crate::server::{
    clock::Clock,
    gateway::{Except, Frame, Gateway, Group, Publication},
    incident::refusal_of,
    storage::{Appended, NewMessage, StorageError, Store},
};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Sends that may be queued; further ones are refused with `busy`.
const MAX_QUEUED_SENDS: usize = 4096;
/// Messages per transaction.
const MAX_BATCH: usize = 512;
/// Committed batches that may be queued for pushing; then the commit task waits.
const MAX_QUEUED_PUSHES: usize = 64;
/// Messages per room that a starting node reads to restore the cooldowns.
const RECENT_MESSAGES: u32 = 1000;

type Answer = oneshot::Sender<Result<(Uuid, Seq), Refusal>>;

struct QueuedSend {
    message: NewMessage,
    answer: Answer,
}

/// A push to a room's group. If a slow connection skips the frame, `group` and `seq` are reported in its `gap`.
struct RoomPush {
    group: Group,
    seq: Seq,
    push: Push,
}

/// The queue of the commit task. Cheap to clone; all clones are one queue.
#[derive(Clone)]
pub(super) struct Commits(mpsc::Sender<QueuedSend>);

impl Commits {
    /// Starts the commit task and the push task. Both end when `closing` is cancelled and the queued sends are committed
    /// and pushed.
    pub(super) async fn start(
        tasks: &TaskTracker,
        closing: CancellationToken,
        store: Store,
        gateway: Gateway,
        clock: Clock,
        rules: Rules,
    ) -> Result<Self, StorageError> {
        let now = clock.now_ms();
        let recent = store.recent_speakers(now.saturating_sub(rules.cooldown_ms), RECENT_MESSAGES).await?;
        let (sends, queued_sends) = mpsc::channel(MAX_QUEUED_SENDS);
        let (pushes, queued_pushes) = mpsc::channel(MAX_QUEUED_PUSHES);
        let committer = Committer { store, clock, cooldowns: Cooldowns::new(rules, recent), pushes };
        tasks.spawn(committer.run(queued_sends, closing));
        tasks.spawn(push(queued_pushes, gateway));
        Ok(Self(sends))
    }

    /// Returns id and seq once the message is durable; for a repeated nonce, those of the first message. Fails with
    /// [`Refusal::Busy`] when the queue is full or closed, and with the cooldown's or the store's refusal.
    pub(super) async fn commit(&self, message: NewMessage) -> Result<(Uuid, Seq), Refusal> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(QueuedSend { message, answer }).map_err(|_| Refusal::Busy)?;
        answered.await.map_err(|_| Refusal::Busy)?
    }
}

struct Committer {
    store: Store,
    clock: Clock,
    cooldowns: Cooldowns,
    pushes: mpsc::Sender<Vec<RoomPush>>,
}

impl Committer {
    async fn run(mut self, mut queue: mpsc::Receiver<QueuedSend>, closing: CancellationToken) {
        let mut sends = Vec::new();
        loop {
            let count = tokio::select! {
                biased;
                () = closing.cancelled(), if !queue.is_closed() => { queue.close(); continue }
                count = queue.recv_many(&mut sends, MAX_BATCH) => count,
            };
            if count == 0 {
                return;
            }
            self.commit(std::mem::take(&mut sends)).await;
        }
    }

    async fn commit(&mut self, sends: Vec<QueuedSend>) {
        let (mut batch, mut reservations, mut too_fast) = (Vec::new(), Vec::new(), Vec::new());
        for QueuedSend { message, answer } in sends {
            match self.cooldowns.try_acquire(&message.room, &message.user, self.clock.now_ms()) {
                Ok(reservation) => {
                    batch.push(message);
                    reservations.push((reservation, answer));
                }
                Err(refusal) => too_fast.push((message, answer, refusal)),
            }
        }
        if !batch.is_empty() {
            self.append(batch, reservations).await;
        }
        // After the append: a send within the cooldown may repeat the nonce of a message just stored.
        for (message, answer, refusal) in too_fast {
            let _ = answer.send(self.repeated(&message).await.unwrap_or(Err(refusal)));
        }
    }

    async fn append(&mut self, batch: Vec<NewMessage>, reservations: Vec<(Reservation, Answer)>) {
        metrics::histogram!("roomcast_commit_messages").record(batch.len() as f64);
        let started = Instant::now();
        let appended = self.store.append(batch).await;
        metrics::histogram!("roomcast_commit_seconds").record(started.elapsed().as_secs_f64());
        match appended {
            Ok(appended) => {
                let pushes = self.answer_all(appended, reservations);
                if self.pushes.send(pushes).await.is_err() {
                    tracing::error!("the push task has ended: pages receive stored messages only when they bind again");
                }
            }
            Err(error) => {
                let refusal = refusal_of(&error, "send");
                for (reservation, answer) in reservations {
                    self.cooldowns.rollback(reservation);
                    let _ = answer.send(Err(refusal.clone()));
                }
            }
        }
    }

    /// Answers each sender and returns the pushes of the stored messages, in the order of their seqs.
    fn answer_all(&mut self, appended: Vec<Appended>, reservations: Vec<(Reservation, Answer)>) -> Vec<RoomPush> {
        let mut pushes = Vec::with_capacity(appended.len());
        for (appended, (reservation, answer)) in appended.into_iter().zip(reservations) {
            let accepted = match appended {
                Appended::Stored(message) => {
                    let accepted = (message.id, message.seq);
                    let group = Group::new(message.room.as_str());
                    pushes.push(RoomPush { group, seq: message.seq, push: Push::Message(message) });
                    accepted
                }
                Appended::Repeated { id, seq } => {
                    self.cooldowns.rollback(reservation);
                    (id, seq)
                }
            };
            // The sender may have disconnected: the message is stored all the same.
            let _ = answer.send(Ok(accepted));
        }
        pushes
    }

    /// Returns the earlier result of this nonce, or `None` if the nonce is new.
    async fn repeated(&self, message: &NewMessage) -> Option<Result<(Uuid, Seq), Refusal>> {
        let nonce = message.nonce.as_ref()?;
        let before = self.store.sent_before(&message.user, nonce, &message.room).await;
        before.map_err(|error| refusal_of(&error, "send")).transpose()
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
