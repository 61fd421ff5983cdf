//! The group commit: one task takes whatever is waiting, gives it one transaction, answers, and hands it on to be pushed
//! in the order of its numbers. While one commit is under way the next batch gathers, so no timer holds anything back.

use super::cooldown::{Cooldowns, Reservation};
use crate::domain::{draft::Rules, id::Seq, message::Message, push::Push, refusal::Refusal};
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

/// Messages that may wait; one more is refused as busy.
const WAITING: usize = 4096;
/// Messages a transaction takes.
const BATCH: usize = 512;
/// Batches that may wait to be pushed before commits wait for them.
const PUSHES_WAITING: usize = 64;
/// Messages of each room a starting node reads to know who spoke lately.
const RECENT: u32 = 1000;

type Answer = oneshot::Sender<Result<(Uuid, Seq), Refusal>>;

struct Job {
    message: NewMessage,
    answer: Answer,
}

#[derive(Clone)]
pub struct Commits(mpsc::Sender<Job>);

impl Commits {
    pub async fn start(
        tasks: &TaskTracker,
        closing: CancellationToken,
        store: Store,
        gateway: Gateway,
        clock: Clock,
        rules: Rules,
    ) -> Result<Self, StorageError> {
        let now = clock.now_ms();
        let recent = store.recent_speakers(now.saturating_sub(rules.cooldown_ms), RECENT).await?;
        let (jobs, waiting) = mpsc::channel(WAITING);
        let (pushes, to_push) = mpsc::channel(PUSHES_WAITING);
        let committer = Committer { store, clock, cooldowns: Cooldowns::new(rules, recent), pushes };
        tasks.spawn(committer.run(waiting, closing));
        tasks.spawn(push(to_push, gateway));
        Ok(Self(jobs))
    }

    /// Resolves when the message is durable, or was before under the same nonce.
    pub async fn commit(&self, message: NewMessage) -> Result<(Uuid, Seq), Refusal> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Job { message, answer }).map_err(|_| Refusal::Busy)?;
        answered.await.map_err(|_| Refusal::Busy)?
    }
}

struct Committer {
    store: Store,
    clock: Clock,
    cooldowns: Cooldowns,
    pushes: mpsc::Sender<Vec<Message>>,
}

impl Committer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Job>, closing: CancellationToken) {
        let mut jobs = Vec::new();
        loop {
            let count = tokio::select! {
                biased;
                () = closing.cancelled(), if !waiting.is_closed() => { waiting.close(); continue }
                count = waiting.recv_many(&mut jobs, BATCH) => count,
            };
            if count == 0 {
                return;
            }
            self.commit(std::mem::take(&mut jobs)).await;
        }
    }

    async fn commit(&mut self, jobs: Vec<Job>) {
        let (mut batch, mut reservations, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for Job { message, answer } in jobs {
            match self.cooldowns.try_acquire(&message.room, &message.user, self.clock.now_ms()) {
                Ok(reservation) => {
                    batch.push(message);
                    reservations.push((reservation, answer));
                }
                Err(refusal) => refused.push((message, answer, refusal)),
            }
        }
        if !batch.is_empty() {
            self.append(batch, reservations).await;
        }
        // After the append: what is too fast may be a repeat of what was just stored.
        for (message, answer, refusal) in refused {
            let _ = answer.send(self.repeated(&message).await.unwrap_or(Err(refusal)));
        }
    }

    async fn append(&mut self, batch: Vec<NewMessage>, reservations: Vec<(Reservation, Answer)>) {
        metrics::histogram!("roomcast_commit_messages").record(batch.len() as f64);
        let began = Instant::now();
        let appended = self.store.append(batch).await;
        metrics::histogram!("roomcast_commit_seconds").record(began.elapsed().as_secs_f64());
        let results = match appended {
            Ok(results) => results,
            Err(error) => {
                let refusal = refusal_of(&error, "send");
                for (reservation, answer) in reservations {
                    self.cooldowns.rollback(reservation);
                    let _ = answer.send(Err(refusal.clone()));
                }
                return;
            }
        };
        let mut stored = Vec::with_capacity(results.len());
        for (result, (reservation, answer)) in results.into_iter().zip(reservations) {
            let accepted = match result {
                Appended::Stored(message) => {
                    let accepted = (message.id, message.seq);
                    stored.push(message);
                    accepted
                }
                Appended::Before { id, seq } => {
                    self.cooldowns.rollback(reservation);
                    (id, seq)
                }
            };
            // Whoever asked may be gone; what they said is said.
            let _ = answer.send(Ok(accepted));
        }
        if self.pushes.send(stored).await.is_err() {
            tracing::error!("the push task is gone: stored messages reach pages only when they bind again");
        }
    }

    async fn repeated(&self, message: &NewMessage) -> Option<Result<(Uuid, Seq), Refusal>> {
        let nonce = message.nonce.as_ref()?;
        let before = self.store.sent_before(&message.user, nonce, &message.room).await;
        before.map_err(|error| refusal_of(&error, "send")).transpose()
    }
}

/// One encode a message, whatever the number of readers.
async fn push(mut stored: mpsc::Receiver<Vec<Message>>, gateway: Gateway) {
    while let Some(messages) = stored.recv().await {
        for message in messages {
            let (group, seq) = (Group::new(message.room.as_str()), message.seq);
            let frame = Frame::text(Push::Message(message).to_json().as_bytes()).at(group.clone(), seq);
            // Nobody waits for what became of it: the next message is on its way while this one is written.
            drop(gateway.send_to_group(vec![group], Except::default(), Publication::both(frame)).await);
        }
    }
}
