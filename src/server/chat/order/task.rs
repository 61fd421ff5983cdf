//! The task that runs the order of this node's rooms: it alone pushes numbered pushes, so that they leave in their order.

use super::epochs::Epochs;
use super::item::{Answer, Ask, Head, Item, Kind, Output};
use super::lane::Numbered;
use super::sequencer::Sequencer;
use super::{Command, reads, wire};
use crate::domain::{
    id::{RoomId, Seq},
    message::Message,
};
use crate::server::bus::{Bus, Link, Received, Subject, Subscription};
use crate::server::chat::pushes::Pusher;
use crate::server::chat::tails::Tails;
use crate::server::gateway::Group;
use crate::server::storage::Result as StorageResult;
use futures_util::FutureExt;
use moka::sync::Cache;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Time between two looks at the newest numbers of all rooms: while the bus carries, and while it does not.
const POLL_EVERY: Duration = Duration::from_secs(1);
const POLL_EVERY_AWAY: Duration = Duration::from_millis(250);
/// Part of that time by which it varies, so that the nodes do not ask at the same time.
const JITTER: f64 = 0.2;
/// Groups that look like rooms and are none, at most, and the time for which this is kept.
const MAX_OTHERS: u64 = 10_000;
const OTHERS_KEPT_FOR: Duration = Duration::from_secs(30);

/// The task.
pub(super) struct Task {
    sequencer: Sequencer,
    epochs: Epochs,
    pusher: Pusher,
    tails: Tails,
    bus: Bus,
    reads: JoinSet<Read>,
    link: watch::Receiver<Link>,
    losses: watch::Receiver<u64>,
    /// When the newest numbers are read next. `None`: they are being read.
    poll_at: Option<Instant>,
    /// Whether they are to be read again at once.
    poll_again: bool,
    /// Groups of a back end that have the form of a room's id.
    others: Cache<RoomId, ()>,
    out: Vec<Output>,
}

/// A read of the store that is done.
enum Read {
    Answer(Ask, Answer),
    Heads(StorageResult<Vec<(RoomId, Option<Head>)>>),
}

/// A cause to wake the task.
enum Event {
    Own(Numbered),
    Command(Command),
    Received(Received),
    Read(Read),
    Link(bool),
    Losses(bool),
    Due,
    Poll,
    Closed,
}

impl Task {
    pub(super) fn new(bus: Bus, pusher: Pusher, tails: Tails, epochs: Epochs) -> Self {
        let (link, losses) = (bus.link(), bus.losses());
        Self {
            sequencer: Sequencer::default(),
            epochs,
            pusher,
            tails,
            bus,
            reads: JoinSet::new(),
            link,
            losses,
            poll_at: Some(Instant::now()),
            poll_again: false,
            others: Cache::builder().max_capacity(MAX_OTHERS).time_to_live(OTHERS_KEPT_FOR).build(),
            out: Vec::new(),
        }
    }

    /// Runs until every lane has ended.
    pub(super) async fn run(mut self, mut own: mpsc::Receiver<Numbered>, mut commands: mpsc::Receiver<Command>) {
        let mut frames = Some(self.bus.subscribe(Subject::all_messages()).await);
        let (mut has_link, mut has_losses, mut has_commands) = (true, true, true);
        loop {
            let due_at = self.sequencer.due_at().map(Instant::from_std);
            let far = Instant::now() + POLL_EVERY;
            let event = tokio::select! {
                numbered = own.recv() => numbered.map_or(Event::Closed, Event::Own),
                command = commands.recv(), if has_commands => match command {
                    Some(command) => Event::Command(command),
                    None => { has_commands = false; continue }
                },
                received = next(&mut frames) => match received {
                    Some(received) => Event::Received(received),
                    None => { frames = None; continue }
                },
                Some(read) = self.reads.join_next() => match read {
                    Ok(read) => Event::Read(read),
                    // It was aborted, or it panicked; the panic is logged.
                    Err(_) => { self.poll_at.get_or_insert(far); continue }
                },
                changed = self.link.changed(), if has_link => Event::Link(changed.is_ok()),
                changed = self.losses.changed(), if has_losses => Event::Losses(changed.is_ok()),
                () = sleep_until(due_at.unwrap_or(far)), if due_at.is_some() => Event::Due,
                () = sleep_until(self.poll_at.unwrap_or(far)), if self.poll_at.is_some() => Event::Poll,
            };
            match event {
                Event::Link(is_there) => has_link = is_there,
                Event::Losses(is_there) => has_losses = is_there,
                Event::Closed => return,
                Event::Command(Command::HandOver(answer)) => {
                    let _ = answer.send(self.sequencer.passed());
                    // A further command fails at once.
                    drop(commands);
                    // The next process finds the pushes of the last commits in the store.
                    while own.recv().await.is_some() {}
                    return;
                }
                _ => {}
            }
            self.handle(event);
            self.ask();
            self.push().await;
        }
    }

