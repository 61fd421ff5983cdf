//! One thread's connections, and everything that happens to them. No locks and no waiting: the [`super::shard_thread`] says what
//! came in and what time it is, so a test can do the same.

use super::client_ids::ClientIds;
use super::connection::{Connection, Heard, NewConnection, Read};
use super::events::{ConnectionEvent, EventKind, EventSender};
use super::metrics::Figures;
use super::publish::{Delivered, Publish};
use super::registry::{Registry, Slot};
use super::send_queue::Queued;
use super::stream::Stream;
use super::write_batch::Round;
use super::{Bounds, Dialect, Frame, LogicalTime, SocketOwner, Uid};
use crate::domain::{
    id::ClientId,
    push::{CloseCode, Push},
};
use crate::server::config::{GatewaySettings as Settings, Switch};
use indexmap::IndexSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a closing connection may still take what is queued, and answer the close frame.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// The wheel's step: nothing that hangs on time is looked at more often.
const TICK: Duration = Duration::from_secs(1);
/// What is read at once, by any connection: they share it.
const SCRATCH_BYTES: usize = 8 * 1024;

pub struct Shard<S> {
    index: usize,
    ids: ClientIds,
    settings: Arc<Settings>,
    wheel: Wheel,
    pub registry: Registry,
    /// By slot.
    connections: Vec<Option<Connection<S>>>,
    round: Round,
    /// Who is due something in this round.
    due: Vec<Slot>,
    /// Publishes of this round, held until they are written.
    publishes: Vec<Arc<Publish>>,
    /// Connections that are behind or leaving, to be looked at with each tick.
    watched: IndexSet<Slot>,
    pub figures: Figures,
    scratch: Box<[u8]>,
    event_sender: Arc<EventSender>,
}

/// Time in steps: each connection is pinged at the step its slot falls on, so no timer is kept for any.
struct Wheel {
    began: Instant,
    step: Duration,
    /// The last step whose connections were looked at.
    turned: u32,
    ping_every: u32,
    pong_within: u32,
}

impl<S: Stream> Shard<S> {
    pub fn new(index: usize, ids: ClientIds, settings: Arc<Settings>, event_sender: Arc<EventSender>, now: Instant) -> Self {
        let [ping_every, pong_within] = [settings.ping_every_ms, settings.pong_within_ms].map(Duration::from_millis);
        let step = TICK.min(ping_every / 2).min(pong_within / 2).max(Duration::from_millis(1));
        let steps = |time: Duration| (time.as_millis() / step.as_millis().max(1)).max(1) as u32;
        let wheel = Wheel { began: now, step, turned: 0, ping_every: steps(ping_every), pong_within: steps(pong_within) };
        Self {
            index,
            ids,
            settings,
            wheel,
            registry: Registry::default(),
            connections: Vec::new(),
            round: Round::default(),
            due: Vec::new(),
            publishes: Vec::new(),
            watched: IndexSet::new(),
            figures: Figures::new(index),
            scratch: vec![0; SCRATCH_BYTES].into(),
            event_sender,
        }
    }

