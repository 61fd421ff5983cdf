//! Messages of a lane that may be stored although the answer was lost. A call may still run then, so a message can appear
//! at any time until its room takes another one. The lane looks for them in the store and pushes those that are there.
//!
//! The pushes of a room keep their order: while a message of it is unsettled, later ones wait here, too, for the same look.

use crate::domain::{id::RoomId, message::Message};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Rooms of a lane, at most; the oldest makes way.
const MAX_ROOMS: usize = 1000;
/// Messages of a lane, at most: eight batches.
const MAX_MESSAGES: usize = 4096;
/// Rooms that are looked at one after the other, at most.
const MAX_DUE: usize = 64;
/// Time between two looks: the first and the longest. After a look that failed it is the first for all rooms.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Time after which a message that is not found counts as not stored.
const OPEN_FOR: Duration = Duration::from_secs(600);
/// The same after the room took a later message. The call before has ended by then, or its bytes are still on their way.
const SETTLED_FOR: Duration = Duration::from_secs(10);

/// The unsettled messages of a lane.
#[derive(Default)]
pub(super) struct Unsettled {
    /// None is without messages.
    rooms: HashMap<RoomId, Open>,
    /// Rooms that were ever added.
    added: u64,
    /// Messages of all rooms.
    count: usize,
    /// No look before this, because one failed.
    not_before: Option<Instant>,
}

/// The unsettled messages of a room.
struct Open {
    /// [`Unsettled::added`] when it was added.
    number: u64,
    messages: HashSet<Uuid>,
    look_at: Instant,
    pause: Duration,
    until: Instant,
}

impl Unsettled {
    /// Adds messages whose call has no answer.
    pub(super) fn add(&mut self, messages: Vec<(RoomId, Uuid)>) {
        let now = Instant::now();
        for (room, id) in messages {
            self.added += 1;
            let new = Open { number: self.added, messages: HashSet::new(), look_at: now, pause: PAUSE.0, until: now };
            let open = self.rooms.entry(room).or_insert(new);
            (open.look_at, open.pause, open.until) = (now + PAUSE.0, PAUSE.0, now + OPEN_FOR);
            self.count += usize::from(open.messages.insert(id));
        }
        self.bound();
    }

    /// Keeps a stored message of a room whose pushes wait, and lets the room be looked at at once. Returns false for other rooms.
    pub(super) fn hold(&mut self, room: &RoomId, id: Uuid) -> bool {
        let Some(open) = self.rooms.get_mut(room) else { return false };
        open.look_at = Instant::now();
        open.until = open.until.min(open.look_at + SETTLED_FOR);
        self.count += usize::from(open.messages.insert(id));
        self.bound();
        true
    }

    /// Lets a room be looked at at once, if messages of it are unsettled.
    pub(super) fn look_soon(&mut self, room: &RoomId) {
        if let Some(open) = self.rooms.get_mut(room) {
            open.look_at = Instant::now();
        }
    }

    /// When the next look is due. `None`: nothing is unsettled.
    pub(super) fn look_at(&self) -> Option<Instant> {
        let first = self.rooms.values().map(|open| open.look_at).min()?;
        Some(self.not_before.map_or(first, |not_before| first.max(not_before)))
    }

    /// The rooms that are to be looked at now, and for each the number of its newest messages that have all that wait: whatever the room
    /// took since the last look waits here.
    pub(super) fn due(&self) -> Vec<(RoomId, u32)> {
        let now = Instant::now();
        if self.not_before.is_some_and(|not_before| now < not_before) {
            return Vec::new();
        }
        let due = self.rooms.iter().filter(|(_, open)| open.look_at <= now).take(MAX_DUE);
        due.map(|(room, open)| (room.clone(), u32::try_from(open.messages.len()).unwrap_or(u32::MAX))).collect()
    }

    /// Returns those of a room's newest messages that waited, in the order of their seqs.
    pub(super) fn found(&mut self, room: &RoomId, mut newest: Vec<Message>) -> Vec<Message> {
        self.not_before = None;
        let (Some(open), now) = (self.rooms.get_mut(room), Instant::now()) else { return Vec::new() };
        newest.retain(|message| open.messages.remove(&message.id));
        self.count -= newest.len();
        open.look_at = now + open.pause;
        open.pause = PAUSE.1.min(open.pause * 2);
        if open.messages.is_empty() || now >= open.until {
            self.count -= open.messages.len();
            self.rooms.remove(room);
        }
        newest
    }

    /// Puts all looks off, because one failed.
    pub(super) fn failed(&mut self) {
        self.not_before = Some(Instant::now() + PAUSE.0);
    }

    fn bound(&mut self) {
        while self.rooms.len() > MAX_ROOMS || self.count > MAX_MESSAGES {
            let oldest = self.rooms.iter().min_by_key(|(_, open)| open.number).map(|(room, _)| room.clone());
            let Some(oldest) = oldest.and_then(|oldest| self.rooms.remove(&oldest)) else { return };
            self.count -= oldest.messages.len();
            metrics::counter!("roomcast_pushes_forgotten_total").increment(oldest.messages.len() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(number: usize) -> RoomId {
        number.to_string().parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_rooms_and_messages_make_way() {
        let mut unsettled = Unsettled::default();
        unsettled.add((0..MAX_ROOMS + 5).map(|number| (room(number), Uuid::now_v7())).collect());
        assert_eq!((unsettled.rooms.len(), unsettled.count), (MAX_ROOMS, MAX_ROOMS));
        assert!(!unsettled.hold(&room(4), Uuid::now_v7()) && unsettled.hold(&room(5), Uuid::now_v7()));
        unsettled.add((0..MAX_MESSAGES).map(|_| (room(7), Uuid::now_v7())).collect());
        assert!(unsettled.count <= MAX_MESSAGES, "{}", unsettled.count);
    }

    #[tokio::test(start_paused = true)]
    async fn looks_become_rare_and_end() {
        let mut unsettled = Unsettled::default();
        unsettled.add(vec![(room(1), Uuid::now_v7())]);
        assert!(unsettled.due().is_empty());
        let (begun, mut looks) = (Instant::now(), 0);
        while let Some(at) = unsettled.look_at() {
            tokio::time::sleep_until(at).await;
            assert_eq!(unsettled.due(), [(room(1), 1)]);
            assert!(unsettled.found(&room(1), Vec::new()).is_empty());
            looks += 1;
        }
        assert!(begun.elapsed() >= OPEN_FOR && looks < 30, "{looks} looks in {:?}", begun.elapsed());
        // The room took a later message: the end comes sooner. A look that fails is not repeated at once.
        unsettled.add(vec![(room(1), Uuid::now_v7())]);
        assert!(unsettled.hold(&room(1), Uuid::now_v7()));
        unsettled.failed();
        assert!(unsettled.due().is_empty() && unsettled.look_at().unwrap() >= Instant::now() + PAUSE.0);
        tokio::time::advance(SETTLED_FOR).await;
        assert_eq!(unsettled.due(), [(room(1), 2)]);
        unsettled.found(&room(1), Vec::new());
        assert_eq!((unsettled.look_at(), unsettled.count), (None, 0));
    }
}
