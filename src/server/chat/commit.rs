//! The group commit. A lane takes its queued sends, admits those that the room's rules permit, stores them in one transaction,
//! answers the senders, and passes the messages on to be pushed in the order of their seqs. Sends that arrive during a commit form
//! the next batch, so there is no timer and a lone message is committed at once. An act of moderation, or a batch of a purge, has a
//! transaction of its own between two batches: its pushes leave after those of the messages before it.

use super::admission::{Admission, Reserved};
use super::lanes::{Answer, QueuedSend, Rejected, Work};
use super::lost_acts::LostActs;
use super::pushes::RoomPush;
use super::tails::Tails;
use super::unsettled::Unsettled;
use crate::domain::{
    id::{RoomId, Seq},
    message::Message,
    refusal::Refusal,
    reply::SendReply,
};
use crate::server::{
    clock::Clock,
    incident::refusal_of,
    moderation::{NotDone, Rules, is_committed, next_batch, perform},
    storage::{Appended, NewMessage, Result as StorageResult, RoomSettings, StorageError, Store, fail_point},
};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Messages per transaction.
const MAX_BATCH: usize = 512;
/// Time that a send or an act may be queued; then it is refused with `busy`. Pages wait 10 s for an answer.
const MAX_QUEUED_FOR: Duration = Duration::from_secs(5);

/// The commit task of a lane.
pub(super) struct Committer {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) rules: Rules,
    pub(super) admission: Admission,
    pub(super) pushes: mpsc::Sender<Vec<RoomPush>>,
    /// `None`: the order of the rooms adds the messages.
    pub(super) tails: Option<Tails>,
    pub(super) unsettled: Unsettled,
    pub(super) lost_acts: LostActs,
}

/// The settings of the rooms of a batch.
type Settings = HashMap<RoomId, RoomSettings>;

/// The sends of a batch after the cooldowns and limits.
#[derive(Default)]
struct Judged {
    batch: Vec<NewMessage>,
    /// For each message of the batch.
    reserved: Vec<(Reserved, Answer)>,
    refused: Vec<(QueuedSend, Rejected)>,
}

impl Committer {
    /// Commits the queued sends and does the queued work, until `closing` is cancelled and both queues are empty.
    pub(super) async fn run(
        mut self,
        mut queue: mpsc::Receiver<QueuedSend>,
        mut works: mpsc::Receiver<Work>,
        closing: CancellationToken,
    ) {
        let mut sends = Vec::new();
        loop {
            let look_at = self.unsettled.look_at().into_iter().chain(self.lost_acts.look_at()).min();
            // Not biased: neither sends nor acts wait for a flood of the others.
            let count = tokio::select! {
                () = closing.cancelled(), if !queue.is_closed() => {
                    queue.close();
                    works.close();
                    continue;
                }
                count = queue.recv_many(&mut sends, MAX_BATCH) => count,
                Some(work) = works.recv() => {
                    self.work(work).await;
                    continue;
                }
                () = sleep_until(look_at.unwrap_or_else(tokio::time::Instant::now)), if look_at.is_some() => {
                    self.look().await;
                    continue;
                }
            };
            if count == 0 {
                break;
            }
            self.commit(std::mem::take(&mut sends)).await;
        }
        while let Some(work) = works.recv().await {
            self.work(work).await;
        }
    }

    async fn work(&mut self, work: Work) {
        match work {
            Work::Act { since, answer, .. } if since.elapsed() > MAX_QUEUED_FOR => _ = answer.send(Err(Refusal::Busy)),
            Work::Act { act, room, answer, .. } => {
                // A lost act of the room comes first: this one may be the same again.
                self.look_for_acts(Some(&room)).await;
                let done = perform(&self.store, &act, None, &self.rules, self.clock.now_ms()).await;
                match &done {
                    Ok(outcome) => self.publish(RoomPush::of_act(&room, outcome.clone())).await,
                    Err(NotDone::Unknown { outcome, .. }) => self.lost_acts.add(room, (**outcome).clone()),
                    Err(NotDone::Refused(_)) => {}
                }
                // The caller may have disconnected: the act is done all the same.
                let _ = answer.send(done.map_err(Refusal::from));
            }
            Work::Batch { room, action, answer } => _ = answer.send(self.batch(&room, action).await),
        }
    }

    async fn batch(&mut self, room: &RoomId, action: Uuid) -> StorageResult<bool> {
        let mut tx = self.store.begin_act(room, self.clock.now_ms()).await?;
        let batch = next_batch(&mut tx, action).await?;
        tx.commit().await?;
        self.publish(RoomPush::of_act(room, batch.outcome)).await;
        Ok(batch.has_more)
    }

