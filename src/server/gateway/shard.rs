//! The connections of one thread: reads, publishes, writes, timeouts and closes. No locks and no blocking. The
//! [`super::shard_thread`] hands it commands, readiness and the time, and so can a test.

use super::client_ids::ClientIds;
use super::connection::{Connection, Inbound, NewConnection, ReadOutcome};
use super::events::EventSender;
use super::live_groups::ShardGroups;
use super::metrics::ShardMetrics;
use super::publish::{Delivered, Publish};
use super::registry::{Registry, Slot};
use super::send_queue::Enqueue;
use super::shard_close::CLOSE_TIMEOUT;
use super::stream::Stream;
use super::timer_wheel::TimerWheel;
use super::write_batch::WriteBatch;
use super::write_queue::WriteQueue;
use super::{Dialect, Frame, InboundLimits, LogicalTime, SocketOwner, Uid};
use crate::domain::{id::ClientId, push::Push};
use crate::server::config::{GatewaySettings as Settings, InitFrom, Switch};
use indexmap::IndexSet;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Readers written before the shard looks at its mailbox again: a publish that arrives amid a round over many readers is
/// queued and reported within a millisecond, and its frame leaves with the next write to each reader.
const WRITES_PER_PASS: usize = 128;
/// Bytes per read; the connections share one buffer.
const SCRATCH_BYTES: usize = 8 * 1024;

/// The connections of one shard thread, with the state to write to them.
pub(super) struct Shard<S> {
    index: usize,
    ids: ClientIds,
    pub(super) settings: Arc<Settings>,
    pub(super) wheel: TimerWheel,
    pub registry: Registry,
    /// Indexed by slot.
    pub(super) connections: Vec<Option<Connection<S>>>,
    pub(super) batch: WriteBatch,
    /// Connections with frames in the batch, and the publishes of these frames.
    write_queue: WriteQueue,
    /// Connections with a backlog and closing connections: checked at each tick.
    pub(super) watched: IndexSet<Slot>,
    pub metrics: ShardMetrics,
    scratch: Box<[u8]>,
    pub(super) event_sender: Arc<EventSender>,
}

impl<S: Stream> Shard<S> {
    /// Returns a shard without connections.
    pub(super) fn new(
        index: usize,
        ids: ClientIds,
        settings: Arc<Settings>,
        event_sender: Arc<EventSender>,
        live: ShardGroups,
        now: Instant,
    ) -> Self {
        Self {
            index,
            ids,
            wheel: TimerWheel::new(&settings, now),
            settings,
            registry: Registry::new(live),
            connections: Vec::new(),
            batch: WriteBatch::default(),
            write_queue: WriteQueue::default(),
            watched: IndexSet::new(),
            metrics: ShardMetrics::new(index),
            scratch: vec![0; SCRATCH_BYTES].into(),
            event_sender,
        }
    }

