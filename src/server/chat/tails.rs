//! The newest messages of busy rooms, in memory: most reads of a room want these. The store says which messages a room has, at
//! every read; a tail only saves reading them again. A tail that does not end with the newest message, or is older than the room's
//! newest change, is not used: no removed text is read from memory.

use crate::domain::{
    change::Rev,
    id::{Epoch, RoomId, Seq, Uid},
    message::Message,
};
use crate::server::storage::moderation::RoomNow;
use crate::server::storage::{Result, SeqRange, Store};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Messages of a tail, at most: the most that a `bind` returns.
const MAX_MESSAGES: u32 = 200;
/// Bytes of a tail, at most.
const MAX_BYTES: usize = 128 * 1024;
/// Rooms with a tail, at most; the one that was read longest ago makes way. Together 32 MiB at most.
const MAX_ROOMS: usize = 256;
/// Time for which a tail may be behind the room's newest message.
const BEHIND_FOR: Duration = Duration::from_secs(2);
/// Rooms that were read once from the store, at most; beyond it all are forgotten.
const MAX_MISSED: usize = 1024;

/// A window of a room: the last `limit` messages above `after` and below `before`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub after: Seq,
    pub before: Option<Seq>,
    pub limit: u32,
}

/// A room as the store has it now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now<'a> {
    pub room: &'a RoomId,
    pub epoch: &'a Epoch,
    pub rev: Rev,
    pub range: SeqRange,
}

impl<'a> From<&'a RoomNow> for Now<'a> {
    fn from(now: &'a RoomNow) -> Self {
        let record = &now.record;
        let range = SeqRange { oldest: now.oldest, newest: record.newest };
        Self { room: &record.room, epoch: &record.epoch, rev: record.rev, range }
    }
}

/// The tails of a node. Cheap to clone; all clones are the same tails.
#[derive(Clone, Default)]
pub(super) struct Tails(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    rooms: HashMap<RoomId, Tail>,
    /// Rooms without a tail that were read from the store once. A second read makes the tail.
    missed: HashSet<RoomId>,
    /// Number of rooms that were forgotten: a read that began before the last of them is not kept.
    forgotten: u64,
    /// Number of reads until now.
    reads: u64,
}

/// Messages with consecutive seqs.
struct Tail {
    epoch: Epoch,
    /// The room's newest change when it was read from the store, or an earlier one.
    rev: Rev,
    messages: VecDeque<Message>,
    bytes: usize,
    /// When a read found it behind the room's newest message, and no message came since.
    behind_since: Option<Instant>,
    /// [`Table::reads`] at its last read.
    read_at: u64,
}

impl Tails {
    /// Whether the room has a tail.
    pub(super) fn contains(&self, room: &RoomId) -> bool {
        self.table().rooms.contains_key(room)
    }

    /// Adds a message that was stored: on the only node before its sender is answered, else in the order of the room. A room without
    /// a tail gets none.
    pub(super) fn push(&self, message: &Message) {
        let mut table = self.table();
        let Some(tail) = table.rooms.get_mut(&message.room) else { return };
        if tail.newest().is_some_and(|newest| newest.next() == message.seq) {
            tail.push(message.clone());
        } else if tail.newest() < Some(message.seq) {
            table.rooms.remove(&message.room);
        }
    }

