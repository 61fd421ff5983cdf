//! The age of a message from another node, without a common clock: both nodes' clocks count from any moment, and the shortest way of the
//! last hellos says by how much they differ.

/// Hellos in one half of the window. The window moves by hellos and not by time: a node that slept has the ones from before.
const HELLOS: u8 = 60;

/// The clock of a process, as its hellos show it.
#[derive(Clone, Debug)]
pub(super) struct Lag {
    /// A clock belongs to a process: one that took over after a reload has another.
    process: u32,
    /// The smallest difference between this clock and the other one, in milliseconds: in the half before and in this one.
    least: [i64; 2],
    hellos: u8,
}

impl Lag {
    pub(super) fn new(process: u32, theirs: u64, ours: u64) -> Self {
        let difference = difference(theirs, ours);
        Self { process, least: [difference; 2], hellos: 1 }
    }

    /// Takes a hello into account that was sent at `theirs`.
    pub(super) fn hear(&mut self, process: u32, theirs: u64, ours: u64) {
        if self.process != process {
            *self = Self::new(process, theirs, ours);
            return;
        }
        if self.hellos == HELLOS {
            (self.least, self.hellos) = ([self.least[1], i64::MAX], 0);
        }
        self.hellos += 1;
        self.least[1] = self.least[1].min(difference(theirs, ours));
    }

    /// The age of a message that was sent at `theirs`, in milliseconds. `None`: the process is not known.
    pub(super) fn age(&self, process: u32, theirs: u64, ours: u64) -> Option<u64> {
        let least = self.least[0].min(self.least[1]);
        (self.process == process).then(|| u64::try_from(difference(theirs, ours) - least).unwrap_or_default())
    }
}

fn difference(theirs: u64, ours: u64) -> i64 {
    ours as i64 - theirs as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_lay_while_this_node_slept_is_old() {
        let mut lag = Lag::new(7, 1_000, 500_000);
        for second in 1..200 {
            lag.hear(7, 1_000 + second * 1_000, 500_000 + second * 1_000 + second % 7);
        }
        assert!(lag.age(7, 200_000, 699_003).unwrap() < 10);
        // Asleep for 30 s: the hellos of that time are read at once, and the call from its beginning.
        for second in 200..230 {
            lag.hear(7, 1_000 + second * 1_000, 729_000);
        }
        let age = lag.age(7, 202_000, 729_000).unwrap();
        assert!((27_900..28_100).contains(&age), "{age}");
        assert_eq!(lag.age(8, 202_000, 729_000), None);
    }

    #[test]
    fn clocks_that_run_apart_are_followed() {
        let mut lag = Lag::new(7, 0, 0);
        // This clock is faster by one in a thousand, for an hour.
        for second in 1..3_600 {
            lag.hear(7, second * 1_000, second * 1_001);
        }
        assert!(lag.age(7, 3_600_000, 3_603_600).unwrap() <= 2 * u64::from(HELLOS));
        lag.hear(9, 5, 3_700_000);
        assert_eq!(lag.age(9, 6, 3_700_001), Some(0));
    }
}