    fn handle(&mut self, event: Event) {
        let (now, out) = (std::time::Instant::now(), &mut self.out);
        match event {
            Event::Own(numbered) => {
                for (room, items) in numbered {
                    if is_wanted(&self.sequencer, &self.pusher, &room) {
                        items.into_iter().for_each(|item| self.sequencer.take(&room, None, item, now, out));
                    }
                }
            }
            Event::Command(Command::Begin { room, head, answer }) => {
                self.epochs.keep(&room, &head.epoch);
                // Without members here it was not fed.
                if !self.sequencer.contains(&room) && self.tails.contains(&room) && !self.tails.reaches(&room, head.seq) {
                    self.tails.forget(&room);
                }
                let _ = answer.send(self.sequencer.begin(&room, &head, now, out));
            }
            Event::Command(Command::Forget(room)) => self.sequencer.forget(&room),
            Event::Command(Command::ForgetAll) => self.sequencer.forget_all(),
            Event::Command(Command::GoOn(passed)) => {
                passed.iter().for_each(|(room, head)| self.sequencer.know(room, head, now, out));
                self.poll_soon();
            }
            Event::Received(received) => self.receive(received, now),
            Event::Read(Read::Answer(ask, answer)) => self.sequencer.answer(&ask, answer, now, out),
            Event::Read(Read::Heads(heads)) => self.take_heads(heads, now),
            Event::Link(_) => {
                let soon = Instant::now() + self.poll_every();
                self.poll_at = self.poll_at.map(|at| at.min(soon));
            }
            Event::Losses(_) => self.poll_soon(),
            Event::Poll => self.poll(),
            Event::Command(Command::HandOver(_)) | Event::Due | Event::Closed => {}
        }
    }

    /// Takes a message of another node.
    fn receive(&mut self, Received { subject, payload }: Received, now: std::time::Instant) {
        let unreadable = |why| metrics::counter!("roomcast_bus_unreadable_total", "why" => why).increment(1);
        let Ok(room) = subject.last_word().parse::<RoomId>() else { return unreadable("room") };
        if !is_wanted(&self.sequencer, &self.pusher, &room) {
            return metrics::counter!("roomcast_bus_unwanted_total").increment(1);
        }
        match wire::decode(payload) {
            Ok(batch) => {
                let (sequencer, out) = (&mut self.sequencer, &mut self.out);
                batch.items.into_iter().for_each(|item| sequencer.take(&room, Some(&batch.epoch), item, now, out));
            }
            Err(why) => unreadable(why.word()),
        }
    }

    /// Asks the store for missing pushes.
    fn ask(&mut self) {
        for ask in self.sequencer.look(std::time::Instant::now(), &mut self.out) {
            metrics::counter!("roomcast_order_asked_total").increment(1);
            let store = self.pusher.store.clone();
            self.reads.spawn(async move {
                // A read that panics gives its place back. The panic is logged.
                let answer = AssertUnwindSafe(reads::answer(&store, &ask)).catch_unwind().await;
                Read::Answer(ask, answer.unwrap_or(Answer::Failed))
            });
        }
    }