    /// Adds a connection and sends it `init`, always the first frame. On the plain dialect PHP's worker may send it instead.
    pub(super) fn open(&mut self, stream: S, new: NewConnection, opened_at: LogicalTime, now: Instant) -> Slot {
        let NewConnection { dialect, mut permit, early, port, handshake } = new;
        permit.handshake_done();
        let client = self.ids.draw(self.index, |id| self.registry.slot_of(id).is_some());
        let slot = self.registry.insert(client.connection, permit.credentials().visitor, opened_at);
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, || None);
        }
        self.connections[slot] = Some(Connection::new(stream, dialect, permit, port, self.wheel.at(now)));
        if dialect == Dialect::V1 || self.settings.init == InitFrom::Roomcast {
            self.send_unbounded(slot, &Frame::text(Push::Init { client_id: client }.to_json().as_bytes()));
        }
        metrics::counter!("roomcast_sockets_opened_total").increment(1);
        self.announce(slot, handshake);
        if !early.is_empty() {
            let (now_ms, mut inbound) = (self.wheel.ms(now), self.inbound());
            let read = self.connection(slot).map(|connection| connection.feed(&early, now_ms, &mut inbound));
            self.handle_read(slot, inbound, read, now);
        }
        slot
    }

    /// The shard's index on its node.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Returns the client id of a connection that is not closing.
    pub(super) fn client_id(&self, slot: Slot) -> Option<ClientId> {
        self.registry.get(slot).map(|member| self.ids.client_id(member.connection_id()))
    }

    /// Returns the slot of a client id of this shard.
    pub(super) fn slot_of(&self, client: ClientId) -> Option<Slot> {
        self.ids.shard(client).filter(|shard| *shard == self.index)?;
        self.registry.slot_of(client.connection)
    }

    /// Returns the stream of a connection.
    pub(super) fn stream(&mut self, slot: Slot) -> Option<&mut S> {
        self.connection(slot).map(|connection| &mut connection.stream)
    }

    /// Returns a connection, also a closing one.
    pub(super) fn get(&self, slot: Slot) -> Option<&Connection<S>> {
        self.connections.get(slot)?.as_ref()
    }

    /// Adds a publish to the batch, queues it to its receivers and reports their number.
    pub(super) fn publish(&mut self, publish: Arc<Publish>, now: Instant) {
        let (plain, v1) = (&publish.publication.plain, &publish.publication.v1);
        if !self.batch.fits(publish.publication.weight()) {
            self.flush(now);
        }
        let span = |batch: &mut WriteBatch, frame: &Option<Frame>| frame.as_ref().map_or(0..0, |frame| batch.append_frame(frame));
        let plain_span = span(&mut self.batch, plain);
        let same = matches!((plain, v1), (Some(plain), Some(v1)) if plain.bytes.as_ptr() == v1.bytes.as_ptr());
        let v1_span = if same { plain_span.clone() } else { span(&mut self.batch, v1) };
        let mut delivered = Delivered::default();
        let mut failed: Vec<Slot> = Vec::new();
        for slot in publish.receivers(&self.registry, self.ids) {
            let Some(connection) = self.connections[slot].as_mut() else { continue };
            let (frame, span) = match connection.dialect {
                Dialect::Plain => (plain, &plain_span),
                Dialect::V1 => (v1, &v1_span),
            };
            let Some(frame) = frame.as_ref().filter(|_| !span.is_empty()) else { continue };
            let was_batched = connection.send_queue.has_batched();
            let mut queued = connection.push(&mut self.batch, frame, span.clone(), self.settings.queue_bytes);
            if queued == Enqueue::FlushFirst {
                // This reader's frames in the batch reach its limit already: write them now to make space.
                match connection.write(&mut self.batch, now) {
                    Ok(bytes) => self.metrics.record_write(bytes as u64),
                    Err(_) => {
                        failed.push(slot);
                        continue;
                    }
                }
                if connection.send_queue.has_backlog() {
                    self.watched.insert(slot);
                }
                queued = connection.push(&mut self.batch, frame, span.clone(), self.settings.queue_bytes);
            }
            match queued {
                Enqueue::Batched => delivered.to += 1,
                Enqueue::Backlogged => (delivered.to, delivered.queued) = (delivered.to + 1, delivered.queued + 1),
                Enqueue::Skipped | Enqueue::FlushFirst => delivered.slow += 1,
                Enqueue::Closing => {}
            }
            if !was_batched && connection.send_queue.has_batched() {
                self.write_queue.push(slot);
            }
        }
        self.metrics.record_pushes(delivered.to as u64, delivered.slow as u64);
        publish.report_shard(delivered);
        self.write_queue.hold(publish);
        for slot in failed {
            self.metrics.record_failure();
            self.remove(slot);
        }
        if self.batch.is_full() {
            self.flush(now);
        }
    }

    /// Writes to all readers with frames in the batch, however many frames it holds: one write per reader.
    pub(super) fn flush(&mut self, now: Instant) {
        self.write_batched(usize::MAX, now);
    }

    /// Writes to the next [`WRITES_PER_PASS`] readers with frames in the batch, or to all of them if the batch is full. Returns
    /// whether readers are left.
    pub(super) fn write_pass(&mut self, now: Instant) -> bool {
        let count = if self.batch.is_full() { usize::MAX } else { WRITES_PER_PASS };
        self.write_batched(count, now)
    }

    /// Writes to the next `count` readers with frames in the batch, one write each, and empties the batch after the last one.
    /// Between two calls further publishes may be added: a reader gets them with its next write. Returns whether readers are
    /// left.
    pub(super) fn write_batched(&mut self, count: usize, now: Instant) -> bool {
        let (mut bytes, mut failed, mut closing) = (0, Vec::new(), Vec::new());
        for _ in 0..count {
            let Some(slot) = self.write_queue.pop() else { break };
            let Some(connection) = self.connections[slot].as_mut().filter(|connection| connection.send_queue.has_batched())
            else {
                continue;
            };
            match connection.write(&mut self.batch, now) {
                Ok(written) => bytes += written as u64,
                Err(_) => {
                    failed.push(slot);
                    continue;
                }
            }
            if connection.send_queue.has_backlog() {
                self.watched.insert(slot);
            } else if connection.is_closing() {
                closing.push(slot);
            }
        }
        if bytes > 0 {
            self.metrics.record_write(bytes);
        }
        for slot in failed {
            self.metrics.record_failure();
            self.remove(slot);
        }
        for slot in closing {
            self.reap(slot, now);
        }
        self.write_queue.release();
        if self.write_queue.is_empty() {
            self.batch.clear();
        }
        !self.write_queue.is_empty()
    }

    /// Reads from a connection that is readable.
    pub(super) fn readable(&mut self, slot: Slot, now: Instant) {
        let (tick, now_ms, mut inbound) = (self.wheel.at(now), self.wheel.ms(now), self.inbound());
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else { return };
        let read = connection.read(&mut self.scratch, now_ms, tick, &mut inbound);
        self.handle_read(slot, inbound, Some(read), now);
    }

    /// Writes the backlog of a connection that is writable.
    pub(super) fn writable(&mut self, slot: Slot, now: Instant) {
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else { return };
        if connection.send_queue.has_backlog() {
            match connection.write(&mut self.batch, now) {
                Ok(bytes) => self.metrics.record_write(bytes as u64),
                Err(_) => {
                    self.metrics.record_failure();
                    return self.remove(slot);
                }
            }
        }
        self.reap(slot, now);
    }

    /// Returns the connections whose owner is one of `owners`.
    pub(super) fn of_owners(&self, owners: &HashSet<SocketOwner>) -> Vec<Slot> {
        // Scans all connections once: sessions end rarely, so there is no index.
        let owner = |slot: &Slot| self.get(*slot).and_then(|connection| connection.permit.credentials().session);
        let is_theirs = |slot: &Slot| owner(slot).is_some_and(|owner| owners.contains(&owner));
        self.registry.all().filter(is_theirs).collect()
    }

    /// Returns the connections bound to `uid`.
    pub(super) fn of_uid(&self, uid: &Uid) -> Vec<Slot> {
        self.registry.of_uid(uid).collect()
    }

    /// Handles the result of a read.
    fn handle_read(&mut self, slot: Slot, inbound: Inbound, read: Option<ReadOutcome>, now: Instant) {
        for pong in inbound.pongs {
            self.send_pong(slot, &pong);
        }
        for message in inbound.messages.into_iter().flatten() {
            self.emit_message(slot, message, now);
        }
        match read {
            None | Some(ReadOutcome::WouldBlock) => {}
            Some(ReadOutcome::Eof) => self.remove(slot),
            Some(ReadOutcome::Violation(code)) => self.close(slot, code, code.reason(), now),
            Some(ReadOutcome::PeerClose(code)) => {
                let Some(connection) = self.connection(slot).filter(|connection| !connection.is_closing()) else { return };
                connection.start_close(now + CLOSE_TIMEOUT, true);
                let reply = code.map_or_else(Frame::close_without_code, |code| Frame::close(code, ""));
                self.send_unbounded(slot, &reply);
                self.watched.insert(slot);
                self.unlink(slot);
            }
        }
        self.reap(slot, now);
    }

    /// Returns the inbound limits, and whether messages are kept for a subscriber.
    fn inbound(&self) -> Inbound {
        if self.settings.workers == Switch::Off {
            return Inbound { limits: InboundLimits::default(), pongs: Vec::new(), messages: None };
        }
        let Settings { worker_message_bytes, worker_messages_a_second, .. } = *self.settings;
        let limits = InboundLimits { message_bytes: worker_message_bytes as u64, frames_per_second: worker_messages_a_second };
        Inbound { limits, pongs: Vec::new(), messages: self.event_sender.is_enabled().then(Vec::new) }
    }

    /// Queues a frame even if the queue is full, because such frames are few: init, bye, a back end's last message, pings,
    /// pongs, close frames.
    pub(super) fn send_unbounded(&mut self, slot: Slot, frame: &Frame) {
        let span = self.batch.append_frame(frame);
        self.send_span(slot, frame, span);
    }

    /// Queues a frame that is in the batch already, so that any number of connections share its bytes. An empty span is a frame
    /// that the batch refused.
    pub(super) fn send_span(&mut self, slot: Slot, frame: &Frame, span: Range<u32>) {
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else { return };
        if span.is_empty() {
            return;
        }
        let was_batched = connection.send_queue.has_batched();
        connection.send_queue.push_unbounded(&mut self.batch, frame, span);
        if !was_batched && connection.send_queue.has_batched() {
            self.write_queue.push(slot);
        }
    }

    /// Queues a pong unless the queue is full: the peer decides how many pongs there are.
    fn send_pong(&mut self, slot: Slot, frame: &Frame) {
        if self.get(slot).is_some_and(|connection| connection.send_queue.unsent_bytes() < self.settings.queue_bytes) {
            self.send_unbounded(slot, frame);
        }
    }

    pub(super) fn connection(&mut self, slot: Slot) -> Option<&mut Connection<S>> {
        self.connections.get_mut(slot)?.as_mut()
    }
}