    async fn commit(&mut self, mut sends: Vec<QueuedSend>) {
        for late in sends.extract_if(.., |send| send.since.elapsed() > MAX_QUEUED_FOR) {
            let _ = late.answer.send(Err(Rejected { refusal: Refusal::Busy, cooldown_ms: 0 }));
        }
        if sends.is_empty() {
            return;
        }
        let rooms = sends.iter().map(|send| send.message.room.clone()).collect();
        let settings = match self.store.room_settings(rooms).await {
            Ok(settings) => settings,
            Err(error) => return reject_all(sends.into_iter(), &error),
        };
        // One time for the batch, so that times rise with the seqs.
        let now = self.clock.now_ms();
        let mut judged = Judged::default();
        self.admit(sends, &settings, now, &mut judged);
        self.admit_slowed(&settings, now, &mut judged).await;
        let Judged { batch, reserved, refused } = judged;
        if !batch.is_empty() {
            self.append(batch, reserved).await;
        }
        // After the append: a refused send may repeat the nonce of a message just stored.
        for (send, rejected) in refused {
            let _ = send.answer.send(Err(rejected));
        }
    }

    /// Admits or refuses each send at `now` (unix ms).
    fn admit(&mut self, sends: Vec<QueuedSend>, settings: &Settings, now: u64, judged: &mut Judged) {
        for mut send in sends {
            let settings = settings.get(&send.message.room);
            send.message.at = now;
            match self.admission.admit(&send.message, send.sender, settings) {
                Ok(admitted) => {
                    judged.batch.push(send.message);
                    judged.reserved.push((admitted, send.answer));
                }
                Err(refusal) => {
                    let user = &send.message.user;
                    let cooldown_ms = settings.map_or(0, |room| self.admission.cooldown_ms(room, user, send.sender));
                    judged.refused.push((send, Rejected { refusal, cooldown_ms }));
                }
            }
        }
    }

    /// Admits the sends that came too fast for a slow mode, if it has ended since the settings were kept.
    async fn admit_slowed(&mut self, settings: &Settings, now: u64, judged: &mut Judged) {
        let is_slow = |room: &RoomId| settings.get(room).is_some_and(|settings| settings.slow_ms > 0);
        let is_slowed = |(send, rejected): &mut (QueuedSend, Rejected)| {
            matches!(rejected.refusal, Refusal::TooFast { .. }) && is_slow(&send.message.room)
        };
        let slowed: Vec<_> = judged.refused.extract_if(.., is_slowed).collect();
        if slowed.is_empty() {
            return;
        }
        let rooms = slowed.iter().map(|(send, _)| send.message.room.clone()).collect();
        match self.store.read_kept_settings(rooms).await {
            Ok(Some(settings)) => self.admit(slowed.into_iter().map(|(send, _)| send).collect(), &settings, now, judged),
            Ok(None) => judged.refused.extend(slowed),
            Err(error) => reject_all(slowed.into_iter().map(|(send, _)| send), &error),
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
                fail_point("appended");
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

    fn keep(&self, message: &Message) {
        if let Some(tails) = &self.tails {
            tails.push(message);
        }
    }

    async fn publish(&self, pushes: Vec<RoomPush>) {
        if self.pushes.send(pushes).await.is_err() {
            tracing::error!("the push task has ended: pages receive stored messages only when they bind again");
        }
    }

    /// Looks for the lost acts that are due, or for those of a room, and lets pages know of those that are committed.
    async fn look_for_acts(&mut self, room: Option<&RoomId>) {
        for (room, action) in self.lost_acts.due(room) {
            let Ok(is_committed) = is_committed(&self.store, &room, action, self.clock.now_ms()).await else {
                return self.lost_acts.failed();
            };
            if let Some(outcome) = self.lost_acts.remove(action).filter(|_| is_committed) {
                self.publish(RoomPush::of_lost_act(&room, outcome)).await;
            }
        }
    }

    /// Looks for the lost acts and the unsettled messages of the rooms that are due, and pushes those messages that are stored, with the
    /// ones that waited for them.
    async fn look(&mut self) {
        self.look_for_acts(None).await;
        for (room, limit) in self.unsettled.due() {
            let Ok(newest) = self.store.messages_between(&room, Seq::default(), None, limit).await else {
                return self.unsettled.failed();
            };
            let found = self.unsettled.found(&room, newest);
            found.iter().for_each(|message| self.keep(message));
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
                        self.keep(&message);
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
                        Appended::AccountsOnly => Err(Refusal::accounts_only()),
                        Appended::Restrained(restraint) => Err(restraint.into()),
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

/// Answers sends whose rooms could not be read.
fn reject_all(sends: impl Iterator<Item = QueuedSend>, error: &StorageError) {
    let refusal = refusal_of(error, "send");
    sends.for_each(|send| _ = send.answer.send(Err(Rejected { refusal: refusal.clone(), cooldown_ms: 0 })));
}
