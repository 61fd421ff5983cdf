//! The newest messages of busy rooms, in memory: most reads of a room want these. The store says which messages a room has, at
//! every read; a tail only saves reading them again. A tail that does not end with the newest message is not used.

use crate::domain::{
    id::{Epoch, RoomId, Seq},
    message::Message,
};
use crate::server::storage::{Result, SeqRange, Store};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Messages of a tail, at most: the most that a `bind` returns.
const MAX_MESSAGES: u32 = 200;
/// Bytes of a tail, at most.
const MAX_BYTES: usize = 128 * 1024;
/// Rooms with a tail, at most; the one that was read longest ago makes way. Together 32 MiB at most.
const MAX_ROOMS: usize = 256;

/// A window of a room: the last `limit` messages above `after` and below `before`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub after: Seq,
    pub before: Option<Seq>,
    pub limit: u32,
}

/// The tails of a node. Cheap to clone; all clones are the same tails.
#[derive(Clone, Default)]
pub(super) struct Tails(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    rooms: HashMap<RoomId, Tail>,
    /// Number of reads until now.
    reads: u64,
}

/// Messages with consecutive seqs.
struct Tail {
    epoch: Epoch,
    messages: VecDeque<Message>,
    bytes: usize,
    /// [`Table::reads`] at its last read.
    read_at: u64,
}

impl Tails {
    /// Adds a message that was stored, before its sender is answered. A room without a tail gets none.
    pub(super) fn push(&self, message: &Message) {
        let mut table = self.table();
        let Some(tail) = table.rooms.get_mut(&message.room) else { return };
        if tail.newest().is_some_and(|newest| newest.next() == message.seq) {
            tail.push(message.clone());
        } else if tail.newest() < Some(message.seq) {
            table.rooms.remove(&message.room);
        }
    }

    /// Returns the messages of a window, and reads the store where the tail of the room has not all of them. `range` was read from
    /// the store just now.
    pub(super) async fn messages(
        &self,
        store: &Store,
        of: (&RoomId, &Epoch),
        range: SeqRange,
        window: Window,
    ) -> Result<Vec<Message>> {
        let (room, epoch) = of;
        // A process that was taken over is told of no further message.
        if store.is_serving()
            && let Some(messages) = self.read(room, epoch, range, window)
        {
            metrics::counter!("roomcast_windows_read_total", "from" => "memory").increment(1);
            return Ok(messages);
        }
        metrics::counter!("roomcast_windows_read_total", "from" => "store").increment(1);
        let Window { after, before, limit } = window;
        if before.is_some() {
            return store.messages_between(room, after, before, limit).await;
        }
        let mut messages = store.messages_between(room, Seq::default(), None, MAX_MESSAGES.max(limit)).await?;
        self.keep(room, epoch, &messages);
        messages.retain(|message| message.seq > after);
        let too_many = messages.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        messages.drain(..too_many);
        Ok(messages)
    }

    /// Returns the messages of a window, if the tail of the room has them all.
    fn read(&self, room: &RoomId, epoch: &Epoch, range: SeqRange, window: Window) -> Option<Vec<Message>> {
        let mut table = self.table();
        table.reads += 1;
        let reads = table.reads;
        let tail = table.rooms.get_mut(room)?;
        tail.read_at = reads;
        // What the retention removed must not stay in memory.
        while tail.messages.front().is_some_and(|first| first.seq < range.oldest) {
            tail.pop();
        }
        if tail.epoch != *epoch || tail.newest().is_none_or(|newest| newest < range.newest) {
            table.rooms.remove(room);
            return None;
        }
        let first = tail.messages.front()?.seq;
        // Not beyond what the store said: what was stored since comes by push.
        let end = window.before.map_or(u64::MAX, |before| before.0).min(range.newest.next().0);
        let start = window.after.next().max(range.oldest).0.max(end.saturating_sub(window.limit.into()));
        if start >= end {
            return Some(Vec::new());
        }
        (first.0 <= start).then(|| {
            let skipped = usize::try_from(start - first.0).unwrap_or(usize::MAX);
            tail.messages.iter().skip(skipped).take(usize::try_from(end - start).unwrap_or(usize::MAX)).cloned().collect()
        })
    }

    /// Keeps the newest messages of a room, as they were read from the store.
    fn keep(&self, room: &RoomId, epoch: &Epoch, messages: &[Message]) {
        let mut table = self.table();
        let read_at = table.reads;
        let mut tail = Tail { epoch: epoch.clone(), messages: VecDeque::new(), bytes: 0, read_at };
        messages.iter().for_each(|message| tail.push(message.clone()));
        let is_newer = |kept: &Tail| kept.epoch == *epoch && kept.newest() >= tail.newest();
        if tail.messages.is_empty() || table.rooms.get(room).is_some_and(is_newer) {
            return;
        }
        if table.rooms.len() >= MAX_ROOMS && !table.rooms.contains_key(room) {
            let oldest = table.rooms.iter().min_by_key(|(_, tail)| tail.read_at).map(|(room, _)| room.clone());
            oldest.and_then(|oldest| table.rooms.remove(&oldest));
        }
        table.rooms.insert(room.clone(), tail);
    }

    /// Drops the tail of a room, because the room is deleted.
    pub(super) fn forget(&self, room: &RoomId) {
        self.table().rooms.remove(room);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    fn newest(&self) -> Option<Seq> {
        self.messages.back().map(|message| message.seq)
    }

    fn push(&mut self, message: Message) {
        self.bytes += bytes(&message);
        self.messages.push_back(message);
        while self.messages.len() > MAX_MESSAGES as usize || self.bytes > MAX_BYTES {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(message) = self.messages.pop_front() {
            self.bytes -= bytes(&message);
        }
    }
}

/// Bytes that a message holds.
fn bytes(message: &Message) -> usize {
    size_of::<Message>() + message.text.len() + message.nickname.len() + message.user.as_str().len()
}

#[cfg(test)]
#[path = "tails_tests.rs"]
mod tests;