    /// Reads the newest numbers of the rooms with members here, and drops the state of the others.
    fn poll(&mut self) {
        let gateway = &self.pusher.gateway;
        let gone: Vec<RoomId> =
            self.sequencer.rooms().filter(|room| !gateway.has_members(&Group::new(room.as_str()))).cloned().collect();
        gone.iter().for_each(|room| self.sequencer.forget(room));
        let mut rooms: BTreeSet<RoomId> = self.sequencer.rooms().cloned().collect();
        let groups = gateway.live_groups().into_iter().filter_map(|group| group.as_text().parse::<RoomId>().ok());
        rooms.extend(groups.filter(|room| !self.others.contains_key(room)));
        if rooms.is_empty() || !self.pusher.store.is_serving() {
            return self.poll_later();
        }
        self.poll_at = None;
        let store = self.pusher.store.clone();
        self.reads.spawn(async move { Read::Heads(reads::heads(&store, rooms.into_iter().collect()).await) });
    }

    fn take_heads(&mut self, heads: StorageResult<Vec<(RoomId, Option<Head>)>>, now: std::time::Instant) {
        let outcome = if heads.is_ok() { "done" } else { "failed" };
        metrics::counter!("roomcast_order_polls_total", "outcome" => outcome).increment(1);
        for (room, head) in heads.unwrap_or_default() {
            match head {
                Some(head) => {
                    self.epochs.keep(&room, &head.epoch);
                    // Its last member may have left meanwhile.
                    if is_wanted(&self.sequencer, &self.pusher, &room) {
                        self.sequencer.know(&room, &head, now, &mut self.out);
                    }
                }
                None => {
                    self.sequencer.forget(&room);
                    self.epochs.forget(&room);
                    self.others.insert(room, ());
                }
            }
        }
        self.poll_later();
    }

    /// Reads the newest numbers now, or again after the read that is under way.
    fn poll_soon(&mut self) {
        match &mut self.poll_at {
            Some(at) => *at = Instant::now(),
            None => self.poll_again = true,
        }
    }

    fn poll_later(&mut self) {
        let pause = if std::mem::take(&mut self.poll_again) { Duration::ZERO } else { self.poll_every() };
        self.poll_at = Some(Instant::now() + pause);
    }

    fn poll_every(&self) -> Duration {
        let pause = if *self.link.borrow() == Link::Up { POLL_EVERY } else { POLL_EVERY_AWAY };
        pause.mul_f64(rand::random_range(1.0 - JITTER..1.0 + JITTER))
    }

    /// Carries the outputs of the order out.
    async fn push(&mut self) {
        for output in std::mem::take(&mut self.out) {
            match output {
                Output::Deliver(room, mut item) => {
                    feed(&self.tails, &room, &mut item);
                    self.pusher.deliver(&room, item).await;
                }
                Output::Skip(room, skipped) => {
                    metrics::counter!("roomcast_order_skipped_total").increment(1);
                    tracing::warn!(%room, ?skipped, "pushes of a room did not come: its pages are told of the gap");
                    self.pusher.skip(&room, skipped).await;
                }
                Output::Complete(after) => metrics::histogram!("roomcast_order_late_seconds").record(after.as_secs_f64()),
                Output::Healed(count) => metrics::counter!("roomcast_order_healed_total").increment(count),
            }
        }
        metrics::gauge!("roomcast_order_held").set(self.sequencer.held() as f64);
    }
}

/// Waits for the next message of another node, for ever if there is none any more.
async fn next(frames: &mut Option<Subscription>) -> Option<Received> {
    match frames {
        Some(frames) => frames.next().await,
        None => std::future::pending().await,
    }
}

/// Whether the pushes of a room reach anybody here.
fn is_wanted(sequencer: &Sequencer, pusher: &Pusher, room: &RoomId) -> bool {
    sequencer.contains(room) || pusher.gateway.has_members(&Group::new(room.as_str()))
}

/// Adds a message to the room's tail, if there is one: then alone it is read.
fn feed(tails: &Tails, room: &RoomId, item: &mut Item) {
    if item.kind != Kind::Message || !tails.contains(room) {
        return;
    }
    let message = item.message.take().map(|message| *message);
    let message = message.or_else(|| serde_json::from_slice::<Message>(&item.json).ok());
    match message.filter(|message| message.room == *room && message.seq == Seq(item.number)) {
        Some(message) => tails.push(&message),
        None => tails.forget(room),
    }
}
