//! Deliveries to the viewers in one epoch.

use crate::message::Message;
use crate::order::{Faults, Room};
use hdrhistogram::Histogram;

/// Longest latency recorded, in us; longer ones count as this.
const LONGEST_US: u64 = 120_000_000;

pub struct Tally {
    epoch: u32,
    pub rooms: Vec<Room>,
    /// Joined viewers that read, per room.
    pub readers: Vec<u64>,
    /// Latency from due time to reading, in us, of the viewers at whose node somebody publishes.
    pub late: Histogram<u64>,
    /// The same of the others.
    pub remote: Histogram<u64>,
    /// Deliveries, each counted once.
    pub seen: u64,
    /// Time of the last delivery.
    pub last: u64,
    pub faults: Faults,
}

impl Default for Tally {
    fn default() -> Self {
        // No message has this epoch.
        Self::new(u32::MAX, 0)
    }
}

impl Tally {
    pub fn new(epoch: u32, rooms: usize) -> Self {
        let late = Histogram::new_with_bounds(1, LONGEST_US, 3).expect("three digits");
        Self {
            epoch,
            rooms: (0..rooms).map(|_| Room::default()).collect(),
            readers: vec![0; rooms],
            remote: late.clone(),
            late,
            seen: 0,
            last: 0,
            faults: Faults::default(),
        }
    }

    pub fn see(&mut self, (room, is_remote): (u32, bool), position: &mut u32, message: Message, now: u64) {
        if message.epoch != self.epoch {
            return;
        }
        if message.room != room {
            // A message of another room is a fault like a duplicate.
            self.faults.doubled += 1;
        } else if self.rooms[room as usize].see(position, message.seq, &mut self.faults) {
            self.seen += 1;
            self.last = now;
            let late_us = now.saturating_sub(message.due) / 1_000;
            let histogram = if is_remote { &mut self.remote } else { &mut self.late };
            histogram.saturating_record(late_us);
        }
    }
}
