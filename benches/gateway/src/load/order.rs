//! Checks that every viewer receives every message exactly once and in one order. The first viewer to receive a message defines
//! the room's order; all others must match it. The order must not contradict the publisher: if the response to one message
//! arrived before another was sent, the one comes first.

#[derive(Default)]
pub struct Room {
    /// Sequence numbers in the room's order.
    order: Vec<u32>,
    /// By sequence number: whether `order` contains it.
    seen: Vec<bool>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Faults {
    /// Messages that other viewers received and this one skipped or never reached.
    pub lost: u64,
    /// Messages received twice, or out of the room's order.
    pub doubled: u64,
}

impl Room {
    /// Records that a viewer at `position` of the room's order receives `seq`. Returns false for a duplicate.
    pub fn see(&mut self, position: &mut u32, seq: u32, faults: &mut Faults) -> bool {
        let at = *position as usize;
        if self.order.get(at) == Some(&seq) {
            *position += 1;
            return true;
        }
        let seen = self.seen.get(seq as usize).copied().unwrap_or(false);
        if !seen {
            // The first viewer to receive it. Messages that this viewer skipped before are lost to it.
            faults.lost += (self.order.len() - at) as u64;
            if self.seen.len() <= seq as usize {
                self.seen.resize(seq as usize + 1, false);
            }
            self.seen[seq as usize] = true;
            self.order.push(seq);
            *position = self.order.len() as u32;
            return true;
        }
        match self.order[at..].iter().position(|other| *other == seq) {
            Some(skipped) => {
                faults.lost += skipped as u64;
                *position += skipped as u32 + 1;
                true
            }
            None => {
                faults.doubled += 1;
                false
            }
        }
    }

    /// Returns the number of messages delivered before another whose response had arrived before they were sent. `sent` and
    /// `answered` are in ns, by sequence number.
    pub fn swapped(&self, sent: &[u64], answered: &[u64]) -> u64 {
        let mut earliest_answer_after = u64::MAX;
        let mut swapped = 0;
        for seq in self.order.iter().rev().map(|seq| *seq as usize) {
            swapped += u64::from(earliest_answer_after < sent[seq]);
            earliest_answer_after = earliest_answer_after.min(answered[seq]);
        }
        swapped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_doubled_and_swapped_messages_are_distinguished() {
        let mut room = Room::default();
        let mut see = |seqs: &[u32]| {
            let (mut position, mut faults) = (0, Faults::default());
            for seq in seqs {
                room.see(&mut position, *seq, &mut faults);
            }
            (position, faults)
        };
        // Two publishes were in flight at once: the first viewer defines their order.
        assert_eq!(see(&[0, 2, 1, 3]), (4, Faults::default()));
        assert_eq!(see(&[0, 2, 1, 3]), (4, Faults::default()));
        assert_eq!(see(&[0, 1, 2, 3]), (4, Faults { lost: 1, doubled: 1 }), "another order");
        assert_eq!(see(&[0, 2, 3]), (4, Faults { lost: 1, doubled: 0 }));
        assert_eq!(see(&[0, 2, 2, 1, 3, 3]), (4, Faults { lost: 0, doubled: 2 }));
        assert_eq!(see(&[0, 4]), (5, Faults { lost: 3, doubled: 0 }));
        assert_eq!(room.swapped(&[10, 20, 20, 40, 50], &[15, 30, 30, 45, 55]), 0);
        assert_eq!(room.swapped(&[10, 20, 26, 40, 50], &[15, 25, 30, 45, 55]), 1, "1 was answered before 2 was sent");
    }
}