    /// Returns the messages of a window, and reads the store where the tail of the room has not all of them. `now` was read from
    /// the store just now.
    pub(super) async fn messages<'a>(&self, store: &Store, now: impl Into<Now<'a>>, window: Window) -> Result<Vec<Message>> {
        let now = now.into();
        let room = now.room;
        // A process that was taken over is told of no further message.
        if store.is_serving()
            && let Some(messages) = self.read(now, window)
        {
            metrics::counter!("roomcast_windows_read_total", "from" => "memory").increment(1);
            return Ok(messages);
        }
        metrics::counter!("roomcast_windows_read_total", "from" => "store").increment(1);
        let Window { after, before, limit } = window;
        let Some(begun) = before.is_none().then(|| self.begin(room)).flatten() else {
            return store.messages_between(room, after, before, limit).await;
        };
        let mut messages = store.messages_between(room, Seq::default(), None, MAX_MESSAGES.max(limit)).await?;
        self.keep(now, &messages, begun);
        messages.retain(|message| message.seq > after);
        let too_many = messages.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        messages.drain(..too_many);
        Ok(messages)
    }

    /// Begins a read for a tail, and returns [`Table::forgotten`]. `None`: it is the first read of the room, which gets no tail, or
    /// the room has one.
    fn begin(&self, room: &RoomId) -> Option<u64> {
        let mut table = self.table();
        if table.rooms.contains_key(room) {
            return None;
        }
        if table.missed.contains(room) {
            return Some(table.forgotten);
        }
        if table.missed.len() >= MAX_MISSED {
            table.missed.clear();
        }
        table.missed.insert(room.clone());
        None
    }

    /// Returns the messages of a window, if the tail of the room has them all.
    fn read(&self, now: Now<'_>, window: Window) -> Option<Vec<Message>> {
        let Now { room, epoch, rev, range } = now;
        let mut table = self.table();
        table.reads += 1;
        let reads = table.reads;
        let tail = table.rooms.get_mut(room)?;
        tail.read_at = reads;
        // Messages that the retention removed must not stay in memory.
        while tail.messages.front().is_some_and(|first| first.seq < range.oldest) {
            tail.pop();
        }
        if tail.epoch != *epoch || tail.rev < rev {
            table.rooms.remove(room);
            // It was read twice before: the next read makes it anew.
            table.missed.insert(room.clone());
            return None;
        }
        // A read that began before the newest change: the store answers it.
        if tail.rev > rev {
            return None;
        }
        // The push of a message that was just stored may be under way: the tail stays. One of another node may not come, if the
        // room has no members here.
        if tail.newest() < Some(range.newest) {
            if tail.behind_since.get_or_insert_with(Instant::now).elapsed() > BEHIND_FOR {
                table.rooms.remove(room);
                table.missed.insert(room.clone());
            }
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

    /// Keeps the newest messages of a room, as they were read from the store in a read that [began](Self::begin).
    fn keep(&self, now: Now<'_>, messages: &[Message], begun: u64) {
        let Now { room, epoch, rev, .. } = now;
        let Some(newest) = messages.last().map(|message| message.seq) else { return };
        let is_needed = |table: &Table| {
            let is_newer = |kept: &Tail| kept.epoch == *epoch && kept.rev >= rev && kept.newest() >= Some(newest);
            table.forgotten == begun && !table.rooms.get(room).is_some_and(is_newer)
        };
        if !is_needed(&self.table()) {
            return;
        }
        // The copies are made without the lock.
        let mut tail = Tail { epoch: epoch.clone(), rev, messages: VecDeque::new(), bytes: 0, behind_since: None, read_at: 0 };
        messages.iter().for_each(|message| tail.push(message.clone()));
        let mut table = self.table();
        if !is_needed(&table) {
            return;
        }
        tail.read_at = table.reads;
        let mut evicted = None;
        if table.rooms.len() >= MAX_ROOMS && !table.rooms.contains_key(room) {
            let oldest = table.rooms.iter().min_by_key(|(_, tail)| tail.read_at).map(|(room, _)| room.clone());
            evicted = oldest.and_then(|oldest| table.rooms.remove(&oldest));
        }
        let replaced = table.rooms.insert(room.clone(), tail);
        table.missed.remove(room);
        drop(table);
        drop((evicted, replaced));
    }

    /// Returns the authors of a room's newest messages with their nicknames, newest first, without asking the store: a message may have
    /// been removed since. `None`: the room has no tail.
    pub(super) fn speakers(&self, room: &RoomId) -> Option<Vec<(String, Uid)>> {
        let table = self.table();
        let messages = table.rooms.get(room)?.messages.iter().rev();
        let said = messages.filter(|message| message.removed.is_none());
        Some(said.map(|message| (message.nickname.clone(), message.user.clone())).collect())
    }

    /// Whether a tail knows that the room has had a message of this seq, or a later one.
    pub(super) fn reaches(&self, room: &RoomId, seq: Seq) -> bool {
        self.table().rooms.get(room).is_some_and(|tail| tail.newest() >= Some(seq))
    }

    /// Drops the tail of a room, because the room is deleted.
    pub(super) fn forget(&self, room: &RoomId) {
        let mut table = self.table();
        table.forgotten += 1;
        table.rooms.remove(room);
        table.missed.remove(room);
    }

    /// Drops all tails, because the rooms begin a new epoch.
    pub(super) fn forget_all(&self) {
        let mut table = self.table();
        let forgotten = table.forgotten + 1;
        let dropped = std::mem::replace(&mut *table, Table { forgotten, ..Table::default() });
        drop(table);
        drop(dropped);
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
        self.behind_since = None;
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