    /// Takes a connection in and tells it who it is: `init` is always the first frame.
    pub fn open(&mut self, stream: S, new: NewConnection, since: LogicalTime, now: Instant) -> Slot {
        let NewConnection { dialect, mut permit, early, port, handshake } = new;
        permit.handshake_done();
        let client = self.ids.draw(self.index, |id| self.registry.slot_of(id).is_some());
        let slot = self.registry.insert(client.connection, since);
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, || None);
        }
        self.connections[slot] = Some(Connection::new(stream, dialect, permit, port, self.wheel.at(now)));
        self.say(slot, &Frame::text(Push::Init { client_id: client }.to_json().as_bytes()));
        metrics::counter!("roomcast_sockets_opened_total").increment(1);
        self.tell(slot, || EventKind::Connected(handshake));
        if !early.is_empty() {
            let (now_ms, mut heard) = (self.wheel.ms(now), self.heard());
            let read = self.connection(slot).map(|connection| connection.feed(&early, now_ms, &mut heard));
            self.answer(slot, heard, read, now);
        }
        slot
    }

    pub fn index(&self) -> usize {
        self.index
    }

    pub fn client_id(&self, slot: Slot) -> Option<ClientId> {
        self.registry.get(slot).map(|member| self.ids.name(member.id()))
    }

    pub fn slot_of(&self, client: ClientId) -> Option<Slot> {
        self.ids.shard(client).filter(|shard| *shard == self.index)?;
        self.registry.slot_of(client.connection)
    }

    pub fn stream(&mut self, slot: Slot) -> Option<&mut S> {
        self.connection(slot).map(|connection| &mut connection.stream)
    }

    pub fn get(&self, slot: Slot) -> Option<&Connection<S>> {
        self.connections.get(slot)?.as_ref()
    }

    /// In whole steps of the wheel.
    pub fn age(&self, connection: &Connection<S>, now: Instant) -> Duration {
        self.wheel.step * self.wheel.at(now).saturating_sub(connection.opened)
    }

    /// Puts a publish into this round.
    pub fn publish(&mut self, publish: Arc<Publish>, now: Instant) {
        let (plain, v1) = (&publish.publication.plain, &publish.publication.v1);
        let held = |round: &mut Round, frame: &Option<Frame>| frame.as_ref().map_or(0..0, |frame| round.hold(frame));
        let plain_held = held(&mut self.round, plain);
        let same = matches!((plain, v1), (Some(plain), Some(v1)) if plain.bytes.as_ptr() == v1.bytes.as_ptr());
        let v1_held = if same { plain_held.clone() } else { held(&mut self.round, v1) };
        let mut delivered = Delivered::default();
        let mut overdue: Vec<Slot> = Vec::new();
        for slot in publish.receivers(&self.registry, self.ids) {
            let Some(connection) = self.connections[slot].as_mut() else { continue };
            let (frame, held) = match connection.dialect {
                Dialect::Plain => (plain, &plain_held),
                Dialect::V1 => (v1, &v1_held),
            };
            let Some(frame) = frame else { continue };
            let was_due = connection.outbox.is_due();
            let mut queued = connection.push(&mut self.round, frame, held.clone(), self.settings.queue_bytes);
            if queued == Queued::WriteFirst {
                // More came at once than may wait: what the peer takes now makes room.
                match connection.write(&self.round, now) {
                    Ok(bytes) => self.figures.wrote(bytes as u64),
                    Err(_) => {
                        overdue.push(slot);
                        continue;
                    }
                }
                if connection.outbox.behind_since().is_some() {
                    self.watched.insert(slot);
                }
                queued = connection.push(&mut self.round, frame, held.clone(), self.settings.queue_bytes);
            }
            match queued {
                Queued::Due => delivered.to += 1,
                Queued::Waits => (delivered.to, delivered.queued) = (delivered.to + 1, delivered.queued + 1),
                Queued::Slow | Queued::WriteFirst => delivered.slow += 1,
                Queued::Leaving => {}
            }
            if !was_due && connection.outbox.is_due() {
                self.due.push(slot);
            }
        }
        self.figures.pushed(delivered.to as u64, delivered.slow as u64);
        publish.add(delivered);
        self.publishes.push(publish);
        for slot in overdue {
            self.figures.failed();
            self.remove(slot);
        }
        if self.round.is_full() {
            self.flush(now);
        }
    }

    /// Writes what is due: one write a reader, however many frames came together.
    pub fn flush(&mut self, now: Instant) {
        let mut due = std::mem::take(&mut self.due);
        let (mut bytes, mut gone, mut left) = (0, Vec::new(), Vec::new());
        for slot in due.drain(..) {
            let Some(connection) = self.connections[slot].as_mut().filter(|connection| connection.outbox.is_due()) else {
                continue;
            };
            match connection.write(&self.round, now) {
                Ok(written) => bytes += written as u64,
                Err(_) => {
                    gone.push(slot);
                    continue;
                }
            }
            if connection.outbox.behind_since().is_some() {
                self.watched.insert(slot);
            } else if connection.is_leaving() {
                left.push(slot);
            }
        }
        self.due = due;
        if bytes > 0 {
            self.figures.wrote(bytes);
        }
        for slot in gone {
            self.figures.failed();
            self.remove(slot);
        }
        for slot in left {
            self.settle(slot, now);
        }
        self.round.clear();
        // Dropped here: the publishers are told.
        self.publishes.clear();
    }

    pub fn readable(&mut self, slot: Slot, now: Instant) {
        let (step, now_ms, mut heard) = (self.wheel.at(now), self.wheel.ms(now), self.heard());
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else { return };
        let read = connection.read(&mut self.scratch, now_ms, step, &mut heard);
        self.answer(slot, heard, Some(read), now);
    }

    /// The peer takes more again.
    pub fn writable(&mut self, slot: Slot, now: Instant) {
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else { return };
        if connection.outbox.behind_since().is_some() {
            match connection.write(&self.round, now) {
                Ok(bytes) => self.figures.wrote(bytes as u64),
                Err(_) => {
                    self.figures.failed();
                    return self.remove(slot);
                }
            }
        }
        self.settle(slot, now);
    }

    /// After what is queued the close frame is sent, and then the connection ends. The first reason stays.
    pub fn close(&mut self, slot: Slot, code: CloseCode, reason: &str, now: Instant) {
        let Some(connection) = self.connection(slot).filter(|connection| !connection.is_leaving()) else { return };
        connection.leave(now + CLOSE_WITHIN, false);
        metrics::counter!("roomcast_sockets_closed_by_us_total", "code" => code.0.to_string()).increment(1);
        self.say(slot, &Frame::close(code, reason));
        self.watched.insert(slot);
        self.retire(slot);
    }

    /// The same without a close frame: what is queued, and then the end.
    pub fn hang_up(&mut self, slot: Slot, code: CloseCode, now: Instant) {
        let Some(connection) = self.connection(slot).filter(|connection| !connection.is_leaving()) else { return };
        connection.leave(now + CLOSE_WITHIN, false);
        metrics::counter!("roomcast_sockets_closed_by_us_total", "code" => code.0.to_string()).increment(1);
        self.watched.insert(slot);
        self.retire(slot);
        self.settle(slot, now);
    }

    /// A farewell, whatever is queued, for who is about to be closed.
    pub fn say_farewell(&mut self, slot: Slot, farewell: &Frame) {
        if self.get(slot).is_some_and(|connection| !connection.is_leaving()) {
            self.say(slot, farewell);
        }
    }

    /// At once, with nothing said. What its peer does not take at once is lost.
    pub fn destroy(&mut self, slot: Slot, now: Instant) {
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else { return };
        if connection.outbox.is_due()
            && let Ok(bytes) = connection.write(&self.round, now)
        {
            self.figures.wrote(bytes as u64);
        }
        self.remove(slot);
    }

    pub fn close_all_of(&mut self, slots: Vec<Slot>, code: CloseCode, reason: &str, now: Instant) -> usize {
        for slot in &slots {
            self.close(*slot, code, reason, now);
        }
        slots.len()
    }

    pub fn of_owner(&self, owner: SocketOwner) -> Vec<Slot> {
        // A look at every connection: sessions end rarely, so no table is kept for this.
        let is_theirs = |slot: &Slot| self.get(*slot).is_some_and(|connection| connection.permit.owner() == Some(owner));
        self.registry.all().filter(is_theirs).collect()
    }

    pub fn of_uid(&self, uid: &Uid) -> Vec<Slot> {
        self.registry.of_uid(uid).collect()
    }

    /// Sees off up to `count` of those who were not yet: `bye`, each with its own time to come back, and the close frame.
    pub fn see_off(&mut self, count: usize, mut reconnect_after_ms: impl FnMut() -> u64, now: Instant) {
        let staying = |connection: &Connection<S>| !connection.is_leaving();
        let slots = (0..self.connections.len()).filter(|slot| self.get(*slot).is_some_and(staying)).take(count);
        for slot in slots.collect::<Vec<_>>() {
            if self.get(slot).is_some_and(|connection| connection.dialect == Dialect::V1) {
                let bye = Push::Bye { reconnect_after_ms: reconnect_after_ms() };
                self.say(slot, &Frame::text(bye.to_json().as_bytes()));
            }
            self.close(slot, CloseCode::GOING_AWAY, CloseCode::GOING_AWAY.reason(), now);
        }
    }

    /// When [`Shard::tick`] is to be called next, though nothing comes in. `None`: nobody is here.
    pub fn next_tick(&self, now: Instant) -> Option<Duration> {
        (self.registry.len() > 0 || !self.watched.is_empty()).then(|| {
            let due = self.wheel.began + self.wheel.step * (self.wheel.turned + 1);
            due.saturating_duration_since(now)
        })
    }

    /// Pings, and closes who is silent, slow, or has had time enough to leave.
    pub fn tick(&mut self, now: Instant) {
        let (step, within) = (self.wheel.at(now), self.wheel.pong_within);
        if step == self.wheel.turned {
            return;
        }
        // Whoever slept goes around once at most, and judges by the time it is, not by the time it missed: what came
        // meanwhile was read before.
        let young = self.wheel.ping_every / 4;
        let from = (self.wheel.turned + 1).max(step.saturating_sub(self.wheel.ping_every - 1));
        self.wheel.turned = step;
        for turn in from..=step {
            for slot in self.wheel.slots(turn, self.connections.len()) {
                if self.connection(slot).is_some_and(|connection| connection.ping_due(step, young)) {
                    self.say(slot, &Frame::ping());
                }
            }
            for slot in self.wheel.slots(turn.wrapping_sub(within), self.connections.len()) {
                if self.connection(slot).is_some_and(|connection| connection.is_silent(step, within)) {
                    self.close(slot, CloseCode::PING_TIMEOUT, CloseCode::PING_TIMEOUT.reason(), now);
                }
            }
        }
        self.look_after_watched(now);
        self.flush(now);
    }

    fn look_after_watched(&mut self, now: Instant) {
        let slow_after = Duration::from_millis(self.settings.slow_after_ms);
        let (mut queue_bytes, mut behind) = (0, 0);
        for slot in self.watched.iter().copied().collect::<Vec<_>>() {
            if let Some(connection) = self.get(slot)
                && let Some(since) = connection.outbox.behind_since()
            {
                queue_bytes += connection.outbox.unsent_bytes() as u64;
                behind += 1;
                if !connection.is_leaving() && now.saturating_duration_since(since) >= slow_after {
                    self.close(slot, CloseCode::SLOW, CloseCode::SLOW.reason(), now);
                }
            }
            self.settle(slot, now);
        }
        self.figures.waiting(queue_bytes, behind);
    }

    /// What reading came to.
    fn answer(&mut self, slot: Slot, heard: Heard, read: Option<Read>, now: Instant) {
        for pong in heard.pongs {
            self.say_bounded(slot, &pong);
        }
        for message in heard.messages.into_iter().flatten() {
            self.tell(slot, || EventKind::Message(message));
        }
        match read {
            None | Some(Read::Dry) => {}
            Some(Read::Gone) => self.remove(slot),
            Some(Read::Ours(code)) => self.close(slot, code, code.reason(), now),
            Some(Read::Theirs(code)) => {
                let Some(connection) = self.connection(slot).filter(|connection| !connection.is_leaving()) else { return };
                connection.leave(now + CLOSE_WITHIN, true);
                let answer = code.map_or_else(Frame::close_without_code, |code| Frame::close(code, ""));
                self.say(slot, &answer);
                self.watched.insert(slot);
                self.retire(slot);
            }
        }
        self.settle(slot, now);
    }

    /// What may come up, and whether anybody hears it.
    fn heard(&self) -> Heard {
        if self.settings.workers == Switch::Off {
            return Heard { bounds: Bounds::default(), pongs: Vec::new(), messages: None };
        }
        let Settings { worker_message_bytes, worker_messages_a_second, .. } = *self.settings;
        let bounds = Bounds { message_bytes: worker_message_bytes as u64, frames_a_second: worker_messages_a_second };
        Heard { bounds, pongs: Vec::new(), messages: self.event_sender.is_enabled().then(Vec::new) }
    }

    /// Whoever listens is told, if anybody does.
    fn tell(&self, slot: Slot, kind: impl FnOnce() -> EventKind) {
        if !self.event_sender.is_enabled() {
            return;
        }
        if let (Some(connection), Some(client), Some(member)) = (self.get(slot), self.client_id(slot), self.registry.get(slot)) {
            let (address, port, session) = (connection.permit.address, connection.port, member.session().cloned());
            self.event_sender.send(ConnectionEvent { client, address, port, session, kind: kind() });
        }
    }

    /// It leaves: from here on it is nobody, whatever its stream still has to send.
    fn retire(&mut self, slot: Slot) {
        self.tell(slot, || EventKind::Disconnected);
        self.registry.retire(slot);
    }

    /// Drops who is done, forgets to watch who need not be watched.
    fn settle(&mut self, slot: Slot, now: Instant) {
        let Some(connection) = self.connection(slot) else {
            self.watched.swap_remove(&slot);
            return;
        };
        if connection.is_done(now) {
            self.remove(slot);
        } else if !connection.is_leaving() && connection.outbox.behind_since().is_none() {
            self.watched.swap_remove(&slot);
        }
    }

    /// Queued surely: the protocol's own frames, which are few and small.
    fn say(&mut self, slot: Slot, frame: &Frame) {
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else { return };
        let was_due = connection.outbox.is_due();
        let held: Range<u32> = self.round.hold(frame);
        connection.outbox.push_surely(&mut self.round, frame, held);
        if !was_due && connection.outbox.is_due() {
            self.due.push(slot);
        }
    }

    /// A pong: the peer decides how many there are, so they are bounded like everything else.
    fn say_bounded(&mut self, slot: Slot, frame: &Frame) {
        if self.get(slot).is_some_and(|connection| connection.outbox.unsent_bytes() < self.settings.queue_bytes) {
            self.say(slot, frame);
        }
    }

    fn connection(&mut self, slot: Slot) -> Option<&mut Connection<S>> {
        self.connections.get_mut(slot)?.as_mut()
    }

    fn remove(&mut self, slot: Slot) {
        self.watched.swap_remove(&slot);
        self.retire(slot);
        if self.connections.get_mut(slot).and_then(Option::take).is_some() {
            self.registry.remove(slot);
            metrics::counter!("roomcast_sockets_closed_total").increment(1);
        }
    }
}

impl Wheel {
    fn ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_millis() as u64
    }

    /// The step it is.
    fn at(&self, now: Instant) -> u32 {
        (now.saturating_duration_since(self.began).as_millis() / self.step.as_millis().max(1)) as u32
    }

    /// The slots that fall on a step.
    fn slots(&self, step: u32, len: usize) -> impl Iterator<Item = Slot> + use<> {
        ((step % self.ping_every) as Slot..len).step_by(self.ping_every as usize)
    }
}
