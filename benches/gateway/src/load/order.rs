//! Was every message seen exactly once and in one order? A room's order is what whoever is furthest saw; everyone else must
//! see the same, and it must not contradict the publisher: what was answered before another was sent comes first.

#[derive(Default)]
pub struct Room {
    /// Sequence numbers in the order they came.
    order: Vec<u32>,
    /// By sequence number: is it in `order`?
    seen: Vec<bool>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Faults {
    /// Others saw it, this viewer went past it or never got there.
    pub lost: u64,
    /// Seen before, or out of the room's order.
    pub doubled: u64,
}

impl Room {
    /// A viewer that has seen `position` of the room's messages sees `seq` next. True: as it should be.
    pub fn see(&mut self, position: &mut u32, seq: u32, faults: &mut Faults) -> bool {
        let at = *position as usize;
        if self.order.get(at) == Some(&seq) {
            *position += 1;
            return true;
        }
        let seen = self.seen.get(seq as usize).copied().unwrap_or(false);
        if !seen {
            // The first to see it. What it skipped on the way is lost to it.
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

    /// Pairs the wrong way round: one was answered before the other was even sent, and came after it.
    /// `sent` and `answered` by sequence number, in ns.
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
    fn each_fault_is_told_from_the_others() {
        let mut room = Room::default();
        let mut see = |seqs: &[u32]| {
            let (mut position, mut faults) = (0, Faults::default());
            for seq in seqs {
                room.see(&mut position, *seq, &mut faults);
            }
            (position, faults)
        };
        // Two were in flight at once: the first viewer says which came first.
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
