//! The order of all rooms with members on this node. Pure: time is handed in, and a caller carries the outputs out.

use super::item::{Answer, Ask, Head, Item, Output};
use super::room::Room;
use crate::domain::id::{Epoch, RoomId};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

/// Bytes that are held in all rooms. Beyond it a room drops held pushes, and asks for them later.
const MAX_HELD_BYTES: usize = 64 * 1024 * 1024;
/// Questions under way.
const MAX_ASKS: usize = 4;

/// The rooms.
#[derive(Default)]
pub(super) struct Sequencer {
    rooms: HashMap<RoomId, Entry>,
    /// When a room is to be looked at.
    due: BTreeSet<(Instant, RoomId)>,
    /// Rooms that wait for a question.
    waiting: VecDeque<RoomId>,
    asking: usize,
    bytes: usize,
    held: usize,
}

struct Entry {
    room: Room,
    due_at: Option<Instant>,
    is_waiting: bool,
}

impl Sequencer {
    /// Whether the room is in order here.
    pub(super) fn contains(&self, room: &RoomId) -> bool {
        self.rooms.contains_key(room)
    }

    /// The rooms.
    pub(super) fn rooms(&self) -> impl Iterator<Item = &RoomId> {
        self.rooms.keys()
    }

    /// The last numbers that were passed, of each room that is placed.
    pub(super) fn passed(&self) -> Vec<(RoomId, Head)> {
        self.rooms.iter().filter_map(|(id, entry)| Some((id.clone(), entry.room.passed()?))).collect()
    }

    /// Items that are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Takes a push of a room: of this node (without an epoch), or of another. The first one adds the room.
    pub(super) fn take(&mut self, room: &RoomId, epoch: Option<&Epoch>, item: Item, now: Instant, out: &mut Vec<Output>) {
        self.with(room, |room| room.take(epoch, item, now, out));
    }

    /// Takes the newest numbers of a reader's window, which was read after the reader had joined. Returns false if it must be read again.
    pub(super) fn begin(&mut self, room: &RoomId, head: &Head, now: Instant, out: &mut Vec<Output>) -> bool {
        self.with(room, |room| room.begin(head, now, out))
    }

    /// Takes the newest numbers of a room, as the store has them. The first ones add the room.
    pub(super) fn know(&mut self, room: &RoomId, head: &Head, now: Instant, out: &mut Vec<Output>) {
        self.with(room, |room| room.know(head, now, out));
    }

    /// Takes the answer to a question.
    pub(super) fn answer(&mut self, ask: &Ask, answer: Answer, now: Instant, out: &mut Vec<Output>) {
        self.asking = self.asking.saturating_sub(1);
        if answer == Answer::Gone {
            self.forget(&ask.room);
        } else if self.rooms.get(&ask.room).is_some_and(|entry| entry.room.is_asking(ask)) {
            self.with(&ask.room, |room| room.answer(answer, now, out));
        }
    }

    /// Drops the state of a room: its last member is gone, or it is deleted.
    pub(super) fn forget(&mut self, room: &RoomId) {
        if let Some(entry) = self.rooms.remove(room) {
            self.bytes -= entry.room.bytes();
            self.held -= entry.room.held();
            if let Some(at) = entry.due_at {
                self.due.remove(&(at, room.clone()));
            }
        }
    }

    /// Drops the state of all rooms.
    pub(super) fn forget_all(&mut self) {
        // The answers to questions that are under way still come.
        let asking = self.asking;
        *self = Self { asking, ..Self::default() };
    }

    /// When [`Sequencer::look`] is to be called next.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Looks at the rooms that are due, and returns the questions to be asked now. Each gets an [`Sequencer::answer`].
    pub(super) fn look(&mut self, now: Instant, out: &mut Vec<Output>) -> Vec<Ask> {
        while let Some((_, room)) = self.due.first().filter(|(at, _)| *at <= now).cloned() {
            if self.with(&room, |room| room.is_due(now, out)) {
                self.wait(&room);
            }
        }
        let mut asks = Vec::new();
        while self.asking < MAX_ASKS {
            let Some(room) = self.waiting.pop_front() else { break };
            let Some(entry) = self.rooms.get_mut(&room) else { continue };
            entry.is_waiting = false;
            if let Some(ask) = self.with(&room, Room::ask) {
                self.asking += 1;
                asks.push(ask);
            }
        }
        asks
    }

    /// Lets a room wait for its question.
    fn wait(&mut self, id: &RoomId) {
        let Some(entry) = self.rooms.get_mut(id) else { return };
        if !entry.is_waiting {
            entry.is_waiting = true;
            self.waiting.push_back(id.clone());
        }
        self.with(id, |_| ());
    }

    /// Acts on a room, which is added if it is new, and notes when it is due and how much it holds.
    fn with<T>(&mut self, id: &RoomId, act: impl FnOnce(&mut Room) -> T) -> T {
        let new = || Entry { room: Room::new(id.clone()), due_at: None, is_waiting: false };
        let entry = self.rooms.entry(id.clone()).or_insert_with(new);
        let (bytes, held) = (self.bytes - entry.room.bytes(), self.held - entry.room.held());
        let done = act(&mut entry.room);
        while bytes + entry.room.bytes() > MAX_HELD_BYTES && entry.room.held() > 0 {
            entry.room.drop_highest();
        }
        (self.bytes, self.held) = (bytes + entry.room.bytes(), held + entry.room.held());
        let due_at = entry.room.due_at(entry.is_waiting);
        if due_at != entry.due_at {
            if let Some(at) = std::mem::replace(&mut entry.due_at, due_at) {
                self.due.remove(&(at, id.clone()));
            }
            self.due.extend(due_at.map(|at| (at, id.clone())));
        }
        done
    }
}

#[cfg(test)]
#[path = "sequencer_tests.rs"]
mod tests;
